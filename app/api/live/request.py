"""What a client says on a socket, read: one JSON object a message."""

import json
from dataclasses import dataclass, field
from typing import Any

from app.domain.storable import storable
from app.services.live.follow import After
from app.services.live.topic import Scope

_VERBS = ("auth", "subscribe", "unsubscribe", "ping")
_LONGEST_ID = 200
_LONGEST_TOKEN = 4096
_MOST_SEQ = 2**31 - 1


class BadRequest(Exception):
    """The message can't be understood; its text says why, and may be shown."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `scope` None is the queue's figures."""

    verb: str
    token: str = field(default="", repr=False)
    scope: Scope | None = None
    id: str = ""
    after: After = None

    @property
    def named(self) -> dict[str, str]:
        """Return the field that names the topic in an answer."""
        if self.verb not in ("subscribe", "unsubscribe"):
            return {}
        return {"topic": "queue"} if self.scope is None else {str(self.scope): self.id}


def read(message: str | bytes) -> Wanted:
    """Return what the message asks for. Raises BadRequest."""
    if isinstance(message, bytes):
        raise BadRequest("Send text.")
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        raise BadRequest("Not valid JSON.") from None
    verb = found.get("type") if isinstance(found, dict) else None
    if verb not in _VERBS:
        raise BadRequest(f"type: must be one of {', '.join(_VERBS)}.")
    if verb == "auth":
        return Wanted(verb, token=_token(found))
    if verb == "ping":
        return Wanted(verb)
    scope, name = _topic(found)
    return Wanted(verb, scope=scope, id=name, after=_after(found.get("after")))


def _token(found: dict[str, Any]) -> str:
    shown = found.get("token", found.get("ticket"))
    if not _is_text(shown, _LONGEST_TOKEN):
        raise BadRequest("token: must be an access token, an API key or a ticket.")
    return str(shown)


def _topic(found: dict[str, Any]) -> tuple[Scope | None, str]:
    named = [(scope, found[scope]) for scope in Scope if found.get(scope) is not None]
    if not named and (found.get("topic") == "queue" or found.get("queue")):
        return None, ""
    if len(named) != 1:
        raise BadRequest('Name one of requestId, batchId, pipelineId, projectId, or "topic": "queue".')
    [(scope, name)] = named
    if not _is_text(name, _LONGEST_ID):
        raise BadRequest(f"{scope}: must be text of at most {_LONGEST_ID} characters.")
    return scope, str(name)


def _after(found: Any) -> After:
    if found is None or _is_seq(found):
        return found  # type: ignore[no-any-return]
    if isinstance(found, dict) and all(
        _is_text(one, _LONGEST_ID) and _is_seq(seq) for one, seq in found.items()
    ):
        return found
    raise BadRequest("after: must be the last seq that you have, or an object of them by requestId.")


def _is_text(found: Any, longest: int) -> bool:
    """Whether it is text that PostgreSQL can be asked for: no NUL, no half of a surrogate pair."""
    return isinstance(found, str) and 0 < len(found) <= longest and storable(found)


def _is_seq(found: Any) -> bool:
    return type(found) is int and 0 <= found <= _MOST_SEQ
