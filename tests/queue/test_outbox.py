"""What is owed to receivers is written with the event, sent by one courier at a time, and ends one way or another."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import migrations
from app.domain import posting
from app.domain.failure import FailureKind
from app.queue import enqueue, outbox, progress, retain
from tests.conftest import until
from tests.factories import new_request
from tests.queue import posts
from tests.queue.acts import (
    DONE,
    at_once,
    cancel,
    cancel_batch,
    end_lease,
    expire_overdue,
    failed,
    rescue_page,
    settle_as,
    waiting,
)
from tests.queue.posts import ENDINGS, answered, books, endpoint, owe, owed, row, take, take_one
from tests.queue.scales import _explain
from tests.queue.test_money_migration import FILES, ROWS, read
from tests.queue.test_schema import database

ALL = (
    "request-queued",
    "request-started",
    "request-progress",
    "request-retrying",
    *ENDINGS,
)


def ended(board, owner, verdict=DONE, **given):
    """Put a request, work on it once; return its id."""
    request = board.put_one(owner, **given)
    settle_as(board, board.claim_one(), verdict)
    return request


class TestWhatIsWritten:
    def test_every_kind_of_event_is_written_once_to_whoever_listens_to_it(self, board, alice):
        listening = endpoint(board, alice, events=ALL)
        request = board.put_one(alice)
        claimed = board.claim_one()
        with board.db.once() as tx:
            progress.report(tx, claimed, 30, "painting")
        settle_as(board, claimed, failed(), base=0)
        settle_as(board, board.claim_one(), DONE)
        told = [
            "request-queued",
            "request-started",
            "request-progress",
            "request-retrying",
            "request-started",
            "request-completed",
        ]
        assert board.events(request) == told
        assert owed(board) == [(listening, request, event) for event in told]
        assert board.scalar("SELECT array_agg(seq ORDER BY id) FROM webhook_deliveries") == [1, 2, 3, 4, 5, 6]

    @pytest.mark.parametrize("event", ALL)
    def test_the_filter_is_the_endpoints_own(self, board, alice, event):
        listening = endpoint(board, alice, events=[event])
        completed = board.put_one(alice)
        claimed = board.claim_one()
        settle_as(board, claimed, waiting(60, 40))
        settle_as(board, claimed, DONE)
        refused = ended(board, alice, failed(FailureKind.POLICY_INPUT))
        released = ended(board, alice, failed())
        cancelled = board.put_one(alice)
        cancel(board, cancelled, alice.user_id)
        all_of_them = [
            (listening, request, one)
            for request in (completed, refused, released, cancelled)
            for one in board.events(request)
        ]
        assert sorted(owed(board)) == sorted(one for one in all_of_them if one[2] == event)

    def test_those_who_heal_tell_it_too(self, board, alice):
        listening = endpoint(board, alice)
        poison = board.put_one(alice, max_attempts=1)
        worker = board.worker()
        board.claim_one(worker)
        end_lease(board, worker)
        rescue_page(board)
        late = board.put_one(alice, expires_in=60)
        board.do("UPDATE generation_requests SET expires_at = clock_timestamp() WHERE id = :id", id=late)
        expire_overdue(board)
        batch, requests = board.put_batch(alice, 3, 1)
        cancel_batch(board, batch)
        assert owed(board) == [
            (listening, poison, "request-failed"),
            (listening, late, "request-failed"),
            *((listening, request, "request-cancelled") for request in requests),
        ]

    def test_others_endpoints_disabled_ones_and_other_webhook_urls_are_not_told(self, board, alice, bob):
        endpoint(board, bob, events=ALL)
        endpoint(board, alice, implicit=True)
        off = endpoint(board, alice)
        board.do(
            "UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = 'owner' WHERE id = :id",
            id=off,
        )
        ended(board, alice)
        assert owed(board) == []

    def test_a_webhook_url_is_told_of_the_end_alone(self, board, alice):
        own = endpoint(board, alice, implicit=True)
        request = ended(board, alice, webhook_id=own, webhook_url="https://hooks.example/1")
        assert owed(board) == [(own, request, "request-completed")]

    def test_an_endpoint_that_is_told_for_two_reasons_is_told_once(self, board, alice):
        listening = endpoint(board, alice)
        request = ended(board, alice, webhook_id=listening)
        assert owed(board) == [(listening, request, "request-completed")]

    def test_a_webhook_url_leads_to_no_endpoint_of_somebody_elses(self, board, alice, bob):
        ended(board, alice, webhook_id=endpoint(board, bob, implicit=True))
        assert owed(board) == []

    def test_one_whose_endpoint_is_gone_ends_all_the_same(self, board, alice):
        endpoint(board, alice, events=["request-queued"])
        request = ended(board, alice, webhook_id="whe_gone")
        assert board.row(request).status == "completed"

    def test_a_change_that_is_undone_leaves_none(self, board, alice):
        endpoint(board, alice, events=ALL)
        with board.db.engine.connect() as tx:
            enqueue.put(tx, alice.user_id, [new_request(), new_request()])
            assert tx.execute(text("SELECT count(*) FROM webhook_deliveries")).scalar_one() == 2
            tx.rollback()
        assert owed(board) == []

    def test_an_endpoint_that_is_deleted_meanwhile_undoes_no_event(self, board, alice, no_deadlock):
        """The event waits for the delete, whose foreign key would else undo it, and passes the endpoint over."""
        gone = endpoint(board, alice, events=ALL)
        with board.db.engine.connect() as deleting, ThreadPoolExecutor(1) as pool:
            deleting.execute(text("DELETE FROM webhook_endpoints WHERE id = :id"), {"id": gone})
            put = pool.submit(board.put_one, alice)
            until(lambda: board.scalar(WAITING))
            deleting.commit()
            request = put.result(10)
        assert board.events(request) == ["request-queued"]
        assert owed(board) == []

    def test_the_trigger_reads_no_table_whole_whatever_it_was_planned_for(self, board, alice):
        """Its plan is kept for a session's life, and the tables may have been empty when it was made."""
        endpoint(board, alice, events=ALL)
        request = board.put_one(alice)
        another = "INSERT INTO request_events (request_id, seq, event) VALUES (:id, 2, 'request-started')"
        with board.db.engine.connect() as tx:
            before = tx.execute(text(SCANS)).one()
            tx.execute(text(another), {"id": request})
            after = tx.execute(text(SCANS)).one()
            assert tx.execute(text("SELECT count(*) FROM webhook_deliveries")).scalar_one() == 2
            tx.rollback()
        assert [now - then for now, then in zip(after, before, strict=True)] == [0, 0]

    def test_claims_and_books_of_an_endpoint_let_events_pass(self, board, alice):
        own = endpoint(board, alice, events=ALL)
        with board.db.engine.connect() as busy:
            busy.execute(outbox._LOCK, {"id": own})
            busy.execute(text("UPDATE webhook_endpoints SET failures = 1"))
            request = board.put_one(alice)
            busy.rollback()
        assert owed(board) == [(own, request, "request-queued")]


