"""Where providers ring: a poll comes early, and nothing else can be had from it."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.domain import doorbell
from app.domain.options import Options
from app.domain.work import Work
from app.providers.base import Accepted, Doorbell, Running
from app.providers.meshy import Meshy
from app.providers.meshy_tasks import FROM_WORDS
from app.services import doorbell as bell
from tests.conftest import SECRET
from tests.fakes.scripted import Scripted, done
from tests.queue import truths
from tests.queue.acts import accept, cancel, come_due, intend, settle_as, waiting
from tests.services.acts import turn, with_providers

FLOOR = 5.0
SITE = "https://pictures.example"


class Ringing(Scripted):
    """Reads `{"job": ..., "signed": ...}`, and keeps what it was given to read."""

    poll_floor = FLOOR
    job_field = "job"

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.read: list[bytes] = []

    def parse_webhook(self, headers, body):
        self.read.append(body)
        try:
            said = json.loads(body)
        except ValueError:
            return None
        return Doorbell(said["job"], verified=said.get("signed", False)) if "job" in said else None


@dataclass
class Job:
    """A request whose job `j-1` is asked after in ten minutes: its call, and the seconds until then."""

    request: str
    call: int
    waits: Callable[[], float]


@pytest.fixture
def ringing(rt):
    made = Ringing()
    rt.__dict__["providers"] = {"fake": made, "other": Ringing("other")}
    return made


@pytest.fixture
def job(ringing, board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    call = intend(board, claimed)
    accept(board, call, claimed)
    board.do("""UPDATE attempts SET handle = '{"job": "j-1"}'""")
    settle_as(board, claimed, waiting(600), call)

    def waits():
        return board.scalar(
            "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM generation_requests WHERE id = :id",
            id=request,
        )

    yield Job(request, call, waits)
    truths.hold(board)


def ring(client, body, name="fake", token=None):
    address = f"{doorbell.PATH}/{name}/{token or doorbell.token(SECRET, name)}"
    return client.post(address, data=body if isinstance(body, bytes) else json.dumps(body))


def ring_for(client, call, body=b"", **given):
    return ring(client, body, token=doorbell.token(SECRET, "fake", call), **given)


def said(answer):
    return answer.status_code, answer.json.get("known")


class TestTheAddressOfACall:
    def test_it_lets_its_work_be_asked_after_as_soon_as_may_be(self, client, job):
        assert said(ring_for(client, job.call)) == (202, True)
        assert FLOOR - 1 < job.waits() <= FLOOR

    @pytest.mark.parametrize(
        "body", [b"", b"{", b'{"job": "j-2", "output": "https://attacker.example/x.png"}']
    )
    def test_the_body_is_not_looked_at(self, client, job, ringing, body):
        assert said(ring_for(client, job.call, body)) == (202, True)
        assert job.waits() <= FLOOR
        assert ringing.read == []

    def test_ringing_again_writes_nothing(self, client, job, board):
        rows = "SELECT (SELECT xmin FROM generation_requests), (SELECT count(*) FROM attempts)"
        ring_for(client, job.call)
        before = board.one(rows)
        assert [said(ring_for(client, job.call)) for _ in range(3)] == [(202, True)] * 3
        assert board.one(rows) == before

    def test_what_is_due_before_that_is_not_put_off(self, client, job, board):
        board.do("UPDATE generation_requests SET due_at = clock_timestamp() + interval '1 second'")
        assert said(ring_for(client, job.call)) == (202, True)
        assert job.waits() <= 1

    def test_other_work_is_not_touched(self, client, job, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        other = intend(board, claimed)
        accept(board, other, claimed)
        settle_as(board, claimed, waiting(600), other)
        assert said(ring_for(client, other)) == (202, True)
        assert job.waits() > 590

    def test_an_ended_call_is_answered_and_nothing_is_changed(self, client, job, board):
        cancel(board, job.request)
        before = board.row(job.request)
        assert said(ring_for(client, job.call)) == (202, False)
        assert board.row(job.request) == before

    def test_so_is_one_that_failed_and_whose_request_waits_to_be_tried_again(self, client, job, board):
        board.do("UPDATE attempts SET state = 'failed', ended_at = clock_timestamp()")
        assert said(ring_for(client, job.call)) == (202, False)
        assert job.waits() > 590
        board.do("UPDATE attempts SET state = 'running', ended_at = NULL")

    def test_so_is_one_that_is_not_there(self, client, job, board):
        assert said(ring_for(client, job.call + 1)) == (202, False)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1
        assert job.waits() > 590

    def test_a_ring_before_the_answer_to_the_submit_is_stored_changes_nothing(
        self, client, ringing, board, alice
    ):
        request = board.put_one(alice)
        claimed = board.claim_one()
        call = intend(board, claimed)
        before = board.row(request)
        assert said(ring_for(client, call)) == (202, True)
        assert board.row(request) == before
        accept(board, call, claimed)
        settle_as(board, claimed, waiting(600), call)
        assert board.row(request).place == "waiting"
        assert come_due(board) == 1

    def test_a_signature_is_demanded_there_too_where_its_secret_is_known(self, client, rt, job):
        signing = Ringing(options=Options("fake", more={"webhook_secret": "whisper"}))
        rt.__dict__["providers"] = {"fake": signing}
        for body in (b"", {"job": "j-1"}, {"job": "j-1", "signed": False}):
            assert ring_for(client, job.call, body).status_code == 401
        assert job.waits() > 590
        assert said(ring_for(client, job.call, {"job": "j-1", "signed": True})) == (202, True)
        assert job.waits() <= FLOOR


class TestTheAddressOfAnAccount:
    def test_its_job_is_asked_after_soon_and_the_rest_is_not_believed(self, client, job):
        body = {"job": "j-1", "status": "succeeded", "output": "https://attacker.example/x.png"}
        assert said(ring(client, body)) == (202, True)
        assert job.waits() <= FLOOR

    def test_ringing_again_changes_nothing(self, client, job, board):
        for _ in range(3):
            assert said(ring(client, {"job": "j-1"})) == (202, True)
        assert board.scalar("SELECT count(*) FROM generation_requests WHERE status = 'in-progress'") == 1

    @pytest.mark.parametrize(
        "body", [{"job": "j-2"}, {"other": 1}, b"not json", b"", {"job": "j-1\0"}, {"job": "\ud800"}]
    )
    def test_what_speaks_of_no_known_job_changes_nothing(self, client, job, board, body):
        assert said(ring(client, body)) == (202, False)
        assert job.waits() > 590
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1

    def test_a_jobs_own_name_rings_and_no_other_word_of_its_handle_does(self, client, rt, job, board):
        rt.__dict__["providers"] = {"fake": Meshy(Options("fake"), rt.egress, "a-model")}
        handle = {"id": "t-2", "path": FROM_WORDS, "phase": "refine", "preview": "t-1", "failed": ["t-0"]}
        board.do("UPDATE attempts SET handle = CAST(:handle AS jsonb)", handle=json.dumps(handle))
        for word in ("refine", FROM_WORDS, "t-1", '["t-0"]', "t-"):
            assert said(ring(client, {"id": word})) == (202, False)
        assert job.waits() > 590
        assert said(ring(client, {"id": "t-2"})) == (202, True)
        assert job.waits() <= FLOOR

    def test_another_providers_job_is_not_known(self, client, job):
        assert said(ring(client, {"job": "j-1"}, name="other")) == (202, False)
        assert job.waits() > 590

    def test_with_a_secret_only_what_is_signed_rings(self, client, rt, job):
        signing = Ringing(options=Options("fake", more={"webhook_secret": "whisper"}))
        rt.__dict__["providers"] = {"fake": signing}
        for body in ({"job": "j-1"}, b"not json"):
            assert ring(client, body).status_code == 401
        assert job.waits() > 590
        assert said(ring(client, {"job": "j-1", "signed": True})) == (202, True)
        assert job.waits() <= FLOOR


def forged(call):
    """Return tokens that are like a call's or an account's, and neither's."""
    own, account = doorbell.token(SECRET, "fake", call), doorbell.token(SECRET, "fake")
    signature = own.partition(".")[2]
    return [
        "0" * 64,
        "ü",
        ".",
        f"{call}",
        f"{call}.",
        f"{call}.{'0' * 64}",
        f"0{own}",
        f" {own}",
        f"{own}.",
        f"{call + 1}.{signature}",
        f"-{own}",
        f"{call}.{account}",
        signature,
        doorbell.token(SECRET, "other", call),
        doorbell.token(SECRET, "other"),
        doorbell.token(f"not {SECRET}", "fake", call),
        f"{'9' * 5000}.{signature}",
    ]


