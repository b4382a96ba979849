"""AI Horde: errors are told by `rc`, pictures are addresses that are good for half an hour."""

from app.domain.failure import FailureKind
from app.providers import sniff
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, faults, files

_SUBMIT = r"/generate/async$"
_CHECK = r"/generate/check/"


def _says(rc: str, status: int = 400, where: str = _SUBMIT):
    return lambda house: house.script(
        "horde", where, faults.answer(status, {"message": faults.MARK, "rc": rc})
    )


def _makes(how: str):
    def arrange(house: House) -> None:
        house.state("horde")["makes"] = [how]

    return arrange


def _refusal(rc: str, status: int, kind: FailureKind, wait: float | None = None) -> Fault:
    return Fault(f"{rc} as {status}", _says(rc, status), Where.SUBMIT, kind, retry_after=wait)


CASE = Case(
    name="horde",
    adapter="app.providers.horde:Horde",
    model="any",
    tasks={
        "words": task(negative_prompt="blur"),
        "odd size": task(width=1000, height=562),
        "picture": task(references=(reference(files.webp(), "image/webp"), reference())),
    },
    submit=_SUBMIT,
    poll=_CHECK,
    job=True,
    cdn=True,
    free=True,
    formats=sniff.PICTURES,
    adapted={"odd size": "1000x562 -> 1024x576", "picture": "2 reference pictures -> 1"},
    faults=(
        _refusal("CorruptPrompt", 400, FailureKind.POLICY_INPUT),
        _refusal("InvalidAPIKey", 401, FailureKind.AUTH_FAILED),
        _refusal("KudosUpfront", 403, FailureKind.QUOTA_EXHAUSTED),
        _refusal("SharedKeyEmpty", 403, FailureKind.QUOTA_EXHAUSTED),
        _refusal("TooManyPrompts", 429, FailureKind.RATE_LIMITED),
        _refusal("NoValidWorkers", 400, FailureKind.UNAVAILABLE, 600),
        _refusal("MaintenanceMode", 400, FailureKind.UNAVAILABLE, 60),
        _refusal("TimeoutIP", 403, FailureKind.UNAVAILABLE, 900),
        _refusal("NotTrusted", 403, FailureKind.PERMISSION_DENIED),
        _refusal("TooManySteps", 400, FailureKind.BAD_REQUEST),
        _refusal("UnsupportedModel", 400, FailureKind.UNSUPPORTED),
        _refusal("NewsOfTomorrow", 403, FailureKind.PERMISSION_DENIED),
        Fault("censored", _makes("censored"), Where.POLL, FailureKind.POLICY_OUTPUT, 1),
        Fault("censored by a note", _makes("noted"), Where.POLL, FailureKind.POLICY_OUTPUT, 1),
        Fault("censored by its state", _makes("stated"), Where.POLL, FailureKind.POLICY_OUTPUT, 1),
        Fault("faulted", _makes("faulted"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault("no machine for it", _makes("impossible"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault("a picture that is there itself", _makes("inline"), Where.POLL, None, 1),
        Fault("expired", _says("RequestNotFound", 404, _CHECK), Where.POLL, FailureKind.JOB_LOST, 1),
        Fault("expired for good", _says("RequestExpired", 410, _CHECK), Where.POLL, FailureKind.JOB_LOST, 1),
        Fault(
            "too many looks at its status",
            lambda house: house.script(
                "horde", r"/generate/status/", faults.answer(429, {"message": "10 per 1 minute"})
            ),
            Where.POLL,
            FailureKind.RATE_LIMITED,
            1,
        ),
    ),
)
