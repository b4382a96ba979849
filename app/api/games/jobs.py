"""How a job of game assets stands, and its end before its time [A25]."""

from flask import Response, jsonify, request

from app.api.deps import rt, who
from app.api.games import answers
from app.api.schemas import Blueprint
from app.services.games import jobs

blp = Blueprint("game_jobs", __name__, url_prefix="/api/ai/jobs", description="Jobs of pictures for games")


@blp.route("/<job_id>")
@blp.response(200, answers.GameJobAnswer)
@blp.alt_response(304, description="Nothing happened since the ETag that was sent.")
def status(job_id: str) -> Response:
    """Tell how far a job is, with all that is finished and all that failed."""
    response = jsonify(jobs.status(rt(), who(), job_id))
    response.add_etag(weak=True)
    response.cache_control.no_cache = True
    response.make_conditional(request)
    return response


@blp.route("/<job_id>", methods=["DELETE"])
@blp.response(200, answers.GameJobCancelAnswer)
def cancel(job_id: str) -> Response:
    """Stop a job; what it has finished is kept."""
    cancelled = jobs.cancel(rt(), who(), job_id)
    return jsonify(success=True, message="Job cancelled successfully", cancelled=cancelled)
