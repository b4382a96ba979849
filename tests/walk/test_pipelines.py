"""kill -9 in the middle of a pipeline, with real processes: it goes on at the stage in flight, and repeats none before it."""

import signal

import pytest

from app.domain.vocabulary import Kind
from app.services.pipelines.stages import Name, Result, Stage
from app.services.pipelines.start import start
from app.services.pipelines.status import find
from app.services.submit import Order
from tests.conftest import environment, until
from tests.walk.service import running

pytestmark = [pytest.mark.walk, pytest.mark.timeout(180)]

PICTURE, MODEL, SKIN, SPRITES = Name("picture"), Name("model"), Name("skin"), Name("sprites")


@pytest.fixture
def pipeline(rt, alice):
    """A picture by sketch, its model, its other material and its sprites by relief; return its id."""
    rt.settings.provider_order[Kind.MODEL] = ("fake",)
    picture = Order(
        Kind.GAME_ASSET, "a small red dragon", metadata={"settings": {"assetType": "prop-design"}}
    )
    model = {
        "referenceImages": [Result(PICTURE, "image")],
        "settings": {"polycount": 20_000, "textureResolution": "4k"},
    }
    source = {"source": Result(MODEL, "model")}
    gold = {**source, "settings": {"color": "#d4af37", "category": "metal"}}
    stages = [
        Stage(PICTURE, picture),
        Stage(MODEL, Order(Kind.MODEL, "a dragon", metadata=model), needs={PICTURE: True}),
        Stage(
            SKIN, Order(Kind.RETEXTURE, "polished gold", metadata=gold), required=False, needs={MODEL: True}
        ),
        Stage(SPRITES, Order(Kind.SPRITES, "a dragon", metadata=source), required=False, needs={MODEL: True}),
    ]
    answer = start(rt, alice, stages, lambda made, _named: {"id": made}, given={}, key=None, traceparent=None)
    return answer.body["id"]


@pytest.fixture
def fake(fake):
    fake.kinds = frozenset(Kind)
    return fake


@pytest.mark.parametrize("stage", [MODEL, SPRITES], ids=lambda name: name.stage)
def test_a_worker_that_is_killed_in_a_stage_repeats_that_stage_alone(
    rt, alice, board, servers, tmp_path, pipeline, stage
):
    env = environment(servers, tmp_path) | {
        "LEASE_SECONDS": "3",
        "HEARTBEAT_SECONDS": "1",
        "SWEEP_SECONDS": "0.5",
    }

    def stages():
        return {one.name: one for one in find(rt, alice, pipeline).stages}

    with running(env, tmp_path, "worker", "sweeper") as service:
        until(lambda: stages()[stage].status == "processing", 60)
        horse = service.horse()
        service.kill("worker")
        if horse.is_running():
            horse.send_signal(signal.SIGKILL)
        done = {name for name, one in stages().items() if one.status == "completed"}
        assert stage not in done
        service.start("worker")
        until(lambda: find(rt, alice, pipeline).ended, 90)

    found = stages()
    assert {one.status for one in found.values()} == {"completed"}
    assert PICTURE in done
    for name, one in found.items():
        calls = board.scalar("SELECT count(*) FROM attempts WHERE request_id = :id", id=one.record.id)
        assert calls == 1 or name not in done
    again = board.scalar("SELECT crashes FROM generation_requests WHERE id = :id", id=found[stage].record.id)
    assert again == 1
