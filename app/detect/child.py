"""What a detector has done in its guarded child. Here nothing is loaded yet, for the sake of the parents."""

from pathlib import Path

from app.detect.seen import Seen, Shrunk


def prepare_to_look() -> None:
    """Load what a model runs with: before the limits are set, which count all of it."""
    prepare_to_shrink()
    import app.detect.gaze  # noqa: F401


def prepare_to_shrink() -> None:
    from app.detect import decode

    decode.prepare()


def look(model: Path, content: bytes) -> tuple[Seen, ...]:
    """Return what the model sees in the picture. Raises Unreadable, DetectorFailed, MemoryError."""
    from app.detect import gaze

    return gaze.look(model, content)


def shrink(content: bytes, side: int) -> Shrunk:
    """Return the picture as others may see it. Raises Unreadable, MemoryError."""
    from app.detect import decode

    return decode.shrink(content, side)
