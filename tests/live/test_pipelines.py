"""A pipeline is watched by its id: its stages, those that a retry makes anew later, and nobody else's."""

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import ENDINGS, Kind, Role
from app.providers.base import ProviderError
from app.services.live import topic as topics
from app.services.live.topic import Scope
from app.services.pipelines.again import again
from app.services.pipelines.stages import Name, Result, Stage
from app.services.pipelines.start import start
from app.services.submit import Order
from tests.fakes.scripted import Scripted, done
from tests.live.test_stream import Parser
from tests.queue.acts import cancel, cancel_batch
from tests.services.acts import attempt, in_turn

# A stream that tells nothing shows that it is alive for as long as it is read.
pytestmark = pytest.mark.timeout(60)
SKETCH, PAINTING = Name("sketch"), Name("painting")


@pytest.fixture
def fake():
    """Makes the sketch, then fails with the painting, which it makes when it is asked again."""
    refused = ProviderError(FailureKind.BAD_REQUEST, "Not this one.")
    return Scripted(submit=in_turn(done(), refused, done()))


@pytest.fixture
def pipeline(rt, alice):
    """Alice's, of a painting that is made from a sketch; with the requests of its stages."""
    drawn = {"referenceImages": [Result(SKETCH, "image")]}
    stages = [
        Stage(SKETCH, Order(Kind.PICTURE, "a heron, in pencil")),
        Stage(PAINTING, Order(Kind.PICTURE, "a heron", metadata=drawn), needs={SKETCH: True}),
    ]

    def body(pipeline, named):
        return {"id": pipeline, "requests": [named[SKETCH], named[PAINTING]]}

    answer = start(rt, alice, stages, body, given={}, key=None, traceparent=None)
    return answer.body["id"], answer.body["requests"]


@pytest.fixture
def work(rt, board):
    """Return a function that lets a worker do all that can be done now."""

    def act():
        worker = board.worker()
        while claims := board.claim(worker, 1):
            attempt(rt, claims[0])

    return act


@pytest.fixture
def retry(rt, board, alice):
    """Return a function that makes anew what failed in a pipeline, and gives the requests that this added."""

    def act(pipeline):
        of_it = "SELECT array_agg(id ORDER BY id) FROM generation_requests WHERE batch_id = :id"
        before = board.scalar(of_it, id=pipeline)
        again(rt, alice, pipeline, key=None, traceparent=None)
        return [one for one in board.scalar(of_it, id=pipeline) if one not in before]

    return act


@pytest.fixture(params=["socket", "stream"])
def messages(request, watch, stream):
    """Return a function that lets somebody watch a pipeline, and gives what comes, from the snapshot on."""

    def act(who, pipeline):
        if request.param == "stream":
            return (one.data for one in Parser(stream(who, pipelineId=pipeline)))
        socket = watch(who)
        assert socket.ask(type="subscribe", pipelineId=pipeline) == {
            "type": "subscribed",
            "pipelineId": pipeline,
        }
        return iter(socket.hear, None)

    return act


def story(messages, *requests):
    """Return what is told of each request until these have ended, but for progress; fail where a `seq` is left out."""
    found = {}
    while not all(one in found and found[one][-1]["event"] in ENDINGS for one in requests):
        update = next(messages)
        found.setdefault(update["requestId"], []).append(update)
    for updates in found.values():
        first = 1 if updates[0]["event"] == "request-queued" else 2
        assert [one["seq"] for one in updates] == list(range(first, first + len(updates)))
    return {
        name: [one["event"] for one in updates if one["event"] != "request-progress"]
        for name, updates in found.items()
    }


class TestStages:
    def test_they_are_told_and_so_are_those_that_a_retry_adds(self, messages, pipeline, work, retry, alice):
        named, [sketch, painting] = pipeline
        told = messages(alice, named)
        shown = next(told)
        assert (shown["type"], shown["pipelineId"]) == ("snapshot", named)
        assert [(row["requestId"], row["seq"]) for row in shown["data"]["requests"]] == [
            (sketch, 1),
            (painting, 1),
        ]
        work()
        assert story(told, sketch, painting) == {
            sketch: ["request-started", "request-completed"],
            painting: ["request-started", "request-failed"],
        }
        [anew] = retry(named)
        work()
        assert story(told, anew) == {anew: ["request-queued", "request-started", "request-completed"]}

    @pytest.mark.parametrize("heard", [True, False])
    def test_what_a_retry_adds_is_told_heard_or_not(self, deaf, begin, pipeline, work, retry, alice, heard):
        named, _ = pipeline
        work()
        told, _ = begin(alice, topics.of(alice, Scope.PIPELINE, named))
        [anew] = retry(named)
        deaf.hear({anew}) if heard else deaf.look()
        deaf.look()
        assert told.updates == [(anew, 1)]


class TestWhoMayWatch:
    @pytest.mark.parametrize(
        ("role", "code", "status"),
        [(Role.CLIENT, "not_found", 404), (Role.VIEWER, "not_allowed", 403)],
    )
    def test_somebody_elses_is_refused(self, watch, stream, pipeline, person, role, code, status):
        named, _ = pipeline
        somebody = person("somebody", role)
        for name in (named, "vgp_unknown"):
            answer = watch(somebody).ask(type="subscribe", pipelineId=name)
            assert (answer["type"], answer["code"], answer["pipelineId"]) == ("error", code, name)
            assert stream(somebody, pipelineId=name).status_code == status

    def test_who_was_refused_is_told_nothing_of_it(self, watch, pipeline, board, bob):
        named, _ = pipeline
        socket = watch(bob)
        assert socket.ask(type="subscribe", pipelineId=named)["type"] == "error"
        own = board.put_one(bob)
        socket.subscribe(requestId=own)
        cancel_batch(board, named)
        cancel(board, own)
        assert socket.hear()["requestId"] == own
        assert socket.hear_all() == []

    def test_an_operator_watches_anybodys(self, watch, stream, pipeline, operator):
        named, requests = pipeline
        shown = watch(operator).subscribe(pipelineId=named)
        assert [row["requestId"] for row in shown["data"]["requests"]] == requests
        assert stream(operator, pipelineId=named).status_code == 200
