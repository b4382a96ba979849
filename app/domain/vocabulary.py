"""The words that clients, rows and code share, each spelled once."""

from enum import StrEnum


class Kind(StrEnum):
    """What a request asks for.

    The first five are the contract's ``type`` [A3]. PICTURE is one whose prompt says it all, GAME_ASSET one for a
    game. Models and what is made of them are GLB files. The last three make words: a better prompt, a translation,
    an answer about a picture.
    """

    COLORING_PAGE = "coloring-page"
    COVER = "cover"
    ILLUSTRATION = "illustration"
    CHARACTER_REFERENCE = "character-reference"
    BACKGROUND = "background"
    PICTURE = "picture"
    GAME_ASSET = "game-asset"
    MODEL = "model"
    RETEXTURE = "retexture"
    RIG = "rig"
    SPRITES = "sprites"
    VIDEO = "video"
    PROMPT = "prompt"
    TRANSLATION = "translation"
    VISION = "vision"

    @property
    def file(self) -> str | None:
        """The role of the file that the request is about; None where it is about words."""
        return "image" if self in PICTURES else _FILES.get(self)


_FILES = {
    Kind.MODEL: "model",
    Kind.RETEXTURE: "model",
    Kind.RIG: "rig",
    Kind.SPRITES: "sheet",
    Kind.VIDEO: "video",
}
# What the main document lets its clients ask for.
PAGES = frozenset(
    {Kind.COLORING_PAGE, Kind.COVER, Kind.ILLUSTRATION, Kind.CHARACTER_REFERENCE, Kind.BACKGROUND}
)
# What those who draw pictures can draw.
PICTURES = PAGES | {Kind.PICTURE, Kind.GAME_ASSET}


class Priority(StrEnum):
    """How urgent a request is [A4]; `weight` orders the queue."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def weight(self) -> int:
        return _WEIGHTS[self]

    @classmethod
    def of_weight(cls, weight: int) -> "Priority":
        return _BY_WEIGHT[weight]


_WEIGHTS = {Priority.LOW: 1, Priority.NORMAL: 10, Priority.HIGH: 100, Priority.URGENT: 1000}
_BY_WEIGHT = {weight: priority for priority, weight in _WEIGHTS.items()}


class AspectRatio(StrEnum):
    """The shape of a picture; `size` is its width and height in pixels at a long side."""

    SQUARE = "square"
    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"
    WIDE = "wide"

    def size(self, long_side: int = 1024) -> tuple[int, int]:
        """Return (width, height) in pixels, the longer of them `long_side`."""
        across, down = _RATIOS[self]
        scale = long_side / max(across, down)
        return round(across * scale), round(down * scale)


_RATIOS = {
    AspectRatio.SQUARE: (1, 1),
    AspectRatio.LANDSCAPE: (4, 3),
    AspectRatio.PORTRAIT: (3, 4),
    AspectRatio.WIDE: (16, 9),
}


class ImageFormat(StrEnum):
    """The file formats a finished picture can be had in."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"
    AVIF = "avif"

    @property
    def mime(self) -> str:
        return f"image/{self}"

    @property
    def extension(self) -> str:
        """The end of a file's name, without the dot."""
        return "jpg" if self is ImageFormat.JPEG else str(self)


EXTENSIONS = {form.mime: form.extension for form in ImageFormat} | {
    "model/gltf-binary": "glb",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "application/json": "json",
}


class Role(StrEnum):
    """Who may do what: `client` its own things, `viewer` queue figures only."""

    ADMIN = "admin"
    OPERATOR = "operator"
    CLIENT = "client"
    VIEWER = "viewer"


class Event(StrEnum):
    """What can happen to a request, as its watchers read it [A15]."""

    QUEUED = "request-queued"
    STARTED = "request-started"
    PROGRESS = "request-progress"
    RETRYING = "request-retrying"
    COMPLETED = "request-completed"
    FAILED = "request-failed"
    CANCELLED = "request-cancelled"


# After one of these nothing more happens to a request.
ENDINGS = frozenset({Event.COMPLETED, Event.FAILED, Event.CANCELLED})


class QueueEvent(StrEnum):
    """What can happen to the queue as a whole, as its watchers read it [A15]."""

    STATS = "queue-stats"
    EMPTY = "queue-empty"
    AGENT_ERROR = "agent-error"
