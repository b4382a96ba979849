"""What the asset service is told of a picture besides its words: type, style, quality, and what is done to it after."""

from collections.abc import Mapping
from typing import Any

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import ProviderError, Task


def wishes(task: Task, adapted: list[str]) -> dict[str, Any]:
    """Return these fields of a request; what had to be changed is added to `adapted`. Raises ProviderError (unsupported).

    `task.settings` may hold quality (draft, standard, high, production) and assetType, and for a game asset style and
    the flags transparentBackground, removeBackground, optimizeForGame, spriteOptimization and tilesetOptimization.
    """
    return {
        "asset_type": _asset_type(task),
        "style": _style(task, adapted),
        "quality": _quality(task.settings),
        **_flags(task),
    }


def unsupported(message: str) -> ProviderError:
    return ProviderError(FailureKind.UNSUPPORTED, message)


def _asset_type(task: Task) -> str:
    asked = task.settings.get("assetType", _ASSET_TYPES[task.kind])
    if not isinstance(asked, str) or asked not in _ALL_TYPES:
        raise unsupported(f"The asset type must be one of {', '.join(sorted(_ALL_TYPES))}.")
    return asked


def _quality(settings: Mapping[str, Any]) -> str:
    asked = settings.get("quality", "standard")
    if not isinstance(asked, str) or asked not in _QUALITIES:
        raise unsupported("The quality must be draft, standard, high or production.")
    return asked


def _flags(task: Task) -> dict[str, bool]:
    """Return what is done to the picture after it is drawn. A game asset gets what the service does where nothing is said."""
    if task.kind is not Kind.GAME_ASSET:
        # Both are on where nothing is said, and cut the background away.
        return {"transparent_background": False, "optimize_for_game": False}
    asked = {field: task.settings[name] for name, field in _FLAGS.items() if name in task.settings}
    if not all(isinstance(flag, bool) for flag in asked.values()):
        raise unsupported(f"{', '.join(_FLAGS)} must be true or false.")
    return asked


def _style(task: Task, adapted: list[str]) -> str:
    """Return the service's style for the client's; its own words for others are in the prompt all the same."""
    said = task.settings.get("style") if task.kind is Kind.GAME_ASSET else None
    style = said if isinstance(said, str) else task.style
    if style is None:
        return _STYLE_OF_KIND.get(task.kind, "hand-drawn")
    asked = "-".join(style.lower().split())
    if asked in _STYLES:
        return asked
    found = _LIKE.get(asked, _STYLE_OF_KIND.get(task.kind, "hand-drawn"))
    adapted.append(f"style {style} -> {found}")
    return found


_STYLES = {"pixel-art", "hand-drawn", "realistic", "cartoon", "minimalist"}
_QUALITIES = {"draft", "standard", "high", "production"}
_ASSET_TYPES = {
    Kind.COLORING_PAGE: "concept-art",
    Kind.COVER: "concept-art",
    Kind.ILLUSTRATION: "concept-art",
    Kind.CHARACTER_REFERENCE: "character-design",
    Kind.BACKGROUND: "environment-art",
    Kind.PICTURE: "concept-art",
    Kind.GAME_ASSET: "prop-design",
}
_ALL_TYPES = {"character-design", "environment-art", "prop-design", "ui-element", "concept-art"}
_FLAGS = {
    "transparentBackground": "transparent_background",
    "removeBackground": "remove_background",
    "optimizeForGame": "optimize_for_game",
    "spriteOptimization": "apply_sprite_optimization",
    "tilesetOptimization": "apply_tileset_optimization",
}
_STYLE_OF_KIND = {Kind.COLORING_PAGE: "minimalist"}
_LIKE = {
    "pixel": "pixel-art",
    "8-bit": "pixel-art",
    "photo": "realistic",
    "photorealistic": "realistic",
    "photographic": "realistic",
    "comic": "cartoon",
    "anime": "cartoon",
    "flat": "minimalist",
    "line-art": "minimalist",
    "watercolor": "hand-drawn",
    "watercolour": "hand-drawn",
    "sketch": "hand-drawn",
}
