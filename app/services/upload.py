"""Pictures that come before the requests that start from them: read in the guarded child, kept once, named by an id."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from typing import Any

import structlog
from sqlalchemy import Row, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import NotFound, Unavailable
from app.providers import sniff
from app.queue import assets
from app.runtime import Runtime
from app.services.identity import MINE, Who
from app.storage.finish import BadImage, Finished

_log = structlog.get_logger(__name__)
LARGEST = 10 << 20
# How many of a process's threads may wait for a picture to be read: the others go on answering.
_line = BoundedSemaphore(8)


@dataclass(frozen=True)
class Upload:
    """A stored picture as providers will see it, which is not byte for byte what was sent."""

    id: str
    mime: str
    width: int
    height: int
    bytes: int
    sha256: str
    expires_at: datetime


def receive(rt: Runtime, who: Who, content: bytes) -> Upload:
    """Keep the picture for its sender, the same one once. Raises BadImage, Unavailable."""
    with read(rt, content) as file:
        publish(rt, [file])
        given = {
            "id": ids.upload_id(milliseconds(rt.clock())),
            "owner": who.user_id,
            "sha256": file.facts.sha256,
        }
        with rt.db.once() as tx:
            return _upload(rt, tx.execute(_PUT, given).one())


def find(rt: Runtime, who: Who, upload_id: str) -> Upload:
    """Return the upload. Raises NotFound, also where it is somebody else's."""
    with rt.db.once() as tx:
        row = tx.execute(_ONE, {"id": upload_id, "owner": who.scope}).one_or_none()
    if row is None:
        raise NotFound("Upload not found")
    return _upload(rt, row)


def hashes(rt: Runtime, who: Who, upload_ids: Collection[str], *, use: bool) -> dict[str, str]:
    """Return the hashes of those uploads that are there and may be used; `use` keeps them for some hours more."""
    given = {"ids": list(upload_ids), "owner": who.scope}

    def act() -> dict[str, str]:
        with rt.db.once() as tx:
            return {row.id: row.sha256 for row in tx.execute(_USE if use else _LOOK, given)}

    return rt.db.again(act) if upload_ids else {}


@contextmanager
def read(rt: Runtime, content: bytes) -> Iterator[Finished]:
    """Give the picture's draft, which goes at the end if it wasn't published. Raises BadImage, Unavailable."""
    if len(content) > LARGEST:
        raise BadImage(f"The picture is over {LARGEST >> 20} MB.")
    if sniff.mime_of(content) not in sniff.PICTURES:
        raise BadImage("This is not a PNG, JPEG, WebP, GIF or AVIF picture.")
    if not _line.acquire(blocking=False):
        raise Unavailable("Too many pictures are being read; try again.", retry_after=2)
    try:
        file = rt.finisher.reference(content)
    except OSError as err:
        raise _no_place(err) from err
    finally:
        _line.release()
    try:
        yield file
    finally:
        file.draft.unlink(missing_ok=True)


def publish(rt: Runtime, files: Sequence[Finished]) -> None:
    """Put the files in place; what nothing refers to within a day goes again. Raises Unavailable."""

    def act() -> None:
        with rt.db.begin() as tx:
            # The row's lock comes before the file, so that a clean-up can't take away what is being kept.
            assets.keep(tx, [file.facts for file in files])
            for file in files:
                rt.store.publish(file.draft, file.facts.sha256)

    try:
        if files:
            rt.db.again(act)
    except OSError as err:
        raise _no_place(err) from err


def _no_place(err: OSError) -> Unavailable:
    _log.error("picture_not_stored", error=type(err).__name__, errno=err.errno)
    return Unavailable("Pictures can't be taken now.")


def _upload(rt: Runtime, row: Row[Any]) -> Upload:
    return Upload(
        row.id,
        row.mime,
        row.width,
        row.height,
        row.bytes,
        row.sha256,
        expires_at=row.used_at + timedelta(hours=rt.settings.upload_hours),
    )


_PUT = text("""
WITH put AS (
    INSERT INTO uploads (id, owner_id, sha256) VALUES (:id, :owner, :sha256)
    ON CONFLICT (owner_id, sha256) DO UPDATE SET used_at = clock_timestamp()
    RETURNING id, sha256, used_at
)
SELECT put.id, mime, width, height, bytes, sha256, used_at FROM put JOIN assets USING (sha256)
""")
_ONE = text(f"""
SELECT id, mime, width, height, bytes, sha256, used_at FROM uploads JOIN assets USING (sha256)
WHERE id = :id AND {MINE}
""")
_LOOK = text(f"SELECT id, sha256 FROM uploads WHERE id = ANY(:ids) AND {MINE}")
_USE = text(
    f"UPDATE uploads SET used_at = clock_timestamp() WHERE id = ANY(:ids) AND {MINE} RETURNING id, sha256"
)
