"""How often one may ask [A19]: per user, else per address, and nobody talks themselves out of it.

The rates are per day: windows begin at round times, and a test that ran over one's end would be let in once more.
"""

import json

import pytest
from redis import Redis

from app.api import limits
from tests.api.conftest import BASE, ORDER, TOKEN

WRONG = {"username": "nobody", "password": "nothing"}


@pytest.fixture
def ends():
    """Ask n times; return the statuses."""
    return lambda n, ask: [ask().status_code for _ in range(n)]


def from_(address, **headers):
    return {"environ_base": {"REMOTE_ADDR": address}, "headers": headers}


class TestHeaders:
    def test_what_is_left_is_told_in_the_drafts_words_and_in_the_older_ones(self, build, as_, alice):
        client = build(rate_limit_submit="5/day")
        for left in (4, 3):
            answer = client.post(f"{BASE}/submit", json=ORDER, headers=as_(alice))
            reset = int(answer.headers["RateLimit-Reset"])
            assert 0 < reset <= 86_400
            assert answer.headers["RateLimit-Policy"] == '"default";q=5;w=86400'
            assert answer.headers["RateLimit"] == f'"default";r={left};t={reset}'
            assert (answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]) == (
                "5",
                str(left),
            )

    def test_only_a_refusal_says_when_to_come_back(self, build, as_, alice):
        client = build(rate_limit_submit="1/day")
        good, refused = (client.post(f"{BASE}/submit", json=ORDER, headers=as_(alice)) for _ in range(2))
        assert (good.status_code, refused.status_code) == (200, 429)
        assert "Retry-After" not in good.headers
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400
        assert refused.headers["RateLimit-Remaining"] == "0"
        assert refused.json["code"] == "rate_limited"

    def test_what_is_refused_for_another_reason_says_what_is_left(self, build, as_, alice):
        answer = build().post(f"{BASE}/submit", json={}, headers=as_(alice))
        assert answer.status_code == 400
        assert answer.headers["RateLimit-Remaining"] == "99"
        assert "Retry-After" not in answer.headers

    def test_what_has_no_limit_says_nothing_of_one(self, call):
        assert not [name for name, _ in call(None, "GET", "/healthz").headers if name.startswith("RateLimit")]


class TestSubmits:
    def test_the_limit_is_exact(self, build, as_, ends, board, alice):
        client, headers = build(rate_limit_submit="4/day"), as_(alice)
        assert (
            ends(6, lambda: client.post(f"{BASE}/submit", json=ORDER, headers=headers))
            == [200] * 4 + [429] * 2
        )
        assert len(board.queued()) == 4

    def test_it_is_a_users_and_not_an_addresss(self, build, as_, ends, alice, bob):
        client = build(rate_limit_submit="2/day")
        for who, first in ((alice, "10.0.0.1"), (bob, "10.0.0.1")):
            given = from_(first, **as_(who))
            assert ends(3, lambda given=given: client.post(f"{BASE}/submit", json=ORDER, **given)) == [
                200,
                200,
                429,
            ]

    def test_another_address_or_token_of_the_same_user_gets_no_more(self, build, as_, alice):
        client = build(rate_limit_submit="2/day")
        found = [
            client.post(f"{BASE}/submit", json=ORDER, **from_(f"10.0.0.{n}", **as_(alice))).status_code
            for n in range(3)
        ]
        assert found == [200, 200, 429]

    def test_submit_batch_and_retry_share_one_limit(self, build, as_, submit, studio, alice):
        request = submit(alice)
        studio.fail(request)
        client, headers = build(rate_limit_submit="3/day"), as_(alice)
        found = [
            client.post(f"{BASE}/{path}", json=body, headers=headers).status_code
            for path, body in (
                ("batch", {"requests": [ORDER]}),
                (f"requests/{request}/retry", None),
                ("submit", ORDER),
                ("submit", ORDER),
            )
        ]
        assert found == [200, 200, 200, 429]

    def test_what_was_refused_counts_as_well(self, build, as_, ends, alice):
        client, headers = build(rate_limit_submit="2/day"), as_(alice)
        assert ends(3, lambda: client.post(f"{BASE}/submit", json={}, headers=headers)) == [400, 400, 429]

    def test_reading_is_not_kept_back_by_it(self, build, as_, ends, alice):
        client, headers = build(rate_limit_submit="1/day"), as_(alice)
        ends(2, lambda: client.post(f"{BASE}/submit", json=ORDER, headers=headers))
        assert ends(5, lambda: client.get(f"{BASE}/requests", headers=headers)) == [200] * 5


class TestBatchItems:
    def items(self, n):
        return {"requests": [{**ORDER, "clientId": str(i)} for i in range(n)]}

    def test_each_item_counts(self, build, as_, board, alice):
        client, headers = build(rate_limit_batch_items="10/day"), as_(alice)
        found = [
            client.post(f"{BASE}/batch", json=self.items(n), headers=headers).status_code
            for n in (6, 6, 4, 1)
        ]
        assert found == [200, 429, 200, 429]
        assert board.scalar("SELECT count(*) FROM generation_requests") == 10

    @pytest.mark.parametrize("end", ["", "\n", "\n\n \n"])
    def test_each_line_counts(self, build, as_, alice, end):
        client, headers = build(rate_limit_batch_items="10/day"), as_(alice)
        found = []
        for n in (9, 2, 1, 1):
            lines = "\n".join(map(json.dumps, self.items(n)["requests"])) + end
            answer = client.post(
                f"{BASE}/batch", data=lines, content_type="application/x-ndjson", headers=headers
            )
            found.append(answer.status_code)
        assert found == [200, 429, 200, 429]

    def test_one_user_does_not_use_up_anothers(self, build, as_, alice, bob):
        client = build(rate_limit_batch_items="5/day")
        found = [
            client.post(f"{BASE}/batch", json=self.items(5), headers=as_(who)).status_code
            for who in (alice, alice, bob)
        ]
        assert found == [200, 429, 200]


