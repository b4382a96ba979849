"""Videos about pets: which picture may be sent and how, what the check says, what is made, and who may ring."""

import base64
import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from app.detect.seen import DetectorFailed, Unreadable
from app.domain import doorbell
from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
from app.providers.base import Accepted, Artifact, Done, Doorbell, ProviderError, Running
from app.services import courier, upload
from app.services.videos import pets
from tests.api.conftest import fields
from tests.conftest import SECRET
from tests.egress.lines import answer, redirect, says, serving
from tests.fakes.eyes import Eyes
from tests.fakes.house import files
from tests.fakes.scripted import Scripted, picture
from tests.queue import truths
from tests.queue.posts import take_one
from tests.services.acts import go_on, turn, with_providers
from tests.services.receivers import receiving
from tests.storage.test_containers import mp4, track

NEW, STATUS, RESULT, RING = (
    "/api/generate-video",
    "/api/video-status",
    "/api/video-result",
    "/api/webhook/video-complete",
)
KEY = {"Idempotency-Key": "a-key-of-mine"}
WORDS = "Roast my lazy dog!"
DOG = picture((120, 80, 40), (96, 64))


def base64_of(content):
    return base64.b64encode(content).decode()


def film(*_given):
    parts = (
        Artifact("video", mp4(track(1280, 720)), "video/mp4"),
        Artifact("thumbnail", picture(), "image/png"),
    )
    return Done(parts, "fake-1", data={"duration": 6.0})


class Maker(Scripted):
    """Films, and translates by turning words around; `broken` are the kinds that it can't make."""

    kinds = frozenset({Kind.VIDEO, Kind.TRANSLATION})
    job_field = "id"

    def __init__(self, name="fake", **given):
        super().__init__(name, submit=self._make, **given)
        self.broken = set()

    def _make(self, task, _context):
        if task.kind in self.broken:
            raise ProviderError(FailureKind.POLICY_INPUT, "Not this one.")
        if task.kind is Kind.TRANSLATION:
            return Done((), "fake-1", data={"text": task.prompt[::-1]})
        return film()


@pytest.fixture
def fake():
    return Maker()


@pytest.fixture(autouse=True)
def eyes(rt):
    """What the service looks with: it sees a dog."""
    rt.__dict__["detector"] = made = Eyes()
    return made


@pytest.fixture(autouse=True)
def _truths(board):
    yield
    truths.hold(board)


@pytest.fixture
def ask(call, alice):
    def act(who=alice, **more):
        headers = more.pop("headers", {})
        body = {"text": WORDS, **({} if "image_url" in more else {"image_data": base64_of(DOG)}), **more}
        return call(who, "POST", NEW, json=body, headers=headers)

    return act


@pytest.fixture
def begun(ask):
    def act(**more):
        answer = ask(**more)
        assert answer.status_code == 202, answer.text
        return answer.json["job_id"]

    return act


@pytest.fixture
def shown(call, alice):
    def act(job_id):
        answer = call(alice, "GET", f"{STATUS}/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json

    return act


@pytest.fixture
def form(call, alice):
    """Return a function that sends a form: its words, and its files by name."""

    def act(*pictures, headers=None, **words):
        parts = [(f'name="{name}"', value.encode()) for name, value in words.items()]
        parts += [(f'name="{name}"; filename="a.png"', content) for name, content in pictures]
        body = b"".join(
            b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), value)
            for head, value in parts
        )
        return call(
            alice,
            "POST",
            NEW,
            data=body + b"--x--\r\n",
            content_type="multipart/form-data; boundary=x",
            headers=headers or {},
        )

    return act


@pytest.fixture
def site(rt):
    """Return a function that serves each connection by an act, at an address that may be fetched."""
    rt.__dict__["egress"] = Egress(("127.0.0.1",))
    with ExitStack() as stack:
        yield lambda act: stack.enter_context(serving(act)).url


