"""Pictures for games: what may be asked, what a job makes, what becomes of it, and the styles that are kept."""

import base64
import threading
from random import Random

import pytest

from app import config
from app.domain.errors import NotFound
from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.providers.base import Accepted, HealthState, ProviderError
from app.providers.sketch.cast import cast
from app.providers.sketch.words import read
from app.services import upload
from app.services.games import style_packs
from app.services.games.prompts import AssetType, prompt
from app.services.library import assets
from app.services.library.assets import Collection
from tests.api.conftest import fields
from tests.fakes.house import files
from tests.fakes.scripted import Scripted, done, picture
from tests.queue import truths
from tests.services.acts import calls, fails, go_on, in_turn, turn, with_providers

ASSETS, JOBS, PACKS = "/api/ai/assets", "/api/ai/jobs", "/api/ai/style-packs"
SWORD = {"prompt": "a rusty sword", "assetType": "prop-design"}
COLOURS = [(n, 40, 200 - n) for n in range(0, 200, 20)]


def data_url(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def pack(n=5, **more):
    return {
        "name": "Ink",
        "referenceImages": [{"dataUrl": data_url(picture(c))} for c in COLOURS[:n]],
        **more,
    }


@pytest.fixture
def ask(call, alice):
    def act(who=alice, **more):
        return call(who, "POST", ASSETS, json={**SWORD, **more})

    return act


@pytest.fixture
def job(ask):
    """Return a function that begins a job and gives its id."""

    def act(**more):
        answer = ask(**more)
        assert answer.status_code == 202, answer.text
        return answer.json["jobId"]

    return act


@pytest.fixture
def shown(call, alice):
    def act(job_id):
        answer = call(alice, "GET", f"{JOBS}/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json

    return act


@pytest.fixture(autouse=True)
def _truths(board):
    yield
    truths.hold(board)


class TestAsking:
    def test_the_answer_is_a_job_at_once(self, ask, board):
        answer = ask(count=3)
        assert answer.status_code == 202
        told = answer.json
        assert told == {
            "success": True,
            "jobId": told["jobId"],
            "status": "pending",
            "provider": "fake",
            "estimatedTime": told["estimatedTime"],
        }
        assert told["estimatedTime"] > 0
        assert answer.headers["Location"] == f"{JOBS}/{told['jobId']}"
        assert board.scalar("SELECT count(*) FROM generation_requests") == 3
        assert board.scalar("SELECT count(*) FROM library_assets WHERE collection = 'asset'") == 3

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("prompt", " "),
            ("prompt", "x" * 1001),
            ("assetType", "music"),
            ("count", 0),
            ("count", 11),
            ("count", "2"),
            ("width", 63),
            ("height", 2049),
            ("width", 512.5),
            ("quality", "best"),
            ("format", "jpeg"),
            ("transparentBackground", "yes"),
            ("provider", "nobody"),
            ("stylePack", "vgl_1_nothing"),
            ("seed", -1),
            ("webhookUrl", "http://127.0.0.1/hook"),
            ("colour", "red"),
        ],
    )
    def test_what_is_wrong_is_named_and_writes_nothing(self, ask, everything, alice, field, value):
        before = everything()
        assert fields(ask(**{field: value})) == [field]
        assert everything() == before

    def test_what_is_asked_reaches_the_provider_each_with_a_seed_of_its_own(self, job, rt, board, fake):
        job(
            count=3,
            width=640,
            height=320,
            style="pixel-art",
            quality="draft",
            seed=2**31 - 2,
            negativePrompt="rust",
            transparentBackground=True,
            optimizeForGame=False,
        )
        go_on(rt, board)
        assert [task.seed for task in fake.tasks] == [2**31 - 2, 2**31 - 1, 0]
        task = fake.tasks[0]
        assert (task.width, task.height, task.style, task.negative_prompt) == (640, 320, "pixel-art", "rust")
        assert task.settings == {
            "assetType": "prop-design",
            "style": "pixel-art",
            "quality": "draft",
            "transparentBackground": True,
            "optimizeForGame": False,
        }
        assert task.prompt.startswith("a rusty sword, ")
        assert "plain background" in task.prompt

    def test_two_of_a_job_are_two_pictures_though_they_ask_for_the_same(self, job, rt, board, fake, shown):
        job_id = job(count=2)
        go_on(rt, board)
        assert len(fake.tasks) == len({task.seed for task in fake.tasks}) == 2
        assert len(shown(job_id)["results"]) == 2

    @pytest.mark.parametrize("form", ["png", "webp"])
    def test_the_format_is_the_one_that_was_asked_for(self, job, rt, board, shown, call, form):
        job_id = job(format=form)
        go_on(rt, board)
        [result] = shown(job_id)["results"]
        assert result["format"] == form
        answer = call(None, "GET", "/files/" + result["url"].rpartition("/")[2])
        assert (answer.status_code, answer.mimetype) == (200, f"image/{form}")

    def test_a_key_that_comes_again_begins_nothing(self, call, alice, board):
        first, second = (
            call(alice, "POST", ASSETS, json=SWORD, headers={"Idempotency-Key": "a-key-of-mine"})
            for _ in range(2)
        )
        assert first.json == second.json
        assert (second.status_code, second.headers["Idempotency-Replayed"]) == (202, "true")
        assert board.scalar("SELECT count(*) FROM library_assets") == 1

    def test_where_nobody_draws_it_is_told(self, ask, fake, board):
        fake.kinds = frozenset()
        assert ask().status_code == 503
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0

    def test_pictures_count_as_items_of_batches_do(self, build, as_, alice):
        client = build(rate_limit_batch_items="5/minute")
        statuses = [
            client.post(ASSETS, json={**SWORD, "count": count}, headers=as_(alice)).status_code
            for count in (4, 2, 1)
        ]
        assert statuses == [202, 429, 202]


