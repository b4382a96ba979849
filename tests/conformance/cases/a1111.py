"""AUTOMATIC1111 and Forge: answers at once, from words and from a picture."""

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, faults
from tests.fakes.house.a1111 import USER

K = FailureKind


def _answers(status: int, body: object):
    return lambda house: house.script("a1111", "2img$", faults.answer(status, body))


def _raises(error: str, detail: str = faults.MARK, status: int = 500):
    return _answers(status, {"error": error, "detail": detail, "body": "", "errors": faults.MARK})


def _loses_checkpoint(house: House) -> None:
    info = '{"seed": 7, "sd_model_name": "loaded-model", "sd_model_hash": "5e4d3c2b1a"}'
    house.script("a1111", "2img$", faults.answer(200, {"images": ["aGVsbG8="], "info": info}))


CASE = Case(
    name="a1111",
    adapter="app.providers.a1111:A1111",
    tasks={
        "words": task(),
        "coloring page": task(Kind.COLORING_PAGE, width=768, height=1024),
        "odd size": task(width=1023, height=577, negative_prompt="people"),
        "large seed": task(seed=2**40 + 5),
        "picture": task(Kind.COVER, references=(reference(),)),
        "pictures": task(references=(reference(), reference())),
    },
    submit="^/sdapi/v1/(txt|img)2img$",
    key=USER,
    adapted={
        "odd size": "1023x577 -> 1024x576",
        "large seed": "seed 1099511627781 -> 5",
        "pictures": "only the first of 2 pictures",
    },
    faults=(
        Fault(
            "a picture that it can't read",
            _raises("HTTPException", "Invalid encoded image"),
            Where.SUBMIT,
            K.BAD_REQUEST,
            task="picture",
        ),
        Fault("a refusal of Forge's", _answers(500, {"detail": faults.MARK}), Where.SUBMIT, K.BAD_REQUEST),
        Fault("a sampler that it lacks", _raises("HTTPException", status=400), Where.SUBMIT, K.BAD_REQUEST),
        Fault("a field of another type", _answers(422, {"detail": [{}]}), Where.SUBMIT, K.BAD_REQUEST),
        Fault("no memory left", _raises("OutOfMemoryError"), Where.SUBMIT, K.JOB_FAILED),
        Fault("not a number in the drawing", _raises("NansException"), Where.SUBMIT, K.JOB_FAILED),
        Fault("no API", _answers(404, {"detail": "Not Found"}), Where.SUBMIT, K.PROTOCOL),
        Fault("a checkpoint that is gone", _loses_checkpoint, Where.SUBMIT, K.MODEL_RETIRED),
        Fault("no pictures", _answers(200, {"images": None, "info": "{}"}), Where.SUBMIT, K.BAD_RESULT),
        Fault("bad base64", _answers(200, {"images": ["@@"], "info": "{}"}), Where.SUBMIT, K.BAD_RESULT),
        Fault("no word of it", _answers(200, {"images": [7], "info": 7}), Where.SUBMIT, K.BAD_RESULT),
    ),
)
