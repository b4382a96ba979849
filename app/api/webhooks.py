"""Webhooks: where events are sent, what became of each, and whether anybody is there [A51] [A52]."""

import re
from typing import Any

from flask import Response, jsonify

from app.api import limits
from app.api import webhook_answers as answers
from app.api.answers import DoneAnswer
from app.api.deps import rt, who
from app.api.headers import link_next
from app.api.schemas import Blueprint
from app.api.webhook_schemas import (
    ChangeWebhookSchema,
    ConnectionQuerySchema,
    DeliveriesQuerySchema,
    NewWebhookSchema,
    ReplaySchema,
    RotateSchema,
)
from app.clock import iso
from app.services import webhooks
from app.services.post import Outcome
from app.services.webhooks import Delivery, Endpoint, Try

blp = Blueprint("webhooks", __name__, url_prefix="/api", description="Webhooks")
# Of digits that PostgreSQL's bigint holds.
_NUMBER = re.compile("[0-9]{1,18}")


@blp.route("/webhooks", methods=["POST"])
@blp.arguments(NewWebhookSchema)
@blp.response(201, answers.NewWebhookAnswer)
def create(form: dict[str, Any]) -> tuple[Response, int]:
    """Have events sent to an address; the answer is the only place where its secret is shown."""
    made = webhooks.create(rt(), who(), **form)
    answer = jsonify(_with_secret(made))
    answer.headers["Location"] = f"/api/webhooks/{made.id}"
    return answer, 201


@blp.route("/webhooks")
@blp.response(200, answers.WebhookListAnswer)
def listing() -> Response:
    """List the webhooks; never their secrets."""
    return jsonify(items=[_endpoint(found) for found in webhooks.listing(rt(), who())])


@blp.route("/webhooks/<endpoint_id>")
@blp.response(200, answers.WebhookAnswer)
def find(endpoint_id: str) -> Response:
    """Tell where a webhook leads, and whether it is well."""
    return jsonify(_endpoint(webhooks.find(rt(), who(), endpoint_id)))


@blp.route("/webhooks/<endpoint_id>", methods=["PATCH"])
@blp.arguments(ChangeWebhookSchema)
@blp.response(200, answers.WebhookAnswer)
def change(form: dict[str, Any], endpoint_id: str) -> Response:
    """Change what is given of a webhook; `enabled` switches it off, and on again."""
    return jsonify(_endpoint(webhooks.change(rt(), who(), endpoint_id, **form)))


@blp.route("/webhooks/<endpoint_id>", methods=["DELETE"])
@blp.response(200, DoneAnswer)
def delete(endpoint_id: str) -> Response:
    """Send nothing more to a webhook, and forget what was sent."""
    webhooks.delete(rt(), who(), endpoint_id)
    return jsonify(success=True)


@blp.route("/webhooks/<endpoint_id>/rotate", methods=["POST"])
@limits.webhook_tests
@blp.arguments(RotateSchema)
@blp.response(200, answers.RotatedAnswer)
def rotate(form: dict[str, Any], endpoint_id: str) -> Response:
    """Give a webhook a new secret; for `overlapHours` messages are signed with the old one, too."""
    rotated, until = webhooks.rotate(rt(), who(), endpoint_id, overlap_hours=form["overlap_hours"])
    return jsonify(_with_secret(rotated) | {"previousValidUntil": iso(until)})


@blp.route("/webhooks/<endpoint_id>/ping", methods=["POST"])
@limits.webhook_tests
@blp.response(200, answers.PingAnswer)
def ping(endpoint_id: str) -> Response:
    """Send one message of type `ping` now, and tell what the receiver answered."""
    return jsonify(_outcome(webhooks.ping(rt(), who(), endpoint_id)))


