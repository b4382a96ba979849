"""The prompt that a provider gets: the client's words, then what the guide adds for the type [A13]."""

from app.domain.vocabulary import AspectRatio, Kind

SUFFIXES = {
    Kind.COLORING_PAGE: (
        "coloring book style, black and white line art, clear outlines, no shading, "
        "white background, suitable for coloring"
    ),
    Kind.COVER: "book cover design, professional, eye-catching, with title space",
    Kind.ILLUSTRATION: "detailed illustration, professional quality",
    Kind.CHARACTER_REFERENCE: "character reference sheet, multiple angles, clean design",
    Kind.BACKGROUND: "background scene, detailed environment, suitable for overlay",
}


def enhance(prompt: str, kind: Kind, style: str | None = None, ratio: AspectRatio | None = None) -> str:
    """Return `prompt` with the suffix of its kind, if it has one, its style and its aspect ratio, each once.

    A prompt that has been enhanced already comes back as it is.
    """
    parts = [SUFFIXES[kind]] if kind in SUFFIXES else []
    if style:
        parts.append(f"in {style} style")
    if ratio:
        parts.append(f"{ratio} aspect ratio")
    wanted = ", ".join(parts)
    return prompt if prompt.endswith(wanted) else f"{prompt}, {wanted}"
