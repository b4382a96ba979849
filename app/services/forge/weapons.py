"""Where a weapon is held, and which way up it is [A42]: a question about a picture, and the answer checked.

The box of the grip is asked for in fractions of the picture, since providers see it in sizes of their own, and answered
in pixels of the picture that came, as the document's clients draw it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from app.domain.errors import HouseError, IllegalMove, Unavailable
from app.domain.lifecycle import Status
from app.domain.reference import Inline
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import route
from app.services.forge import prompts
from app.services.forge.prompts import PromptSet
from app.services.forge.start import picture
from app.services.forge.variants import file_of
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection
from app.services.lookup import Record
from app.services.references import FIELD
from app.services.submit import Answer, Key, Order, new_request, write

_CORNERS = ("minX", "minY", "maxX", "maxY")
_PARTS = ("blade", "handle", "guard")
_MOST_WORDS = 1000


class BadAnswer(HouseError):
    """The provider's answer, or its failure, is no answer to the question."""

    code = "bad_provider_answer"


class Question(StrEnum):
    """What is asked about a weapon: the ids of the prompts."""

    HANDLE = "handle"
    ORIENTATION = "orientation"


def _closed(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT, _SHARE = {"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1}
_SCHEMAS: Mapping[Question, Mapping[str, Any]] = {
    Question.HANDLE: _closed(
        gripBounds=_closed(**dict.fromkeys(_CORNERS, _SHARE)),
        confidence=_SHARE,
        weaponType=_TEXT,
        gripDescription=_TEXT,
        detectedParts=_closed(**dict.fromkeys(_PARTS, _TEXT)),
    ),
    Question.ORIENTATION: _closed(needsFlip={"type": "boolean"}, currentOrientation=_TEXT, reason=_TEXT),
}


@dataclass(frozen=True)
class Look:
    """What to look at: a picture, or an asset's. `hint` and `angle` are what the client knows of it."""

    content: bytes | None = None
    asset_id: str | None = None
    hint: str | None = None
    angle: str | None = None


def ask(
    rt: Runtime, who: Who, question: Question, look: Look, *, key: Key | None, traceparent: str | None
) -> Answer:
    """Ask about the picture. Raises Invalid, NotFound, IllegalMove where the asset has none, Unavailable where nobody can look."""
    if not route.order(rt, Kind.VISION, None):
        raise Unavailable("No configured provider can look at pictures.", retry_after=60)
    told = prompts.words(rt, who).of(PromptSet.WEAPONS, question) or ""
    settings = {"instructions": told, "schema": _SCHEMAS[question]}
    order = Order(Kind.VISION, _hints(look), metadata={FIELD: _picture(rt, who, look), "settings": settings})
    request = new_request(rt, order)
    body = {"success": True, "requestId": request.id, "status": "queued"}
    return write(rt, who, [request], body, key=key, traceparent=traceparent)


def answer(rt: Runtime, question: Question, record: Record) -> dict[str, Any] | None:
    """Return what a request of `ask` came to, checked; None while it is under way.

    Raises BadAnswer where it failed or makes no sense, IllegalMove where it was cancelled.
    """
    match record.status:
        case Status.COMPLETED:
            data = (record.result or {}).get("data") or {}
            return _grip(rt, record, data) if question is Question.HANDLE else _orientation(data)
        case Status.FAILED:
            raise BadAnswer(str((record.error or {}).get("message", "The provider failed.")))
        case Status.CANCELLED:
            raise IllegalMove("The request was cancelled.")
        case _:
            return None


def _picture(rt: Runtime, who: Who, look: Look) -> list[dict[str, Any]]:
    if look.content is not None:
        return picture(rt, who, Inline(look.content), "image", within=False)
    asset = assets.find(rt, who, look.asset_id or "", Collection.ASSET)
    role = "image" if "image" in asset.files else "thumbnail"
    return [{"sha256": file_of(asset, role, "The asset has no picture yet.").sha256}]


def _hints(look: Look) -> str:
    """Return what the client says of the picture, as the words that are sent with it."""
    hints = (f"Seen from: {look.angle}." if look.angle else "", look.hint or "")
    return " ".join(hint for hint in hints if hint) or "A weapon or tool."


def _grip(rt: Runtime, record: Record, data: Mapping[str, Any]) -> dict[str, Any]:
    width, height = _size(rt, record)
    box, parts = _object(data, "gripBounds"), _object(data, "detectedParts")
    left, top, right, bottom = (_share(box, name) for name in _CORNERS)
    if left >= right or top >= bottom:
        raise BadAnswer("The provider gave a grip without a size.")
    return {
        "gripBounds": {
            "minX": math.floor(left * width),
            "minY": math.floor(top * height),
            "maxX": math.ceil(right * width),
            "maxY": math.ceil(bottom * height),
        },
        "confidence": _share(data, "confidence"),
        "weaponType": _words(data, "weaponType"),
        "gripDescription": _words(data, "gripDescription"),
        "detectedParts": {name: _words(parts, name) for name in _PARTS},
        "imageSize": {"width": width, "height": height},
    }


def _orientation(data: Mapping[str, Any]) -> dict[str, Any]:
    flip = data.get("needsFlip")
    if not isinstance(flip, bool):
        raise _wrong("needsFlip")
    return {"needsFlip": flip, **{name: _words(data, name) for name in ("currentOrientation", "reason")}}


def _size(rt: Runtime, record: Record) -> tuple[int, int]:
    """Return the width and height in pixels of the picture that was looked at."""
    [image] = record.metadata[FIELD]
    with rt.db.once() as tx:
        row = tx.execute(_SIZE, {"sha256": image["sha256"]}).one_or_none()
    if row is None:
        raise BadAnswer("The picture is no longer stored.")
    return row.width, row.height


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    if not isinstance(found, dict):
        raise _wrong(name)
    return found


def _share(data: Mapping[str, Any], name: str) -> float:
    """Return a share, 0 to 1: what lies a little outside is brought in, what can't be meant so is refused."""
    found = data.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not -0.1 <= found <= 1.1:
        raise _wrong(name)
    return min(1.0, max(0.0, float(found)))


def _words(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name)
    if not isinstance(found, str):
        raise _wrong(name)
    return found[:_MOST_WORDS]


def _wrong(name: str) -> BadAnswer:
    return BadAnswer(f"The provider's answer has no good {name}.")


_SIZE = text("SELECT width, height FROM assets WHERE sha256 = :sha256")