class TestAsking:
    def test_the_answer_comes_at_once_and_says_where_to_look(self, ask):
        answer = ask()
        assert answer.status_code == 202
        assert answer.json == {"job_id": answer.json["job_id"], "status": "queued", "pet_check": "passed"}
        assert answer.headers["Location"] == f"{STATUS}/{answer.json['job_id']}"

    @pytest.mark.parametrize("data", [base64_of(DOG), f"data:image/png;base64,{base64_of(DOG)}"])
    def test_base64_comes_with_its_head_or_without(self, ask, data):
        assert ask(image_data=data).status_code == 202

    def test_an_address_is_fetched_now_and_kept(self, ask, site, rt, board, fake):
        url = site(says(answer(DOG)))
        assert ask(image_url=f"{url}/dog.png").status_code == 202
        go_on(rt, board)
        [reference] = fake.tasks[0].references
        assert reference.sha256 == board.scalar("SELECT sha256 FROM uploads")

    def test_a_form_brings_a_file(self, form, board):
        assert form(("image", DOG), text=WORDS, language="en").status_code == 202
        assert board.scalar("SELECT count(*) FROM uploads") == 1

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"text": " "}, "text"),
            ({"text": "x" * 5001}, "text"),
            ({"language": "fr"}, "language"),
            ({"callback_url": "http://127.0.0.1/hook"}, "callback_url"),
            ({"callback_url": "ftp://example.com"}, "callback_url"),
            ({"image_data": "not base64!"}, "image_data"),
            ({"image_data": base64_of(files.svg(script=True))}, "image_data"),
            ({"image_data": base64_of(files.fat_png())}, "image_data"),
            ({"image_data": base64_of(files.mp4())}, "image_data"),
            ({"image_data": ""}, "image_data"),
            ({"image_url": "http://169.254.169.254/latest/meta-data/"}, "image_url"),
            ({"image_url": "http://127.0.0.1:5432/"}, "image_url"),
            ({"image_url": "file:///etc/passwd"}, "image_url"),
            ({"image_url": "https://user:word@example.com/a.png"}, "image_url"),
            ({"voice": "deep"}, "voice"),
        ],
    )
    def test_what_is_wrong_is_named_and_writes_nothing(self, ask, everything, alice, more, field):
        before = everything()
        assert fields(ask(**more)) == [field]
        assert everything() == before

    def test_there_is_one_picture(self, ask, call, alice, form):
        for more in ({}, {"image_url": "https://example.com/a.png", "image_data": base64_of(DOG)}):
            assert fields(call(alice, "POST", NEW, json={"text": WORDS, **more})) == ["body"]
        assert fields(form(text=WORDS)) == ["body"]
        assert fields(form(("image", DOG), ("image", DOG), text=WORDS)) == ["image"]
        assert fields(form(("photo", DOG), text=WORDS)) == ["photo"]

    @pytest.mark.parametrize(
        "act",
        [
            says(answer(b"no", status="404 Not Found")),
            says(answer(files.html())),
            says(answer(files.svg(script=True))),
            says(redirect("http://169.254.169.254/")),
            says(answer(b"x" * (upload.LARGEST + 1))),
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nshort"),
            lambda line: line.reset(),
        ],
        ids=["404", "html", "svg", "leads inside", "huge", "cut off", "reset"],
    )
    def test_what_can_not_be_fetched_or_read_is_the_senders_fault(self, ask, site, act, board, eyes):
        assert fields(ask(image_url=site(act))) == ["image_url"]
        assert board.scalar("SELECT count(*) FROM uploads") == 0
        assert eyes.pictures == []

    def test_a_server_inside_is_not_even_asked(self, ask):
        asked = []
        with serving(asked.append) as inside:
            for url in (inside.url, inside.url.replace("127.0.0.1", "localhost")):
                assert fields(ask(image_url=f"{url}/dog.png")) == ["image_url"]
        assert asked == []

    def test_a_server_that_never_ends_is_left(self, ask, site, monkeypatch):
        monkeypatch.setattr("app.services.videos.picture.FETCH_SECONDS", 0.3)
        answer = ask(image_url=site(lambda line: line.drip()))
        assert fields(answer) == ["image_url"]

    def test_slow_servers_do_not_take_all_threads(self, ask, monkeypatch):
        full = threading.BoundedSemaphore(1)
        full.acquire()
        monkeypatch.setattr("app.services.videos.picture._line", full)
        answer = ask(image_url="https://example.com/a.png")
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")

    def test_where_nobody_makes_videos_it_is_told(self, ask, fake, board):
        fake.kinds = frozenset()
        assert ask().status_code == 503
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0


