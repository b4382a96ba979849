"""How often pictures may be asked for. Of scenes only those count that are drawn, which is known late."""

from flask_limiter import RequestLimit
from limits import parse
from werkzeug.exceptions import TooManyRequests

from app.api import deps
from app.api.limits import limiter

_SCENES = "scenes"

images = limiter.shared_limit(lambda: deps.rt().settings.rate_limit_images, scope="images")


def charge_scene() -> None:
    """Count one scene that is to be drawn. Raises TooManyRequests.

    Counted where the other limits of this call were just counted: in Redis, or in this process while that is away.
    """
    limit = parse(deps.rt().settings.rate_limit_scenes)
    counted_by = [f"user:{deps.who().user_id}", _SCENES]
    allowed = limiter.limiter.hit(limit, *counted_by)
    # What the answer's headers speak of.
    limiter.context.view_rate_limit = RequestLimit(limiter, limit, counted_by, not allowed, shared=True)
    if not allowed:
        raise TooManyRequests(f"{limit}")
