"""A detector that runs a model of our own on this machine: no picture leaves it."""

from importlib.util import find_spec
from pathlib import Path

from app.detect import child
from app.detect.seen import MAX_BYTES, DetectorFailed, NoDetector, Seen, Unreadable
from app.guarded.child import Limits
from app.guarded.guard import ChildDied, ChildTimedOut, Guard


class LocalDetector:
    """Looks by the model in an ONNX file (see app/detect), with the extra `vision`.

    One guarded child looks at one picture at a time, with `memory_mb` of address space and `seconds` for each.
    """

    def __init__(self, model: Path, *, memory_mb: int = 1536, seconds: int = 10) -> None:
        self._model = model
        self._guard = Guard(child.prepare_to_look, Limits(memory_mb, seconds))

    def available(self) -> bool:
        """Whether the model's file is there, and what it runs with."""
        return self._model.is_file() and all(find_spec(one) for one in ("numpy", "onnxruntime"))

    def look(self, picture: bytes) -> tuple[Seen, ...]:
        """Return what is seen in the picture, the surest first. Raises as Detector does."""
        if not self.available():
            raise NoDetector
        if len(picture) > MAX_BYTES:
            raise Unreadable("The picture's file is too large.")
        try:
            return self._guard.run(child.look, self._model, picture)
        except (ChildDied, ChildTimedOut, MemoryError, OSError) as err:
            raise DetectorFailed("The detector could not look at the picture.") from err

    def close(self) -> None:
        """Kill the child; a look under way ends with DetectorFailed."""
        self._guard.close()
