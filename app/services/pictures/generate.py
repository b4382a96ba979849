"""A picture is asked for: its request and its asset in one transaction."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from app.domain.errors import Unavailable
from app.domain.lifecycle import Status
from app.domain.vocabulary import Kind
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services import estimate, route, submit
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.pictures.wish import Wish
from app.services.submit import Answer, Key, Order

Also = Callable[[Connection, str], object]


def generate(
    rt: Runtime,
    who: Who,
    wish: Wish,
    *,
    share: bool = True,
    before: Callable[[Connection], object] | None = None,
    after: Also | None = None,
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Enqueue the picture; the answer has the ids of the asset and of the request.

    Without `share` it is one of its own, whatever else is drawn of the same words. `before` and `after`, which is told
    the asset's id, run in the same transaction, and nothing is written where they raise. Raises Unavailable where no
    provider draws pictures, else as submit.write does.
    """
    if known := submit.answered(rt, who, key):
        return known
    if not route.order(rt, Kind.PICTURE, None):
        raise Unavailable("No configured provider can draw pictures.")
    asset_id = assets.new_id(rt)
    request = submit.new_request(rt, _order(wish, share=share), asset_id=asset_id)

    def rows(tx: Connection) -> None:
        if before:
            before(tx)
        assets.put(tx, who.user_id, _asset(asset_id, wish, request))
        if after:
            after(tx, asset_id)

    body = _body(rt, asset_id, request)
    return submit.write(rt, who, [request], body, also=rows, key=key, traceparent=traceparent)


def _order(wish: Wish, *, share: bool) -> Order:
    metadata: dict[str, Any] = {"size": list(wish.aspect_ratio.size())}
    return Order(Kind.PICTURE, wish.words, metadata=metadata | ({} if share else {"share": False}))


def _asset(asset_id: str, wish: Wish, request: NewRequest) -> NewAsset:
    told = {
        "custom_prompt": wish.custom_prompt,
        "aspect_ratio": str(wish.aspect_ratio),
        "component": wish.component,
    }
    return NewAsset(
        asset_id,
        Collection.IMAGE,
        type=str(wish.subject_type),
        name=wish.subject_name,
        prompt=wish.prompt,
        metadata=told,
        request_id=request.id,
    )


def _body(rt: Runtime, asset_id: str, request: NewRequest) -> dict[str, Any]:
    return {
        "id": asset_id,
        "request_id": request.id,
        "status": str(Status.QUEUED),
        "estimated_wait_time": estimate.wait_seconds(rt, request.type, request.priority),
    }
