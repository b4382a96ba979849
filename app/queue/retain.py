"""What is old enough to be forgotten, a page at a time, so that no lock is held for long. Call until 0."""

from sqlalchemy import Connection, text

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


def _delete(tx: Connection, table: str, key: str, old: str, **given: int) -> int:
    statement = text(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} AS old WHERE {old} LIMIT {_PAGE})"
    )
    return tx.execute(statement, given).rowcount
