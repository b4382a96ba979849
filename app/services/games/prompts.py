"""The prompt of a game asset: the client's words, then what every provider has to know of its kind."""

from enum import StrEnum


class AssetType(StrEnum):
    """What an asset is in a game [A24]."""

    CHARACTER = "character-design"
    ENVIRONMENT = "environment-art"
    PROP = "prop-design"
    INTERFACE = "ui-element"
    CONCEPT = "concept-art"


# None of them names a thing that could be drawn: some providers draw whatever is named.
_WORDS = {
    AssetType.CHARACTER: "character design, full body, clear silhouette",
    AssetType.ENVIRONMENT: "environment design, wide view, no figures",
    AssetType.PROP: "prop design, alone and centred",
    AssetType.INTERFACE: "user interface element, flat, front view, alone and centred",
    AssetType.CONCEPT: "concept design, highly detailed",
}
_PLAIN = "on a plain background"


def prompt(words: str, kind: AssetType, *, cut_out: bool) -> str:
    """Return the prompt; `cut_out` says that the asset will be without its background."""
    parts = [words, _WORDS[kind]]
    return ", ".join([*parts, _PLAIN] if cut_out else parts)
