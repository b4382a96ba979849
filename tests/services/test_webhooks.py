"""The endpoints of an owner, those that webhookUrls stand for, and what can be known and done about deliveries."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from werkzeug import Response

from app import log
from app.domain.errors import IllegalMove, Invalid, NotFound
from app.domain.vocabulary import Event, Kind, Role
from app.runtime import Runtime
from app.services import batch, courier, retry, submit, webhook_url, webhooks
from app.services.batch import Options
from app.services.submit import Order
from tests.queue import posts, truths
from tests.queue.acts import DONE, at_once, cancel, settle_as
from tests.queue.posts import answered, owe, owed, take
from tests.services.receivers import Receiver, receiving

HOOK = "https://hooks.example/in?token=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def inside(rt: Runtime) -> Runtime:
    """Let receivers be on this machine."""
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    return rt


def create(rt, who, url=HOOK, events=None):
    return webhooks.create(rt, who, url=url, events=events, description=None)


def order(**given):
    return Order(Kind.COVER, "A lighthouse in a storm", **given)


def ask(rt, who, url=HOOK, **given):
    """Submit a request that names a webhookUrl; return its id."""
    return submit.submit(rt, who, order(webhook_url=url, **given), key=None, traceparent=None).body[
        "requestId"
    ]


class TestEndpoints:
    def test_one_is_made_with_a_secret_that_is_shown_this_once(self, rt, alice):
        made = create(rt, alice)
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made)
        assert made.events == ("request-completed", "request-failed", "request-cancelled")
        assert webhooks.find(rt, alice, made.id) == replace(made, secret=None)
        assert webhooks.listing(rt, alice) == [replace(made, secret=None)]

    def test_its_events_are_kept_as_they_were_chosen_each_once(self, rt, alice):
        made = create(rt, alice, events=[Event.FAILED, Event.QUEUED, Event.FAILED])
        assert made.events == ("request-failed", "request-queued")

    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.example/in",
            "https://user:word@hooks.example/in",
            "https://hooks.example:22/in",
            "https://127.0.0.1/in",
            "https://[::1]/in",
            "https://169.254.169.254/",
            "https:\\\\hooks.example",
            "ftp://hooks.example",
            "",
        ],
    )
    def test_an_address_that_can_not_be_one_is_refused(self, rt, alice, url):
        with pytest.raises(Invalid) as caught:
            create(rt, alice, url)
        assert [fault.field for fault in caught.value.faults] == ["url"]
        made = create(rt, alice)
        with pytest.raises(Invalid):
            webhooks.change(rt, alice, made.id, url=url)
        if url:
            with pytest.raises(Invalid):
                webhooks.test(rt, alice, endpoint_id=None, url=url)

    def test_there_are_fifty_at_most(self, rt, alice, bob):
        for n in range(webhooks.endpoints.MOST):
            create(rt, alice, f"https://hooks.example/{n}")
        with pytest.raises(Invalid):
            create(rt, alice)
        create(rt, bob)

    @pytest.mark.parametrize(
        "act",
        [
            webhooks.find,
            lambda rt, who, one: webhooks.change(rt, who, one, enabled=False),
            webhooks.delete,
            lambda rt, who, one: webhooks.rotate(rt, who, one, overlap_hours=0),
            webhooks.ping,
            lambda rt, who, one: webhooks.test(rt, who, endpoint_id=one, url=None),
            lambda rt, who, one: webhooks.deliveries(rt, who, one, state=None, limit=5, before=None),
            lambda rt, who, one: webhooks.delivery(rt, who, one, 1),
            lambda rt, who, one: webhooks.replay(rt, who, one, 1),
            lambda rt, who, one: webhooks.replay_failed(rt, who, one, since=datetime.now(UTC)),
        ],
    )
    def test_somebody_elses_is_not_there(self, rt, board, alice, bob, act):
        made = create(rt, alice)
        owe(board, alice, made.id)
        for stranger in (bob, replace(bob, role=Role.VIEWER)):
            with pytest.raises(NotFound):
                act(rt, stranger, made.id)
        assert webhooks.find(rt, alice, made.id) == replace(made, secret=None)
        assert webhooks.listing(rt, bob) == []

    def test_an_operator_sees_everybodys(self, rt, alice, person):
        made = create(rt, alice)
        operator = person("olga", Role.OPERATOR)
        assert [one.id for one in webhooks.listing(rt, operator)] == [made.id]
        assert not webhooks.change(rt, operator, made.id, enabled=True).disabled_at

    def test_what_is_not_given_stays(self, rt, alice):
        made = create(rt, alice)
        changed = webhooks.change(rt, alice, made.id, description="mine")
        assert changed == replace(made, secret=None, description="mine")
        changed = webhooks.change(rt, alice, made.id, events=[Event.FAILED], url="https://other.example/")
        assert (changed.url, changed.events, changed.description) == (
            "https://other.example/",
            ("request-failed",),
            "mine",
        )

    def test_one_that_is_switched_off_lets_go_what_waits_and_is_forgiven_when_it_is_switched_on(
        self, rt, board, alice
    ):
        made = create(rt, alice)
        owe(board, alice, made.id, 3)
        [sending, *_] = take(board, 1)
        answered(board, sending, 500)
        off = webhooks.change(rt, alice, made.id, enabled=False)
        assert (off.disabled_reason, off.failures) == ("owner", 1)
        states = "SELECT array_agg(DISTINCT state) FROM webhook_deliveries"
        assert board.scalar(states) == ["failed"]
        on = webhooks.change(rt, alice, made.id, enabled=True)
        assert (on.disabled_at, on.disabled_reason, on.failures, on.failing_since) == (None, None, 0, None)

    def test_one_that_is_deleted_takes_its_log_along_and_no_request(self, rt, board, alice):
        made, kept = create(rt, alice), create(rt, alice)
        owe(board, alice, made.id, 3)
        answered(board, take(board, 1)[0], 200)
        owe(board, alice, kept.id)
        webhooks.delete(rt, alice, made.id)
        assert [one.id for one in webhooks.listing(rt, alice)] == [kept.id]
        assert {endpoint for endpoint, *_ in owed(board)} == {kept.id}
        assert board.scalar("SELECT count(*) FROM webhook_tries") == 0
        assert board.scalar("SELECT count(*) FROM generation_requests") == 4

    def test_a_new_secret_lets_the_old_ones_sign_for_a_while_and_there_are_never_many(self, rt, board, alice):
        made = create(rt, alice)
        secrets = [made.secret]
        for hours in (100, 50, 1, 2):
            before = datetime.now(UTC)
            changed, until = webhooks.rotate(rt, alice, made.id, overlap_hours=hours)
            assert abs(until - before - timedelta(hours=hours)) < timedelta(seconds=10)
            secrets.append(changed.secret)
        assert len(set(secrets)) == 5
        kept = board.scalar("SELECT secrets FROM webhook_endpoints")
        assert [one["secret"] for one in kept] == secrets[:1:-1]
        # An older one gets no more time by a later change.
        hours = [
            (datetime.fromisoformat(one["until"]) - datetime.now(UTC)) / timedelta(hours=1)
            for one in kept[1:]
        ]
        assert hours == pytest.approx([2, 1], abs=0.1)

    def test_where_there_is_no_overlap_the_old_one_is_void_at_once(self, rt, board, alice):
        made = create(rt, alice)
        changed, _until = webhooks.rotate(rt, alice, made.id, overlap_hours=0)
        owe(board, alice, made.id)
        assert take(board)[0].secrets == (changed.secret,)


class TestTrials:
    def test_a_ping_is_signed_and_told_truly_and_in_no_log(self, inside, board, alice, receiver):
        made = create(inside, alice, receiver.url)
        found = webhooks.ping(inside, alice, made.id)
        assert (found.ok, found.status, found.error) == (True, 200, None)
        assert receiver.came[0].verified(made.secret)["type"] == "ping"
        receiver.answers(503)
        found = webhooks.ping(inside, alice, made.id)
        assert (found.ok, found.status, found.error) == (False, 503, "it answered 503")
        assert owed(board) == []
        assert webhooks.find(inside, alice, made.id).failures == 0
        assert len(set(receiver.ids())) == 2

    def test_where_nobody_listens_that_is_said(self, inside, alice):
        found = webhooks.ping(inside, alice, create(inside, alice, "http://127.0.0.1:9/in").id)
        assert (found.ok, found.status) == (False, None)
        assert found.error

    def test_the_connection_is_tested_where_it_is_asked_for(self, inside, alice, receiver):
        def test(**given):
            return webhooks.test(inside, alice, **{"endpoint_id": None, "url": None, **given})

        with pytest.raises(NotFound):
            test()
        old, new = (create(inside, alice, f"{receiver.url}/{name}") for name in ("old", "new"))
        assert test().url == new.url
        assert test(endpoint_id=old.id).url == old.url
        assert test(url=f"{receiver.url}/else").outcome.ok
        webhooks.change(inside, alice, new.id, enabled=False)
        assert test().url == old.url
        assert [one.path for one in receiver.came] == ["/in/new", "/in/old", "/in/else", "/in/old"]
        assert "webhook-signature" not in receiver.came[2].headers
        receiver.came[3].verified(old.secret)
        assert test(url=new.url).outcome.ok
        receiver.came[4].verified(new.secret)

    def test_a_redirect_is_no_connection(self, inside, alice, receiver):
        receiver.answer = lambda _came: Response(status=307, headers={"Location": receiver.url})
        found = webhooks.test(inside, alice, endpoint_id=None, url=receiver.url).outcome
        assert (found.ok, found.status) == (False, 307)
        assert len(receiver.came) == 1


class TestTheLog:
    @pytest.fixture
    def endpoint(self, rt, alice):
        return create(rt, alice).id

    def test_it_is_read_page_by_page_the_newest_first(self, rt, board, alice, endpoint):
        written = owe(board, alice, endpoint, 5)
        read, before = [], None
        for expected in (2, 2, 1):
            page, before = webhooks.deliveries(rt, alice, endpoint, state=None, limit=2, before=before)
            assert len(page) == expected
            read += [one.id for one in page]
        assert before is None
        assert read == written[::-1]

    def test_it_is_narrowed_to_a_state(self, rt, board, alice, endpoint):
        owe(board, alice, endpoint, 4)
        for sending, status in zip(take(board)[:3], (200, 404, 500), strict=True):
            answered(board, sending, status)
        found = {
            state: len(webhooks.deliveries(rt, alice, endpoint, state=state, limit=9, before=None)[0])
            for state in ("pending", "sending", "delivered", "failed")
        }
        assert found == {"pending": 1, "sending": 1, "delivered": 1, "failed": 1}

    def test_a_delivery_tells_its_story_and_the_answers_words_to_its_owner_alone(
        self, rt, board, alice, person, endpoint
    ):
        [number] = owe(board, alice, endpoint)
        for status in (500, 200):
            answered(board, take(board)[0], status)
            posts.come_due(board)
        found, tries = webhooks.delivery(rt, alice, endpoint, number)
        assert (found.state, found.tries, found.last_status, found.next_try_at) == ("delivered", 2, 200, None)
        assert found.message_id == f"msg_{found.request_id}_1"
        assert [(one.status, one.ms, one.reply) for one in tries] == [
            (500, 12, "thanks"),
            (200, 12, "thanks"),
        ]
        _, seen = webhooks.delivery(rt, person("olga", Role.OPERATOR), endpoint, number)
        assert [(one.status, one.reply) for one in seen] == [(500, None), (200, None)]

    def test_one_of_another_endpoint_is_not_found_there(self, rt, board, alice, endpoint):
        [number] = owe(board, alice, endpoint)
        other = create(rt, alice).id
        for act in (webhooks.delivery, webhooks.replay):
            with pytest.raises(NotFound):
                act(rt, alice, other, number)

    def test_what_has_ended_can_be_replayed_and_what_is_on_its_way_can_not(self, rt, board, alice, endpoint):
        [number] = owe(board, alice, endpoint)
        with pytest.raises(IllegalMove):
            webhooks.replay(rt, alice, endpoint, number)
        [sending] = take(board)
        with pytest.raises(IllegalMove):
            webhooks.replay(rt, alice, endpoint, number)
        answered(board, sending, 404)
        found = webhooks.replay(rt, alice, endpoint, number)
        assert (found.state, found.tries, found.message_id) == ("pending", 0, f"msg_{sending.request_id}_1")
        assert take(board)[0].id == number

    def test_all_that_failed_since_a_moment_is_replayed(self, rt, board, alice, endpoint):
        old, new, taken = owe(board, alice, endpoint, 3)
        for sending in take(board):
            answered(board, sending, 200 if sending.id == taken else 404)
        board.do("UPDATE webhook_deliveries SET created_at = now() - interval '1 day' WHERE id = :id", id=old)
        since = datetime.now(UTC) - timedelta(hours=1)
        assert webhooks.replay_failed(rt, alice, endpoint, since=since) == 1
        assert [one.id for one in take(board)] == [new]
        assert webhooks.replay_failed(rt, alice, endpoint, since=since) == 0

    def test_nothing_is_replayed_to_an_endpoint_that_is_disabled(self, rt, board, alice, endpoint):
        [number] = owe(board, alice, endpoint)
        webhooks.change(rt, alice, endpoint, enabled=False)
        with pytest.raises(IllegalMove):
            webhooks.replay(rt, alice, endpoint, number)
        with pytest.raises(IllegalMove):
            webhooks.replay_failed(rt, alice, endpoint, since=datetime.now(UTC))


class TestWebhookUrls:
    def servers(self, board):
        return board.scalar("SELECT array_agg(url ORDER BY url) FROM webhook_endpoints WHERE implicit")

    def test_addresses_at_one_server_share_one_endpoint_and_each_is_told_at_its_own(
        self, rt, board, alice, bob
    ):
        urls = [f"https://hooks.example/job/{n}" for n in range(3)]
        requests = [ask(rt, alice, url) for url in urls]
        ask(rt, alice, "https://hooks.example:8443/")
        ask(rt, bob, urls[0])
        assert self.servers(board) == [
            "https://hooks.example",
            "https://hooks.example",
            "https://hooks.example:8443",
        ]
        for request in requests:
            cancel(board, request, alice.user_id)
        assert sorted(one.url for one in take(board)) == urls

    @pytest.mark.parametrize(
        ("url", "server"),
        [
            ("https://Hooks.Example:443/In?a=1#b", "https://hooks.example"),
            ("http://hooks.example:80", "http://hooks.example"),
            ("http://hooks.example:443/", "http://hooks.example:443"),
            ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443"),
        ],
    )
    def test_what_the_server_of_an_address_is(self, url, server):
        assert webhook_url.server(url) == server

    def test_an_endpoint_that_is_managed_at_the_very_address_takes_its_place(self, rt, board, alice):
        made = create(rt, alice)
        request = ask(rt, alice)
        settle_as(board, board.claim_one(), DONE)
        assert owed(board) == [(made.id, request, "request-completed")]
        assert self.servers(board) is None

    def test_one_that_was_disabled_for_its_failures_is_wanted_anew_and_one_that_was_switched_off_is_not(
        self, rt, board, alice
    ):
        ask(rt, alice)
        [one] = webhooks.listing(rt, alice)
        for reason, wanted in (("gone", None), ("failing", None), ("owner", "owner")):
            board.do(
                "UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = :why, failures = 9",
                why=reason,
            )
            ask(rt, alice)
            found = webhooks.find(rt, alice, one.id)
            assert (found.disabled_reason, found.failures) == (wanted, 9 if wanted else 0)

    def test_its_use_is_noted_by_the_hour_and_otherwise_no_row_is_touched(self, rt, board, alice):
        ask(rt, alice)
        before = board.scalar("SELECT xmin::text FROM webhook_endpoints")
        ask(rt, alice)
        assert board.scalar("SELECT xmin::text FROM webhook_endpoints") == before
        board.do("UPDATE webhook_endpoints SET used_at = now() - interval '2 hours'")
        ask(rt, alice)
        assert board.scalar("SELECT used_at > now() - interval '1 minute' FROM webhook_endpoints")

    def test_many_who_come_at_once_with_new_addresses_make_one_endpoint_for_each(self, rt, board, alice):
        urls = [f"https://hooks{n}.example/in" for n in range(6)]

        def send(turn):
            orders = [order(webhook_url=url, client_id=url) for url in urls[turn:] + urls[:turn]]
            return batch.create(rt, alice, orders, Options(), key=None, traceparent=None)

        before = truths.deadlocks(board)
        at_once(*[lambda turn=turn: send(turn) for turn in range(6)])
        # A session tells its figures, at the latest, when it ends.
        rt.db.engine.dispose()
        assert self.servers(board) == [f"https://hooks{n}.example" for n in range(6)]
        assert board.scalar("SELECT count(DISTINCT webhook_id) FROM generation_requests") == 6
        assert truths.deadlocks(board) == before

    def test_there_are_not_more_servers_than_anybody_has(self, rt, board, alice, monkeypatch):
        monkeypatch.setattr(webhook_url, "MOST_SERVERS", 2)
        for n in (1, 2, 1):
            ask(rt, alice, f"https://hooks{n}.example/")
        with pytest.raises(Invalid):
            ask(rt, alice, "https://hooks3.example/")
        assert board.scalar("SELECT count(*) FROM generation_requests") == 3
        board.do("UPDATE webhook_endpoints SET used_at = now() - interval '2 hours'")
        ask(rt, alice, "https://hooks1.example/")

    def test_the_dry_run_makes_no_endpoint(self, rt, board, alice):
        submit.quote(rt, [submit.new_request(rt, order(webhook_url=HOOK))])
        batch.quote(rt, [order(webhook_url=HOOK)], Options(webhook_url=HOOK))
        assert self.servers(board) is None

    def test_a_bad_one_is_named_where_it_stands(self, rt, alice):
        bad = "http://hooks.example"
        with pytest.raises(Invalid) as caught:
            ask(rt, alice, bad)
        assert [fault.field for fault in caught.value.faults] == ["webhookUrl"]
        orders = [order(), order(webhook_url=bad)]
        with pytest.raises(Invalid) as caught:
            batch.create(rt, alice, orders, Options(webhook_url=bad), key=None, traceparent=None)
        assert [fault.field for fault in caught.value.faults] == [
            "requests.1.webhookUrl",
            "batchOptions.webhookUrl",
        ]

    def test_an_items_own_address_comes_before_the_batchs(self, rt, board, alice):
        other = "https://other.example/x"
        orders = [order(client_id="1"), order(client_id="2", webhook_url=other)]
        batch.create(rt, alice, orders, Options(webhook_url=HOOK), key=None, traceparent=None)
        urls = "SELECT array_agg(webhook_url ORDER BY batch_index) FROM generation_requests"
        assert board.scalar(urls) == [HOOK, other]

    def test_a_request_that_asks_for_the_same_but_tells_somebody_else_is_not_the_same(self, rt, board, alice):
        orders = [order(webhook_url=f"https://hooks.example/{n}") for n in (1, 2, 2)]
        options = Options(on_duplicate=batch.OnDuplicate.SKIP)
        batch.create(rt, alice, orders, options, key=None, traceparent=None)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 2

    def test_a_retry_tells_whom_its_origin_told_where_the_owner_is_the_same(self, rt, board, alice, person):
        first = ask(rt, alice)
        cancel(board, first, alice.user_id)
        own = retry.retry(rt, alice, first, key=None, traceparent=None).body["requestId"]
        theirs = retry.retry(rt, person("olga", Role.OPERATOR), first, key=None, traceparent=None).body[
            "requestId"
        ]
        assert (board.row(own).webhook_url, board.row(own).webhook_id) == (HOOK, board.row(first).webhook_id)
        assert (board.row(theirs).webhook_url, board.row(theirs).webhook_id) == (None, None)

    def test_its_address_and_events_are_the_requests_to_say(self, rt, alice):
        ask(rt, alice)
        [one] = webhooks.listing(rt, alice)
        for given in ({"url": HOOK}, {"events": [Event.FAILED]}):
            with pytest.raises(Invalid) as caught:
                webhooks.change(rt, alice, one.id, **given)
            assert [fault.field for fault in caught.value.faults] == list(given)
        assert (
            webhooks.change(rt, alice, one.id, description="jobs", enabled=False).disabled_reason == "owner"
        )

    def test_a_request_whose_endpoint_was_deleted_ends_and_a_next_one_has_a_new_secret(
        self, rt, board, alice
    ):
        ask(rt, alice)
        [one] = webhooks.listing(rt, alice)
        webhooks.delete(rt, alice, one.id)
        settle_as(board, board.claim_one(), DONE)
        assert owed(board) == []
        ask(rt, alice)
        [other] = webhooks.listing(rt, alice)
        assert other.id != one.id


def test_no_secret_and_no_address_is_in_the_log(inside, board, alice, receiver, capsys, monkeypatch):
    # The receiver's own log, in the same process.
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    log.configure("DEBUG")
    # Another test may have used it, and a logger keeps what it was first told.
    monkeypatch.setattr(courier, "_log", structlog.get_logger())
    try:
        made = create(inside, alice, f"{receiver.url}?token=canary")
        for status in (200, 500, 410):
            webhooks.change(inside, alice, made.id, enabled=True)
            receiver.answers(status)
            request = board.put_one(alice)
            cancel(board, request, alice.user_id)
            for sending in take(board):
                courier.send(inside, sending)
            webhooks.ping(inside, alice, made.id)
    finally:
        written = capsys.readouterr().err
        log.configure("CRITICAL")
    assert "webhook_tried" in written
    for secret in (made.secret, made.secret.removeprefix("whsec_"), "canary", receiver.url):
        assert secret not in written
    lines = [json.loads(line) for line in written.splitlines()]
    assert {line["status"] for line in lines if line["event"] == "webhook_tried"} == {200, 500, 410}
