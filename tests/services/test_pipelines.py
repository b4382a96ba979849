"""A chain of requests: what each is made from, what a failure stops, what is made again, and that nothing is made twice."""

import json
import struct
import threading
from dataclasses import replace

import pytest

from app.domain.errors import IllegalMove, NotFound, Unavailable
from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Artifact, Done, ProviderError
from app.services import batch, lookup, retry, submit
from app.services import cancel as cancelling
from app.services.explain import explain
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.pipelines.again import again
from app.services.pipelines.stages import Name, Result, Stage
from app.services.pipelines.start import start
from app.services.pipelines.status import find
from app.services.submit import Key, Order
from tests.fakes.scripted import Scripted, done, picture
from tests.services.acts import attempt

WORDS, PICTURE, MODEL = Name("words"), Name("picture"), Name("model")
RED, BLUE = Name("skin", "red"), Name("skin", "blue")


def glb(word="a"):
    scene = json.dumps(
        {"asset": {"version": "2.0", "generator": word}, "meshes": [{"primitives": []}]}
    ).encode()
    scene += b" " * (-len(scene) % 4)
    return (
        struct.pack("<4sII", b"glTF", 2, 20 + len(scene)) + struct.pack("<I4s", len(scene), b"JSON") + scene
    )


class Maker(Scripted):
    """Makes everything; `broken` are the kinds that it can't make."""

    kinds = frozenset(Kind)

    def __init__(self, name="fake", broken=()):
        super().__init__(name, submit=self._make)
        self.broken = set(broken)

    def _make(self, task, _context):
        if task.kind in self.broken:
            raise ProviderError(FailureKind.BAD_REQUEST, "Not this one.")
        match task.kind:
            case Kind.PROMPT:
                return Done((), "fake-1", data={"text": f"better {task.prompt}"})
            case Kind.MODEL | Kind.RETEXTURE:
                model = Artifact("model", glb(task.prompt), "model/gltf-binary")
                return Done(
                    (model, Artifact("thumbnail", picture(), "image/png")), "fake-1", data={"triangles": 12}
                )
            case _:
                return done()


@pytest.fixture
def fake():
    return Maker()


def stages(asset_id=None):
    said = Result(WORDS, "text")
    image = {"referenceImages": [Result(PICTURE, "image")]}
    model = {"source": Result(MODEL, "model")}
    return [
        Stage(WORDS, Order(Kind.PROMPT, "a red dragon"), weight=10, required=False),
        Stage(
            PICTURE,
            Order(Kind.PICTURE, "a red dragon", metadata={"promptFrom": said}),
            20,
            needs={WORDS: False},
        ),
        Stage(
            MODEL, Order(Kind.MODEL, "a dragon", metadata=image), 50, needs={PICTURE: True}, asset_id=asset_id
        ),
        Stage(RED, Order(Kind.RETEXTURE, "red", metadata=model), 10, required=False, needs={MODEL: True}),
        Stage(BLUE, Order(Kind.RETEXTURE, "blue", metadata=model), 10, required=False, needs={MODEL: True}),
    ]


@pytest.fixture
def begin(rt, alice):
    def act(*, asset_id=None, also=None, made=None):
        def body(pipeline, named):
            return {
                "pipelineId": pipeline,
                "stages": {f"{n.stage}{n.variant}": one for n, one in named.items()},
            }

        answer = start(
            rt, alice, made or stages(asset_id), body, given={"name": "x"}, asset_id=asset_id, also=also, key=None,
            traceparent=None,
        )  # fmt: skip
        return answer.body["pipelineId"], answer.body["stages"]

    return act


@pytest.fixture
def work(rt, board):
    """Let workers do all that can be done now, at most `most` attempts; return how many were made."""

    def act(most=50):
        worker, n = board.worker(), 0
        while n < most and (claims := board.claim(worker, 1)):
            attempt(rt, claims[0])
            n += 1
        return n

    return act


def told(rt, alice, pipeline):
    return {f"{s.name.stage}{s.name.variant}": s.status for s in find(rt, alice, pipeline).stages}


