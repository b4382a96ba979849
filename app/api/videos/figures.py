"""How videos do: rates and times for dashboards [A55]."""

from flask import Response, jsonify

from app.api.auth import allow
from app.api.deps import rt
from app.api.schemas import Blueprint
from app.api.videos import answers
from app.domain.vocabulary import Role
from app.services.videos.figures import figures

blp = Blueprint("video_figures", __name__, url_prefix="/api", description="Videos about pets")


@blp.route("/video-stats")
@allow(Role.ADMIN, Role.OPERATOR, Role.VIEWER)
@blp.response(200, answers.VideoFiguresAnswer)
def show() -> Response:
    """Tell how many videos came about, were refused and were told of, and how long it took."""
    return jsonify(figures(rt()))
