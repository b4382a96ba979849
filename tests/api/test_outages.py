"""Redis away, PostgreSQL away: what still works, how fast, and what is said of the rest."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisGone

from app.api import create_app, limits
from app.db import Database
from app.local import postgres
from app.runtime import Runtime
from tests.api.conftest import BASE, ORDER


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """The address of something that takes connections and never answers: worse than a closed port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture(params=["closed port", "silence"])
def redis_away(request, silent_redis, build):
    """A client of an application whose Redis is away; what it warned about on the way."""
    return lambda **changed: build(
        redis_url="redis://127.0.0.1:1/0" if request.param == "closed port" else silent_redis, **changed
    )


@pytest.fixture
def timed():
    def act(ask):
        began = time.monotonic()
        answer = ask()
        return answer, time.monotonic() - began

    return act


class TestRedisAway:
    def test_a_submit_is_taken_within_a_second(self, redis_away, timed, as_, board, alice):
        client, headers = redis_away(), as_(alice)
        for n in range(1, 4):
            answer, seconds = timed(lambda: client.post(f"{BASE}/submit", json=ORDER, headers=headers))
            assert answer.status_code == 200
            assert seconds < 1
            assert len(board.queued()) == n

    def test_a_batch_is_taken_within_a_second(self, redis_away, timed, as_, board, alice):
        client, headers = redis_away(), as_(alice)
        body = {"requests": [ORDER] * 100}
        answer, seconds = timed(lambda: client.post(f"{BASE}/batch", json=body, headers=headers))
        assert (answer.status_code, answer.json["total"]) == (200, 100)
        assert seconds < 1

    def test_everything_that_is_read_is_answered(self, redis_away, timed, as_, studio, submit, alice, viewer):
        request = submit(alice)
        studio.complete(request)
        client = redis_away()
        for who, path in (
            (alice, f"{BASE}/status/{request}"),
            (alice, f"{BASE}/requests"),
            (alice, f"{BASE}/requests/{request}/events"),
            (alice, f"{BASE}/requests/{request}/explain"),
            (alice, f"{BASE}/requests/{request}/files/image"),
            (alice, f"{BASE}/queue/status"),
            (viewer, "/metrics"),
        ):
            answer, seconds = timed(
                lambda path=path, who=who: client.get(path, headers=as_(who), buffered=True)
            )
            assert answer.status_code == 200, path
            assert seconds < 1

    def test_there_is_a_limit_all_the_same(self, redis_away, as_, alice):
        client, headers = redis_away(rate_limit_submit="3/day"), as_(alice)
        ends = [client.post(f"{BASE}/submit", json=ORDER, headers=headers).status_code for _ in range(5)]
        assert ends == [200, 200, 200, 429, 429]

    def test_a_refusal_says_when_to_come_back(self, redis_away, as_, alice):
        client, headers = redis_away(rate_limit_submit="1/day"), as_(alice)
        client.post(f"{BASE}/submit", json=ORDER, headers=headers)
        answer = client.post(f"{BASE}/submit", json=ORDER, headers=headers)
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400

    def test_logging_in_is_limited_all_the_same(self, redis_away):
        client = redis_away(rate_limit_login="2/day")
        form = {"username": "nobody", "password": "nothing"}
        assert [client.post("/api/auth/token", json=form).status_code for _ in range(3)] == [401, 401, 429]

    def test_the_service_is_ready_and_says_that_it_is_degraded(self, redis_away, board):
        board.worker()
        client = redis_away()
        assert client.get("/readyz").status_code == 200
        answer = client.get("/health")
        assert (answer.status_code, answer.json["status"]) == (200, "degraded")
        assert answer.json["checks"]["redis"] == {"status": "degraded"}

    def test_the_limits_are_in_redis_again_once_it_is_back(self, redis_away, build, as_, alice):
        headers = as_(alice)
        redis_away().get(f"{BASE}/requests", headers=headers)
        assert limits.limiter._storage_dead is True
        back = build()
        deadline = time.monotonic() + 10
        while limits.limiter._storage_dead:
            assert time.monotonic() < deadline
            assert back.get(f"{BASE}/requests", headers=headers).status_code == 200
            time.sleep(0.05)


def test_a_redis_that_leaves_in_the_middle_of_a_submit_does_not_turn_it_into_an_error(
    call, board, alice, monkeypatch
):
    def gone(*_args):
        raise RedisGone("gone")

    monkeypatch.setattr(limits.limiter._limiter, "get_window_stats", gone)
    answer = call(alice, "POST", "submit", json=ORDER)
    assert answer.status_code == 200
    assert board.queued() == [answer.json["requestId"]]


@pytest.mark.parametrize(
    "body", [b"x" * (9 << 20), b"[" * 100_000, b"\xff\xfe", b'{"requests": 7}', b"\n" * 5000]
)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_no_body_makes_the_limiter_believe_that_redis_is_away(call, alice, body, content_type):
    answer = call(alice, "POST", "batch", data=body, content_type=content_type)
    assert answer.status_code in (400, 413)
    assert limits.limiter._storage_dead is False


@pytest.fixture
def postgres_away(rt) -> Iterator[Runtime]:
    """Tools whose database was there and is gone."""
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing")
    runtime = Runtime(rt.settings, gone)
    runtime.__dict__["providers"] = rt.providers
    yield runtime
    gone.close()


class TestPostgresAway:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "submit", ORDER),
            ("GET", "status/vga_1_x", None),
            ("GET", "requests", None),
            ("POST", "batch", {"requests": [ORDER]}),
            ("DELETE", "cancel/vga_1_x", None),
            ("GET", "queue/status", None),
            ("POST", "/api/auth/token", {"username": "alice", "password": "x"}),
            ("GET", "/metrics", None),
        ],
    )
    def test_every_route_that_needs_it_is_503_with_a_time_to_come_back(
        self, postgres_away, as_, alice, method, path, body
    ):
        client = create_app(postgres_away).test_client()
        url = path if path.startswith("/") else f"{BASE}/{path}"
        answer = client.open(url, method=method, json=body, headers=as_(alice))
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text

    def test_the_process_lives_and_is_not_ready(self, postgres_away):
        client = create_app(postgres_away).test_client()
        assert client.get("/healthz").status_code == 200
        assert client.get("/openapi.json").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["code"]) == (503, "unavailable")
        assert ready.headers["Retry-After"]
        health = client.get("/health")
        assert (health.status_code, health.json["status"]) == (503, "error")
        assert health.json["checks"]["database"]["status"] == "error"
        assert health.json["checks"]["redis"]["status"] == "ok"


def test_connections_that_were_cut_are_replaced_by_the_second_try(call, submit, board, rt, alice):
    """A restart of PostgreSQL: what stands in the pool is dead, and nothing acknowledged is lost."""
    request = submit(alice)
    with rt.db.engine.connect() as other:
        other.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    ends = [call(alice, "GET", f"status/{request}").status_code for _ in range(50)]
    assert set(ends) <= {200, 503}
    assert ends[-1] == 200
    assert board.queued() == [request]
    # Those that nobody has used since are dead, too: the next test isn't to find them.
    rt.db.engine.dispose()


def test_a_database_behind_the_code_is_not_ready(rt, tmp_path):
    with postgres.throwaway() as url:
        behind = Runtime(replace(rt.settings, database_url=url), Database(url))
        client = create_app(behind).test_client()
        answer = client.get("/readyz")
        behind.db.close()
    assert answer.status_code == 503
    assert "atelier migrate" in answer.json["error"]