class TestAgain:
    def test_the_same_key_begins_nothing_though_the_address_is_gone(self, ask, site, board, eyes):
        left = [answer(DOG)]

        def once(line):
            says(left.pop() if left else answer(b"", status="410 Gone"))(line)

        url = site(once)
        first, second = (ask(image_url=url, headers=KEY) for _ in range(2))
        assert (second.status_code, second.json) == (202, first.json)
        assert second.headers["Idempotency-Replayed"] == "true"
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1
        assert len(eyes.pictures) == 1

    def test_other_words_or_another_file_are_refused(self, ask, form):
        assert ask(headers=KEY).status_code == 202
        assert ask(text="Something else", headers=KEY).status_code == 422
        key = {"Idempotency-Key": "another-key"}
        assert form(("image", DOG), text=WORDS, headers=key).status_code == 202
        assert form(("image", DOG), text=WORDS, headers=key).headers["Idempotency-Replayed"] == "true"
        assert form(("image", picture()), text=WORDS, headers=key).status_code == 422


class TestThePetCheck:
    def test_no_pet_is_the_documents_error(self, ask, eyes, board):
        eyes.label = "cup"
        answer = ask()
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        assert answer.json["error"] == answer.json["code"] == "no_pets_detected"
        assert answer.json["message"] == answer.json["detail"]
        assert answer.json["suggestion"]
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0

    @pytest.mark.parametrize(
        "label", ["dog", "cat", "bird", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]
    )
    def test_the_documents_animals_are_pets(self, ask, eyes, label):
        eyes.label = label
        assert ask().json["pet_check"] == "passed"

    def test_who_is_not_sure_enough_sees_nothing(self, ask, eyes, rt):
        eyes.score = rt.settings.detector_threshold - 0.01
        assert ask().status_code == 400
        eyes.score = rt.settings.detector_threshold
        assert ask().status_code == 202

    def test_it_looks_at_the_picture_that_is_kept(self, ask, eyes, rt, board):
        ask()
        with rt.store.open(board.scalar("SELECT sha256 FROM uploads")) as file:
            assert eyes.pictures == [file.read()]

    @pytest.mark.parametrize(
        "error",
        [None, DetectorFailed("No answer."), Unreadable("What is this?")],
        ids=["nobody", "it failed", "it can't read"],
    )
    @pytest.mark.parametrize(("wanted", "status"), [("auto", 202), ("require", 503)])
    def test_where_nobody_can_look(self, ask, rt, eyes, shown, error, wanted, status):
        rt.settings = replace(rt.settings, pet_check=wanted)
        eyes.error = error
        rt.__dict__["detector"] = eyes if error else None
        answer = ask()
        assert answer.status_code == status
        if status == 202:
            assert answer.json["pet_check"] == shown(answer.json["job_id"])["pet_check"] == "skipped"
        else:
            assert answer.headers["Retry-After"]

    def test_where_many_look_it_is_refused_at_once_or_done_without(self, ask, rt, eyes, monkeypatch):
        full = threading.BoundedSemaphore(1)
        full.acquire()
        monkeypatch.setattr(pets, "_line", full)
        monkeypatch.setattr(pets, "TURN_SECONDS", 0.05)
        assert ask().json["pet_check"] == "skipped"
        monkeypatch.setattr(pets, "TURN_SECONDS", 60.0)
        rt.settings = replace(rt.settings, pet_check="require")
        began = time.monotonic()
        refused = ask()
        assert time.monotonic() - began < 10
        assert (refused.status_code, refused.json["code"]) == (503, "unavailable")
        assert refused.headers["Retry-After"] == "2"
        assert eyes.pictures == []

    def test_a_turn_is_waited_for_and_the_wait_is_not_counted(self, ask, rt, eyes, monkeypatch, board):
        line = threading.BoundedSemaphore(1)
        line.acquire()
        monkeypatch.setattr(pets, "_line", line)
        timer = threading.Timer(1.0, line.release)
        timer.start()
        assert ask().json["pet_check"] == "passed"
        timer.join()
        assert board.scalar("SELECT n FROM tallies WHERE name = 'pet-check.milliseconds'") < 900
        eyes.label = None
        assert [ask().status_code for _ in range(2)] == [400, 400]

    def test_where_it_is_off_nobody_looks(self, ask, rt, eyes, shown):
        rt.settings = replace(rt.settings, pet_check="off")
        assert shown(ask().json["job_id"])["pet_check"] == "off"
        assert eyes.pictures == []