@pytest.mark.parametrize("kind", AssetType)
@pytest.mark.parametrize("words", ["a knight", "a castle on a hill"])
def test_what_is_said_of_a_kind_names_nothing_that_could_be_drawn(words, kind):
    asked, composed = (cast(read(one, None), Random(1)) for one in (words, prompt(words, kind, cut_out=True)))
    assert asked == composed


class TestFallingBack:
    def test_a_job_that_fails_after_it_was_taken_is_drawn_by_the_next(self, rt, board, job, shown):
        taking = Scripted(
            "assetgen",
            submit=lambda *_: Accepted({"id": "j-1"}, 0.0),
            poll=fails(FailureKind.JOB_FAILED, "It broke."),
        )
        with_providers(rt, taking, Scripted("huggingface"))
        job_id = job()
        go_on(rt, board)
        found = shown(job_id)
        assert (found["status"], found["provider"]) == ("completed", "huggingface")
        assert found["results"][0]["provider"] == "huggingface"
        assert calls(board, found["results"][0]["requestId"]) == [
            ("assetgen", "failed", "job_failed"),
            ("huggingface", "done", None),
        ]

    def test_the_asset_service_comes_first_and_then_hugging_face(self, settings, monkeypatch, tmp_path):
        monkeypatch.setenv("ASSETGEN_BASE_URL", "http://127.0.0.1:8000")
        monkeypatch.setenv("HUGGINGFACE_API_KEY", "a key")
        order = config.load(tmp_path / "none.env").provider_order[Kind.GAME_ASSET]
        assert order[:2] == ("assetgen", "huggingface")

    def test_who_is_chosen_is_asked_alone(self, rt, board, job, shown):
        with_providers(rt, Scripted("one"), Scripted("two", submit=fails(FailureKind.BAD_REQUEST)))
        job_id = job(provider="two")
        go_on(rt, board)
        found = shown(job_id)
        assert (found["status"], found["provider"], found["results"]) == ("failed", "two", [])


