"""Many requests at once [A10]."""

import json
from typing import Any

from flask import Response, jsonify, request
from marshmallow import ValidationError

from app.api import answers, idempotency, limits
from app.api.deps import rt, who
from app.api.headers import traceparent
from app.api.requests import page
from app.api.schemas import (
    MAX_BATCH,
    BatchItemSchema,
    BatchQuerySchema,
    BatchSchema,
    Blueprint,
    DryRunSchema,
    PageQuerySchema,
)
from app.domain.errors import FieldFault, Invalid
from app.services import archive as archiving
from app.services import batch as batches
from app.services import references
from app.services.batch import Options
from app.services.lookup import Filter
from app.services.submit import Order

blp = Blueprint("batch", __name__, url_prefix="/api/visual-generation/batch", description="Batches")
# A thousand prompts of a thousand characters, in any script, with room for their metadata.
LARGEST = 8 << 20
NDJSON = "application/x-ndjson"


@blp.route("", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(LARGEST)
@limits.submits
@limits.batch_items
@blp.arguments(DryRunSchema, location="query")
@blp.response(200, answers.BatchAnswer)
@blp.doc(
    parameters=[
        {"in": "query", "schema": DryRunSchema},
        {"in": "query", "schema": BatchQuerySchema},
    ],
    requestBody={
        "required": True,
        "content": {
            "application/json": {"schema": BatchSchema},
            NDJSON: {
                "schema": {"type": "string", "description": "one item a line; options go into the query"}
            },
        },
    },
)
def create(query: dict[str, Any]) -> Response:
    """Ask for up to 1,000 pictures; all of them are taken, or none is."""
    orders, options, body = _read()
    orders = references.take(rt(), who(), orders, each="requests.{}.", store=not query["dry_run"])
    if query["dry_run"]:
        return jsonify(batches.quote(rt(), orders, options))
    given = batches.create(rt(), who(), orders, options, key=idempotency.key(body), traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/visual-generation/batch/{given.body['batchId']}")


@blp.route("/<batch_id>")
@blp.response(200, answers.BatchStatusAnswer)
def status(batch_id: str) -> Response:
    """Tell how far a batch is: counts by status, progress, cost, errors."""
    return jsonify(batches.status(rt(), who(), batch_id))


@blp.route("/<batch_id>/requests")
@blp.arguments(PageQuerySchema, location="query")
@blp.response(200, answers.RequestPageAnswer)
def listing(query: dict[str, Any], batch_id: str) -> Response:
    """List a batch's requests, the newest first."""
    batches.status(rt(), who(), batch_id)
    return page(Filter(batch_id=batch_id), query["limit"], query.get("cursor"))


@blp.route("/<batch_id>", methods=["DELETE"])
@blp.response(200, answers.BatchCancelAnswer)
def cancel(batch_id: str) -> Response:
    """Cancel all of a batch that hasn't ended."""
    return jsonify(success=True, cancelled=batches.cancel(rt(), who(), batch_id))


@blp.route("/<batch_id>/retry-failed", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@blp.response(200, answers.BatchAnswer)
def retry_failed(batch_id: str) -> Response:
    """Ask again for what failed, as a new batch that names its origin."""
    given = batches.retry_failed(rt(), who(), batch_id, key=idempotency.key(None), traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/visual-generation/batch/{given.body['batchId']}")


@blp.route("/<batch_id>/archive")
@blp.response(
    200, answers.BINARY, content_type="application/zip", description="The pictures and manifest.json"
)
def archive(batch_id: str) -> Response:
    """Get all finished pictures of a batch as a zip file."""
    parts = archiving.stream(rt(), who(), batch_id)
    named = {"Content-Disposition": f'attachment; filename="{batch_id}.zip"'}
    return Response(parts, content_type="application/zip", headers=named)


def _read() -> tuple[list[Order], Options, Any]:
    """Return the orders, the options, and the body as the idempotency key sees it. Raises Invalid."""
    if request.mimetype == NDJSON:
        return _read_lines()
    loaded = BatchSchema().load(Blueprint.ARGUMENTS_PARSER.load_json(request, BatchSchema()))
    return loaded["requests"], loaded["batch_options"], request.get_json()


def _read_lines() -> tuple[list[Order], Options, Any]:
    lines = [line for line in request.get_data().splitlines() if line.strip()]
    if not 1 <= len(lines) <= MAX_BATCH:
        raise Invalid(FieldFault("requests", f"Must be 1 to {MAX_BATCH} lines."))
    items = [_parse(index, line) for index, line in enumerate(lines)]
    options = BatchQuerySchema().load(request.args.to_dict(), unknown="exclude")
    try:
        return BatchItemSchema(many=True).load(items), options, [request.args.to_dict(), items]
    except ValidationError as err:
        raise ValidationError({"requests": err.messages}) from err


def _parse(index: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise Invalid(FieldFault(f"requests.{index}", "Not valid JSON.")) from None
