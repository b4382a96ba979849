"""The picture that a video is about: fetched now where it is an address, read, and kept as an upload."""

from threading import BoundedSemaphore

from app.domain.errors import FieldFault, Invalid, Unavailable
from app.domain.reference import Inline, Linked
from app.egress.errors import EgressError, reason
from app.runtime import Runtime
from app.services import upload
from app.services.identity import Who
from app.services.upload import Upload
from app.storage.finish import BadImage

FETCH_SECONDS = 10.0
# How many of a process's threads may wait for servers that we don't know: the others go on answering.
_line = BoundedSemaphore(8)


def take(rt: Runtime, who: Who, given: Inline | Linked, field: str) -> Upload:
    """Keep the picture that came in `field`. Raises Invalid where it can't be had or read, Unavailable."""
    try:
        content = _fetched(rt, given.url, field) if isinstance(given, Linked) else given.content
        return upload.receive(rt, who, content)
    except BadImage as err:
        raise Invalid(FieldFault(field, str(err))) from err


def _fetched(rt: Runtime, url: str, field: str) -> bytes:
    if not _line.acquire(blocking=False):
        raise Unavailable("Too many pictures are being fetched; try again.", retry_after=2)
    try:
        reply = rt.egress.fetch(url, seconds=FETCH_SECONDS, limit=upload.LARGEST)
    except EgressError as err:
        raise Invalid(
            FieldFault(
                field,
                f"The picture could not be fetched: {reason(err, seconds=FETCH_SECONDS, limit=upload.LARGEST)}.",
            )
        ) from err
    finally:
        _line.release()
    if not reply.ok:
        why = f"its server answered {reply.status}"
        raise Invalid(FieldFault(field, f"The picture could not be fetched: {why}."))
    return reply.body
