"""/metrics for Prometheus, and the health routes up, degraded and down."""

import shutil
from collections import namedtuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.providers.base import Health, HealthState
from app.services import health

NAMES = {
    "atelier_requests": "counter",
    "atelier_requests_active": "gauge",
    "atelier_queue_depth": "gauge",
    "atelier_queue_oldest_seconds": "gauge",
    "atelier_workers": "gauge",
    "atelier_worker_slots": "gauge",
    "atelier_wait_seconds": "gauge",
    "atelier_run_seconds": "gauge",
    "atelier_provider_up": "gauge",
}


class TestMetrics:
    @pytest.fixture
    def scrape(self, call, viewer, fresh_figures):
        def act():
            fresh_figures()
            answer = call(viewer, "GET", "/metrics")
            assert answer.status_code == 200
            assert answer.content_type.startswith("text/plain")
            return {family.name: family for family in text_string_to_metric_families(answer.text)}

        return act

    def test_it_parses_and_has_every_name_with_its_kind_and_words(self, scrape):
        families = scrape()
        assert {name: family.type for name, family in families.items()} == NAMES
        assert all(family.documentation for family in families.values())

    def test_its_figures_are_those_of_the_queue(self, scrape, call, studio, board, alice):
        board.worker()
        done, failed, cancelled, running = board.put(alice, 4)
        studio.complete(done)
        studio.fail(failed)
        call(alice, "DELETE", f"cancel/{cancelled}")
        studio.begin(running)
        board.put(alice, 3, priority="high")
        families = scrape()

        def value(name, **labels):
            [found] = [s.value for s in families[name].samples if labels.items() <= s.labels.items()]
            return found

        ended = {"type": "cover", "priority": "normal"}
        for word in ("completed", "failed", "cancelled"):
            assert value("atelier_requests", status=word, **ended) == 1
        assert families["atelier_requests"].samples[0].name == "atelier_requests_total"
        assert (
            value("atelier_requests_active", place="ready"),
            value("atelier_requests_active", place="running"),
        ) == (3, 1)
        assert (
            value("atelier_queue_depth", priority="high"),
            value("atelier_queue_depth", priority="low"),
        ) == (3, 0)
        assert value("atelier_workers") == 4
        assert value("atelier_run_seconds", quantile="0.5") >= 0

    def test_a_provider_that_is_down_is_nought(self, scrape, rt, fake):
        assert [s.value for s in scrape()["atelier_provider_up"].samples] == [1]
        fake.health_now = Health(HealthState.DOWN, "no credit")
        health.look(rt)
        assert [s.value for s in scrape()["atelier_provider_up"].samples] == [0]

    def test_it_may_be_turned_off(self, build, as_, viewer):
        answer = build(enable_metrics=False).get("/metrics", headers=as_(viewer))
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


class TestHealth:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_alive_and_ready_is_ok(self, call, path):
        answer = call(None, "GET", path)
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})

    @pytest.mark.parametrize("path", ["/health", "/api/health"])
    def test_well_is_the_documents_object(self, call, board, path):
        board.worker()
        answer = call(None, "GET", path)
        assert (answer.status_code, answer.json["status"]) == (200, "ok")
        assert answer.json["timestamp"].endswith("Z")
        checks = answer.json["checks"]
        assert checks.keys() == {"database", "redis", "disk_space", "images", "workers", "providers"}
        assert {check["status"] for check in checks.values()} == {"ok"}
        assert (checks["workers"]["alive"], checks["providers"]["fake"]) == (1, "up")
        assert checks["disk_space"]["free_gb"] > 0
        assert checks["images"]["total"] >= 0

    def test_without_a_worker_it_is_degraded(self, call):
        answer = call(None, "GET", "/health")
        assert (answer.status_code, answer.json["status"]) == (200, "degraded")
        assert answer.json["checks"]["workers"]["status"] == "degraded"

    def test_without_a_usable_provider_it_is_in_error(self, call, rt, fake, board):
        board.worker()
        fake.health_now = Health(HealthState.DOWN, "no credit")
        health.look(rt)
        answer = call(None, "GET", "/health")
        assert (answer.status_code, answer.json["status"]) == (503, "error")
        assert "no credit" not in answer.text

    def test_with_a_disk_that_is_nearly_full_it_is_degraded(self, call, board, monkeypatch):
        board.worker()
        usage = namedtuple("usage", "total used free")  # noqa: PYI024 (what shutil returns)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10, 10, 1 << 29))
        answer = call(None, "GET", "/health")
        assert (answer.status_code, answer.json["status"]) == (200, "degraded")
        assert answer.json["checks"]["disk_space"] == {"status": "degraded", "free_gb": 0.5}
