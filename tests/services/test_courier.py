"""What is owed is sent, signed, by whoever has time, again and again until it is taken; and hurts nobody else."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from threading import Event, Timer

import psycopg
import pytest
from redis import Redis
from sqlalchemy import text
from standardwebhooks import WebhookVerificationError
from werkzeug import Response

from app.clock import utc_now
from app.domain import posting
from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Completed, Failed
from app.domain.vocabulary import Event as Happened
from app.egress.sender import Egress
from app.queue import assets, progress
from app.runtime import Runtime
from app.services import courier, post, webhooks
from app.services.courier import Courier
from app.services.sweep import Sweeper
from tests.conftest import environment, until
from tests.egress.conftest import certify
from tests.egress.lines import answer, says, serving
from tests.queue import posts
from tests.queue.acts import cancel, settle_as, stored
from tests.queue.posts import books, owe, row, take, take_one
from tests.services.receivers import Receiver, receiving
from tests.walk.service import running

METADATA = "http://169.254.169.254/latest/meta-data/"


@pytest.fixture
def serve() -> Iterator:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(receiving())


@pytest.fixture
def receiver(serve) -> Receiver:
    return serve()


@pytest.fixture
def rt(rt: Runtime) -> Runtime:
    """Let receivers be on this machine."""
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    return rt


@pytest.fixture
def endpoint(board, alice, receiver) -> str:
    return posts.endpoint(board, alice, url=receiver.url)


@contextmanager
def carrying(rt: Runtime) -> Iterator[Courier]:
    made = Courier(rt, Event()).start()
    try:
        yield made
    finally:
        made.close()


def send(rt, board):
    """Send the one that is due, as a courier's thread does."""
    return courier.send(rt, take_one(board))


def completed(board, owner, **given):
    """Put a request and complete it with a picture; return its id."""
    request = board.put_one(owner, **given)
    claimed = board.claim_one()
    result = Completed(
        "fake", "fake-1", 7, (stored("a"), stored("b", "thumbnail")), prompt="a canary, revised"
    )
    with board.db.begin() as tx:
        assets.keep(tx, result.files)
    settle_as(board, claimed, result)
    return request


def delivered(board):
    return board.scalar("SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'")


