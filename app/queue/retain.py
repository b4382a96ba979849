"""What is old enough to be forgotten, a page at a time, so that no lock is held for long. Call until 0."""

from sqlalchemy import Connection, text

from app.domain.reference import ROLE

_PAGE = 500


def requests(tx: Connection, *, days: int) -> int:
    """Delete requests that ended over `days` days ago, with their events, attempts and references to files."""
    return _delete(
        tx,
        "generation_requests",
        "id",
        "completed_at < statement_timestamp() - make_interval(days => :days) ORDER BY completed_at",
        days=days,
    )


def batches(tx: Connection, *, days: int) -> int:
    """Delete batches that are old and have no request left."""
    return _delete(
        tx,
        "generation_batches",
        "id",
        "created_at < statement_timestamp() - make_interval(days => :days)"
        " AND NOT EXISTS (SELECT FROM generation_requests AS r WHERE r.batch_id = old.id)",
        days=days,
    )


def keys(tx: Connection, *, hours: int) -> int:
    """Delete idempotency keys that were first used over `hours` hours ago."""
    return _delete(
        tx,
        "idempotency_keys",
        "ctid",
        "created_at < statement_timestamp() - make_interval(hours => :hours)",
        hours=hours,
    )


def uploads(tx: Connection, *, hours: int) -> int:
    """Delete uploads that nothing has used for `hours` hours; one that a request of its owner's refers to is in use.

    Return how many were looked at: what is in use isn't looked at again for as long.
    """
    return int(tx.execute(_UPLOADS, {"hours": hours, "page": _PAGE}).scalar_one())


def tokens(tx: Connection) -> int:
    """Delete revoked tokens that would have expired by now."""
    return _delete(tx, "revoked_tokens", "jti", "expires_at < statement_timestamp()")


def workers(tx: Connection) -> int:
    """Delete workers whose lease ended over an hour ago and that hold nothing."""
    return _delete(
        tx,
        "workers",
        "id",
        "lease_expires_at < statement_timestamp() - interval '1 hour'"
        " AND NOT EXISTS (SELECT FROM generation_requests AS r WHERE r.lease_owner = old.id)",
    )


def minutes(tx: Connection) -> int:
    """Delete minutes of the statistics that are over seven days old."""
    return _delete(tx, "stats_minutes", "minute", "minute < statement_timestamp() - interval '7 days'")


def spend(tx: Connection) -> int:
    """Delete the rows of budgets whose period was over two months ago. What was spent then is known by day."""
    return _delete(tx, "spend", "ctid", "starts < statement_timestamp() - interval '93 days'")


def deliveries(tx: Connection) -> int:
    """Delete what webhooks took over a week ago. What failed stays as long as its request, to be sent again."""
    return _delete(
        tx,
        "webhook_deliveries",
        "id",
        "state = 'delivered' AND ended_at < statement_timestamp() - interval '7 days' ORDER BY ended_at",
    )


def endpoints(tx: Connection, *, days: int) -> int:
    """Delete the endpoints of webhookUrls that no request has named for `days` days, and none is yet to tell."""
    return _delete(
        tx,
        "webhook_endpoints",
        "id",
        "implicit AND used_at < statement_timestamp() - make_interval(days => :days)"
        " AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = old.id)"
        " AND NOT EXISTS (SELECT FROM generation_requests AS r"
        " WHERE r.webhook_id = old.id AND r.completed_at IS NULL)",
        days=days,
    )


def trash(tx: Connection, *, days: float) -> int:
    """Delete assets of the library that their owners deleted over `days` days ago; their files lose a reference."""
    return _delete(
        tx,
        "library_assets",
        "id",
        "deleted_at < statement_timestamp() - make_interval(secs => :seconds) ORDER BY deleted_at",
        seconds=days * 86_400,
    )


def unmade(tx: Connection) -> int:
    """Delete what came to nothing over a day ago: pictures whose requests ended without them.

    Other assets may still be made by a retry: they go with the record of their request.
    """
    return _delete(
        tx,
        "library_assets",
        "id",
        "ready_at IS NULL AND created_at < statement_timestamp() - interval '1 day'"
        " AND NOT EXISTS (SELECT FROM generation_requests AS r WHERE r.id = old.request_id"
        " AND (r.completed_at IS NULL OR old.collection <> 'image')) ORDER BY created_at",
    )


def scenes(tx: Connection) -> int:
    """Delete scenes that are shown no longer; their pictures stay in the library."""
    return _delete(tx, "scene_cache", "ctid", "fresh_until < statement_timestamp() ORDER BY fresh_until")


def _delete(tx: Connection, table: str, key: str, old: str, **given: float) -> int:
    statement = text(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} AS old WHERE {old} LIMIT {_PAGE})"
    )
    return tx.execute(statement, given).rowcount


_UPLOADS = text(f"""
WITH old AS MATERIALIZED (
    SELECT u.id, EXISTS (
        SELECT FROM request_assets AS a JOIN generation_requests AS r ON r.id = a.request_id
        WHERE a.sha256 = u.sha256 AND a.role LIKE '{ROLE}%' AND r.owner_id = u.owner_id) AS used
    FROM uploads AS u WHERE used_at < statement_timestamp() - make_interval(hours => :hours)
    ORDER BY used_at LIMIT :page FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM uploads USING old WHERE uploads.id = old.id AND NOT old.used
), renewed AS (
    UPDATE uploads SET used_at = clock_timestamp() FROM old WHERE uploads.id = old.id AND old.used
)
SELECT count(*) FROM old
""")
