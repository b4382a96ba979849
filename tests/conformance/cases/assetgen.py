"""GameForge's Asset Generation Service: no key, no price, files from its own routes."""

import json

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers import sniff
from tests.conformance.case import Case, Fault, Where, task
from tests.fakes.house import House, faults

_SUBMIT = r"^/generate$"
_POLL = r"^/job/[^/]+$"
_FILE = r"^/assets/"


def _makes(how: str):
    def arrange(house: House) -> None:
        house.state("assetgen")["makes"] = [how]

    return arrange


def _starting(house: House) -> None:
    house.state("assetgen")["starting"] = True


def _another(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "job_id": "another"}).encode()


def _file(reply: object):
    return lambda house: house.script("assetgen", _FILE, reply)


CASE = Case(
    name="assetgen",
    adapter="app.providers.assetgen:AssetGen",
    model="default",
    key=None,
    free=True,
    tasks={
        "words": task(negative_prompt="blur"),
        "page": task(Kind.COLORING_PAGE, style="watercolour", width=1001, height=750),
        "sheet": task(Kind.CHARACTER_REFERENCE, style="Pixel Art", settings={"quality": "draft"}),
        "prop": task(Kind.BACKGROUND, settings={"assetType": "prop-design"}),
        "picture": task(Kind.PICTURE),
        "game asset": task(
            Kind.GAME_ASSET,
            width=512,
            height=256,
            settings={
                "assetType": "ui-element",
                "style": "pixel-art",
                "quality": "production",
                "transparentBackground": True,
                "removeBackground": False,
                "optimizeForGame": True,
                "spriteOptimization": True,
                "tilesetOptimization": False,
            },
        ),
        "long": task(full_prompt="heron " * 500),
    },
    submit=_SUBMIT,
    poll=_POLL,
    job=True,
    formats=sniff.PICTURES,
    adapted={
        "page": "1001x750 -> 1000x752|style watercolour -> hand-drawn",
        "long": "prompt cut to 2000 characters",
    },
    faults=(
        Fault("starting", _starting, Where.SUBMIT, FailureKind.UNAVAILABLE, retry_after=30),
        Fault("failed", _makes("failed"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault("cancelled by hand", _makes("cancelled"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault("all of it failed", _makes("nothing"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault("some of it failed", _makes("partial"), Where.POLL, None, 1),
        Fault(
            "another job",
            lambda house: house.script("assetgen", _POLL, faults.Changed(_another), forever=True),
            Where.POLL,
            FailureKind.PROTOCOL,
            1,
        ),
        Fault(
            "the file is gone",
            _file(faults.answer(404, {"detail": "x"})),
            Where.FETCH,
            FailureKind.RESULT_EXPIRED,
            1,
        ),
        Fault(
            "the file can't be read", _file(faults.answer(500, {})), Where.FETCH, FailureKind.RESULT_FETCH, 1
        ),
        Fault("a page for a file", _file(faults.html()), Where.FETCH, FailureKind.BAD_RESULT, 1),
    ),
)
