"""Pictures for a game are asked for: a job, its requests and the assets that they make in one transaction [A24]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import Invalid, Unavailable
from app.domain.reference import MOST
from app.domain.vocabulary import ImageFormat, Kind, Priority
from app.queue.enqueue import NewBatch, NewRequest
from app.runtime import Runtime
from app.services import estimate, references, route, submit
from app.services.games import style_packs
from app.services.games.prompts import AssetType, prompt
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.submit import Answer, Key, Order

MOST_PICTURES = 10
# How many of a job's pictures are drawn side by side.
_AT_ONCE = 5
_CUT_OUT = ("transparentBackground", "removeBackground")


@dataclass(frozen=True)
class Wanted:
    """What a client wants for its game. `width` and `height` are pixels; `flags` are what is done after the drawing."""

    prompt: str
    asset_type: AssetType
    style: str | None = None
    count: int = 1
    width: int = 1024
    height: int = 1024
    quality: str = "standard"
    format: ImageFormat = ImageFormat.PNG
    provider: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    style_pack: str | None = None
    project_id: str | None = None
    webhook_url: str | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)


def ask(rt: Runtime, who: Who, wanted: Wanted, *, key: Key | None, traceparent: str | None) -> Answer:
    """Begin a job. Raises Invalid; Unavailable where no provider draws for games; else as submit.write does."""
    if known := submit.answered(rt, who, key):
        return known
    pictures = style_packs.pictures(rt, who, wanted.style_pack) if wanted.style_pack else ()
    orders = [_order(wanted, n, pictures) for n in range(wanted.count)]
    if faults := submit.faults(rt, orders[0]):
        raise Invalid(*[replace(fault, field=fault.field.removeprefix("metadata.")) for fault in faults])
    providers = route.order(rt, Kind.GAME_ASSET, wanted.provider)
    if not providers:
        raise Unavailable("No configured provider can draw for games.")
    requests = [_request(rt, order, n) for n, order in enumerate(orders)]
    job = NewBatch(ids.batch_id(milliseconds(rt.clock())), _AT_ONCE, Priority.NORMAL)
    body = {
        "success": True,
        "jobId": job.id,
        "status": "pending",
        "provider": providers[0].name,
        "estimatedTime": estimate.wait_seconds(rt, Kind.GAME_ASSET, Priority.NORMAL, before=wanted.count - 1),
    }

    def shelve(tx: Connection) -> None:
        for request in requests:
            assets.put(tx, who.user_id, _asset(wanted, request))

    return submit.write(rt, who, requests, body, batch=job, also=shelve, key=key, traceparent=traceparent)


def _order(wanted: Wanted, n: int, pictures: Sequence[str]) -> Order:
    cut_out = any(wanted.flags.get(flag) for flag in _CUT_OUT)
    return Order(
        Kind.GAME_ASSET,
        prompt(wanted.prompt, wanted.asset_type, cut_out=cut_out),
        project_id=wanted.project_id,
        metadata=_metadata(wanted, n, pictures),
        webhook_url=wanted.webhook_url,
    )


def _metadata(wanted: Wanted, n: int, pictures: Sequence[str]) -> dict[str, Any]:
    """Return what the `n`-th picture is drawn by: each has a seed of its own, and begins with other pictures of the pack."""
    told = {
        "imageStyle": wanted.style,
        "negativePrompt": wanted.negative_prompt,
        "provider": wanted.provider,
        "seed": None if wanted.seed is None else (wanted.seed + n) % 2**31,
        references.FIELD: [
            {"sha256": pictures[(MOST * n + i) % len(pictures)]} for i in range(min(MOST, len(pictures)))
        ],
    }
    settings = {"assetType": str(wanted.asset_type), "quality": wanted.quality, **wanted.flags}
    return {
        "size": [wanted.width, wanted.height],
        "format": str(wanted.format),
        "settings": settings | ({"style": wanted.style} if wanted.style else {}),
        # Who asks for four pictures wants four.
        "share": False,
        **{name: value for name, value in told.items() if value not in (None, [])},
    }


def _request(rt: Runtime, order: Order, n: int) -> NewRequest:
    return submit.new_request(rt, order, batch_index=n, held=n >= _AT_ONCE, asset_id=assets.new_id(rt))


def _asset(wanted: Wanted, request: NewRequest) -> NewAsset:
    return NewAsset(
        id=request.asset_id or "",
        collection=Collection.ASSET,
        type=str(wanted.asset_type),
        subtype=wanted.style,
        name=wanted.prompt[:100],
        metadata={"width": wanted.width, "height": wanted.height, "quality": wanted.quality},
        prompt=wanted.prompt,
        request_id=request.id,
    )