def test_an_address_that_is_not_ours_is_not_found(client, job):
    for token in forged(job.call):
        assert ring(client, {"job": "j-1"}, token=token).status_code == 404, token
    assert ring(client, {"job": "j-1"}, "nonesuch").status_code == 404
    assert job.waits() > 590


def test_a_body_over_64_kilobytes_is_refused_before_it_is_read(client, job):
    class Unread(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, _into):
            raise AssertionError("it was read")

    address = f"{doorbell.PATH}/fake/{doorbell.token(SECRET, 'fake', job.call)}"
    sent = {"wsgi.input": Unread(), "CONTENT_LENGTH": str((64 << 10) + 1)}
    answer = client.post(address, environ_overrides=sent)
    assert answer.status_code == 413
    assert job.waits() > 590
    assert said(ring_for(client, job.call, b" " * (64 << 10))) == (202, True)


def test_one_that_does_not_say_how_long_it_is_is_refused_where_it_gets_too_long(client, job):
    address = f"{doorbell.PATH}/fake/{doorbell.token(SECRET, 'fake', job.call)}"
    given = {"environ_overrides": {"wsgi.input_terminated": True}}
    assert client.post(address, input_stream=io.BytesIO(b" " * (65 << 10)), **given).status_code == 413
    assert job.waits() > 590


