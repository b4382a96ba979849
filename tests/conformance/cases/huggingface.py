from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House
from tests.fakes.house import huggingface as fake
from tests.fakes.house.faults import MARK, answer

_ADAPTER = "app.providers.huggingface:HuggingFace"
_OWN = r"^/hf-inference/models/"
K = FailureKind


def _state(house: House, **values: Any) -> None:
    house.state("huggingface").update(values)


def _refused(id_: str, status: int, body: Any, kind: K, wait: float | None = None, **headers: str) -> Fault:
    return Fault(
        id_,
        lambda house: house.script("huggingface", _OWN, answer(status, body, headers)),
        Where.SUBMIT,
        kind,
        retry_after=wait,
    )


def _hub(id_: str, kind: K, mapping: Any) -> Fault:
    return Fault(id_, partial(_state, mapping=mapping), Where.SUBMIT, kind, charged=Charged.NO)


_OWN_MACHINES = Case(
    name="huggingface",
    id="huggingface",
    adapter=_ADAPTER,
    model=fake.MODEL,
    tasks={
        "words": task(),
        "negative": task(negative_prompt="rain"),
        "odd": task(width=1021, height=575),
        "edit": task(references=(reference(), reference()), negative_prompt="rain"),
    },
    adapted={"odd": r"^1021x575 -> 1024x576$", "edit": "1 of 2 references"},
    submit=_OWN,
    faults=(
        Fault(
            "the model is being loaded",
            partial(_state, loading=37.5),
            Where.SUBMIT,
            K.UNAVAILABLE,
            charged=Charged.NO,
            retry_after=37.5,
        ),
        _refused(
            "loading, who knows how long", 503, {"error": MARK, "estimated_time": "soon"}, K.UNAVAILABLE
        ),
        _refused("the month's credit is gone", 402, {"error": MARK}, K.QUOTA_EXHAUSTED),
        _refused("a model that is gone", 404, {"error": MARK}, K.MODEL_RETIRED),
        _refused("a model that is gone for good", 410, {"error": [MARK]}, K.MODEL_RETIRED),
        _refused("a gated model", 403, {"error": MARK}, K.PERMISSION_DENIED),
        _refused("a task that the model can't do", 422, {"error": [MARK]}, K.BAD_REQUEST),
        _refused(
            "a limit by the IETF's header",
            429,
            {"error": MARK},
            K.RATE_LIMITED,
            55,
            ratelimit='"api";r=0;t=55',
        ),
        _refused("an error in a 200", 200, {"error": MARK}, K.BAD_RESULT),
        _refused("an address in a 200", 200, {"images": [{"url": "http://x/"}]}, K.BAD_RESULT),
    ),
)
_BY_FAL = Case(
    name="huggingface",
    id="huggingface by fal",
    adapter=_ADAPTER,
    model=fake.MODEL,
    more={"provider": "fal-ai"},
    tasks={"words": task()},
    submit=r"^/fal-ai/fal-ai/flux/schnell$",
    poll=r"/status$",
    job=True,
    cdn=True,
    faults=(
        _hub("the house is not named", K.MODEL_RETIRED, {}),
        _hub("nobody is named", K.MODEL_RETIRED, None),
        _hub("the house is named without the model", K.MODEL_RETIRED, {"fal-ai": {"status": "live"}}),
        Fault(
            "the Hub does not know the model",
            lambda house: house.script("huggingface", "^/api/models/", answer(404, {"error": MARK})),
            Where.SUBMIT,
            K.MODEL_RETIRED,
            charged=Charged.NO,
        ),
        Fault(
            "the Hub is out of order",
            lambda house: house.script("huggingface", "^/api/models/", answer(500, {"error": MARK})),
            Where.SUBMIT,
            K.UNAVAILABLE,
            charged=Charged.NO,
        ),
        Fault(
            "a picture that is not shown",
            partial(_state, result={"has_nsfw_concepts": [True]}),
            Where.POLL,
            K.POLICY_OUTPUT,
            1,
            Charged.YES,
        ),
    ),
)
# Held until it is done, so that the answer to the submit already has the addresses.
_BY_REPLICATE = Case(
    name="huggingface",
    id="huggingface by replicate",
    adapter=_ADAPTER,
    model=fake.MODEL,
    more={"provider": "replicate"},
    tasks={"words": task(), "wide": task(width=1024, height=576)},
    adapted={"wide": "16:9"},
    submit=r"^/replicate/v1/models/.*/predictions$",
    job=True,
    cdn=True,
    faults=(
        Fault(
            "it was withheld",
            partial(_state, fail="NSFW content detected"),
            Where.SUBMIT,
            K.POLICY_OUTPUT,
            1,
            Charged.UNKNOWN,
        ),
    ),
)


def _like_openai(provider: str, **more: Any) -> Case:
    return Case(
        name="huggingface",
        id=f"huggingface by {provider}",
        adapter=_ADAPTER,
        model=fake.MODEL,
        more={"provider": provider},
        tasks={"words": task(), "negative": task(negative_prompt="rain")},
        submit=rf"^/{provider}/v1/images/generations$",
        **more,
    )


CASES = [
    _OWN_MACHINES,
    _BY_FAL,
    _BY_REPLICATE,
    _like_openai("together"),
    _like_openai("nscale", adapted={"negative": "negative prompt not supported"}),
]
