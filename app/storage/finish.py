"""Make bytes from outside into checked files: the parent's side, which never decodes anything itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.domain.verdict import Stored
from app.guarded.child import Limits
from app.guarded.guard import ChildDied, ChildTimedOut, Guard
from app.storage import studio
from app.storage.files import AssetStore
from app.storage.picture import BadImage, Finish, Provenance

__all__ = ["BadImage", "Finish", "Finished", "Finisher", "Provenance"]

T = TypeVar("T")

MAX_BYTES = 64 * 1024 * 1024
# A client waits for its picture to be read, and others for their turn after it.
_REFERENCE_SECONDS = 15


@dataclass(frozen=True)
class Finished:
    """A file that is ready to be published: where it lies now, and the facts that its row needs."""

    draft: Path
    facts: Stored

    @property
    def role(self) -> str:
        """What the file is of the request: "image", "thumbnail", "model"; "reference" before it is one's."""
        return self.facts.role


class Finisher:
    """Finishes pictures in up to `workers` guarded children; no child is started before the first picture.

    A child may use `memory_mb` of address space, and each picture `seconds`. Safe to call from many threads.
    """

    def __init__(
        self, store: AssetStore, *, workers: int = 1, memory_mb: int = 1024, seconds: int = 30
    ) -> None:
        self._store = store
        self._guard = Guard(studio.prepare, Limits(memory_mb, seconds), workers=workers)

    def finish(self, content: bytes, spec: Finish) -> tuple[Finished, ...]:
        """Return the drafts of the picture and of its thumbnail, synced to disk.

        Raise BadImage for whatever is wrong with the picture, also one that hangs or kills its child; OSError
        for a disk that is full or fails, and for children that can't be started. Nothing is left behind then.
        """
        with self._taken(content) as taken, ExitStack() as leftovers:
            image, thumbnail = (self._draft(leftovers) for _ in range(2))
            facts = self._guarded(studio.finish, taken, image, thumbnail, spec)
            leftovers.pop_all()
            return tuple(Finished(draft, fact) for draft, fact in zip((image, thumbnail), facts, strict=True))

    def reference(self, content: bytes) -> Finished:
        """Return the draft of a picture as providers may see it (studio.reference), synced to disk.

        Raises as `finish` does.
        """
        with self._taken(content) as taken, ExitStack() as leftovers:
            draft = self._draft(leftovers)
            facts = self._guarded(studio.reference, taken, draft, seconds=_REFERENCE_SECONDS)
            leftovers.pop_all()
            return Finished(draft, facts)

    def part(self, content: bytes, role: str) -> Finished:
        """Return the draft of a picture that comes beside what a request is about (studio.part). Raises as `finish` does."""
        with self._taken(content) as taken, ExitStack() as leftovers:
            draft = self._draft(leftovers)
            facts = self._guarded(studio.part, taken, draft, role)
            leftovers.pop_all()
            return Finished(draft, facts)

    def whole(self, content: bytes, role: str, mime: str) -> Finished:
        """Return the draft of a model, a video or JSON, kept byte for byte. Raises as `finish` does."""
        with ExitStack() as leftovers:
            draft = leftovers.enter_context(self._taken(content))
            facts = self._guarded(studio.whole, draft, role, mime)
            kept = self._store.draft()
            draft.rename(kept)
            return Finished(kept, facts)

    def close(self) -> None:
        """Kill the children; pictures in the making end with OSError."""
        self._guard.close()

    @contextmanager
    def _taken(self, content: bytes) -> Iterator[Path]:
        """Give a file with this content."""
        if len(content) > MAX_BYTES:
            raise BadImage("The file is too large.")
        with ExitStack() as leftovers:
            taken = self._draft(leftovers)
            taken.write_bytes(content)
            yield taken

    def _draft(self, leftovers: ExitStack) -> Path:
        """Return a fresh draft that goes with `leftovers`."""
        draft = self._store.draft()
        leftovers.callback(draft.unlink, missing_ok=True)
        return draft

    def _guarded(self, function: Callable[..., T], *args: object, seconds: int | None = None) -> T:
        try:
            return self._guard.run(function, *args, seconds=seconds)
        except ChildDied as error:
            raise BadImage("The picture could not be decoded safely.") from error
        except ChildTimedOut as error:
            raise BadImage("The picture took too long to decode.") from error
        except MemoryError as error:
            raise BadImage("The picture needs too much memory.") from error
