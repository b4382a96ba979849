"""How often one may ask: per user where we know who asks, else per address (IPv6: per /64, which is one customer).

Counted in Redis for all processes. While Redis is away each process counts for itself, at the same rates:
never an error because of it, and never no limit.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RequestLimit
from limits import RateLimitItem
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from werkzeug.exceptions import HTTPException

from app.api import deps
from app.config import Settings

View = TypeVar("View", bound=Callable[..., Any])
# The largest body of a route that takes pictures; the usual one is a megabyte.
WITH_PICTURES = 25 << 20
_PATIENCE = 0.2
# Where the id ends in a key: atl_<32 hexadecimal digits>_<secret>.
_KEY_ID = 36


def _identity() -> str:
    who = deps.known()
    return f"user:{who.user_id}" if who else f"ip:{_network(request.remote_addr or '')}"


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    # A socket that listens to both families shows IPv4 like this; as IPv6 all of it would be one network.
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _batch_items() -> int:
    """Return how many items a batch brings: each counts, a refused one too."""
    body = _body()
    items = body.get("requests") if isinstance(body, dict) else body
    return max(1, len(items)) if isinstance(items, list) else 1


def _body() -> Any:
    """Return what the body holds; None where it can't be read, which the view will say.

    Nothing may be raised while limits are counted: the limiter would take it for a failure of Redis.
    """
    try:
        if request.mimetype == "application/x-ndjson":
            return [line for line in request.get_data().splitlines() if line.strip()]
        return request.get_json(silent=True)
    except HTTPException:
        return None


def _setting(name: str) -> Callable[[], str]:
    return lambda: getattr(deps.rt().settings, name)


def _login_name() -> str:
    """Return whose account it is, hashed: the id of the API key, or the name. Without either it is the address."""
    body = _body()
    name = body.get("username") if isinstance(body, dict) else None
    key = request.headers.get("X-API-Key", "")[:_KEY_ID]
    said = key or (str(name).lower() if name else _identity())
    return f"login:{hashlib.sha256(said.encode(errors='replace')).hexdigest()}"


class _Limiter(Limiter):
    """The library's, which lets only the first of several requests that find Redis away at once fall back."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RedisError:
            if not self._storage_dead:
                raise
            # Another one has fallen back meanwhile: count in memory, as it does.
            self.context.seen_limits.clear()
            super()._check_request_limit(callable_name, in_middleware)


limiter = _Limiter(key_func=_identity, headers_enabled=False)
submits = limiter.shared_limit(_setting("rate_limit_submit"), scope="submit")
batch_items = limiter.shared_limit(_setting("rate_limit_batch_items"), scope="batch-items", cost=_batch_items)
uploads = limiter.shared_limit(_setting("rate_limit_upload"), scope="upload")
webhook_tests = limiter.shared_limit(_setting("rate_limit_webhook_test"), scope="webhook-test")
logins_per_address = limiter.shared_limit(_setting("rate_limit_login"), scope="login-address")
logins_per_account = limiter.shared_limit(
    _setting("rate_limit_login"), scope="login-account", key_func=_login_name
)
unlimited = limiter.exempt


def body_up_to(most: int) -> Callable[[View], View]:
    """Mark a view that takes bodies of up to `most` bytes instead of the usual megabyte."""

    def mark(view: View) -> View:
        view.largest_body = most  # type: ignore[attr-defined]
        return view

    return mark


def install(app: Flask) -> None:
    with app.app_context():
        settings = deps.rt().settings
    app.config.update(
        RATELIMIT_STORAGE_URI="redis://",
        RATELIMIT_STORAGE_OPTIONS={"connection_pool": _pool(settings)},
        RATELIMIT_STRATEGY="sliding-window-counter",
        RATELIMIT_DEFAULT=_setting("rate_limit_default"),
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True,
    )
    app.before_request(_size)
    limiter.init_app(app)
    app.after_request(_tell)


def _size() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    request.max_content_length = getattr(view, "largest_body", current_app.config["MAX_CONTENT_LENGTH"])


def _pool(settings: Settings) -> ConnectionPool:
    return ConnectionPool.from_url(
        settings.redis_url,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )


def _tell(response: Response) -> Response:
    """Say how much is left, in the draft's fields and in the older three; `Retry-After` only where it is refused."""
    current: RequestLimit | None = limiter.current_limit
    if current is None:
        return response
    item: RateLimitItem = current.limit
    try:
        left, seconds = max(0, current.remaining), _seconds_until(current)
    except RedisError:
        # It was there when the request was counted. What was done is done and has to be answered.
        return response
    response.headers["RateLimit-Policy"] = f'"default";q={item.amount};w={item.get_expiry()}'
    response.headers["RateLimit"] = f'"default";r={left};t={seconds}'
    response.headers["RateLimit-Limit"] = str(item.amount)
    response.headers["RateLimit-Remaining"] = str(left)
    response.headers["RateLimit-Reset"] = str(seconds)
    if current.breached:
        response.headers["Retry-After"] = str(max(1, seconds))
    return response


def _seconds_until(current: RequestLimit) -> int:
    return max(0, int(current.reset_at - deps.rt().clock().timestamp()))