class TestTheJob:
    def test_it_goes_from_pending_to_completed(self, rt, board, job, shown):
        job_id = job(count=2)
        first = shown(job_id)
        assert (first["status"], first["provider"], first["completedAt"]) == ("pending", None, None)
        assert first["progress"] == {
            "percentage": 0,
            "stage": "pending",
            "message": "0 of 2 pictures are ready.",
        }
        turn(rt, board)
        half = shown(job_id)
        assert (half["status"], half["progress"]["percentage"], len(half["results"])) == ("processing", 50, 1)
        go_on(rt, board)
        last = shown(job_id)
        assert (last["status"], last["progress"]["percentage"], len(last["results"])) == ("completed", 100, 2)
        assert last["completedAt"].endswith("Z")

    def test_what_succeeded_is_kept_where_the_rest_failed(self, rt, board, job, shown, fake):
        fake._submit = in_turn(done(), ProviderError(FailureKind.POLICY_INPUT, "Not this."), done())
        job_id = job(count=3)
        go_on(rt, board)
        found = shown(job_id)
        assert (found["status"], len(found["results"]), found["progress"]["percentage"]) == (
            "completed",
            2,
            100,
        )
        [error] = found["errors"]
        assert (error["message"], error["code"]) == ("Not this.", "content_policy")

    def test_where_all_failed_it_failed(self, rt, board, job, shown, fake):
        fake._submit = fails(FailureKind.POLICY_INPUT)
        job_id = job(count=2)
        go_on(rt, board)
        assert (shown(job_id)["status"], len(shown(job_id)["errors"])) == ("failed", 2)

    def test_each_picture_becomes_an_asset_of_the_library(self, rt, board, job, shown, alice):
        job_id = job()
        go_on(rt, board)
        [result] = shown(job_id)["results"]
        kept = assets.find(rt, alice, result["assetId"], Collection.ASSET)
        assert (kept.type, kept.prompt) == ("prop-design", "a rusty sword")
        assert kept.files["image"].sha256 == result["sha256"]
        assert set(kept.files) == {"image", "thumbnail"}

    def test_cancelling_keeps_what_is_finished(self, rt, board, job, shown, call, alice):
        job_id = job(count=3)
        turn(rt, board)
        answer = call(alice, "DELETE", f"{JOBS}/{job_id}")
        assert answer.json == {"success": True, "message": "Job cancelled successfully", "cancelled": 2}
        found = shown(job_id)
        assert (found["status"], len(found["results"])) == ("cancelled", 1)
        again = call(alice, "DELETE", f"{JOBS}/{job_id}")
        assert (again.status_code, again.json["cancelled"]) == (200, 0)

    def test_one_that_has_ended_by_itself_can_not_be_cancelled(self, rt, board, job, call, alice):
        job_id = job()
        go_on(rt, board)
        answer = call(alice, "DELETE", f"{JOBS}/{job_id}")
        assert (answer.status_code, answer.json["code"]) == (409, "illegal_move")

    def test_what_is_unchanged_is_not_sent_again(self, job, call, alice, rt, board):
        path = f"{JOBS}/{job()}"
        tag = call(alice, "GET", path).headers["ETag"]
        assert call(alice, "GET", path, headers={"If-None-Match": tag}).status_code == 304
        go_on(rt, board)
        assert call(alice, "GET", path, headers={"If-None-Match": tag}).status_code == 200

    def test_a_batch_of_another_kind_is_no_job(self, board, call, alice):
        batch, _ = board.put_batch(alice, 1, 1)
        for method in ("GET", "DELETE"):
            answer = call(alice, method, f"{JOBS}/{batch}")
            assert (answer.status_code, answer.json["detail"]) == (404, "Job not found")

    def test_a_foreign_job_is_not_there(self, job, call, bob, operator):
        job_id = job()
        for method in ("GET", "DELETE"):
            assert call(bob, method, f"{JOBS}/{job_id}").status_code == 404
        assert call(operator, "GET", f"{JOBS}/{job_id}").status_code == 200