class TestTheMessage:
    def test_it_is_signed_and_says_what_became_of_the_request(self, rt, board, alice, receiver, endpoint):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with board.db.once() as tx:
            request = completed(
                board, alice, prompt="a canary in a mine", client_id="mine-7", project_id="p1"
            )
            tx.execute(text("UPDATE generation_requests SET traceparent = :t"), {"t": trace})
        send(rt, board)
        [came] = receiver.came
        told = came.verified(posts.SECRET)
        assert told["type"] == told["data"]["event"] == "request-completed"
        assert told["data"] | {"result": None, "data": None} == {
            "requestId": request,
            "event": "request-completed",
            "seq": 3,
            "type": "cover",
            "status": "completed",
            "batchId": None,
            "clientId": "mine-7",
            "projectId": "p1",
            "pageId": None,
            "data": None,
            "result": None,
        }
        assert told["data"]["result"]["imageUrl"].startswith("http://localhost/files/")
        assert told["data"]["result"]["thumbnailUrl"]
        assert told["data"]["data"]["provider"] == "fake"
        assert b"canary" not in came.body
        assert b"imageData" not in came.body
        assert (
            came.headers
            | {
                "content-type": "application/json",
                "webhook-id": f"msg_{request}_3",
                "x-webhook-source": "atelier",
                "x-job-id": request,
                "traceparent": trace,
            }
            == came.headers
        )
        assert abs(int(came.headers["webhook-timestamp"]) - time.time()) < 10

    def test_a_tampered_one_is_found_out(self, rt, board, alice, receiver, endpoint):
        completed(board, alice)
        send(rt, board)
        came = receiver.came[0]
        with pytest.raises(WebhookVerificationError):
            came._replace(body=came.body.replace(b"completed", b"cancelled")).verified(posts.SECRET)
        with pytest.raises(WebhookVerificationError):
            came.verified(posting.new_secret())

    @pytest.mark.parametrize("event", list(Happened))
    def test_its_status_follows_from_the_event_however_late_it_is_sent(
        self, rt, board, alice, receiver, event
    ):
        posts.endpoint(board, alice, url=receiver.url, events=[str(event)])
        tell(board, alice, event)
        send(rt, board)
        data = receiver.came[0].verified(posts.SECRET)["data"]
        assert (data["event"], data["status"]) == (event, STATUS[event])
        assert (data.get("result") is not None) == (event == Happened.COMPLETED)
        assert (data.get("error") is not None) == (event == Happened.FAILED)

    def test_it_stays_small_whatever_a_provider_says(self, rt, board, alice, receiver, endpoint):
        wide = "\U0001f3a8" * 200
        board.put_one(alice, client_id=wide, project_id=wide, page_id=wide)
        words = Failure(FailureKind.BAD_REQUEST, "\x01" * 100_000)
        settle_as(board, board.claim_one(), Failed(words))
        send(rt, board)
        assert 10_000 < len(receiver.came[0].body) < 20_000
        assert receiver.came[0].verified(posts.SECRET)["data"]["error"]["code"] == "bad_request"

    def test_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one(self, rt, board, alice, receiver):
        made = webhooks.create(rt, alice, url=receiver.url, events=None, description=None)
        changed, _until = webhooks.rotate(rt, alice, made.id, overlap_hours=1)
        completed(board, alice)
        send(rt, board)
        completed(board, alice)
        over = "jsonb_set(secrets, '{1,until}', to_jsonb(now()))"
        board.do(f"UPDATE webhook_endpoints SET secrets = {over}")
        send(rt, board)
        during, after = receiver.came
        assert len(during.headers["webhook-signature"].split()) == 2
        for secret in (made.secret, changed.secret):
            during.verified(secret)
        after.verified(changed.secret)
        with pytest.raises(WebhookVerificationError):
            after.verified(made.secret)

    def test_one_request_is_told_at_its_own_address(self, rt, board, alice, receiver):
        own = posts.endpoint(board, alice, implicit=True, url=receiver.url.removesuffix("/in"))
        completed(board, alice, webhook_id=own, webhook_url=f"{receiver.url}/job?token=7")
        send(rt, board)
        assert receiver.came[0].path == "/in/job?token=7"


STATUS = {
    "request-queued": "queued",
    "request-started": "in-progress",
    "request-progress": "in-progress",
    "request-retrying": "queued",
    "request-completed": "completed",
    "request-failed": "failed",
    "request-cancelled": "cancelled",
}


def tell(board, owner, event):
    """Let the event happen to a request that goes on to another state at once, where it can."""
    if event is Happened.COMPLETED:
        completed(board, owner)
        return
    request = board.put_one(owner)
    claimed = board.claim_one()
    with board.db.once() as tx:
        progress.report(tx, claimed, 30, "painting")
    if event is Happened.FAILED:
        settle_as(board, claimed, Failed(Failure(FailureKind.BAD_REQUEST, "No.")))
    elif event is Happened.RETRYING:
        settle_as(board, claimed, Failed(Failure(FailureKind.UNAVAILABLE, "It is down.")))
    cancel(board, request)


