"""Make a provider's bytes into checked files: the parent's side, which never decodes anything itself."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from app.domain.verdict import Stored
from app.storage import studio
from app.storage.child import Limits
from app.storage.files import AssetStore
from app.storage.guard import ChildDied, ChildTimedOut, Guard
from app.storage.picture import BadImage, Finish, Provenance

__all__ = ["BadImage", "Finish", "Finished", "Finisher", "Provenance"]

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Finished:
    """A file that is ready to be published: where it lies now, and the facts that its row needs."""

    draft: Path
    facts: Stored

    @property
    def role(self) -> str:
        """What the file is of the request: "image" or "thumbnail"."""
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
        if len(content) > MAX_BYTES:
            raise BadImage("The picture's file is too large.")
        with ExitStack() as leftovers, ExitStack() as source:
            taken, image, thumbnail = (self._store.draft() for _ in range(3))
            source.callback(taken.unlink, missing_ok=True)
            for draft in (image, thumbnail):
                leftovers.callback(draft.unlink, missing_ok=True)
            taken.write_bytes(content)
            facts = self._make(taken, image, thumbnail, spec)
            leftovers.pop_all()
            return tuple(Finished(draft, fact) for draft, fact in zip((image, thumbnail), facts, strict=True))

    def close(self) -> None:
        """Kill the children; pictures in the making end with OSError."""
        self._guard.close()

    def _make(self, source: Path, image: Path, thumbnail: Path, spec: Finish) -> tuple[Stored, Stored]:
        try:
            return self._guard.run(studio.finish, source, image, thumbnail, spec)
        except ChildDied as error:
            raise BadImage("The picture could not be decoded safely.") from error
        except ChildTimedOut as error:
            raise BadImage("The picture took too long to decode.") from error
        except MemoryError as error:
            raise BadImage("The picture needs too much memory.") from error
