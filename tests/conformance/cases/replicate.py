from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, replicate
from tests.fakes.house.faults import MARK, answer

_CREATE = r"/predictions$"
_GET = r"/predictions/[^/]+$"
K = FailureKind


def _state(house: House, **values: Any) -> None:
    house.state("replicate").update(values)


def _refused(id_: str, status: int, body: dict[str, Any], kind: K, wait: float | None = None) -> Fault:
    reply = {"status": status, "detail": MARK, **body}
    return Fault(
        id_,
        lambda house: house.script("replicate", _CREATE, answer(status, reply), method="POST"),
        Where.SUBMIT,
        kind,
        charged=Charged.NO,
        retry_after=wait,
    )


def _failed(id_: str, error: str, kind: K) -> Fault:
    return Fault(id_, partial(_state, fail=error), Where.POLL, kind, 1, Charged.UNKNOWN)


def _polled(id_: str, body: dict[str, Any], kind: K, charged: Charged) -> Fault:
    """Answer the next poll with these fields over those of the job."""

    def arrange(house: House) -> None:
        def reply(request: Any) -> Any:
            job = request.path.rsplit("/", 1)[-1]
            made = house.state("replicate")["predictions"][job]
            return answer(200, {**replicate.shown(house, made), **body})

        house.script("replicate", _GET, reply, method="GET")

    return Fault(id_, arrange, Where.POLL, kind, 1, charged)


_PICTURES = Case(
    name="replicate",
    adapter="app.providers.replicate:Replicate",
    model=replicate.MODEL,
    more={"image": "input_images[]", "input": '{"go_fast": true}'},
    tasks={
        "words": task(),
        "wide": task(width=1024, height=576),
        "negative": task(negative_prompt="rain"),
        "edit of two": task(references=(reference(), reference())),
    },
    adapted={"words": r"^1024x1024 -> 1:1$", "wide": r"^1024x576 -> 16:9$", "negative": "negative prompt"},
    submit=_CREATE,
    poll=_GET,
    job=True,
    cdn=True,
    faults=(
        _refused(
            "throttled, in words only",
            429,
            {"detail": "Request was throttled. Your rate limit resets in ~30s."},
            K.RATE_LIMITED,
            30,
        ),
        _refused(
            "a version that is gone", 422, {"title": "Invalid version or not permitted"}, K.MODEL_RETIRED
        ),
        _refused("an input that is refused", 422, {"title": "Input validation failed"}, K.BAD_REQUEST),
        _refused("no credit", 402, {"title": "Insufficient credit"}, K.QUOTA_EXHAUSTED),
        _refused("a model that is gone", 404, {}, K.MODEL_RETIRED),
        _failed("it failed", f"RuntimeError: {MARK}", K.JOB_FAILED),
        _failed("it was withheld", "NSFW content detected. Try running it again.", K.POLICY_OUTPUT),
        _failed(
            "it was flagged",
            "The input or output was flagged as sensitive. Please try again. (E005)",
            K.POLICY_OUTPUT,
        ),
        _failed("it failed, and says nothing", "", K.JOB_FAILED),
        _polled("it was cancelled there", {"status": "canceled"}, K.JOB_FAILED, Charged.UNKNOWN),
        _polled("its deadline passed before it began", {"status": "aborted"}, K.JOB_FAILED, Charged.NO),
        _polled(
            "its output was removed",
            {"status": "succeeded", "data_removed": True},
            K.RESULT_EXPIRED,
            Charged.YES,
        ),
        _polled("it made nothing", {"status": "succeeded", "output": None}, K.BAD_RESULT, Charged.YES),
        _polled("it made words", {"status": "succeeded", "output": "a heron"}, K.BAD_RESULT, Charged.YES),
        _polled("it is another job", {"id": "of-somebody-else"}, K.PROTOCOL, Charged.NO),
        Fault(
            "it is gone",
            lambda house: house.script("replicate", _GET, answer(404, {"detail": MARK}), forever=True),
            Where.POLL,
            K.JOB_LOST,
            1,
            Charged.UNKNOWN,
        ),
    ),
)
_VIDEOS = Case(
    name="replicate",
    id="replicate videos",
    adapter="app.providers.replicate:Replicate",
    model=replicate.FILMS,
    more={
        "kinds": "video",
        "size": "none",
        "image": "first_frame_image",
        "seed": "none",
        "duration": "duration",
        "script": "narration",
    },
    tasks={
        "words": task(Kind.VIDEO),
        "from a picture": task(Kind.VIDEO, references=(reference(),)),
        "told": task(Kind.VIDEO, settings={"script": "एक बगुला।", "duration": 6.0, "resolution": "720p"}),
    },
    adapted={
        "words": "size not supported",
        "from a picture": "seed not supported",
        "told": "resolution not supported",
    },
    submit=_CREATE,
    poll=_GET,
    job=True,
    cdn=True,
    formats=frozenset({"video/mp4"}),
)
_VERSION = Case(
    name="replicate",
    id="replicate by version",
    adapter="app.providers.replicate:Replicate",
    model=f"somebody/something:{replicate.VERSION}",
    more={"size": "pixels", "negative": "negative_prompt"},
    tasks={"words": task(negative_prompt="rain")},
    submit=_CREATE,
    poll=_GET,
    job=True,
    cdn=True,
)
CASES = [_PICTURES, _VIDEOS, _VERSION]