def test_each_stage_begins_when_what_it_needs_is_made_and_works_from_it(rt, alice, begin, work, fake):
    pipeline, made = begin()
    assert told(rt, alice, pipeline) == dict.fromkeys(made, "pending")
    assert find(rt, alice, pipeline).status == "initializing"

    assert work(1) == 1
    assert told(rt, alice, pipeline)["words"] == "completed"
    assert find(rt, alice, pipeline).progress == 10
    work()

    assert find(rt, alice, pipeline).status == "completed"
    assert find(rt, alice, pipeline).progress == 100
    kinds = [task.kind for task in fake.tasks]
    assert kinds == [Kind.PROMPT, Kind.PICTURE, Kind.MODEL, Kind.RETEXTURE, Kind.RETEXTURE]
    assert fake.tasks[1].prompt == "better a red dragon"
    assert [one.mime for one in fake.tasks[2].references] == ["image/png"]
    assert fake.tasks[3].source.content == glb("a dragon")
    record = lookup.find(rt, alice, made["model"])
    assert record.result["data"] == {"triangles": 12}
    assert set(record.result["files"]) == {"model", "thumbnail"}


def test_what_may_fail_stops_nothing_and_what_is_required_stops_what_needs_it(rt, alice, begin, work, fake):
    fake.broken = {Kind.PROMPT, Kind.MODEL}
    pipeline, _ = begin()

    work()

    assert told(rt, alice, pipeline) == {
        "words": "failed",
        "picture": "completed",
        "model": "failed",
        "skinred": "skipped",
        "skinblue": "skipped",
    }
    found = find(rt, alice, pipeline)
    assert (found.status, found.error["message"]) == ("failed", "Not this one.")
    assert fake.tasks[1].prompt == "a red dragon"


def test_a_film_says_the_words_that_were_made_for_it(rt, begin, work, fake):
    film = Order(Kind.VIDEO, "wie es war", metadata={"promptFrom": Result(WORDS, "text")})
    said = Stage(WORDS, Order(Kind.PROMPT, "as it was"), required=False)
    begin(made=[said, Stage(Name("film"), film, needs={WORDS: False})])
    work()
    assert fake.tasks[1].settings["script"] == "better as it was"


def test_a_variant_that_fails_leaves_the_pipeline_completed(rt, alice, begin, work, fake):
    fake.broken = {Kind.RETEXTURE}
    pipeline, _ = begin()
    work()
    assert find(rt, alice, pipeline).status == "completed"
    assert told(rt, alice, pipeline)["skinred"] == "failed"


def test_a_retry_makes_what_failed_and_nothing_that_is_there(rt, alice, begin, work, fake):
    fake.broken = {Kind.MODEL}
    pipeline, made = begin()
    work()
    fake.broken, before = set(), len(fake.tasks)

    again(rt, alice, pipeline, key=None, traceparent=None)
    work()

    assert find(rt, alice, pipeline).status == "completed"
    assert [task.kind for task in fake.tasks[before:]] == [Kind.MODEL, Kind.RETEXTURE, Kind.RETEXTURE]
    assert fake.tasks[before + 1].source.content == glb("a dragon")
    assert lookup.find(rt, alice, made["model"]).status == "failed"
    with pytest.raises(IllegalMove):
        again(rt, alice, pipeline, key=None, traceparent=None)


def test_of_two_retries_at_once_one_is_made(rt, alice, begin, work, fake, board):
    fake.broken = {Kind.MODEL}
    pipeline, _ = begin()
    work()
    gate, refused = threading.Barrier(2), []

    def one():
        gate.wait()
        try:
            again(rt, alice, pipeline, key=None, traceparent=None)
        except IllegalMove:
            refused.append(1)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert board.scalar("SELECT count(*) FROM generation_requests WHERE batch_id = :id", id=pipeline) == 5 + 3


def test_cancel_stops_what_runs_and_what_waits(rt, alice, begin, work, fake):
    pipeline, _ = begin()
    work(1)
    assert batch.cancel(rt, alice, pipeline) == 4
    assert work() == 0
    assert find(rt, alice, pipeline).status == "cancelled"
    assert told(rt, alice, pipeline)["words"] == "completed"


def test_a_cancelled_stage_takes_with_it_what_needs_it(rt, alice, begin, work):
    pipeline, made = begin()
    work(2)
    cancelling.cancel(rt, alice, made["model"])
    assert work() == 0
    assert told(rt, alice, pipeline)["skinblue"] == "skipped"


