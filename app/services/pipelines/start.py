"""A pipeline begins: its batch, its requests and its stages in one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.vocabulary import Priority
from app.queue.enqueue import NewBatch
from app.runtime import Runtime
from app.services import submit
from app.services.identity import Who
from app.services.pipelines.stages import SIDE_BY_SIDE, Name, Stage, possible, requests, side_by_side
from app.services.submit import Answer, Key

Body = Callable[[str, Mapping[Name, str]], dict[str, Any]]


def start(
    rt: Runtime,
    who: Who,
    stages: Sequence[Stage],
    body: Body,
    *,
    given: Mapping[str, Any],
    asset_id: str | None = None,
    priority: Priority = Priority.NORMAL,
    also: Callable[[Connection, Mapping[Name, str]], object] | None = None,
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Write the pipeline; return what `body` makes of its id and the ids of its requests by stage.

    `given` is what was asked for, kept to be shown; `also` writes what belongs to it in the same transaction. A stage
    that nobody can make is skipped. Raises Unavailable where that is required, else as submit.write does.
    """
    planned = possible(rt, stages)
    made = requests(rt, planned)
    named = {name: request.id for name, request in made.items()}
    pipeline = ids.pipeline_id(milliseconds(rt.clock()))

    head = {"id": pipeline, "owner": who.user_id, "asset": asset_id, "input": json.dumps(dict(given))}

    def rows(tx: Connection) -> None:
        if also:
            also(tx, named)
        _write(tx, head, planned, named)

    return submit.write(
        rt,
        who,
        side_by_side(list(made.values())),
        body(pipeline, named),
        batch=NewBatch(pipeline, SIDE_BY_SIDE, priority),
        also=rows,
        key=key,
        traceparent=traceparent,
    )


def _write(
    tx: Connection, pipeline: Mapping[str, Any], stages: Sequence[Stage], named: Mapping[Name, str]
) -> None:
    tx.execute(_PIPELINE, pipeline)
    rows = [
        {
            "pipeline": pipeline["id"],
            "name": stage.name.stage,
            "variant": stage.name.variant,
            "position": position,
            "weight": stage.weight,
            "required": stage.required,
            "request": named.get(stage.name),
            "skipped": stage.skipped,
        }
        for position, stage in enumerate(stages)
    ]
    tx.execute(_STAGE, rows)


_PIPELINE = text("""
INSERT INTO pipelines (id, owner_id, asset_id, input) VALUES (:id, :owner, :asset, CAST(:input AS jsonb))
""")
_STAGE = text("""
INSERT INTO pipeline_stages (pipeline_id, name, variant, position, weight, required, request_id, skipped)
VALUES (:pipeline, :name, :variant, :position, :weight, :required, :request, :skipped)
""")
