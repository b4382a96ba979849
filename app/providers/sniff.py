"""What a file is, by its first bytes; what a server calls it is not asked."""

from collections.abc import Callable, Mapping

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"glTF\x02\x00\x00\x00", "model/gltf-binary"),
    (b"Kaydara FBX Binary  \x00", "model/fbx"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
# The brands of ISO 14496-12 files: HEIC pictures, sound and camera formats begin with the same box.
_AVIF = {b"avif", b"avis"}
_MP4 = {
    b"mp41",
    b"mp42",
    b"avc1",
    b"dash",
    b"M4V ",
    b"M4VP",
    b"f4v ",
    *(b"iso%d" % n for n in range(2, 10)),
    b"isom",
}
_OTHERS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"M4A ", b"M4B ", b"M4P ", b"qt  ", b"crx "}
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
# Files have a handful of boxes, or of segments before the picture itself.
_MOST_PARTS = 10_000

PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"})
MODELS = frozenset({"model/gltf-binary"})
VIDEOS = frozenset({"video/mp4", "video/webm"})


def mime_of(content: bytes) -> str | None:
    """Return the media type of a file that Atelier takes, or None for anything else (SVG, HTML, JSON, an archive)."""
    for start, mime in _STARTS:
        if content.startswith(start):
            return mime
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return _mime_by_brand(content)
    return None


def whole(content: bytes, mime: str) -> bool:
    """Whether the file ends where it says it does, as far as that can be told without decoding it.

    Bytes after the end are no fault: some who store files add a few.
    """
    ends = _ENDS.get(mime)
    return ends is None or ends(content)


def _png_ends(content: bytes) -> bool:
    return _PNG_END in content


def _gif_ends(content: bytes) -> bool:
    return content.rstrip(b"\x00\r\n").endswith(b";")


def _webp_ends(content: bytes) -> bool:
    return len(content) >= int.from_bytes(content[4:8], "little") + 8 > 20


def _mime_by_brand(content: bytes) -> str | None:
    size = min(int.from_bytes(content[:4]), 4096)
    major = content[8:12]
    brands = {major, *(content[at : at + 4] for at in range(16, size, 4))}
    if brands & _AVIF:
        return "image/avif"
    return "video/mp4" if brands & _MP4 and major not in _OTHERS else None


def _jpeg_ends(content: bytes) -> bool:
    """Look for the end after the picture has begun: a thumbnail in the metadata has an end of its own."""
    at = 2
    for _ in range(_MOST_PARTS):
        marker = content[at : at + 2]
        if marker == b"\xff\xda":
            return content.find(b"\xff\xd9", at) > 0
        if marker == b"\xff\xff":
            at += 1
        elif marker[:1] == b"\xff":
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
        else:
            break
    return False


def _boxes_end(content: bytes) -> bool:
    """Walk the outermost boxes; each says how long it is, 0 where it is the last, 1 where a longer figure follows."""
    at = 0
    for _ in range(_MOST_PARTS):
        if at == len(content):
            return True
        size = int.from_bytes(content[at : at + 4])
        if size == 0:
            return len(content) >= at + 8
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16])
        if size < 8:
            return False
        at += size
    return False


def _gltf_ends(content: bytes) -> bool:
    """Compare the length in the head with the file's, and that of the first chunk, which is always JSON."""
    scene = int.from_bytes(content[12:16], "little")
    return (
        len(content) == int.from_bytes(content[8:12], "little")
        and content[16:20] == b"JSON"
        and 20 + scene <= len(content)
    )


_ENDS: Mapping[str, Callable[[bytes], bool]] = {
    "image/png": _png_ends,
    "image/jpeg": _jpeg_ends,
    "image/gif": _gif_ends,
    "image/webp": _webp_ends,
    "image/avif": _boxes_end,
    "video/mp4": _boxes_end,
    "model/gltf-binary": _gltf_ends,
}
