"""The queue's figures for dashboards [A9]."""

from flask import Response, jsonify

from app.api import answers
from app.api.auth import allow
from app.api.deps import rt
from app.api.schemas import Blueprint
from app.domain.vocabulary import Role
from app.services import report

blp = Blueprint("queue", __name__, url_prefix="/api/visual-generation/queue", description="The queue")


@blp.route("/status")
@allow(*Role)
@blp.response(200, answers.QueueAnswer)
def status() -> Response:
    """Tell how long the queue is, how long it takes, and how the system is."""
    return jsonify(report.queue_status(rt()))