@blp.route("/webhooks/<endpoint_id>/deliveries")
@blp.arguments(DeliveriesQuerySchema, location="query")
@blp.response(200, answers.DeliveryPageAnswer)
def deliveries(query: dict[str, Any], endpoint_id: str) -> Response:
    """List what was sent to a webhook and what is to be, the newest first."""
    found, following = webhooks.deliveries(
        rt(), who(), endpoint_id, state=query["status"], limit=query["limit"], before=query["cursor"]
    )
    cursor = None if following is None else str(following)
    answer = jsonify(items=[_delivery(one) for one in found], nextCursor=cursor)
    if cursor:
        link_next(answer, cursor)
    return answer


@blp.route("/webhooks/<endpoint_id>/deliveries/<delivery_id>")
@blp.response(200, answers.DeliveryStoryAnswer)
def delivery(endpoint_id: str, delivery_id: str) -> Response:
    """Tell what became of one message, try by try."""
    found, tries = webhooks.delivery(rt(), who(), endpoint_id, _number(delivery_id))
    return jsonify(_delivery(found) | {"attempts": [_try(one) for one in tries]})


@blp.route("/webhooks/<endpoint_id>/deliveries/<delivery_id>/replay", methods=["POST"])
@blp.response(202, answers.DeliveryAnswer)
def replay(endpoint_id: str, delivery_id: str) -> tuple[Response, int]:
    """Send a message once more, under the same id; one that is still on its way can't be."""
    return jsonify(_delivery(webhooks.replay(rt(), who(), endpoint_id, _number(delivery_id)))), 202


@blp.route("/webhooks/<endpoint_id>/replay", methods=["POST"])
@blp.arguments(ReplaySchema)
@blp.response(202, answers.ReplayedAnswer)
def replay_failed(form: dict[str, Any], endpoint_id: str) -> tuple[Response, int]:
    """Send everything once more that failed since a moment."""
    n = webhooks.replay_failed(rt(), who(), endpoint_id, since=form["since"])
    return jsonify(success=True, replayed=n), 202


@blp.route("/test-backend-connection")
@limits.webhook_tests
@blp.arguments(ConnectionQuerySchema, location="query")
@blp.response(200, answers.ConnectionAnswer)
def test_connection(query: dict[str, Any]) -> Response:
    """Tell whether messages would arrive: at an address, at one of your webhooks, or at the one made last."""
    tested = webhooks.test(rt(), who(), **query)
    status = "connected" if tested.outcome.ok else "failed"
    return jsonify(_outcome(tested.outcome) | {"status": status, "url": tested.url})


def _number(delivery_id: str) -> int:
    """Return a delivery's number; for what is none, one that no delivery has."""
    return int(delivery_id) if _NUMBER.fullmatch(delivery_id) else 0


def _endpoint(found: Endpoint) -> dict[str, Any]:
    return {
        "id": found.id,
        "url": found.url,
        "events": list(found.events),
        "description": found.description,
        "implicit": found.implicit,
        "status": "disabled" if found.disabled_at else "enabled",
        "disabledReason": found.disabled_reason,
        "failingSince": iso(found.failing_since) if found.failing_since else None,
        "createdAt": iso(found.created_at),
    }


def _with_secret(found: Endpoint) -> dict[str, Any]:
    return _endpoint(found) | {"secret": found.secret}


def _outcome(found: Outcome) -> dict[str, Any]:
    """Show what the receiver did; what it said stays between it and the log of deliveries."""
    return {
        "success": found.ok,
        "statusCode": found.status,
        "responseTime": found.ms,
        "error": found.error,
    }


def _delivery(found: Delivery) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "messageId": found.message_id,
        "requestId": found.request_id,
        "event": found.event,
        "seq": found.seq,
        "status": found.state,
        "tries": found.tries,
        "nextTryAt": iso(found.next_try_at) if found.next_try_at else None,
        "statusCode": found.last_status,
        "error": found.last_error,
        "createdAt": iso(found.created_at),
        "endedAt": iso(found.ended_at) if found.ended_at else None,
    }


def _try(found: Try) -> dict[str, Any]:
    return {
        "at": iso(found.at),
        "statusCode": found.status,
        "ms": found.ms,
        "error": found.error,
        "reply": found.reply,
    }
