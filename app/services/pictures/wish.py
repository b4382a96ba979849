"""What is asked of a picture, and the words that a provider gets."""

from dataclasses import dataclass
from enum import StrEnum

LONG_SIDE = 1024


class Subject(StrEnum):
    SCENE = "scene"
    ITEM = "item"
    CHARACTER = "character"


class Shape(StrEnum):
    """Width to height."""

    SQUARE = "1:1"
    WIDE = "16:9"
    LANDSCAPE = "4:3"
    TALL = "9:16"

    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels."""
        across, down = map(int, self.split(":"))
        scale = LONG_SIDE / max(across, down)
        return round(across * scale), round(down * scale)


@dataclass(frozen=True)
class Wish:
    """A picture that is wanted. `component` is where the client shows it."""

    subject_type: Subject
    subject_name: str
    prompt: str
    custom_prompt: str | None = None
    aspect_ratio: Shape = Shape.WIDE
    component: str = "scene-viewer"

    @property
    def words(self) -> str:
        """The whole prompt: what it is of, what the client says of it, what is shown of it."""
        said = [f"{self.subject_name}: {self.prompt}", self.custom_prompt, _SHOWN[self.subject_type]]
        return " ".join(_sentence(part) for part in said if part)


_SHOWN = {
    Subject.SCENE: "A place in a fantasy role-playing world, seen as a whole, with its light and its weather.",
    Subject.ITEM: "One thing from a fantasy role-playing world, all of it in view, on a plain background.",
    Subject.CHARACTER: "One person of a fantasy role-playing world, face and clothes clearly in view.",
}


def _sentence(part: str) -> str:
    return part if part.endswith((".", "!", "?")) else f"{part}."