class TestLogins:
    def test_an_address_may_try_so_many_names(self, build):
        client = build(rate_limit_login="3/day")
        found = [client.post(TOKEN, json={**WRONG, "username": f"user-{n}"}).status_code for n in range(5)]
        assert found == [401] * 3 + [429] * 2

    def test_an_account_may_be_tried_so_often_from_anywhere(self, build):
        client = build(rate_limit_login="3/day")
        found = [client.post(TOKEN, json=WRONG, **from_(f"10.0.0.{n}")).status_code for n in range(5)]
        assert found == [401] * 3 + [429] * 2

    def test_the_case_of_a_name_makes_no_new_account(self, build):
        client = build(rate_limit_login="2/day")
        found = [
            client.post(TOKEN, json={**WRONG, "username": name}, **from_(f"10.0.0.{n}")).status_code
            for n, name in enumerate(("alice", "ALICE", "aLiCe"))
        ]
        assert found == [401, 401, 429]

    def test_a_body_that_names_nobody_uses_up_nobodys_account(self, build):
        client = build(rate_limit_login="2/day")
        for n in range(3):
            assert client.post(TOKEN, json={"password": "x"}, **from_(f"10.0.1.{n}")).status_code == 400
        named_none = {"username": "None", "password": "x"}
        assert client.post(TOKEN, json=named_none, **from_("10.0.0.9")).status_code == 401

    def test_no_name_stands_in_redis(self, build, servers):
        build().post(TOKEN, json={"username": "canary-name", "password": "x"})
        with Redis.from_url(servers.redis_url) as redis:
            keys = b" ".join(redis.keys())
        assert b"login" in keys
        assert b"canary-name" not in keys


class TestAddresses:
    @pytest.fixture
    def tried(self, build):
        def act(*addresses):
            client = build(rate_limit_login="2/day")
            return [
                client.post(TOKEN, json={**WRONG, "username": f"user-{n}"}, **from_(address)).status_code
                for n, address in enumerate(addresses)
            ]

        return act

    def test_addresses_of_one_ipv6_network_are_one(self, tried):
        assert tried("2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "2001:db8:0:1::1") == [
            401,
            401,
            429,
            401,
        ]

    def test_ipv4_shown_as_ipv6_is_its_own_address(self, tried):
        assert tried("::ffff:10.0.0.1", "::ffff:10.0.0.2", "::ffff:10.0.0.3") == [401] * 3
        assert tried("::ffff:10.0.1.1", "10.0.1.1", "::ffff:10.0.1.1") == [401, 401, 429]

    def test_what_is_no_address_is_one_for_all(self, tried):
        assert tried("", "unix", "@") == [401, 401, 429]

    @pytest.fixture
    def forwarded(self, build):
        def act(hops, *shown):
            client = build(rate_limit_login="2/day", proxy_hops=hops)
            return [
                client.post(
                    TOKEN,
                    json={**WRONG, "username": f"user-{n}"},
                    **from_("10.9.9.9", **{"X-Forwarded-For": value}),
                ).status_code
                for n, value in enumerate(shown)
            ]

        return act

    def test_x_forwarded_for_is_not_believed_where_no_proxy_is_set(self, forwarded):
        assert forwarded(0, "1.1.1.1", "2.2.2.2", "3.3.3.3") == [401, 401, 429]

    def test_behind_one_proxy_the_last_one_is_believed(self, forwarded):
        assert forwarded(1, "1.1.1.1", "2.2.2.2", "3.3.3.3") == [401, 401, 401]

    def test_behind_one_proxy_what_stands_before_it_is_not(self, forwarded):
        assert forwarded(1, "6.6.6.1, 1.1.1.1", "6.6.6.2, 1.1.1.1", "6.6.6.3, 1.1.1.1") == [401, 401, 429]


def test_requests_that_are_not_spent_on_anything_have_the_default_limit(build, as_, ends, alice, bob):
    client = build(rate_limit_default="3/day")
    assert ends(4, lambda: client.get(f"{BASE}/requests", headers=as_(alice))) == [200, 200, 200, 429]
    assert client.get(f"{BASE}/requests", headers=as_(bob)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/health", "/api/health", "/openapi.json", "/docs", "/"]
)
def test_health_and_docs_have_no_limit(build, ends, path):
    client = build(rate_limit_default="1/day")
    assert ends(3, lambda: client.get(path)) == [200] * 3


def test_the_limiter_counts_in_redis_for_all_processes(build, as_, servers, alice):
    first = build(rate_limit_submit="2/day")
    assert first.post(f"{BASE}/submit", json=ORDER, headers=as_(alice)).status_code == 200
    second = build(rate_limit_submit="2/day")
    found = [second.post(f"{BASE}/submit", json=ORDER, headers=as_(alice)).status_code for _ in range(2)]
    assert found == [200, 429]
    assert limits.limiter._storage_dead is False
    with Redis.from_url(servers.redis_url) as redis:
        redis.flushall()
    assert second.post(f"{BASE}/submit", json=ORDER, headers=as_(alice)).status_code == 200
