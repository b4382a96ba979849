"""How the providers are, looked at in the background and never while a request waits for the answer."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from app.domain.failure import FailureKind
from app.providers.base import Health, HealthState
from app.queue import gate
from app.queue.gate import Gate
from app.runtime import Runtime

_AT_ONCE = 8


def look(rt: Runtime) -> int:
    """Ask every configured provider for its health and write it down; return how many are not up."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="health") as pool:
        looks = {name: pool.submit(provider.health) for name, provider in rt.providers.items()}
        found = {name: look.result() for name, look in looks.items()}
    with rt.db.begin() as tx:
        tx.execute(text("DELETE FROM provider_health WHERE name <> ALL(:names)"), {"names": list(found)})
        for name, health in found.items():
            tx.execute(_WRITE, {"name": name, "state": str(health.state), "reason": health.reason})
    return sum(health.state is not HealthState.UP for health in found.values())


def known(rt: Runtime) -> dict[str, Health]:
    """Return how each configured provider is by its last look and its gate; one not looked at yet counts as up."""
    with rt.db.once() as tx:
        looked = {row.name: Health(HealthState(row.state), row.reason) for row in tx.execute(_READ)}
        shut = gate.shut(tx)
    return {
        name: _together(looked.get(name, Health(HealthState.UP)), shut.get(Gate.of(provider.options).key))
        for name, provider in rt.providers.items()
    }


def _together(looked: Health, shut: tuple[FailureKind, float] | None) -> Health:
    if shut is None or looked.state is HealthState.DOWN:
        return looked
    kind, seconds = shut
    return Health(HealthState.DEGRADED, f"{str(kind).replace('_', ' ')}: asked again in {seconds:.0f} s")


_WRITE = text("""
INSERT INTO provider_health (name, state, reason) VALUES (:name, :state, :reason)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, reason = excluded.reason, checked_at = clock_timestamp()
""")
_READ = text("SELECT name, state, reason FROM provider_health")
