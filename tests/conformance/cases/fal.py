from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, fal
from tests.fakes.house.faults import MARK, answer

_SUBMIT = r"^/fal-ai/(flux|ltx-video)(/schnell)?$"
_STATUS = r"/status$"
K = FailureKind


def _state(house: House, **values: Any) -> None:
    house.state("fal").update(values)


def _refused(id_: str, status: int, detail: Any, kind: K, **headers: str) -> Fault:
    reply = answer(
        status, {"detail": detail}, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    return Fault(
        id_, lambda house: house.script("fal", _SUBMIT, reply), Where.SUBMIT, kind, charged=Charged.NO
    )


def _broken(
    id_: str, status: int, body: Any, kind: K, charged: Charged = Charged.NO, **headers: str
) -> Fault:
    """The work is COMPLETED, and the result's address answers with an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(id_, partial(_state, fail=(status, body, named)), Where.POLL, kind, 1, charged)


def _typed(kind: str, *place: Any) -> dict[str, Any]:
    return {"detail": [{"loc": list(place), "msg": MARK, "type": kind, "url": "x", "input": MARK}]}


def _ended(id_: str, kind: K, charged: Charged = Charged.NO, **status: Any) -> Fault:
    return Fault(id_, partial(_state, status=status), Where.POLL, kind, 1, charged)


def _made(id_: str, kind: K, **result: Any) -> Fault:
    return Fault(id_, partial(_state, result=result), Where.POLL, kind, 1, Charged.YES)


_PICTURES = Case(
    name="fal",
    adapter="app.providers.fal:Fal",
    model=fal.MODEL,
    more={"image": "image_url"},
    tasks={
        "words": task(),
        "wide": task(width=1024, height=576),
        "negative": task(negative_prompt="rain"),
        "edit": task(references=(reference(),)),
    },
    adapted={"negative": "negative prompt"},
    submit=_SUBMIT,
    poll=_STATUS,
    job=True,
    cdn=True,
    faults=(
        _refused("an input that is refused", 422, [{"type": "value_error"}], K.BAD_REQUEST),
        _refused(
            "a prompt that is refused",
            422,
            [{"type": "content_policy_violation", "loc": ["body", "prompt"]}],
            K.POLICY_INPUT,
        ),
        _refused("a model that is gone", 404, f"Application not found {MARK}", K.MODEL_RETIRED),
        _refused("no money", 403, f"User is locked. Reason: Exhausted balance. {MARK}", K.QUOTA_EXHAUSTED),
        _refused("not allowed", 403, MARK, K.PERMISSION_DENIED),
        _broken("a policy", 422, _typed("content_policy_violation", "body", "prompt"), K.POLICY_INPUT),
        _broken("a policy, without a place", 422, _typed("content_policy_violation"), K.POLICY_INPUT),
        _broken(
            "a policy for what was drawn", 422, _typed("content_policy_violation", "output"), K.POLICY_OUTPUT
        ),
        _broken("no media", 422, _typed("no_media_generated", "body"), K.BAD_RESULT),
        _broken("a value", 422, _typed("value_error", "body", "seed"), K.BAD_REQUEST),
        _broken("a picture too small", 422, _typed("image_too_small", "body", "image_url"), K.BAD_REQUEST),
        _broken("a feature", 422, _typed("feature_not_supported", "body"), K.UNSUPPORTED),
        _broken("a type that nobody knows", 422, _typed("moon_phase", "body"), K.BAD_REQUEST),
        _broken(
            "a value, and fal says to try again",
            422,
            _typed("value_error", "body"),
            K.JOB_FAILED,
            x_fal_retryable="true",
        ),
        _broken("a timeout of the model's", 504, _typed("generation_timeout", "body"), K.JOB_FAILED),
        _broken("the model's server", 500, _typed("internal_server_error", "body"), K.JOB_FAILED),
        _broken(
            "the model's server, and fal says not to try again",
            500,
            _typed("internal_server_error", "body"),
            K.UNSUPPORTED,
            x_fal_retryable="false",
        ),
        _broken(
            "a runner that fell", 503, {"detail": MARK, "error_type": "runner_disconnected"}, K.JOB_FAILED
        ),
        _broken(
            "a runner, by the header only", 502, {}, K.JOB_FAILED, x_fal_error_type="runner_server_error"
        ),
        _broken("a failure without a type", 500, {"detail": MARK}, K.JOB_FAILED),
        _broken(
            "it was never started in our time",
            504,
            {"detail": MARK, "error_type": "request_timeout"},
            K.DEADLINE,
            x_fal_request_timeout_type="user",
        ),
        _broken("the result is gone", 404, {"detail": MARK}, K.RESULT_EXPIRED, Charged.YES),
        _ended("COMPLETED and an error", K.JOB_FAILED, error=MARK),
        _ended("COMPLETED and a type", K.JOB_FAILED, error=MARK, error_type="runner_scheduling_failure"),
        _ended("COMPLETED and a request that was none", K.BAD_REQUEST, error=MARK, error_type="bad_request"),
        _ended("COMPLETED for another job", K.PROTOCOL, request_id="of-somebody-else"),
        _made("a picture that is not shown", K.POLICY_OUTPUT, has_nsfw_concepts=[True]),
        _made("one of the pictures is not shown", K.POLICY_OUTPUT, has_nsfw_concepts=[False, True]),
        _made("nothing", K.BAD_RESULT, images=[]),
        _made("null", K.BAD_RESULT, images=None),
        _made("a picture without an address", K.BAD_RESULT, images=[{"width": 8}]),
        Fault(
            "it is gone",
            lambda house: house.script("fal", _STATUS, answer(404, {"detail": MARK}), forever=True),
            Where.POLL,
            K.JOB_LOST,
            1,
            Charged.UNKNOWN,
        ),
    ),
)
_VIDEOS = Case(
    name="fal",
    id="fal videos",
    adapter="app.providers.fal:Fal",
    model=fal.FILMS,
    more={
        "kinds": "video",
        "size": "aspect_ratio",
        "image": "image_urls[]",
        "duration": "duration",
        "durations": '["5", "10"]',
        "resolution": "resolution",
    },
    tasks={
        "words": task(Kind.VIDEO),
        "from two": task(Kind.VIDEO, references=(reference(), reference())),
        "told": task(
            Kind.VIDEO,
            references=(reference(),),
            settings={"script": "एक बगुला।", "duration": 8, "resolution": "720p", "language": "hi"},
        ),
    },
    adapted={"words": "1024x1024 -> 1:1", "told": "8 seconds -> 10|script not supported"},
    submit=_SUBMIT,
    poll=_STATUS,
    job=True,
    cdn=True,
    formats=frozenset({"video/mp4"}),
)
CASES = [_PICTURES, _VIDEOS]
