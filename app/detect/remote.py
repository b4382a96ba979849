"""A detector at somebody's address, as Hugging Face's inference servers have it: a picture in, a list of boxes out.

What they get is not the client's file but its picture made anew: small, upright, without metadata.
"""

import math
from typing import Any

from app.detect import child
from app.detect.seen import MAX_BYTES, Box, DetectorFailed, Seen, Shrunk, Unreadable
from app.egress.errors import EgressError
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.guarded.child import Limits
from app.guarded.guard import ChildDied, ChildTimedOut, Guard

_SIDE = 1024
_ANSWER_BYTES = 1024 * 1024
_SHRINK_SECONDS = 10
_LIMITS = Limits(memory_mb=1024, seconds=_SHRINK_SECONDS)
_WAIT_SECONDS = 30
_MOST_WAIT = 300


class RemoteDetector:
    """Asks the endpoint `url` of the operator's choice, which has `seconds` to answer in."""

    def __init__(self, url: str, egress: Egress, *, api_key: str | None = None, seconds: float = 20) -> None:
        self._url = url
        self._egress = egress
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._seconds = seconds
        self._guard = Guard(child.prepare_to_shrink, _LIMITS)

    def available(self) -> bool:
        """Whether it can be asked, which it always can."""
        return True

    def look(self, picture: bytes) -> tuple[Seen, ...]:
        """Return what is seen in the picture, the surest first. Raises as Detector does."""
        shrunk = self._shrunk(picture)
        found = [_seen(one, shrunk) for one in _list(self._ask(shrunk))]
        return tuple(sorted(found, key=lambda one: -one.score))

    def close(self) -> None:
        """Kill the child; a look under way ends with DetectorFailed."""
        self._guard.close()

    def _shrunk(self, picture: bytes) -> Shrunk:
        if len(picture) > MAX_BYTES:
            raise Unreadable("The picture's file is too large.")
        try:
            return self._guard.run(child.shrink, picture, _SIDE)
        except (ChildDied, ChildTimedOut, MemoryError, OSError) as err:
            raise DetectorFailed("The picture could not be made ready for the detector.") from err

    def _ask(self, shrunk: Shrunk) -> Reply:
        headers = {**self._headers, "Content-Type": "image/jpeg", "Accept": "application/json"}
        try:
            return self._egress.send(
                "POST",
                self._url,
                seconds=self._seconds,
                limit=_ANSWER_BYTES,
                ours=True,
                headers=headers,
                data=shrunk.content,
            )
        except EgressError as err:
            raise DetectorFailed("The detector can't be reached.", retry_after=_WAIT_SECONDS) from err


def _list(reply: Reply) -> list[Any]:
    """Return the list that the answer is. Raises DetectorFailed."""
    told = reply.json_or_none()
    match reply.status:
        case 200 if isinstance(told, list):
            return told
        case 200:
            raise _unread()
        case 401 | 403:
            raise DetectorFailed("The detector doesn't let us in.", retry_after=_MOST_WAIT)
        case 429 | 503:
            raise DetectorFailed("The detector isn't ready.", retry_after=_wait(reply, told))
        case status:
            raise DetectorFailed(f"The detector answered with {status}.", retry_after=_WAIT_SECONDS)


def _wait(reply: Reply, told: Any) -> int:
    """Return the seconds after which to ask again: by the header, or by the time that loading a model takes."""
    header = reply.headers.get("retry-after", "")
    if header.isascii() and header.isdigit():
        return min(_MOST_WAIT, int(header[:9]))
    estimate = _number(told.get("estimated_time")) if isinstance(told, dict) else None
    return min(_MOST_WAIT, math.ceil(estimate)) if estimate and estimate > 0 else _WAIT_SECONDS


def _seen(told: Any, shrunk: Shrunk) -> Seen:
    """Read one `{label, score, box: {xmin, ymin, xmax, ymax}}`; one that is wrong spoils the answer."""
    try:
        label, score, box = told["label"], _number(told["score"]), told["box"]
        edges = [_number(box[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
    except (KeyError, TypeError) as err:
        raise _unread() from err
    if not isinstance(label, str) or score is None:
        raise _unread()
    sizes = (shrunk.width, shrunk.height) * 2
    return Seen(label[:100], _to_one(score), Box(*map(_share, edges, sizes)))


def _share(edge: float | None, size: int) -> float:
    if edge is None:
        raise _unread()
    return _to_one(edge / size)


def _to_one(value: float) -> float:
    return min(1.0, max(0.0, value))


def _unread() -> DetectorFailed:
    return DetectorFailed("The detector's answer can't be read.", retry_after=_WAIT_SECONDS)


def _number(value: Any) -> float | None:
    # An integer of a thousand digits is one too, and no float can hold it.
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9
    return float(value) if fits else None
