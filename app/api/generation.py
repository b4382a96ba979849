"""Submit, status, cancel: the main document's first three routes [A1] [A7] [A8]."""

from typing import Any

from flask import Response, jsonify, request

from app.api import answers, idempotency, limits, waiting
from app.api.deps import rt, who
from app.api.headers import traceparent
from app.api.live.watchers import watchers
from app.api.schemas import Blueprint, DryRunSchema, StatusQuerySchema, SubmitSchema
from app.services import cancel as cancelling
from app.services import links, lookup, references, views
from app.services import submit as submitting
from app.services.live import wait
from app.services.submit import Order

blp = Blueprint("generation", __name__, url_prefix="/api/visual-generation", description="One request")


@blp.route("/submit", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.arguments(DryRunSchema, location="query")
@blp.arguments(SubmitSchema)
@blp.response(200, answers.SubmitAnswer)
def submit(query: dict[str, Any], order: Order) -> Response:
    """Ask for a picture; answers at once with the request's id."""
    [order] = references.take(rt(), who(), [order], store=not query["dry_run"])
    if query["dry_run"]:
        return jsonify(submitting.quote(rt(), [submitting.new_request(rt(), order)]))
    key = idempotency.key(request.get_json())
    given = submitting.submit(rt(), who(), order, key=key, traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/visual-generation/status/{given.body['requestId']}")


@blp.route("/status/<request_id>")
@blp.arguments(StatusQuerySchema, location="query")
@blp.response(200, answers.RequestAnswer)
@blp.alt_response(304, description="Nothing happened since the ETag that was sent.")
def status(query: dict[str, Any], request_id: str) -> Response:
    """Tell what became of a request; `wait` holds the answer until its state changes."""
    record = wait.for_change(
        rt(),
        watchers().hub,
        who(),
        request_id,
        seconds=query["wait"],
        waiters=waiting.room(),
    )
    position = lookup.place_in_line(rt(), record)
    etag = f"{record.event_seq}-{record.progress}-{position or 0}-{links.period(rt())}-{int(query['image_data'])}"
    if request.if_none_match.contains_weak(etag):
        unchanged = Response(status=304)
        unchanged.set_etag(etag, weak=True)
        return unchanged
    response = jsonify(views.of_request(rt(), record, position=position, image_data=query["image_data"]))
    response.set_etag(etag, weak=True)
    response.cache_control.no_cache = True
    return response


@blp.route("/cancel/<request_id>", methods=["DELETE"])
@blp.response(200, answers.CancelAnswer)
def cancel(request_id: str) -> Response:
    """Stop a request for good."""
    billing = cancelling.cancel(rt(), who(), request_id)
    return jsonify(success=True, message="Request cancelled successfully", billing=str(billing))