def test_variants_run_side_by_side_up_to_the_cap(rt, begin, work, board):
    many = [Stage(Name("skin", str(n)), Order(Kind.PICTURE, f"number {n} of many")) for n in range(6)]
    begin(made=[Stage(WORDS, Order(Kind.PROMPT, "say it")), *[
        Stage(s.name, s.order, needs={WORDS: True}) for s in many]])  # fmt: skip
    assert work(1) == 1
    assert len(board.claim(board.worker(), 10)) == 3


def test_the_files_of_a_stage_come_to_its_asset_when_it_is_completed(rt, alice, begin, work):
    asset_id = assets.new_id(rt)
    new = NewAsset(asset_id, Collection.ASSET, "creature", "Dragon")
    begin(asset_id=asset_id, also=lambda tx, _named: assets.put(tx, alice.user_id, new))
    work(2)
    assert assets.find(rt, alice, asset_id, Collection.ASSET).ready_at is None
    work()
    found = assets.find(rt, alice, asset_id, Collection.ASSET)
    assert found.ready_at is not None
    assert set(found.files) == {"model", "thumbnail"}
    assert lookup.file(rt, alice, asset_id, "model").mime == "model/gltf-binary"


def test_a_newer_file_takes_the_place_of_the_older(rt, alice, begin, work):
    asset_id = assets.new_id(rt)
    new = NewAsset(asset_id, Collection.ASSET, "creature", "Dragon")
    for words, also in (
        ("the first one", lambda tx, _: assets.put(tx, alice.user_id, new)),
        ("the second one", None),
    ):
        begin(made=[Stage(MODEL, Order(Kind.MODEL, words), asset_id=asset_id)], also=also)
        work()
        with rt.store.open(lookup.file(rt, alice, asset_id, "model").sha256) as file:
            assert file.read() == glb(words)


def test_a_stage_that_nobody_can_make_is_skipped_or_refuses_the_pipeline(rt, alice, begin, work, fake, board):
    fake.kinds = frozenset(Kind) - {Kind.PROMPT, Kind.RETEXTURE}
    pipeline, made = begin()
    work()
    assert find(rt, alice, pipeline).status == "completed"
    assert set(made) == {"picture", "model"}
    assert told(rt, alice, pipeline)["words"] == "skipped"

    fake.kinds = frozenset({Kind.PICTURE})
    with pytest.raises(Unavailable):
        begin()
    assert board.scalar("SELECT count(*) FROM pipelines") == 1


def test_another_s_pipeline_is_not_there(rt, bob, begin):
    pipeline, _ = begin()
    with pytest.raises(NotFound):
        find(rt, bob, pipeline)
    with pytest.raises(NotFound):
        again(rt, bob, pipeline, key=None, traceparent=None)