class TestStylePacks:
    @pytest.fixture
    def kept(self, call, alice):
        def act(n=5, **more):
            answer = call(alice, "POST", PACKS, json=pack(n, **more))
            assert answer.status_code == 201, answer.text
            return answer.json

        return act

    def test_it_is_kept_with_its_pictures(self, kept, call, alice):
        made = kept(7, description="Ink and water", style="hand-drawn")
        assert (made["name"], made["total"], made["style"]) == ("Ink", 7, "hand-drawn")
        assert [one["role"] for one in made["references"]] == [f"reference-{n}" for n in range(7)]
        found = call(alice, "GET", f"{PACKS}/{made['id']}").json
        assert found == made
        answer = call(None, "GET", "/files/" + found["references"][6]["url"].rpartition("/")[2])
        assert (answer.status_code, answer.mimetype.split("/")[0]) == (200, "image")

    def test_the_ids_of_uploads_will_do(self, call, alice, bob, rt):
        mine = [{"upload": upload.receive(rt, alice, picture(c)).id} for c in COLOURS[:5]]
        assert call(alice, "POST", PACKS, json={"name": "x", "referenceImages": mine}).status_code == 201
        answer = call(bob, "POST", PACKS, json={"name": "x", "referenceImages": mine})
        assert fields(answer) == [f"referenceImages.{n}.upload" for n in range(5)]

    @pytest.mark.parametrize("n", [0, 4, 51])
    def test_it_has_five_to_fifty(self, call, alice, everything, n):
        before = everything()
        images = [{"upload": f"vgu_{i}"} for i in range(n)]
        answer = call(alice, "POST", PACKS, json={"name": "x", "referenceImages": images})
        assert fields(answer) == ["referenceImages"]
        assert everything() == before

    def test_five_times_the_same_is_not_five(self, call, alice, board):
        body = {"name": "x", "referenceImages": [{"dataUrl": data_url(picture())}] * 5}
        assert fields(call(alice, "POST", PACKS, json=body)) == ["referenceImages"]
        assert board.scalar("SELECT count(*) FROM library_assets") == 0

    @pytest.mark.parametrize("content", [files.svg(script=True), files.html(), files.fat_png(), b""])
    def test_what_is_no_picture_is_refused_by_its_place(self, call, alice, board, content):
        body = pack()
        body["referenceImages"][3] = {"dataUrl": data_url(content)}
        assert fields(call(alice, "POST", PACKS, json=body)) == ["referenceImages.3.dataUrl"]
        assert board.scalar("SELECT count(*) FROM library_assets") == 0

    def test_addresses_are_not_fetched(self, call, alice):
        body = pack()
        body["referenceImages"][0] = {"url": "https://example.com/a.png"}
        assert "referenceImages.0.url" in fields(call(alice, "POST", PACKS, json=body))

    def test_a_form_brings_files(self, form, alice):
        answer = form(alice, [picture(c) for c in COLOURS[:6]], name="Ink", style="cartoon")
        assert (answer.status_code, answer.json["total"]) == (201, 6)

    def test_a_form_is_looked_at_as_closely(self, form, alice):
        assert fields(form(alice, [picture(c) for c in COLOURS[:4]], name="Ink")) == ["files"]
        assert fields(form(alice, [picture(c) for c in COLOURS[:5]])) == ["name"]
        assert fields(form(alice, [picture(c) for c in COLOURS[:5]], name="a", colour="b")) == ["colour"]
        assert fields(form(alice, [*[picture(c) for c in COLOURS[:5]], files.html()], name="a")) == [
            "files.5"
        ]
        assert fields(form(alice, [picture()] * 5, name="a")) == ["files"]

    @pytest.fixture
    def form(self, call):
        def act(who, contents, **words):
            parts = [(f'name="{name}"', value.encode()) for name, value in words.items()]
            parts += [('name="files"; filename="a.png"', content) for content in contents]
            body = b"".join(
                b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), value)
                for head, value in parts
            )
            return call(
                who, "POST", PACKS, data=body + b"--x--\r\n", content_type="multipart/form-data; boundary=x"
            )

        return act

    def test_each_picture_of_a_job_begins_with_four_others_of_the_pack(self, kept, job, rt, board, fake):
        made = kept(6)
        job(count=3, stylePack=made["id"])
        go_on(rt, board)
        rows = board.scalar(
            "SELECT array_agg(sha256 ORDER BY role) FROM library_files WHERE asset_id = :id", id=made["id"]
        )
        places = [[rows.index(one.sha256) for one in task.references] for task in fake.tasks]
        assert places == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]]

    def test_a_foreign_pack_can_not_be_drawn_from(self, kept, ask, bob):
        assert fields(ask(bob, stylePack=kept()["id"])) == ["stylePack"]

    def test_a_deleted_one_is_gone_and_what_was_begun_keeps_its_pictures(
        self, kept, job, call, alice, ask, rt, board, fake
    ):
        made = kept()
        job(stylePack=made["id"])
        assert call(alice, "DELETE", f"{PACKS}/{made['id']}").status_code == 204
        for method in ("GET", "DELETE"):
            assert call(alice, method, f"{PACKS}/{made['id']}").status_code == 404
        assert call(alice, "GET", PACKS).json["items"] == []
        assert fields(ask(stylePack=made["id"])) == ["stylePack"]
        go_on(rt, board)
        assert len(fake.tasks[0].references) == 4

    def test_of_two_deletes_at_once_one_finds_it(self, kept, rt, alice):
        pack_id, gate, missed = kept()["id"], threading.Barrier(2), []

        def act():
            gate.wait()
            try:
                style_packs.delete(rt, alice, pack_id)
            except NotFound:
                missed.append(1)

        threads = [threading.Thread(target=act) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert missed == [1]

    def test_the_list_goes_by_pages_and_is_mine_alone(self, kept, call, alice, bob):
        made = [kept(name=f"pack {n}")["id"] for n in range(3)]
        first = call(alice, "GET", f"{PACKS}?limit=2")
        assert 'rel="next"' in first.headers["Link"]
        second = call(alice, "GET", f"{PACKS}?limit=2&cursor={first.json['nextCursor']}").json
        assert sorted(one["id"] for one in first.json["items"] + second["items"]) == sorted(made)
        assert second["nextCursor"] is None
        assert call(bob, "GET", PACKS).json["items"] == []
        assert call(bob, "GET", f"{PACKS}/{made[0]}").status_code == 404


class TestProviders:
    def test_they_are_as_they_were_at_the_last_look_and_nobody_is_asked(self, rt, board, call, alice):
        asked = []

        class Watched(Scripted):
            def health(self):
                asked.append(self.name)
                return super().health()

        with_providers(rt, Watched("assetgen"), Watched("other", options=Options("other")))
        board.do("INSERT INTO provider_health (name, state, reason) VALUES ('assetgen', 'down', 'No model.')")
        assert call(alice, "GET", "/api/ai/providers").json == {
            "providers": [
                {"name": "assetgen", "state": str(HealthState.DOWN), "reason": "No model."},
                {"name": "other", "state": str(HealthState.UP), "reason": ""},
            ]
        }
        assert asked == []
