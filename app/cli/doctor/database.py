"""PostgreSQL: its version and revision, its clock, and what slows the queue."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

import migrations
from app.cli.doctor.finding import Finding, bad, doubt, good
from app.cli.screen import duration
from app.runtime import Runtime

_LEAST_VERSION = 15
_MOST_DEAD = 50_000
# A token is let in when it is ten seconds early; half of that is worth a word.
_SKEW_SECONDS = 5.0


def look(rt: Runtime) -> Iterator[Finding]:
    """Raises what SQLAlchemy raises where the database is away."""
    with rt.db.once() as tx:
        yield _version(tx)
        if migrations.pending(rt.db.engine):
            yield bad("migrations", "the database is behind the code", "Run: atelier migrate")
        else:
            yield good("migrations", "at the newest revision")
        yield clock(rt, tx)
        yield _snapshots(tx)
        yield _dead_rows(tx)


def clock(rt: Runtime, tx: Connection) -> Finding:
    before = rt.clock()
    theirs = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
    after = rt.clock()
    skew = (theirs - (before + (after - before) / 2)).total_seconds()
    seen = f"the database's is {abs(skew):.2f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > _SKEW_SECONDS:
        return bad(
            "clock", seen, "Set both machines' clocks by NTP; tokens and signed addresses depend on them."
        )
    return good("clock", seen)


def _version(tx: Connection) -> Finding:
    number = int(tx.execute(text("SHOW server_version_num")).scalar_one())
    shown = tx.execute(text("SHOW server_version")).scalar_one()
    if number // 10_000 < _LEAST_VERSION:
        return bad("PostgreSQL", f"version {shown}", f"Atelier needs {_LEAST_VERSION} or newer.")
    return good("PostgreSQL", f"version {shown}")


def _snapshots(tx: Connection) -> Finding:
    rows = tx.execute(_OLD).all()
    if not rows:
        return good("snapshots", "none is older than 10 minutes")
    first = rows[0]
    who = first.application_name or "unnamed"
    return doubt(
        "snapshots",
        f"process {first.pid} ({who}) has held one for {duration(float(first.seconds))}",
        "Dead queue rows can't be cleaned up meanwhile, and claims get slower. End that transaction: "
        f"SELECT pg_terminate_backend({first.pid});",
    )


def _dead_rows(tx: Connection) -> Finding:
    row = tx.execute(_DEAD).one_or_none()
    if row is None:
        return bad("queue table", "it isn't there", "Run: atelier migrate")
    seen = f"dead rows: {row.dead:,}, live ones: {row.live:,}"
    if row.dead > _MOST_DEAD and row.dead > row.live:
        return doubt("queue table", seen, "See that autovacuum is on, then run: VACUUM generation_queue")
    return good("queue table", seen)


_OLD = text("""
SELECT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start) AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND backend_xmin IS NOT NULL
    AND xact_start < clock_timestamp() - interval '10 minutes'
ORDER BY xact_start
""")
_DEAD = text("""
SELECT n_dead_tup AS dead, n_live_tup AS live FROM pg_stat_user_tables WHERE relname = 'generation_queue'
""")