SCANS = """
SELECT pg_stat_get_xact_numscans('generation_requests'::regclass), pg_stat_get_xact_numscans('webhook_endpoints'::regclass)
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()"


class TestClaims:
    def test_what_is_taken_is_leased_and_not_taken_twice(self, board, alice):
        [delivery] = owe(board, alice, endpoint(board, alice, url="https://hooks.example/in"))
        sending = take_one(board)
        assert take(board) == []
        assert (sending.id, sending.tries, sending.fence, sending.event) == (delivery, 1, 1, "request-queued")
        assert (sending.url, sending.secrets, sending.owner_id) == (
            "https://hooks.example/in",
            (posts.SECRET,),
            alice.user_id,
        )
        assert row(board, delivery).state == "sending"
        assert 28 < row(board, delivery).wait <= 30

    def test_one_whose_courier_died_is_taken_again_and_the_first_can_no_longer_settle_it(self, board, alice):
        [delivery] = owe(board, alice, endpoint(board, alice))
        first = take_one(board)
        posts.come_due(board)
        second = take_one(board)
        assert (second.id, second.tries, second.fence) == (delivery, 2, 2)
        assert not answered(board, first, 200)
        assert row(board, delivery).state == "sending"
        assert answered(board, second, 200)
        assert not answered(board, second, 200)
        assert row(board, delivery).state == "delivered"
        assert board.scalar("SELECT count(*) FROM webhook_tries") == 1

    def test_what_dead_couriers_held_takes_no_room(self, board, alice):
        held = owe(board, alice, endpoint(board, alice), 4)
        assert len(take(board)) == 4
        posts.come_due(board)
        assert sorted(one.id for one in take(board)) == held

    def test_four_of_an_endpoint_are_under_way_at_once_whoever_takes_them(self, board, alice):
        busy, other = endpoint(board, alice), endpoint(board, alice)
        owe(board, alice, busy, 20)
        taken = [one for found in at_once(*[lambda: take(board, 8)] * 8) for one in found]
        # One that met the lock passed the endpoint over: there may be room left.
        taken += take(board, 8)
        assert len(taken) == len({one.id for one in taken}) == 4
        [waiting_one] = owe(board, alice, other)
        assert [one.id for one in take(board)] == [waiting_one]
        answered(board, taken[0], 200)
        assert len(take(board)) == 1

    def test_the_next_of_each_comes_before_the_second_of_any(self, board, alice):
        endpoints = [endpoint(board, alice) for _ in range(4)]
        for one in endpoints:
            owe(board, alice, one, 5)
        assert sorted(one.endpoint_id for one in take(board, 4)) == endpoints
        assert len(take(board, 3)) == 3

    def test_one_that_is_full_keeps_no_other_from_its_turn(self, board, alice):
        full = [endpoint(board, alice) for _ in range(3)]
        for one in full:
            owe(board, alice, one, 9)
        assert len(take(board)) == 12
        [delivery] = owe(board, alice, endpoint(board, alice))
        assert [one.id for one in take(board, 1)] == [delivery]

    def test_who_has_the_least_under_way_comes_first_however_much_another_is_owed(self, board, alice, bob):
        """Somebody whose many receivers all hang would else hold every courier, a quarter of a minute each time."""
        for _ in range(20):
            owe(board, alice, endpoint(board, alice), 3)
        assert {one.owner_id for one in take(board, 8)} == {alice.user_id}
        owe(board, bob, endpoint(board, bob), 9)
        owe(board, bob, endpoint(board, bob), 9)
        turns = [take(board, 1)[0].owner_id for _ in range(8)]
        assert turns == [bob.user_id] * 8
        owners = [one.owner_id for one in take(board, 8)]
        assert owners == [alice.user_id] * 8

    def test_of_many_at_once_every_owner_gets_a_part(self, board, alice, bob):
        for owner in (alice, alice, alice, bob):
            owe(board, owner, endpoint(board, owner), 9)
        owners = [one.owner_id for one in take(board, 8)]
        assert owners.count(bob.user_id) == owners.count(alice.user_id) == 4

    def test_what_waits_for_a_time_or_a_disabled_or_shut_endpoint_is_not_taken(self, board, alice):
        later, off, shut = (endpoint(board, alice) for _ in range(3))
        for one in (later, off, shut):
            owe(board, alice, one)
        board.do(
            "UPDATE webhook_deliveries SET next_try_at = now() + interval '1 minute' WHERE endpoint_id = :id",
            id=later,
        )
        board.do(
            "UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = 'owner' WHERE id = :id",
            id=off,
        )
        board.do(
            "UPDATE webhook_endpoints SET shut_until = now() + interval '1 minute' WHERE id = :id", id=shut
        )
        assert take(board) == []

    def test_an_implicit_endpoints_messages_go_to_the_requests_own_address(self, board, alice):
        own = endpoint(board, alice, implicit=True, url="https://hooks.example")
        ended(board, alice, webhook_id=own, webhook_url="https://hooks.example/job/7?token=1")
        assert take_one(board).url == "https://hooks.example/job/7?token=1"


class TestEndings:
    def test_the_schedule_is_the_documents_first_and_then_goes_on_for_three_days(self, board, alice):
        [delivery] = owe(board, alice, endpoint(board, alice))
        waits = []
        for tries in range(1, posting.MOST_TRIES + 1):
            sending = take_one(board)
            assert sending.tries == tries
            assert answered(board, sending, 500)
            waits.append(row(board, delivery).wait)
            posts.come_due(board)
        expected = [1, 2, 3, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
        for wait, planned in zip(waits, expected, strict=False):
            assert planned * 0.79 <= wait <= planned * 1.21
        assert sum(expected) / 3600 == pytest.approx(75.6, abs=0.05)
        assert row(board, delivery).state == "failed"
        assert take(board) == []
        assert board.scalar("SELECT count(*) FROM webhook_tries WHERE status = 500") == 12

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            (200, "delivered"),
            (204, "delivered"),
            (302, "pending"),
            (400, "failed"),
            (401, "failed"),
            (404, "failed"),
            (408, "pending"),
            (410, "failed"),
            (422, "failed"),
            (429, "pending"),
            (500, "pending"),
            (503, "pending"),
            (None, "pending"),
        ],
    )
    def test_what_an_answer_means(self, board, alice, status, state):
        [delivery] = owe(board, alice, endpoint(board, alice))
        answered(board, take_one(board), status)
        found = row(board, delivery)
        assert (found.state, found.last_status) == (state, status)
        assert (found.ended_at is None) == (state == "pending")

    def test_who_asks_to_wait_is_left_alone_with_everything(self, board, alice):
        [first, _second] = owe(board, alice, asking := endpoint(board, alice), 2)
        [one, _other] = take(board)
        answered(board, one, 429, retry_after=120)
        board.do(
            "UPDATE webhook_deliveries SET state = 'pending', next_try_at = now() WHERE id <> :id", id=one.id
        )
        assert 115 < row(board, first).wait <= 120
        assert 115 < books(board, asking).shut_for <= 120
        assert take(board) == []

    def test_nobody_is_left_alone_for_more_than_a_day(self, board, alice):
        [delivery] = owe(board, alice, endpoint(board, alice))
        answered(board, take_one(board), 429, retry_after=1e9)
        assert 86_390 < row(board, delivery).wait <= 86_400

    def test_who_is_gone_is_disabled_and_what_waits_for_him_can_be_replayed(self, board, alice):
        deliveries = owe(board, alice, gone := endpoint(board, alice), 9)
        under_way = take(board)
        answered(board, under_way[0], 410)
        assert books(board, gone).disabled_reason == "gone"
        states = {one: row(board, one).state for one in deliveries}
        assert sorted(states.values()) == ["failed"] * 6 + ["sending"] * 3
        # Those three can't go back to wait.
        for sending in under_way[1:]:
            answered(board, sending, 500)
        assert {row(board, one).state for one in deliveries} == {"failed"}
        board.put_one(alice)
        assert len(owed(board)) == 9

    def test_where_requests_have_their_own_addresses_one_that_is_gone_ends_alone(self, board, alice):
        own = endpoint(board, alice, implicit=True)
        [first, second] = owe(board, alice, own, 2)
        answered(board, next(one for one in take(board) if one.id == first), 410)
        assert row(board, first).state == "failed"
        assert row(board, second).state == "sending"
        assert books(board, own).disabled_at is None

    def test_more_than_a_page_that_waits_for_a_disabled_endpoint_is_let_go_by_and_by(self, board, alice):
        off = endpoint(board, alice)
        flood(board, alice, [off], 2500)
        with board.db.begin() as tx:
            outbox.disable(tx, off, "owner")
        assert board.scalar(FAILED) == 1000
        pages = []
        while not pages or pages[-1]:
            with board.db.begin() as tx:
                pages.append(outbox.let_go(tx))
        assert pages == [1000, 500, 0]
        assert board.scalar(FAILED) == 2500

    def test_one_of_a_disabled_endpoint_whose_courier_died_is_let_go_when_its_lease_is_over(
        self, board, alice
    ):
        [delivery] = owe(board, alice, off := endpoint(board, alice))
        take(board)
        for state in ("sending", "failed"):
            with board.db.begin() as tx:
                outbox.disable(tx, off, "owner")
                outbox.let_go(tx)
            assert row(board, delivery).state == state
            posts.come_due(board)


FAILED = "SELECT count(*) FROM webhook_deliveries WHERE state = 'failed'"


class TestTheBreaker:
    def fail(self, board, n, status=500):
        for _ in range(n):
            board.do("UPDATE webhook_deliveries SET next_try_at = now() WHERE ended_at IS NULL")
            answered(board, take(board, 1)[0], status)

    def test_five_failures_in_a_row_shut_it_and_its_deliveries_lose_no_try(self, board, alice):
        deliveries = owe(board, alice, down := endpoint(board, alice), 9)
        self.fail(board, 4)
        assert books(board, down).shut_for is None
        self.fail(board, 1)
        assert 28 < books(board, down).shut_for <= 30
        tries = sum(row(board, one).tries for one in deliveries)
        board.do("UPDATE webhook_deliveries SET next_try_at = now() WHERE ended_at IS NULL")
        assert take(board) == []
        assert sum(row(board, one).tries for one in deliveries) == tries == 5

    def test_then_one_is_let_through_and_what_it_meets_decides(self, board, alice):
        owe(board, alice, down := endpoint(board, alice), 9)
        self.fail(board, 5)
        for seconds in (60, 120, 240, 480, 600, 600):
            posts.come_due(board)
            [probe] = take(board)
            assert take(board) == []
            answered(board, probe, 503)
            assert seconds - 3 < books(board, down).shut_for <= seconds
        posts.come_due(board)
        [probe] = take(board)
        answered(board, probe, 200)
        found = books(board, down)
        assert (found.failures, found.failing_since, found.shut_until) == (0, None, None)
        assert len(take(board)) == 4

    def test_what_was_under_way_when_it_was_shut_counts_once(self, board, alice):
        owe(board, alice, down := endpoint(board, alice), 9)
        self.fail(board, 3)
        posts.come_due(board)
        for sending in take(board):
            answered(board, sending, None)
        found = books(board, down)
        assert found.failures == 5
        assert 28 < found.shut_for <= 30

    def test_a_success_between_them_begins_the_count_anew(self, board, alice):
        owe(board, alice, shaky := endpoint(board, alice), 9)
        self.fail(board, 4)
        self.fail(board, 1, status=200)
        self.fail(board, 4)
        assert books(board, shaky).shut_until is None

    def test_an_endpoint_that_is_down_delays_no_other(self, board, alice):
        owe(board, alice, endpoint(board, alice), 50)
        self.fail(board, 5)
        [delivery] = owe(board, alice, endpoint(board, alice))
        assert [one.id for one in take(board)] == [delivery]

    def test_who_only_fails_for_days_is_disabled(self, board, alice):
        owe(board, alice, down := endpoint(board, alice), 9)
        self.fail(board, 5)
        assert books(board, down).disabled_at is None
        for days, reason in ((4.9, None), (5.1, "failing")):
            board.do(
                "UPDATE webhook_endpoints SET failing_since = now() - make_interval(secs => :s)",
                s=days * 86_400,
            )
            posts.come_due(board)
            answered(board, take(board, 1)[0], 500)
            assert books(board, down).disabled_reason == reason
        assert board.scalar("SELECT count(*) FROM webhook_deliveries WHERE ended_at IS NULL") == 0

    def test_a_few_failures_far_apart_disable_nobody(self, board, alice):
        owe(board, alice, quiet := endpoint(board, alice), 2)
        for sending in take(board):
            answered(board, sending, 400)
            board.do("UPDATE webhook_endpoints SET failing_since = now() - interval '6 days'")
        assert books(board, quiet).disabled_at is None


class TestReplay:
    def replay(self, board, endpoint_id, delivery):
        with board.db.begin() as tx:
            return outbox.replay(tx, endpoint_id, delivery)

    @pytest.mark.parametrize("status", [200, 404])
    def test_what_has_ended_begins_anew_under_another_fence(self, board, alice, status):
        [delivery] = owe(board, alice, own := endpoint(board, alice))
        first = take_one(board)
        assert not self.replay(board, own, delivery)
        answered(board, first, status)
        assert self.replay(board, own, delivery)
        assert not self.replay(board, own, delivery)
        again = take_one(board)
        assert (again.id, again.tries, again.fence) == (delivery, 1, 2)
        assert (again.request_id, again.seq) == (first.request_id, first.seq)
        assert not answered(board, first, 200)

    def test_what_failed_since_a_moment_is_replayed_page_by_page_and_nothing_else(self, board, alice):
        own, other = endpoint(board, alice), endpoint(board, alice)
        flood(board, alice, [own, other], 1200)
        board.do("UPDATE webhook_deliveries SET state = 'failed', ended_at = now()")
        board.do("UPDATE webhook_deliveries SET created_at = now() - interval '2 hours' WHERE id % 6 < 2")
        board.do("UPDATE webhook_deliveries SET state = 'delivered' WHERE id % 6 = 2")
        asked = datetime.now(UTC)
        expected = board.scalar(
            "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = :id AND id % 6 > 2", id=own
        )
        pages = []
        while not pages or pages[-1]:
            with board.db.begin() as tx:
                pages.append(outbox.replay_failed(tx, own, asked - timedelta(hours=1), asked))
        assert sum(pages) == expected > 0
        assert board.scalar("SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'") == expected
        assert (
            board.scalar(
                "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND endpoint_id = :id",
                id=other,
            )
            == 0
        )


class TestRetention:
    def forget(self, board, what, **given):
        with board.db.once() as tx:
            return what(tx, **given)

    def test_what_was_taken_is_forgotten_after_a_week_and_what_failed_is_kept(self, board, alice):
        taken, refused = owe(board, alice, endpoint(board, alice), 2)
        for sending in take(board):
            answered(board, sending, 200 if sending.id == taken else 400)
        for days, gone in ((6, 0), (8, 1)):
            board.do("UPDATE webhook_deliveries SET ended_at = now() - make_interval(days => :d)", d=days)
            assert self.forget(board, retain.deliveries) == gone
        assert board.scalar("SELECT array_agg(id) FROM webhook_deliveries") == [refused]

    def test_a_request_that_is_forgotten_takes_its_deliveries_along(self, board, alice):
        listening = endpoint(board, alice)
        ended(board, alice)
        answered(board, take_one(board), 404)
        board.do("UPDATE generation_requests SET completed_at = now() - interval '31 days'")
        assert self.forget(board, retain.requests, days=30) == 1
        assert owed(board) == []
        assert board.scalar("SELECT id FROM webhook_endpoints") == listening

    def test_an_implicit_endpoint_goes_once_nothing_names_it(self, board, alice):
        own, managed = endpoint(board, alice, implicit=True), endpoint(board, alice)
        request = board.put_one(alice, webhook_id=own)
        board.do(
            "UPDATE webhook_endpoints SET used_at = now() - interval '40 days', created_at = now() - interval '40 days'"
        )
        assert self.forget(board, retain.endpoints, days=30) == 0
        settle_as(board, board.claim_one(), DONE)
        assert self.forget(board, retain.endpoints, days=30) == 0
        board.do("DELETE FROM generation_requests WHERE id = :id", id=request)
        posts.alter(board, own, used_at=datetime.now(UTC) - timedelta(days=29))
        assert self.forget(board, retain.endpoints, days=30) == 0
        posts.alter(board, own, used_at=datetime.now(UTC) - timedelta(days=31))
        assert self.forget(board, retain.endpoints, days=30) == 1
        assert board.scalar("SELECT array_agg(id) FROM webhook_endpoints") == [managed]


def flood(board, owner, endpoints, n):
    """Owe each endpoint `n` deliveries, of as many requests."""
    with board.db.begin() as tx:
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        given = {"owner": owner.user_id, "n": n, "endpoints": endpoints, "mark": f"{time.monotonic_ns():x}"}
        tx.execute(FLOOD, given)
    for table in ("webhook_deliveries", "webhook_endpoints", "generation_requests", "request_events"):
        board.do(f"VACUUM ANALYZE {table}")


FLOOD = text("""
WITH asked AS (
    INSERT INTO generation_requests (id, owner_id, type, prompt, priority, max_attempts, fair_tag, status, completed_at)
    SELECT 'vga_' || :mark || lpad(n::text, 8, '0'), :owner, 'cover', 'A lighthouse', 'low', 3, n, 'cancelled', now()
    FROM generate_series(1, :n) AS n RETURNING id
), noted AS (
    INSERT INTO request_events (request_id, seq, event) SELECT id, 1, 'request-nothing' FROM asked
)
INSERT INTO webhook_deliveries (endpoint_id, request_id, seq, event, next_try_at)
SELECT e.id, asked.id, 1, 'request-nothing', now() - interval '1 second' * random()
FROM asked CROSS JOIN unnest(CAST(:endpoints AS text[])) AS e(id)
""")


class TestPlans:
    """What a claim costs, read from its plan: the same however much is owed."""

    def costs(self, board, limit=8):
        """Return the buffers that the two statements of a claim touch."""
        given = {"most": outbox.AT_ONCE, "failures": outbox.FAILURES, "limit": limit}
        with board.db.engine.connect() as tx:
            endpoints = list(tx.execute(outbox._DUE, given).scalars())
            tx.rollback()
        return {
            "due": _explain(board.db, outbox._DUE, given),
            "take": _explain(
                board.db, outbox._TAKE, {**given, "endpoints": endpoints, "lease": outbox.LEASE_SECONDS}
            ),
        }

    def test_a_hundred_thousand_rows_of_one_endpoint_cost_no_more_than_a_thousand(self, board, alice):
        flooded, calm = endpoint(board, alice), endpoint(board, alice)
        owe(board, alice, calm)
        flood(board, alice, [flooded], 1000)
        small = self.costs(board)
        flood(board, alice, [flooded], 99_000)
        large = self.costs(board)
        print("buffers of a claim:", {n: (small[n].buffers, plan.buffers) for n, plan in large.items()})
        print("ms of a claim:", {n: (small[n].milliseconds, plan.milliseconds) for n, plan in large.items()})
        for name, plan in large.items():
            assert plan.buffers <= small[name].buffers * 1.6 + 10, name
            assert plan.scanned() <= {"webhook_endpoints"}, name
        assert [one.endpoint_id for one in take(board, 2)].count(calm) == 1

    def test_where_nothing_is_owed_a_claim_reads_next_to_nothing(self, board, alice):
        for _ in range(20):
            endpoint(board, alice)
        assert self.costs(board)["due"].buffers < 10


class TestTheMigration:
    @pytest.fixture
    def before(self, board, servers):
        """A database of the revision before, with requests in it."""
        with database(board, servers, "before_webhooks") as engine:
            migrations.upgrade(engine, "0004")
            with engine.begin() as tx:
                tx.execute(text(ROWS))
            yield engine

    def test_no_table_is_rewritten_and_no_row_is_touched(self, before):
        files, rows = (
            read(before, FILES),
            read(before, "SELECT id, xmin FROM generation_requests ORDER BY id"),
        )
        migrations.upgrade(before, "0005")
        assert read(before, FILES) == files
        assert read(before, "SELECT id, xmin FROM generation_requests ORDER BY id") == rows

    def test_it_gives_up_before_a_long_transaction_and_can_be_run_again(self, before):
        with before.connect() as busy:
            busy.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            busy.execute(text("SELECT 1 FROM users"))
            with pytest.raises(OperationalError, match="lock timeout"):
                migrations.upgrade(before, "0005")
        migrations.upgrade(before, "0005")
        assert read(before, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
        assert read(before, "SELECT version_num FROM alembic_version") == [("0005",)]
