"""Requests as a list, and what else can be asked of one."""

from typing import Any

from flask import Response, jsonify

from app.api import answers, idempotency, limits
from app.api.deps import rt, who
from app.api.headers import link_next, traceparent
from app.api.schemas import Blueprint, EventsQuerySchema, ListQuerySchema
from app.clock import iso
from app.services import explain as explaining
from app.services import lookup, views
from app.services import retry as retrying
from app.services.lookup import Filter

blp = Blueprint("requests", __name__, url_prefix="/api/visual-generation/requests", description="Requests")


@blp.route("")
@blp.arguments(ListQuerySchema, location="query")
@blp.response(200, answers.RequestPageAnswer)
def listing(query: dict[str, Any]) -> Response:
    """List requests, the newest first, narrowed by what is given."""
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    return page(Filter(**query), limit, cursor)


@blp.route("/<request_id>/retry", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@blp.response(200, answers.SubmitAnswer)
def retry(request_id: str) -> Response:
    """Ask again for what failed or was cancelled, as a new request that names its origin."""
    given = retrying.retry(rt(), who(), request_id, key=idempotency.key(None), traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/visual-generation/status/{given.body['requestId']}")


@blp.route("/<request_id>/explain")
@blp.response(200, answers.ExplainAnswer)
def explain(request_id: str) -> Response:
    """Tell why a request waits, or each attempt and what it met."""
    return jsonify(explaining.explain(rt(), who(), request_id))


@blp.route("/<request_id>/events")
@blp.arguments(EventsQuerySchema, location="query")
@blp.response(200, answers.EventPageAnswer)
def events(query: dict[str, Any], request_id: str) -> Response:
    """List what happened to a request after event `after`, 500 at most."""
    found = lookup.events(rt(), who(), request_id, after=query["after"])
    return jsonify(events=[_event(request_id, row) for row in found])


def page(wanted: Filter, limit: int, cursor: str | None) -> Response:
    """Return one page of requests, with a Link to the next."""
    found, following = lookup.listing(rt(), who(), wanted, limit=limit, before=cursor)
    response = jsonify(items=[views.of_request(rt(), record) for record in found], nextCursor=following)
    if following:
        link_next(response, following)
    return response


def _event(request_id: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestId": request_id,
        "seq": row["seq"],
        "event": row["event"],
        "data": row["data"],
        "at": iso(row["created_at"]),
    }