def test_stages_that_end_together_admit_what_needs_both(rt, alice, board, begin):
    """Both take one off the count: neither may overlook the other."""
    a, b, c = Name("a"), Name("b"), Name("c")
    pipeline, made = begin(
        made=[
            Stage(a, Order(Kind.PICTURE, "the first one")),
            Stage(b, Order(Kind.PICTURE, "the second one")),
            Stage(c, Order(Kind.PICTURE, "from both of them"), needs={a: True, b: True}),
        ]
    )
    worker = board.worker()
    first, second = board.claim(worker, 2)
    gate = threading.Barrier(2)

    def one(claim):
        gate.wait()
        attempt(rt, claim)

    threads = [threading.Thread(target=one, args=(claim,)) for claim in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [claim.request_id for claim in board.claim(worker, 5)] == [made["c"]]
    assert told(rt, alice, pipeline)["c"] == "processing"


def test_explain_says_what_a_stage_waits_for(rt, alice, begin):
    _, made = begin()
    [why] = explain(rt, alice, made["model"])["reasons"]
    assert made["picture"] in why


def test_a_retry_repeats_its_answer_under_its_key_also_when_all_is_made(rt, alice, begin, work, fake):
    fake.broken = {Kind.MODEL}
    pipeline, _ = begin()
    work()
    fake.broken = set()
    key = Key("POST /retry", "the-same-key", None)
    first = again(rt, alice, pipeline, key=key, traceparent=None)
    work()
    assert again(rt, alice, pipeline, key=key, traceparent=None) == replace(first, replayed=True)


def test_a_retry_leaves_words_alone_that_nobody_waits_for(rt, alice, begin, work, fake):
    fake.broken = {Kind.PROMPT, Kind.RETEXTURE}
    pipeline, _ = begin()
    work()
    fake.broken, before = set(), len(fake.tasks)
    again(rt, alice, pipeline, key=None, traceparent=None)
    work()
    assert [task.kind for task in fake.tasks[before:]] == [Kind.RETEXTURE, Kind.RETEXTURE]


def test_no_more_stages_run_at_once_in_a_retry_than_before(rt, alice, begin, work, fake, board):
    many = [
        Stage(Name("skin", str(n)), Order(Kind.RETEXTURE, f"number {n}"), required=False, needs={WORDS: True})
        for n in range(6)
    ]
    pipeline, _ = begin(made=[Stage(WORDS, Order(Kind.PROMPT, "say it")), *many])
    fake.broken = {Kind.RETEXTURE}
    work()
    again(rt, alice, pipeline, key=None, traceparent=None)
    assert len(board.claim(board.worker(), 10)) == 3


def test_what_an_operator_retries_stays_its_owner_s(rt, alice, begin, work, fake, board, operator):
    fake.broken = {Kind.MODEL}
    pipeline, _ = begin()
    work()
    again(rt, operator, pipeline, key=None, traceparent=None)
    assert board.scalar("SELECT count(DISTINCT owner_id) FROM generation_requests") == 1


def test_what_was_deleted_is_not_made_by_a_retry(rt, alice, begin, work, fake, board):
    asset_id = assets.new_id(rt)
    new = NewAsset(asset_id, Collection.ASSET, "creature", "Dragon")
    fake.broken = {Kind.MODEL}
    pipeline, _ = begin(asset_id=asset_id, also=lambda tx, _named: assets.put(tx, alice.user_id, new))
    work()
    board.do("UPDATE library_assets SET deleted_at = clock_timestamp()")
    with pytest.raises(IllegalMove):
        again(rt, alice, pipeline, key=None, traceparent=None)


def test_a_stage_is_not_tried_again_without_its_pipeline(rt, alice, begin, work, fake):
    fake.broken = {Kind.MODEL}
    pipeline, made = begin()
    work()
    with pytest.raises(IllegalMove):
        retry.retry(rt, alice, made["model"], key=None, traceparent=None)
    with pytest.raises(IllegalMove):
        batch.retry_failed(rt, alice, pipeline, key=None, traceparent=None)


def test_a_retry_makes_the_asset_that_the_request_was_to_make(rt, alice, work, fake, board):
    asset_id = assets.new_id(rt)
    request = submit.new_request(rt, Order(Kind.PICTURE, "a heron of brass"), asset_id=asset_id)
    new = NewAsset(asset_id, Collection.IMAGE, "item", "Heron", request_id=request.id)
    fake.broken = {Kind.PICTURE}
    submit.write(
        rt,
        alice,
        [request],
        {},
        also=lambda tx: assets.put(tx, alice.user_id, new),
        key=None,
        traceparent=None,
    )
    work()
    fake.broken = set()
    again_ = retry.retry(rt, alice, request.id, key=None, traceparent=None).body["requestId"]
    work()
    found = assets.find(rt, alice, asset_id, Collection.IMAGE)
    assert (found.request_id, set(found.files)) == (again_, {"image", "thumbnail"})
    assert found.ready_at is not None


def test_a_new_model_takes_away_what_was_made_of_the_old(rt, alice, begin, work, fake, board):
    asset_id = assets.new_id(rt)
    new = NewAsset(asset_id, Collection.ASSET, "creature", "Dragon")
    first = [Stage(MODEL, Order(Kind.MODEL, "the first one"), asset_id=asset_id)]
    begin(made=first, also=lambda tx, _named: assets.put(tx, alice.user_id, new))
    work()
    board.do(
        "INSERT INTO library_files (asset_id, role, sha256) SELECT :id, role, (SELECT min(sha256) FROM assets)"
        " FROM unnest(ARRAY['rig', 'animation-1', 'sprite-3', 'config', 'image']) AS role",
        id=asset_id,
    )
    begin(made=[Stage(MODEL, Order(Kind.MODEL, "the second one"), asset_id=asset_id)])
    work()
    found = assets.find(rt, alice, asset_id, Collection.ASSET)
    assert set(found.files) == {"model", "thumbnail", "image"}