def test_who_rings_without_end_is_told_to_wait(build, job):
    client = build(rate_limit_default="3/day")
    answers = [ring_for(client, job.call).status_code for _ in range(5)]
    assert answers == [202, 202, 202, 429, 429]
    assert client.get("/openapi.json").status_code == 200


def test_a_call_is_told_its_own_address_and_what_rings_there_is_polled_soon(client, rt, board, alice):
    told = []

    def submit(_task, context):
        told.append(context.doorbell)
        return Accepted({"job": 1}, 600.0)

    def poll(_handle, context):
        told.append(context.doorbell)
        return Running(600.0) if len(told) == 2 else done()

    with_providers(rt, Ringing("fake", submit, poll), public_url=SITE)
    request = board.put_one(alice)
    turn(rt, board)
    path = urlsplit(told[0]).path
    for _ in range(2):
        assert turn(rt, board) == []
        assert said(client.post(path)) == (202, True)
        board.do("UPDATE generation_requests SET due_at = due_at - make_interval(secs => :s)", s=FLOOR)
        assert turn(rt, board) == [request]
    assert board.row(request).status == "completed"
    assert said(client.post(path)) == (202, False)
    assert told == [told[0]] * 3
    truths.hold(board)


class TestWhereTheyAreTold:
    def test_only_at_an_address_that_can_be_reached(self):
        assert doorbell.address("http://127.0.0.1:8000", SECRET, "fal") is None
        assert doorbell.address("http://127.0.0.1:8000", SECRET, "fal", 7) is None
        address = doorbell.address(f"{SITE}/", SECRET, "fal")
        assert address == f"{SITE}{doorbell.PATH}/fal/{doorbell.token(SECRET, 'fal')}"

    def test_each_call_has_its_own(self):
        tokens = {
            doorbell.token(SECRET, name, call) for name in ("fal", "revid") for call in (None, 1, 11, 2)
        }
        assert len(tokens) == 8
        address = doorbell.address(SITE, SECRET, "fal", 7)
        assert address == f"{SITE}{doorbell.PATH}/fal/{doorbell.token(SECRET, 'fal', 7)}"
        assert doorbell.call_of(address.rpartition("/")[2], SECRET, "fal") == 7

    def test_an_operators_own_address_goes_before(self, rt):
        own = {"fake": Options("fake", more={"webhook_url": "https://relay.example/x"})}
        rt.settings = replace(rt.settings, public_url=SITE, provider_options=own)
        assert bell.address(rt, Work("fake", 7)) == "https://relay.example/x"
        assert bell.address(rt, Work("other", 7)) == doorbell.address(SITE, SECRET, "other", 7)
