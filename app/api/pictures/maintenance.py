"""What administrators clean up and look at [A64]."""

from flask import Response, jsonify

from app.api.auth import allow
from app.api.deps import rt
from app.api.pictures import answers
from app.api.schemas import Blueprint
from app.clock import iso
from app.domain.vocabulary import Role
from app.services.pictures import upkeep

blp = Blueprint("maintenance", __name__, url_prefix="/api/v1/maintenance", description="Maintenance")


@blp.route("/cleanup/expired-cache", methods=["POST"])
@allow(Role.ADMIN)
@blp.response(200, answers.CleanedAnswer)
def expired_cache() -> Response:
    """Forget everybody's scenes whose time is over; the pictures stay."""
    gone = upkeep.expired_scenes(rt())
    return jsonify(deleted=gone, message=f"Deleted {gone} expired cache entries", timestamp=iso(rt().clock()))


@blp.route("/cleanup/orphaned-images", methods=["POST"])
@allow(Role.ADMIN)
@blp.response(200, answers.CleanedAnswer)
def orphaned_images() -> Response:
    """Purge what has been in the trash long enough, and files that nothing refers to for a day."""
    gone, files = upkeep.orphans(rt())
    return jsonify(
        deleted=gone,
        files_removed=files,
        message=f"Deleted {gone} images and {files} files",
        timestamp=iso(rt().clock()),
    )


@blp.route("/stats")
@allow(Role.ADMIN)
@blp.response(200, answers.MaintenanceAnswer)
def stats() -> Response:
    """Count what is kept of everybody's."""
    return jsonify(upkeep.figures(rt()))
