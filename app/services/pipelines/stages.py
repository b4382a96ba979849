"""The stages of a pipeline, as orders that may speak of one another's results, and the requests that come of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import Unavailable
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services import route, submit
from app.services.submit import Order

# How many stages of a pipeline are made at once.
SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Name:
    """A stage, or one of its variants."""

    stage: str
    variant: str = ""


@dataclass(frozen=True)
class Result:
    """A file, or with `role` "text" the words, that a stage makes: stands in an order's metadata until that has an id."""

    stage: Name
    role: str


@dataclass(frozen=True)
class Stage:
    """One step. Without an order it is skipped, for the reason given.

    `needs` are the stages that have to end before it: True where it fails with them. `weight` is its part of the
    progress; where it is `required` its failure is the pipeline's. `asset_id` is the asset that gets its files.
    """

    name: Name
    order: Order | None
    weight: int = 10
    required: bool = True
    needs: Mapping[Name, bool] = field(default_factory=dict)
    asset_id: str | None = None
    skipped: str | None = None


def possible(rt: Runtime, stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages, those skipped that nobody can make, or that need one that is skipped.

    Raises Unavailable where one of those is required.
    """
    found: dict[Name, Stage] = {}
    for stage in stages:
        why = stage.skipped or _impossible(rt, stage, found)
        if why and stage.order and stage.required:
            raise Unavailable(why)
        found[stage.name] = replace(stage, order=None, skipped=why) if why else stage
    return list(found.values())


def side_by_side(requests: Sequence[NewRequest]) -> list[NewRequest]:
    """Return the requests, those held back that need nothing and have no place among the first SIDE_BY_SIDE."""
    free = [request.id for request in requests if not request.needs][SIDE_BY_SIDE:]
    return [replace(request, held=True) if request.id in free else request for request in requests]


def requests(rt: Runtime, stages: Sequence[Stage]) -> dict[Name, NewRequest]:
    """Return the request of each stage that has one; their ids are in the order of the stages. Raises Invalid."""
    made = [stage for stage in stages if stage.order]
    # Requests that hang together are locked in the order of their ids.
    numbers = sorted(ids.request_id(milliseconds(rt.clock())) for _ in made)
    named = {stage.name: number for stage, number in zip(made, numbers, strict=True)}
    return {
        stage.name: _request(rt, stage, stage.order, named, index)
        for index, stage in enumerate(made)
        if stage.order
    }


def _impossible(rt: Runtime, stage: Stage, before: Mapping[Name, Stage]) -> str | None:
    order = stage.order
    if order and not route.order(rt, order.type, order.metadata.get("provider")):
        return f"No configured provider can make this: {order.type}."
    missing = [name.stage for name, required in stage.needs.items() if required and not before[name].order]
    return f"It needs {missing[0]}, which is skipped." if missing else None


def _request(rt: Runtime, stage: Stage, order: Order, named: Mapping[Name, str], index: int) -> NewRequest:
    metadata = {
        name: value
        for name, found in order.metadata.items()
        if (value := _resolved(found, named)) is not None
    }
    request = submit.new_request(
        rt,
        replace(order, metadata=metadata),
        batch_index=index,
        needs={named[name]: required for name, required in stage.needs.items() if name in named},
        asset_id=stage.asset_id,
    )
    return replace(request, id=named[stage.name])


def _resolved(value: Any, named: Mapping[Name, str]) -> Any:
    """Return the value with each result as a worker finds it; None in place of one that nobody makes."""
    match value:
        case Result(stage, "text"):
            return named.get(stage)
        case Result(stage, role):
            return {"request": named[stage], "role": role} if stage in named else None
        case list():
            return [found for one in value if (found := _resolved(one, named)) is not None]
        case _:
            return value
