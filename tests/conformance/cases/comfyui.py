"""ComfyUI: the house's own workflows, from words and from a picture."""

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, faults

K = FailureKind


def _ends(outcome: str):
    def arrange(house: House) -> None:
        house.state("comfyui")["outcome"] = outcome

    return arrange


def _refuses(kind: str, whole: str = "prompt_outputs_failed_validation"):
    error = {"type": kind, "message": faults.MARK, "details": "", "extra_info": {"input_name": "ckpt_name"}}
    nodes = {"1": {"errors": [error], "dependent_outputs": ["7"], "class_type": "CheckpointLoaderSimple"}}
    body = {"error": {"type": whole, "message": faults.MARK, "details": ""}, "node_errors": nodes}
    return lambda house: house.script("comfyui", "^/prompt$", faults.answer(400, body))


def _history(*replies, forever: bool = True):
    return lambda house: house.script("comfyui", "^/history/", *replies, forever=forever)


def _view(*replies):
    return lambda house: house.script("comfyui", "^/view$", *replies, forever=True)


def _forgets(house: House) -> None:
    house.script("comfyui", "^/queue$", faults.answer(200, {"queue_running": [], "queue_pending": []}))


_ANOTHERS = {
    "another": {"outputs": {"7": {"images": []}}, "status": {"status_str": "success", "messages": []}}
}

CASE = Case(
    name="comfyui",
    adapter="app.providers.comfyui:ComfyUI",
    tasks={
        "words": task(),
        "coloring page": task(Kind.COLORING_PAGE, width=768, height=1024),
        "odd size": task(width=1023, height=577, negative_prompt="people"),
        "picture": task(Kind.COVER, references=(reference(),)),
        "pictures": task(references=(reference(), reference())),
    },
    submit="^/prompt$",
    poll="^/(queue$|history/)",
    job=True,
    adapted={"odd size": "1023x577 -> 1024x576", "pictures": "only the first of 2 pictures"},
    differs={"poll 404": frozenset({K.PROTOCOL})},
    faults=(
        Fault("a checkpoint that is gone", _refuses("value_not_in_list"), Where.SUBMIT, K.MODEL_RETIRED),
        Fault("a node that is gone", _refuses("x", "missing_node_type"), Where.SUBMIT, K.MODEL_RETIRED),
        Fault("a graph without an end", _refuses("x", "prompt_no_outputs"), Where.SUBMIT, K.UNSUPPORTED),
        Fault("an input that is missing", _refuses("required_input_missing"), Where.SUBMIT, K.UNSUPPORTED),
        Fault("a number out of bounds", _refuses("value_bigger_than_max"), Where.SUBMIT, K.BAD_REQUEST),
        Fault(
            "a picture that is too large",
            lambda house: house.script("comfyui", "^/upload/", faults.text(413)),
            Where.SUBMIT,
            K.BAD_REQUEST,
            task="picture",
        ),
        Fault("an exception in a node", _ends("error"), Where.POLL, K.JOB_FAILED, charges=1),
        Fault("no memory left", _ends("memory"), Where.POLL, K.JOB_FAILED, charges=1),
        Fault("stopped by somebody", _ends("interrupted"), Where.POLL, K.JOB_FAILED, charges=1),
        Fault("no picture at the end", _ends("nothing"), Where.POLL, K.BAD_RESULT, charges=1),
        Fault("a restart", _forgets, Where.POLL, K.JOB_LOST, charges=1),
        Fault("no history", _history(faults.answer(404, {})), Where.POLL, K.JOB_LOST, charges=1),
        Fault(
            "another's history", _history(faults.answer(200, _ANOTHERS)), Where.POLL, K.PROTOCOL, charges=1
        ),
        Fault("a page for a history", _history(faults.html()), Where.POLL, K.PROTOCOL, charges=1),
        Fault("a broken history", _history(faults.answer(500, {})), Where.POLL, K.UNAVAILABLE, charges=1),
        Fault("a file that is gone", _view(faults.answer(404, {})), Where.FETCH, K.RESULT_EXPIRED, charges=1),
        Fault("no way to the file", _view(faults.answer(500, {})), Where.FETCH, K.RESULT_FETCH, charges=1),
        Fault("a file cut short", _view(faults.truncated()), Where.FETCH, K.RESULT_FETCH, charges=1),
        Fault("a page for a file", _view(faults.html()), Where.FETCH, K.BAD_RESULT, charges=1),
        Fault(
            "a redirect of the file into the machine",
            _view(faults.redirect("http://127.0.0.1:1/")),
            Where.FETCH,
            K.BAD_RESULT,
            charges=1,
        ),
    ),
)
