"""How the providers are, looked at in the background and never while a request waits for the answer."""

from sqlalchemy import text

from app.providers.base import Health, HealthState
from app.runtime import Runtime


def look(rt: Runtime) -> int:
    """Ask every configured provider for its health and write it down; return how many are not up."""
    found = {name: provider.health() for name, provider in rt.providers.items()}
    with rt.db.begin() as tx:
        tx.execute(text("DELETE FROM provider_health WHERE name <> ALL(:names)"), {"names": list(found)})
        for name, health in found.items():
            tx.execute(_WRITE, {"name": name, "state": str(health.state), "reason": health.reason})
    return sum(health.state is not HealthState.UP for health in found.values())


def known(rt: Runtime) -> dict[str, Health]:
    """Return the last look at each configured provider; one that was not looked at yet counts as up."""
    with rt.db.once() as tx:
        rows = {row.name: Health(HealthState(row.state), row.reason) for row in tx.execute(_READ)}
    return {name: rows.get(name, Health(HealthState.UP)) for name in rt.settings.providers}


_WRITE = text("""
INSERT INTO provider_health (name, state, reason) VALUES (:name, :state, :reason)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, reason = excluded.reason, checked_at = clock_timestamp()
""")
_READ = text("SELECT name, state, reason FROM provider_health")
