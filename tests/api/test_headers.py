"""What every answer carries: ids, what browsers may do with it, and who may read it from elsewhere."""

import re

import pytest

from tests.api.conftest import BASE, ORDER

ORIGIN = "https://app.example"
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
PATHS = ["/", "/docs", "/docs/start.js", "/openapi.json", "/healthz", "/readyz", "/health", "/metrics", "/nowhere",
         f"{BASE}/requests", f"{BASE}/queue/status", f"{BASE}/status/nothing", "/files/nothing", "/api/auth/users"]  # fmt: skip


class TestRequestId:
    @pytest.mark.parametrize("shown", ["a", "A-Z.09_z", "x" * 128, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"])
    def test_the_clients_own_comes_back(self, call, shown):
        assert call(None, "GET", "/healthz", headers={"X-Request-Id": shown}).headers["X-Request-Id"] == shown

    @pytest.mark.parametrize(
        "shown", ["", " ", "x" * 129, "a b", "a;b", "<script>", "\xe4", "a\x7fb", '"}', "../x", "a,b"]
    )
    def test_a_hostile_one_is_replaced(self, call, shown):
        told = call(None, "GET", "/healthz", headers={"X-Request-Id": shown}).headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{32}", told)

    def test_each_request_without_one_gets_its_own(self, call):
        assert len({call(None, "GET", "/healthz").headers["X-Request-Id"] for _ in range(5)}) == 5

    @pytest.mark.parametrize("path", PATHS)
    def test_errors_carry_it_too(self, call, path):
        assert call(None, "GET", path, headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] == "mine"


class TestSafety:
    @pytest.mark.parametrize("path", PATHS)
    def test_every_answer_has_the_headers_that_keep_browsers_from_harm(self, call, alice, path):
        for who in (None, alice):
            answer = call(who, "GET", path)
            assert SAFE.items() <= dict(answer.headers).items()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]

    def test_what_is_private_is_not_kept_by_anybody(self, call, submit, alice):
        for path in ("requests", "queue/status", f"requests/{submit(alice)}/events"):
            assert call(alice, "GET", path).headers["Cache-Control"] == "no-store"

    def test_no_answer_sets_a_cookie(self, call, alice):
        for path in PATHS:
            assert "Set-Cookie" not in call(alice, "GET", path).headers


class TestCors:
    def preflight(self, client):
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
        }
        return client.options(f"{BASE}/submit", headers=asked)

    def allowed(self, answer):
        return [name for name in answer.headers.keys() if name.startswith("Access-Control-")]  # noqa: SIM118

    def test_it_is_off_where_nothing_is_set(self, call, client, alice):
        answer = call(alice, "POST", "submit", json=ORDER, headers={"Origin": ORIGIN})
        assert self.allowed(answer) == []
        assert self.allowed(self.preflight(client)) == []

    def test_an_origin_of_the_list_may_read_what_it_needs(self, build, as_, alice):
        client = build(cors_origins=("https://other.example", ORIGIN))
        answer = client.post(f"{BASE}/submit", json=ORDER, headers={**as_(alice), "Origin": ORIGIN})
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
        exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert {"ETag", "Location", "Retry-After", "X-Request-Id", "Link", "Idempotency-Replayed"} <= exposed

    def test_its_preflight_is_answered_without_a_token(self, build):
        answer = self.preflight(build(cors_origins=(ORIGIN,)))
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"].lower()

    def test_its_refusals_may_be_read_too(self, build):
        answer = build(cors_origins=(ORIGIN,)).get(f"{BASE}/requests", headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example", "https://app.example.evil.example", "http://app.example", "https://app.example:8443",
         "https://appxexample", "null", "https://evil.example/https://app.example"],
    )  # fmt: skip
    def test_no_other_origin_may(self, build, as_, alice, origin):
        client = build(cors_origins=(ORIGIN,))
        answer = client.post(f"{BASE}/submit", json=ORDER, headers={**as_(alice), "Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