class TestAnswers:
    def test_the_story_of_a_bad_receiver(self, rt, board, alice, receiver, serve, endpoint, monkeypatch):
        """It answers 500, then 410, then not for 29 seconds, then with the way to the keys of this machine."""
        monkeypatch.setattr(post, "SECONDS", 0.5)
        elsewhere = serve()
        request = completed(board, alice)
        delivery = board.scalar("SELECT id FROM webhook_deliveries")

        receiver.answers(500)
        send(rt, board)
        assert 0.79 < row(board, delivery).wait <= 1.2
        posts.come_due(board)

        receiver.answers(410)
        send(rt, board)
        assert (row(board, delivery).state, books(board, endpoint).disabled_reason) == ("failed", "gone")
        completed(board, alice)
        assert take(board) == []
        assert board.scalar("SELECT count(*) FROM webhook_deliveries") == 1
        webhooks.change(rt, alice, endpoint, enabled=True)
        webhooks.replay(rt, alice, endpoint, delivery)

        receiver.answer = receiver.hang
        send(rt, board)
        assert 0.79 < row(board, delivery).wait <= 1.2
        assert row(board, delivery).last_status is None
        posts.come_due(board)

        for target in (METADATA, elsewhere.url):
            receiver.answer = lambda _came, target=target: Response(status=302, headers={"Location": target})
            send(rt, board)
            assert (row(board, delivery).state, row(board, delivery).last_status) == ("pending", 302)
            posts.come_due(board)
        assert elsewhere.came == []

        receiver.answers(204)
        send(rt, board)
        assert row(board, delivery).state == "delivered"
        assert set(receiver.ids()) == {f"msg_{request}_3"}
        for came in receiver.came:
            came.verified(posts.SECRET)
        _, tries = webhooks.delivery(rt, alice, endpoint, delivery)
        assert [one.status for one in tries] == [500, 410, None, 302, 302, 204]
        assert tries[2].error.startswith("the time was over")
        assert tries[2].ms == pytest.approx(500, abs=300)

    def test_who_asks_to_wait_until_a_date_is_left_alone_until_then(
        self, rt, board, alice, receiver, endpoint
    ):
        completed(board, alice)
        until_then = format_datetime(utc_now() + timedelta(minutes=10), usegmt=True)
        receiver.answer = lambda _came: Response(status=429, headers={"Retry-After": until_then})
        send(rt, board)
        assert 590 < books(board, endpoint).shut_for <= 600

    @pytest.mark.parametrize(
        ("body", "kept"),
        [
            (b"x" * 3000, "x" * 2000),
            (b"\x00\xff", "\ufffd\ufffd"),
            ("\u00e4".encode() * 2500, "\u00e4" * 2000),
            (b"", ""),
            # Larger than anybody reads: that it came is what counts.
            (b"x" * 100_000, None),
        ],
    )
    def test_the_beginning_of_the_answer_is_kept(self, rt, board, alice, receiver, endpoint, body, kept):
        completed(board, alice)
        receiver.answer = lambda _came: Response(body)
        send(rt, board)
        assert delivered(board) == 1
        assert board.scalar("SELECT reply FROM webhook_tries") == kept

    def test_one_whose_tries_were_all_lost_is_given_up_at_last(self, rt, board, alice, receiver, endpoint):
        completed(board, alice)
        board.do("UPDATE webhook_deliveries SET tries = 17")
        send(rt, board)
        assert board.scalar("SELECT state FROM webhook_deliveries") == "failed"
        assert receiver.came == []

    def test_what_came_of_a_try_survives_a_moment_without_the_database(
        self, rt, board, alice, receiver, endpoint, servers
    ):
        completed(board, alice)

        def kill(_came):
            """End every connection of ours in the moment of the answer."""
            with psycopg.connect(servers.database_url, autocommit=True) as own:
                assert own.execute(KILL).rowcount > 0
            return Response("thanks")

        receiver.answer = kill
        send(rt, board)
        assert delivered(board) == 1


KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND datname = current_database()
"""


class TestWhereItGoes:
    @pytest.fixture
    def outside(self, rt):
        """Let receivers be where anybody can reach them, as it is in production."""
        rt.settings = replace(rt.settings, webhook_allow_private=False)
        return rt

    def leads_to(self, monkeypatch, address, port):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_more: found)

    def error(self, board):
        return board.scalar("SELECT error FROM webhook_tries ORDER BY id DESC LIMIT 1")

    def test_a_name_that_leads_inside_is_not_followed_there_and_tried_again(
        self, outside, board, alice, monkeypatch
    ):
        with serving(says(answer()), port=0) as inside:
            posts.endpoint(board, alice, url=f"https://rebound.example:{inside.port}/in")
            completed(board, alice)
            self.leads_to(monkeypatch, "127.0.0.1", inside.port)
            send(outside, board)
            assert inside.connections == 0
        assert self.error(board) == "rebound.example is not a public address"
        assert board.scalar("SELECT state FROM webhook_deliveries") == "pending"

    def test_plain_http_is_refused_also_where_it_was_taken_before(self, outside, board, alice, receiver):
        posts.endpoint(board, alice, url=receiver.url)
        completed(board, alice)
        send(outside, board)
        assert receiver.came == []
        assert self.error(board) == "the address is not https"

    def test_not_even_for_development_is_the_metadata_address_reached(self, rt, board, alice, monkeypatch):
        posts.endpoint(board, alice, url="http://cloud.example/latest/meta-data/")
        completed(board, alice)
        self.leads_to(monkeypatch, "169.254.169.254", 80)
        send(rt, board)
        assert self.error(board) == "cloud.example is not a public address"

    def test_over_https_it_arrives(self, outside, board, alice, tmp_path):
        certified = certify(tmp_path, "DNS:localhost,IP:127.0.0.1")
        outside.__dict__["webhook_egress"] = Egress(("127.0.0.1",), certified.file)
        with serving(says(answer()), certified=certified.server) as inside:
            posts.endpoint(board, alice, url=inside.url)
            completed(board, alice)
            send(outside, board)
            assert b"webhook-signature: v1," in inside.seen[0].lower()
        assert delivered(board) == 1


class TestTheCourier:
    @pytest.fixture
    def patient(self, monkeypatch):
        """Let nobody look at SQL by himself for longer than these tests wait for anything."""
        monkeypatch.setattr(courier, "_LOOK_SECONDS", 8.0)
        monkeypatch.setattr(courier, "_TURN_SECONDS", 8.0)

    def test_what_happens_is_told_at_once(self, rt, board, alice, receiver, endpoint, patient, servers):
        with carrying(rt), Redis.from_url(servers.redis_url) as redis:
            until(lambda: redis.pubsub_numsub("atelier:events")[0][1])
            waits = []
            for n in range(1, 6):
                completed(board, alice)
                began = time.monotonic()
                until(lambda n=n: len(receiver.came) == n, 5)
                waits.append(time.monotonic() - began)
                until(lambda n=n: delivered(board) == n)
        print(f"committed to received: {sorted(waits)[2] * 1000:.0f} ms in the middle of five")

    def test_what_ended_while_it_claimed_is_not_slept_over(self, rt, patient):
        class Asleep:
            def wait(self, seconds):
                pytest.fail("there is room for more")

        made = Courier(rt, Event())
        made._freed.set()
        made._linger(Asleep())

    def test_without_redis_it_is_told_all_the_same(self, rt, board, alice, receiver, endpoint):
        rt.settings = replace(rt.settings, redis_url="redis://127.0.0.1:1/0")
        with carrying(rt):
            completed(board, alice)
            until(lambda: delivered(board) == 1)

    def test_the_first_tries_come_when_they_should(self, rt, board, alice, receiver, endpoint, patient):
        came = []
        receiver.answer = lambda _came: (came.append(time.monotonic()), Response(status=503))[1]
        completed(board, alice)
        with carrying(rt):
            until(lambda: len(came) == 4, 15)
        gaps = [after - before for before, after in pairwise(came)]
        print("seconds between the first tries:", [round(gap, 2) for gap in gaps])
        for gap, planned in zip(gaps, (1, 2, 3), strict=True):
            assert planned * 0.8 <= gap <= planned * 1.2 + 1.0

    def test_the_next_is_claimed_when_one_has_ended(self, rt, board, alice, receiver, endpoint, patient):
        owe(board, alice, endpoint, 200)
        began = time.monotonic()
        with carrying(rt):
            until(lambda: delivered(board) == 200, 60)
            print(f"{200 / (time.monotonic() - began):.0f} a second to one receiver")

    def test_of_two_couriers_no_endpoint_gets_more_than_four_at_once_and_each_message_once(
        self, rt, board, alice, receiver, endpoint, settings, db
    ):
        receiver.answer = lambda _came: (time.sleep(0.05), Response("thanks"))[1]
        for _ in range(40):
            completed(board, alice)
        other = Runtime(rt.settings, db)
        with carrying(rt), carrying(other):
            until(lambda: delivered(board) == 40, 30)
        other.channel.close()
        assert receiver.most == 4
        assert len(receiver.ids()) == len(set(receiver.ids())) == 40

    def test_a_receiver_that_hangs_delays_nobody_else_and_holds_no_connection(
        self, rt, board, alice, bob, receiver, serve, endpoint
    ):
        slow = serve()
        slow.answer = slow.hang
        posts.endpoint(board, bob, url=slow.url)
        for _ in range(30):
            completed(board, bob)
        with carrying(rt):
            until(lambda: len(slow.came) == 4)
            began = time.monotonic()
            for _ in range(10):
                completed(board, alice)
            until(lambda: delivered(board) == 10)
            assert time.monotonic() - began < 3
            until(lambda: rt.db.engine.pool.checkedout() == 0)
            assert slow.most == 4
            slow.over.set()

    def test_when_it_is_closed_what_is_under_way_ends_and_nothing_more_begins(
        self, rt, board, alice, receiver, endpoint
    ):
        entered, leave = Event(), Event()
        receiver.answer = lambda _came: (entered.set(), leave.wait(10), Response("thanks"))[2]
        completed(board, alice)
        made = Courier(rt, Event()).start()
        assert entered.wait(10)
        Timer(0.5, leave.set).start()
        made.close()
        assert leave.is_set()
        assert delivered(board) == 1
        completed(board, alice)
        assert len(receiver.came) == 1
        assert board.scalar("SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'") == 1

    def test_whoever_stops_the_drain_stops_it(self, rt, board, alice, receiver, endpoint):
        stop = Event()
        made = Courier(rt, stop).start()
        stop.set()
        until(lambda: not made._claiming.is_alive())
        completed(board, alice)
        made.close()
        assert receiver.came == []

    def test_one_that_is_killed_in_mid_send_is_followed_by_another_that_sends_the_same(
        self, rt, board, alice, receiver, endpoint
    ):
        entered = Event()
        receiver.answer = lambda came: (entered.set(), receiver.hang(came))[1]
        completed(board, alice)
        environment = {**os.environ, "WEBHOOK_ALLOW_PRIVATE": "true"}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment)
        try:
            assert entered.wait(20)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        receiver.answers(200)
        with carrying(rt):
            assert board.scalar("SELECT state FROM webhook_deliveries") == "sending"
            posts.come_due(board)
            until(lambda: delivered(board) == 1)
        first, second = receiver.came
        assert first.id == second.id
        second.verified(posts.SECRET)


PROGRAM = """
import time
from threading import Event, Timer
from app import config, runtime
from app.services.courier import Courier
Courier(runtime.build(config.load()), Event()).start()
time.sleep(60)
"""


@pytest.mark.walk
def test_a_worker_carries_beside_its_drain_and_leaves_once_what_is_under_way_has_ended(
    board, alice, receiver, servers, tmp_path
):
    """The requests are held, so that no picture keeps the drain from leaving."""
    posts.endpoint(board, alice, url=receiver.url, events=["request-queued"])
    env = {**environment(servers, tmp_path), "WEBHOOK_ALLOW_PRIVATE": "true"}
    with running(env, tmp_path, "worker") as service:
        board.put_one(alice, held=True)
        until(lambda: delivered(board) == 1, 30)
        entered, leave = Event(), Event()
        receiver.answer = lambda _came: (entered.set(), leave.wait(10), Response("thanks"))[2]
        board.put_one(alice, held=True)
        assert entered.wait(10)
        service.signal("worker", signal.SIGTERM)
        Timer(3.0, leave.set).start()
        assert service.wait("worker", 30) == 0
    assert leave.is_set()
    assert delivered(board) == 2


def test_the_sweeper_lets_go_and_forgets(rt, board, alice, receiver, endpoint):
    waiting, taken = owe(board, alice, endpoint, 2)
    board.do(
        "UPDATE webhook_deliveries SET next_try_at = now() + interval '1 hour' WHERE id = :id", id=waiting
    )
    send(rt, board)
    board.do("UPDATE webhook_deliveries SET ended_at = ended_at - interval '8 days' WHERE id = :id", id=taken)
    unused = posts.endpoint(board, alice, implicit=True, used_at=utc_now() - timedelta(days=31))
    posts.alter(board, endpoint, disabled_at=utc_now(), disabled_reason="owner")
    assert Sweeper(rt).tick()
    assert board.scalar("SELECT array_agg((id, state)::text) FROM webhook_deliveries") == [
        f"({waiting},failed)"
    ]
    assert unused not in board.scalar("SELECT array_agg(id) FROM webhook_endpoints")
