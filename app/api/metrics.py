"""`/metrics` for Prometheus: read from SQL when scraped, so that no process has to be alive to be counted."""

from collections.abc import Iterator

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api import answers, limits
from app.api.auth import allow
from app.api.deps import rt
from app.api.schemas import Blueprint
from app.domain.errors import NotFound
from app.domain.vocabulary import Role
from app.providers.base import HealthState
from app.queue.board import Snapshot
from app.queue.stats import Times, waiting_by_priority
from app.services import health

blp = Blueprint("metrics", __name__, description="Metrics")
_TERMINAL = ("completed", "failed", "cancelled")


@blp.route("/metrics")
@allow(Role.ADMIN, Role.OPERATOR, Role.VIEWER)
@limits.unlimited
@blp.response(200, answers.TEXT, content_type="text/plain", description="Prometheus text format")
def metrics() -> Response:
    """Get the figures for Prometheus; scrape with a viewer's API key."""
    if not rt().settings.enable_metrics:
        raise NotFound("Metrics are off; ENABLE_METRICS turns them on.")
    registry = CollectorRegistry()
    registry.register(_Figures(rt().board.look(), {n: h.state for n, h in health.known(rt()).items()}))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(self, snapshot: Snapshot, providers: dict[str, HealthState]) -> None:
        self._snapshot = snapshot
        self._providers = providers

    def collect(self) -> Iterator[Metric]:
        yield self._ended()
        yield self._places()
        yield self._depth()
        yield _gauge(
            "atelier_queue_oldest_seconds",
            "How long the oldest claimable request has waited.",
            self._snapshot.oldest_seconds,
        )
        yield _gauge("atelier_workers", "Processes that hold a live lease.", self._snapshot.workers)
        yield _gauge("atelier_worker_slots", "Attempts those can make at once.", self._snapshot.slots)
        yield _times(
            "atelier_wait_seconds", "From submit to start, of the last thousand.", self._snapshot.sample.wait
        )
        yield _times(
            "atelier_run_seconds",
            "From start to completion, of the last thousand.",
            self._snapshot.sample.run,
        )
        up = GaugeMetricFamily(
            "atelier_provider_up", "1 where the last look found it usable.", labels=["provider"]
        )
        for name, state in self._providers.items():
            up.add_metric([name], 0.0 if state is HealthState.DOWN else 1.0)
        yield up

    def _ended(self) -> Metric:
        ended = CounterMetricFamily(
            "atelier_requests", "Requests that ended.", labels=["type", "priority", "status"]
        )
        for count in self._snapshot.counts:
            if count.place in _TERMINAL:
                ended.add_metric([count.type, count.priority, count.place], count.n)
        return ended

    def _places(self) -> Metric:
        active = GaugeMetricFamily(
            "atelier_requests_active", "Requests that haven't ended, by where they are.", labels=["place"]
        )
        for place in ("ready", "held", "delayed", "running", "waiting"):
            active.add_metric([place], sum(c.n for c in self._snapshot.counts if c.place == place))
        return active

    def _depth(self) -> Metric:
        depth = GaugeMetricFamily("atelier_queue_depth", "Claimable requests.", labels=["priority"])
        for priority, n in waiting_by_priority(self._snapshot.counts).items():
            depth.add_metric([priority], n)
        return depth


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _times(name: str, text: str, times: Times) -> Metric:
    found = GaugeMetricFamily(name, text, labels=["quantile"])
    for quantile, seconds in (("0.5", times.p50), ("0.9", times.p90), ("0.99", times.p99)):
        if seconds is not None:
            found.add_metric([quantile], seconds)
    return found
