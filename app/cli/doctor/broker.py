"""Redis: whether it answers, and whether it keeps what it is given."""

from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.cli.doctor.finding import Finding, bad, doubt, good

_SECONDS = 5.0


def look(url: str) -> Iterator[Finding]:
    try:
        with Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 0)
        ) as client:
            info: dict[str, Any] = client.info()
    except (RedisError, ValueError) as err:
        yield bad(
            "Redis",
            f"it doesn't answer ({type(err).__name__})",
            "Requests are still taken and kept, and workers find them more slowly. Start Redis, or correct REDIS_URL.",
        )
        return
    yield good("Redis", f"{info.get('server_name', 'redis')} {_version(info)}")
    yield _policy(info)
    yield _log(info)


def _version(info: dict[str, Any]) -> str:
    return str(info.get("valkey_version") or info.get("redis_version"))


def _policy(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        return bad(
            "Redis memory",
            f"maxmemory-policy is {policy}: tickets may be thrown away",
            "Set it to noeviction.",
        )
    return good("Redis memory", "maxmemory-policy is noeviction")


def _log(info: dict[str, Any]) -> Finding:
    if not info.get("aof_enabled"):
        return doubt(
            "Redis log", "appendonly is off", "Set it to yes, so that a restart forgets no rate limit."
        )
    return good("Redis log", "appendonly is on")
