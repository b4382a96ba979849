"""What can be watched, who may, and how it stands at the moment one begins."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import NotFound
from app.domain.lifecycle import Status
from app.runtime import Runtime
from app.services import lookup, views
from app.services.identity import MINE, Who

# How old a project's requests may be to be shown though they have ended; and no submit takes longer from its id,
# which has the time in it, to its commit.
RECENT = timedelta(minutes=5)
# Of a project's requests, the newest.
MOST_SHOWN = 1000


class Scope(StrEnum):
    """What a topic is about, by the name that its id has in messages."""

    REQUEST = "requestId"
    BATCH = "batchId"
    PROJECT = "projectId"
    PIPELINE = "pipelineId"

    @property
    def grows(self) -> bool:
        """Whether requests may come to it later."""
        return self in (Scope.PROJECT, Scope.PIPELINE)


@dataclass(frozen=True)
class Topic:
    """Something that is watched. `owner` is there for projects only: two owners' may have one name; None is everybody's."""

    scope: Scope
    id: str
    owner: uuid.UUID | None = None

    def named(self) -> dict[str, str]:
        """Return the field that names the topic in a message."""
        return {str(self.scope): self.id}


@dataclass(frozen=True)
class Standing:
    """How the requests of a topic stand, each as it is shown; with each one's last `seq`, and which have ended."""

    shown: Sequence[dict[str, Any]]

    @property
    def seqs(self) -> dict[str, int]:
        return {row["requestId"]: row["seq"] for row in self.shown}

    @property
    def ended(self) -> list[str]:
        return [row["requestId"] for row in self.shown if Status(row["status"]).terminal]


def of(who: Who, scope: Scope, found: str) -> Topic:
    """Return the topic that `who` means."""
    return Topic(scope, found, who.scope if scope is Scope.PROJECT else None)


def standing(rt: Runtime, who: Who, topic: Topic) -> Standing:
    """Return how the topic stands. Raises NotFound where there is none that `who` may see."""
    if topic.scope is Scope.REQUEST:
        record = lookup.find(rt, who, topic.id)
        return Standing([views.of_request(rt, record, position=lookup.place_in_line(rt, record))])
    with rt.db.once() as tx:
        return Standing(_rows(tx, rt, who, topic))


def newcomers(rt: Runtime, growing: Sequence[Topic]) -> set[str]:
    """Return the requests that came lately to these projects and pipelines."""
    if not growing:
        return set()
    with rt.db.once() as tx:
        return {
            found
            for topic in growing
            for found in tx.execute(
                _NEW if topic.scope is Scope.PROJECT else _STAGES,
                {"id": topic.id, "owner": topic.owner, "since": _since(rt)},
            ).scalars()
        }


def members(rt: Runtime, topic: Topic, after: Mapping[str, int]) -> dict[str, int]:
    """Return of `after`, which is by request, what belongs to the topic."""
    with rt.db.once() as tx:
        found = topics_of(tx, list(after))
    return {one: seq for one, seq in after.items() if topic in found.get(one, ())}


def topics_of(tx: Connection, requests: Sequence[str]) -> dict[str, list[Topic]]:
    """Return which topics each of these requests belongs to, whoever watches them."""
    rows = tx.execute(_PLACES, {"ids": list(requests)})
    return {
        row.id: [
            Topic(Scope.REQUEST, row.id),
            Topic(Scope.BATCH, row.batch_id),
            Topic(Scope.PIPELINE, row.batch_id),
            Topic(Scope.PROJECT, row.project_id, row.owner_id),
            Topic(Scope.PROJECT, row.project_id),
        ]
        for row in rows
    }


def _since(rt: Runtime) -> str:
    return ids.first_of(milliseconds(rt.clock() - RECENT))


def _rows(tx: Connection, rt: Runtime, who: Who, topic: Topic) -> list[dict[str, Any]]:
    given = {"id": topic.id, "owner": who.scope, "limit": MOST_SHOWN, "since": _since(rt)}
    if topic.scope is Scope.PROJECT:
        return [dict(row) for row in tx.execute(_PROJECT, given).mappings()]
    if tx.execute(_BATCH, given).one_or_none() is None:
        raise NotFound("Pipeline not found" if topic.scope is Scope.PIPELINE else "Batch not found")
    return [dict(row) for row in tx.execute(_MEMBERS, given).mappings()]


_SHOWN = (
    """r.id AS "requestId", r.client_id AS "clientId", r.status, r.progress, r.stage, r.event_seq AS seq"""
)
_BATCH = text(f"SELECT id FROM generation_batches WHERE id = :id AND {MINE}")
_MEMBERS = text(f"""
SELECT {_SHOWN} FROM generation_requests AS r WHERE batch_id = :id ORDER BY batch_index LIMIT :limit
""")
# Owner by owner, which is what the index is ordered by; a client's is one.
_OWNERS = "SELECT id FROM users WHERE CAST(:owner AS uuid) IS NULL OR id = :owner"
_PROJECT = text(f"""
SELECT {_SHOWN} FROM ({_OWNERS}) AS u CROSS JOIN LATERAL (
    (SELECT * FROM generation_requests
    WHERE owner_id = u.id AND project_id = :id AND id > :since)
    UNION ALL
    (SELECT * FROM generation_requests
    WHERE owner_id = u.id AND project_id = :id AND id <= :since AND completed_at IS NULL
    ORDER BY id DESC LIMIT :limit)) AS r
ORDER BY r.id DESC LIMIT :limit
""")
_NEW = text(f"""
SELECT r.id FROM ({_OWNERS}) AS u CROSS JOIN LATERAL (
    SELECT id FROM generation_requests WHERE owner_id = u.id AND project_id = :id AND id > :since) AS r
""")
_STAGES = text("SELECT id FROM generation_requests WHERE batch_id = :id AND id > :since")
_PLACES = text("SELECT id, batch_id, project_id, owner_id FROM generation_requests WHERE id = ANY(:ids)")
