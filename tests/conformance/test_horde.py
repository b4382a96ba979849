"""AI Horde's own ways: it needs no key, is checked often and asked for its pictures once."""

import json

import pytest

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.providers.base import Billing, Doorbell, HealthState, ProviderError, Running
from app.providers.horde import Horde
from tests.conformance.case import reference, run, task
from tests.conformance.cases.horde import CASE
from tests.fakes.house import faults
from tests.fakes.house.context import Context

STATUS = r"/generate/status/"
CHECK = r"/generate/check/"


@pytest.fixture
def make(house, egress):
    return lambda **more: CASE.build(house, egress, **more)


@pytest.fixture
def anonymous(house, egress):
    return lambda: Horde(Options("horde", base_url=house.url("horde")), egress, "any")


def start(make, context=None):
    provider = make()
    return provider.submit(provider.plan(task()), context or Context())


def refused(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.failure


def sent(house):
    return house.asked("horde", "/generate/async$")[-1]


def test_without_a_key_the_anonymous_one_is_sent(house, anonymous):
    seen = []
    house.script(
        "horde",
        "/generate/async$",
        lambda request: seen.append(request.headers["apikey"]) or faults.answer(500),
    )
    refused(lambda: start(anonymous))
    assert seen == ["0000000000"]
    assert run(anonymous, task(), Context()).artifacts


def test_without_a_key_it_may_draw_smaller_and_says_so(anonymous, make):
    plan = anonymous().plan(task())
    assert plan.payload["allow_downgrade"] is True
    assert any("smaller" in words for words in plan.adapted)
    assert make().plan(task()).payload["allow_downgrade"] is False


def test_without_a_key_no_account_is_looked_up(house, anonymous):
    assert anonymous().health().state is HealthState.UP
    assert not house.asked("horde", "find_user")


def test_a_key_that_the_horde_does_not_know_is_told(house, make):
    house.script("horde", "find_user", faults.answer(404, {"rc": "UserNotFound", "message": "x"}))
    assert make().health().state is HealthState.DOWN


def test_maintenance_is_told(house, make):
    house.state("horde")["maintenance"] = True
    assert make().health().state is HealthState.DOWN


def test_it_is_told_who_we_are(house, make):
    start(lambda: make(contact="someone@atelier.example"))
    agent = sent(house).headers["client-agent"]
    assert agent.startswith("Atelier:")
    assert agent.endswith(":someone@atelier.example")


def test_the_whole_status_is_asked_for_once(house, make):
    run(make, task(), Context())
    assert len(house.asked("horde", CHECK)) == 3
    assert len(house.asked("horde", STATUS)) == 1


def test_how_soon_it_is_asked_again_follows_the_wait_that_it_tells(house, make):
    accepted = start(make)
    told = {"done": False, "wait_time": 24, "queue_position": 3, "is_possible": True}
    house.script("horde", CHECK, faults.answer(200, told))
    assert make().poll(accepted.handle, Context()) == Running(6.0, None, "queued behind 3")
    for strange, poll_in in ((1e9, 15.0), (-1, 2.0), ("soon", 2.0), (None, 2.0)):
        house.script("horde", CHECK, faults.answer(200, {**told, "wait_time": strange}))
        assert make().poll(accepted.handle, Context()).poll_in == poll_in


def test_work_that_no_machine_can_do_is_taken_back_so_that_another_provider_is_asked(house, make):
    house.state("horde")["makes"] = ["impossible"]
    accepted = start(make)
    failure = refused(lambda: make().poll(accepted.handle, Context()))
    assert failure.kind is FailureKind.JOB_FAILED
    assert failure.kind.fall_back
    assert len(house.asked("horde", STATUS, "DELETE")) == 1


def test_a_censored_picture_is_never_fetched(house, make):
    house.state("horde")["makes"] = ["censored"]
    assert run(make, task(), Context()).error.failure.kind is FailureKind.POLICY_OUTPUT
    assert not house.fetched


@pytest.mark.parametrize("img", ["!!!", "aGVsbG8=", "", None, 7, "file:///etc/passwd"])
def test_what_is_no_picture_is_no_result(house, make, img):
    accepted = start(make)
    told = {"done": True, "faulted": False, "is_possible": True, "generations": [{"img": img, "seed": "1"}]}
    house.script("horde", CHECK, faults.answer(200, told))
    house.script("horde", STATUS, faults.answer(200, told))
    assert refused(lambda: make().poll(accepted.handle, Context())).kind is FailureKind.BAD_RESULT


@pytest.mark.parametrize(
    ("seed", "expected"), [("77", 77), ("²", 1234567), ("9" * 5000, 1234567), (None, 1234567)]
)
def test_the_seed_is_the_one_that_was_drawn_with(house, make, seed, expected):
    def changed(body):
        told = json.loads(body)
        told["generations"][0]["seed"] = seed
        return json.dumps(told).encode()

    house.script("horde", STATUS, faults.Changed(changed))
    done = run(make, task(), Context()).done
    assert done.seed == expected
    assert done.model == "AlbedoBase XL (SDXL)"
    assert done.cost == 0.0


def test_waiting_work_is_taken_back(house, make):
    accepted = start(make)
    assert make().cancel(accepted.handle) is Billing.STOPPED
    assert make().cancel(accepted.handle) is Billing.STOPPED
    assert len(house.asked("horde", STATUS, "DELETE")) == 1


def test_a_picture_that_is_drawn_is_not_taken_back(house, make):
    story = run(make, task(), Context())
    assert make().cancel(story.handle) is Billing.ALREADY_BILLED
    assert not house.asked("horde", STATUS, "DELETE")


def test_what_is_asked_for_is_what_it_reads(make):
    payload = make().plan(task(negative_prompt="blur", width=1000, height=562)).payload
    assert payload["prompt"].endswith(" ### blur")
    assert (payload["params"]["width"], payload["params"]["height"]) == (1024, 576)
    assert payload["params"]["seed"] == "1234567"
    assert payload["models"] == []
    assert payload["censor_nsfw"] is True


def test_a_model_of_the_operators_is_asked_for_by_name(house, egress):
    horde = Horde(Options("horde", base_url=house.url("horde")), egress, "Deliberate")
    assert horde.plan(task()).payload["models"] == ["Deliberate"]


def test_a_picture_to_start_from_goes_along(make):
    payload = make().plan(task(references=(reference(),))).payload
    assert payload["source_processing"] == "img2img"
    assert payload["params"]["denoising_strength"] > 0
    assert "source_image" not in make().plan(task()).payload


def test_models_are_not_its_trade(make):
    assert refused(lambda: make().plan(task(Kind.MODEL))).kind is FailureKind.UNSUPPORTED


def test_it_is_told_where_to_ring_for_this_call(house, make):
    start(make, Context(doorbell="https://atelier.example/1.x"))
    start(lambda: make(webhook_url="https://atelier.example/all"))
    told, untold = [call.json for call in house.asked("horde", "/generate/async$")]
    assert told["webhook"] == "https://atelier.example/1.x"
    assert "webhook" not in untold


def test_a_webhook_rings_for_a_job_and_is_never_believed(make):
    body = json.dumps({"request": "a job", "id": "another", "img": "http://evil.example"}).encode()
    assert make().parse_webhook({}, body) == Doorbell("a job", verified=False)