class TestTheVideo:
    def test_it_goes_from_queued_to_completed(self, begun, shown, rt, board, call):
        job_id = begun(language="en")
        first = shown(job_id)
        assert (first["status"], first["progress"], first["video_url"]) == ("queued", 0, None)
        assert (first["pet_check"], first["pet"], first["translated"]) == ("passed", "dog", False)
        assert (first["language"], first["detail"]) == ("en", None)
        go_on(rt, board)
        last = shown(job_id)
        assert (last["status"], last["progress"], last["duration"]) == ("completed", 100, 6.0)
        assert last["updated_at"] > first["updated_at"]
        answer = call(None, "GET", "/files/" + last["video_url"].rpartition("/")[2])
        assert (answer.status_code, answer.mimetype, answer.data) == (200, "video/mp4", mp4(track(1280, 720)))

    def test_the_maker_is_told_all_that_it_needs(self, begun, rt, board, fake):
        begun(language="en")
        go_on(rt, board)
        [task] = fake.tasks
        assert (task.kind, task.prompt) == (Kind.VIDEO, WORDS)
        assert task.settings == {"script": WORDS, "language": "en"}
        assert [one.mime.split("/")[0] for one in task.references] == ["image"]

    @pytest.mark.parametrize(
        ("size", "film"), [((96, 64), (1280, 720)), ((64, 64), (720, 720)), ((40, 90), (720, 1280))]
    )
    def test_its_shape_is_that_of_the_picture(self, begun, rt, board, fake, size, film):
        begun(image_data=base64_of(picture(size=size)))
        go_on(rt, board)
        assert (fake.tasks[0].width, fake.tasks[0].height) == film

    def test_who_takes_addresses_alone_is_told_where_the_picture_is(
        self, begun, rt, board, fake, site, client
    ):
        url = site(says(answer(DOG)))
        begun(image_url=url)
        rt.settings = replace(rt.settings, public_url="https://pictures.example")
        begun()
        go_on(rt, board)
        addresses = [task.settings.get("imageUrl") for task in fake.tasks]
        # Where we can't be reached, nobody is sent to an address that may show something else by then.
        assert addresses[0] is None
        assert addresses[1].startswith("https://pictures.example/files/")
        with client.get(addresses[1].removeprefix("https://pictures.example")) as got:
            assert (got.status_code, got.mimetype.split("/")[0]) == (200, "image")

    def test_the_result_is_there_when_it_is_there(self, begun, call, alice, rt, board):
        job_id = begun()
        early = call(alice, "GET", f"{RESULT}/{job_id}")
        assert (early.status_code, early.json["code"]) == (409, "illegal_move")
        go_on(rt, board)
        late = call(alice, "GET", f"{RESULT}/{job_id}")
        assert (late.status_code, late.json["job_id"], late.json["status"]) == (200, job_id, "completed")
        assert late.json["video_url"]

    def test_one_that_failed_says_why(self, begun, call, alice, shown, rt, board, fake):
        fake.broken = {Kind.VIDEO}
        job_id = begun()
        go_on(rt, board)
        assert (shown(job_id)["status"], shown(job_id)["detail"]) == ("failed", "Not this one.")
        result = call(alice, "GET", f"{RESULT}/{job_id}")
        assert (result.status_code, result.json["code"]) == (502, "video_failed")
        assert result.json["error"] == "Not this one."

    def test_a_cancelled_one_has_no_result(self, begun, call, alice, shown):
        job_id = begun()
        assert call(alice, "DELETE", f"cancel/{job_id}").status_code == 200
        assert shown(job_id)["status"] == "cancelled"
        assert call(alice, "GET", f"{RESULT}/{job_id}").status_code == 409

    def test_what_is_unchanged_is_not_sent_again(self, begun, call, alice, rt, board):
        path = f"{STATUS}/{begun()}"
        tag = call(alice, "GET", path).headers["ETag"]
        again = call(alice, "GET", path, headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        go_on(rt, board)
        assert call(alice, "GET", path, headers={"If-None-Match": tag}).status_code == 200

    def test_a_foreign_one_and_a_request_of_another_kind_are_not_there(self, begun, call, alice, bob, board):
        job_id, cover = begun(), board.put_one(alice)
        for path in (STATUS, RESULT):
            foreign = call(bob, "GET", f"{path}/{job_id}")
            other = call(alice, "GET", f"{path}/{cover}")
            assert (foreign.status_code, other.status_code) == (404, 404)
            assert foreign.json["detail"] == other.json["detail"] == "Video not found"


class TestTranslation:
    def test_words_are_said_in_the_language_that_is_asked_for(self, begun, shown, rt, board, fake):
        job_id = begun(language="hi")
        go_on(rt, board)
        first, second = fake.tasks
        assert (first.kind, first.prompt) == (Kind.TRANSLATION, WORDS)
        assert first.settings == {"source": "en", "target": "hi"}
        assert (second.kind, second.prompt) == (Kind.VIDEO, WORDS[::-1])
        assert second.settings["script"] == WORDS[::-1]
        assert second.settings["language"] == "hi"
        assert shown(job_id)["translated"] is True

    def test_while_it_goes_on_the_video_is_in_the_making(self, begun, shown, rt, board, fake):
        job_id = begun(language="ta")
        fake._submit = lambda *_: Accepted({"id": "j-1"}, 60.0)
        turn(rt, board)
        assert (shown(job_id)["status"], shown(job_id)["stage"]) == ("processing", "translating")

    def test_one_that_fails_leaves_the_words_as_they_are(self, begun, shown, rt, board, fake):
        fake.broken = {Kind.TRANSLATION}
        job_id = begun(language="hi")
        go_on(rt, board)
        assert (shown(job_id)["status"], shown(job_id)["translated"]) == ("completed", False)
        assert fake.tasks[-1].prompt == WORDS

    @pytest.mark.parametrize("more", [{}, {"language": "en"}, {"language": "hi", "text": "मेरा आलसी कुत्ता"}])
    def test_words_that_need_none_get_none(self, begun, rt, board, fake, more):
        begun(**more)
        go_on(rt, board)
        assert [task.kind for task in fake.tasks] == [Kind.VIDEO]
        assert fake.tasks[0].settings["script"] == more.get("text", WORDS)

    def test_where_nobody_translates_they_stay_as_they_are(self, begun, shown, rt, board, fake):
        fake.kinds = frozenset({Kind.VIDEO})
        job_id = begun(language="hi")
        go_on(rt, board)
        assert (shown(job_id)["status"], shown(job_id)["translated"]) == ("completed", False)


class TestTheCallback:
    @pytest.mark.parametrize(("broken", "event"), [(set(), "completed"), ({Kind.VIDEO}, "failed")])
    def test_it_is_told_of_the_end_good_or_bad(self, begun, rt, board, fake, broken, event):
        rt.settings = replace(rt.settings, webhook_allow_private=True)
        fake.broken = broken
        with receiving() as receiver:
            job_id = begun(callback_url=receiver.url, language="hi")
            go_on(rt, board)
            courier.send(rt, take_one(board))
        [came] = receiver.came
        assert came.headers["x-job-id"] == job_id
        assert came.headers["x-webhook-source"] == "atelier"
        assert came.json()["data"]["status"] == event
        if event == "completed":
            assert came.json()["data"]["result"]["videoUrl"]


class Ringing(Maker):
    """Reads `{"job_id": ..., "signature": ...}`."""

    def parse_webhook(self, headers, body):
        try:
            said = json.loads(body)
        except ValueError:
            return None
        return Doorbell(said["job_id"], verified=headers.get("x-signature") == "right")


class TestTheDoorbell:
    @pytest.fixture
    def waits(self, begun, rt, board):
        """Have a video be asked after in ten minutes; return a function that gives the seconds until then."""
        made = with_providers(rt, Ringing(options=Options("fake", more={}))).providers["fake"]
        made._submit = lambda *_: Accepted({"id": "j-1"}, 600.0)
        made._poll = lambda *_: Running(600.0)
        begun()
        turn(rt, board)

        def act():
            return board.scalar(
                "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM generation_requests"
            )

        assert act() > 500
        return act

    def sign(self, rt):
        """Let the operator have agreed upon a secret with the maker."""
        rt.providers["fake"].options = Options("fake", more={"webhook_secret": "s"})

    def call_token(self, board):
        return doorbell.token(SECRET, "fake", board.scalar("SELECT max(id) FROM attempts"))

    @pytest.mark.parametrize("where", ["query", "header"])
    def test_a_jobs_token_lets_it_be_asked_after_soon(self, client, waits, board, where):
        token = self.call_token(board)
        given = (
            {"query_string": {"token": token}}
            if where == "query"
            else {"headers": {"X-Webhook-Token": token}}
        )
        answer = client.post(RING, **given)
        assert (answer.status_code, answer.json) == (202, {"success": True, "known": True})
        assert waits() < 5

    def test_an_accounts_token_needs_a_job_that_is_known(self, client, waits):
        token = doorbell.token(SECRET, "fake")
        for job, known in (("j-2", False), ("j-1", True)):
            answer = client.post(f"{RING}?token={token}", json={"job_id": job, "status": "completed"})
            assert answer.json["known"] is known
        assert waits() < 5

    def test_a_signature_will_do_without_a_token(self, client, waits, rt):
        self.sign(rt)
        body = {"job_id": "j-1"}
        assert client.post(RING, json=body).status_code == 404
        assert client.post(RING, json=body, headers={"X-Signature": "wrong"}).status_code == 404
        assert waits() > 500
        answer = client.post(RING, json=body, headers={"X-Signature": "right"})
        assert (answer.status_code, answer.json["known"]) == (202, True)
        assert waits() < 5

    def test_where_a_secret_was_agreed_upon_a_token_alone_will_not_do(self, client, waits, rt, board):
        self.sign(rt)
        answer = client.post(f"{RING}?token={self.call_token(board)}", json={"job_id": "j-1"})
        assert answer.status_code == 401
        assert waits() > 500

    @pytest.mark.parametrize("token", ["", "x", "1.deadbeef", "é", "9" * 200])
    def test_who_can_not_say_who_it_is_is_sent_away(self, client, waits, token, everything):
        before = everything()
        answer = client.post(
            RING, query_string={"token": token}, json={"job_id": "j-1", "status": "completed"}
        )
        assert answer.status_code == 404
        assert everything() == before

    def test_what_it_says_is_not_believed(self, client, waits, shown, board, everything):
        job_id = board.scalar("SELECT id FROM generation_requests")
        body = {"job_id": "j-1", "status": "completed", "video_url": "https://attacker.example/x.mp4"}
        client.post(f"{RING}?token={self.call_token(board)}", json=body)
        assert (shown(job_id)["status"], shown(job_id)["video_url"]) == ("processing", None)
        assert not any("attacker" in row for rows in everything().values() for row in rows)

    def test_it_makes_no_job_that_is_not_there(self, client, rt, board):
        with_providers(rt, Ringing())
        token = doorbell.token(SECRET, "fake")
        answer = client.post(f"{RING}?token={token}", json={"job_id": "j-9", "status": "completed"})
        assert (answer.status_code, answer.json["known"]) == (202, False)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0


class TestFigures:
    def test_where_nothing_happened_nothing_is_said(self, call, viewer):
        found = call(viewer, "GET", "/api/video-stats").json
        assert found["videos"]["success_rate"] is found["deliveries"]["delivery_rate"] is None
        assert found["pet_checks"]["rejection_rate"] is None
        assert found["times"]["run_seconds"] == {"p50": None, "p90": None, "p99": None}

    def test_they_count_what_ended_was_refused_and_was_told(
        self, begun, ask, call, operator, bob, rt, board, fake, eyes, fresh_figures
    ):
        rt.settings = replace(rt.settings, webhook_allow_private=True)
        with receiving() as receiver:
            begun(callback_url=receiver.url)
            go_on(rt, board)
            courier.send(rt, take_one(board))
            fake.broken = {Kind.VIDEO}
            begun(callback_url=receiver.url)
            go_on(rt, board)
        eyes.label = None
        assert [ask().status_code, ask(who=bob).status_code] == [400, 400]
        board.put_one(bob)
        eyes.label = "cat"
        begun()
        fresh_figures()
        found = call(operator, "GET", "/api/video-stats").json
        assert found["videos"] == {
            "completed": 1, "failed": 1, "cancelled": 0, "active": 1, "success_rate": 0.5,
        }  # fmt: skip
        assert found["deliveries"] == {"delivered": 1, "failed": 0, "pending": 1, "delivery_rate": 1.0}
        checks = found["pet_checks"]
        assert (checks["passed"], checks["rejected"], checks["rejection_rate"]) == (3, 2, 0.4)
        assert checks["mean_seconds"] >= 0
        assert found["times"]["run_seconds"]["p50"] > 0
        assert found["times"]["delivery_seconds"]["p90"] > 0

    def test_what_ended_before_a_day_is_not_counted(self, begun, call, operator, rt, board):
        begun()
        go_on(rt, board)
        board.do("UPDATE generation_requests SET completed_at = completed_at - interval '25 hours'")
        assert call(operator, "GET", "/api/video-stats").json["videos"]["completed"] == 0

    def test_at_most_so_many_requests_are_looked_at(
        self, begun, call, operator, rt, board, alice, monkeypatch
    ):
        monkeypatch.setattr("app.services.videos.figures.MOST", 2)
        for _ in range(3):
            begun()
        go_on(rt, board)
        found = call(operator, "GET", "/api/video-stats").json
        assert (found["videos"]["completed"], found["window"]["complete"]) == (2, False)

    def test_none_is_lost_where_many_count_at_once(self, ask, eyes, board, rt, alice):
        def count():
            for _ in range(20):
                pets._count(rt, alice, {"pet-check.rejected": 1, "pet-check.milliseconds": 2})

        threads = [threading.Thread(target=count) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert board.scalar("SELECT n FROM tallies WHERE name = 'pet-check.rejected'") == 100
