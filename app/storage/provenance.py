"""Where a picture came from, as EXIF and XMP that any viewer reads.

EXIF texts are bytes without an encoding of their own: the description is UTF-8, as the Metadata
Working Group advises (Guidelines for Handling Image Metadata 2.0, 3.2.1), and the user comment is
the whole record as ASCII JSON, which carries every character as it was. XMP is XML, which can't
carry control characters at all: there they are left out.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from PIL import ExifTags, Image

from app.storage.picture import Provenance

SOFTWARE = "Atelier"
NAMESPACE = "urn:x-atelier:provenance/1/"

# In characters. A JPEG's EXIF and XMP must each stay below 64 KB, and JSON may need 12 bytes for a character.
_LONGEST_PROMPT = 2000
_LONGEST = 200
_DC = "http://purl.org/dc/elements/1.1/"
_META = "adobe:ns:meta/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_PREFIXES = {"dc": _DC, "x": _META, "photoshop": _PHOTOSHOP, "rdf": _RDF, "xmp": _XMP, "atelier": NAMESPACE}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]+")
_PACKET = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n%s\n<?xpacket end="w"?>'


def record(provenance: Provenance) -> dict[str, str | int]:
    """Return what is known about the picture, in the contract's spelling; what isn't known is left out."""
    texts = {
        "software": SOFTWARE,
        "prompt": provenance.prompt[:_LONGEST_PROMPT],
        "type": provenance.kind[:_LONGEST],
        "provider": provenance.provider[:_LONGEST],
        "model": provenance.model[:_LONGEST],
        "requestId": provenance.request_id[:_LONGEST],
        "credit": provenance.credit[:_LONGEST],
    }
    known: dict[str, str | int] = {name: text for name, text in texts.items() if text}
    return known if provenance.seed is None else {**known, "seed": provenance.seed}


def exif(provenance: Provenance) -> bytes:
    """Return the EXIF block: description (UTF-8), software, copyright (UTF-8), and the record as ASCII JSON."""
    facts = record(provenance)
    block = Image.Exif()
    block[ExifTags.Base.ImageDescription] = _line(facts.get("prompt", ""))
    block[ExifTags.Base.Software] = SOFTWARE
    if "credit" in facts:
        block[ExifTags.Base.Copyright] = _line(facts["credit"])
    comment = b"ASCII\0\0\0" + json.dumps(facts).encode("ascii")
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return block.tobytes()


def xmp(provenance: Provenance) -> bytes:
    """Return the XMP packet in UTF-8: Dublin Core for everyone, the record under our own namespace."""
    for prefix, uri in _PREFIXES.items():
        ET.register_namespace(prefix, uri)
    meta = ET.Element(f"{{{_META}}}xmpmeta")
    about = ET.SubElement(ET.SubElement(meta, f"{{{_RDF}}}RDF"), f"{{{_RDF}}}Description")
    about.set(f"{{{_RDF}}}about", "")
    for tag, text in _properties(record(provenance)):
        ET.SubElement(about, tag).text = text
    for tag, text in _languages(record(provenance)):
        _in_any_language(about, tag, text)
    body: bytes = ET.tostring(meta, encoding="utf-8")
    return _PACKET % body


def _properties(facts: dict[str, str | int]) -> Iterator[tuple[str, str]]:
    yield f"{{{_XMP}}}CreatorTool", SOFTWARE
    if "credit" in facts:
        yield f"{{{_PHOTOSHOP}}}Credit", _xml(facts["credit"])
    for name in ("type", "provider", "model", "seed", "requestId"):
        if name in facts:
            yield f"{{{NAMESPACE}}}{name}", _xml(facts[name])


def _languages(facts: dict[str, str | int]) -> Iterator[tuple[str, str]]:
    yield f"{{{_DC}}}description", _xml(facts.get("prompt", ""))
    if "credit" in facts:
        yield f"{{{_DC}}}rights", _xml(facts["credit"])


def _in_any_language(about: ET.Element, tag: str, text: str) -> None:
    item = ET.SubElement(ET.SubElement(ET.SubElement(about, tag), f"{{{_RDF}}}Alt"), f"{{{_RDF}}}li")
    item.set(_LANG, "x-default")
    item.text = text


def _xml(value: str | int) -> str:
    return _NOT_XML.sub("", str(value))


def _line(value: str | int) -> bytes:
    """Return one line of UTF-8; a NUL would end the text for every reader."""
    return _CONTROL.sub(" ", str(value)).encode("utf-8", "replace")
