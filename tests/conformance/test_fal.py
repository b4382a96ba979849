"""What is special about fal's queue."""

import base64
import json
from typing import Any

import pytest

from app.domain.failure import Charged, FailureKind
from app.egress.sender import Egress
from app.providers.base import Accepted, Billing, Done, HealthState, Provider, ProviderError, Running
from tests.conformance.case import Case, reference, run, task
from tests.conformance.cases.fal import CASES
from tests.fakes.house import House, fal, faults, files
from tests.fakes.house.context import Context

CASE, FILMS = CASES


def _take(
    house: House, egress: Egress, case: Case = CASE, context: Context | None = None, **more: str
) -> tuple[Provider, dict[str, Any]]:
    provider = case.build(house, egress, **more)
    taken = provider.submit(provider.plan(case.plainest), context or Context())
    assert isinstance(taken, Accepted)
    return provider, json.loads(json.dumps(taken.handle))


def _poll(provider: Provider, handle: dict[str, Any], times: int = 1) -> Done | Running:
    return [provider.poll(handle, Context()) for _ in range(times)][-1]


def test_a_job_is_asked_after_where_fal_says_without_the_models_sub_path(
    house: House, egress: Egress
) -> None:
    story = run(lambda: CASE.build(house, egress), CASE.plainest, Context())
    assert story.done
    (job,) = house.state("fal")["jobs"]
    asked = [call.path for call in house.asked("fal", method="GET")]
    assert set(asked) == {f"/fal-ai/flux/requests/{job}/status", f"/fal-ai/flux/requests/{job}"}
    assert house.asked("fal", method="POST")[0].path == f"/{fal.MODEL}"


@pytest.mark.parametrize(
    "address",
    [
        "https://queue.fal.run.example/x",
        "https://evilfal.run/x",
        "http://queue.fal.run/x",
        "https://queue.fal.run:8443/x",
        "https://someone@queue.fal.run/x",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "http://[",
        "",
        7,
        None,
    ],
)
def test_an_address_that_is_not_fals_is_replaced_by_the_one_it_should_be_and_the_job_goes_on(
    address: Any, house: House, egress: Egress
) -> None:
    house.state("fal")["named"] = {"status_url": address, "response_url": address, "cancel_url": address}
    provider, handle = _take(house, egress)
    assert handle["status"] == f"{house.url('fal')}/fal-ai/flux/requests/{handle['id']}/status"
    assert isinstance(_poll(provider, handle, 3), Done)
    assert house.charges["fal"] == 1


def test_addresses_on_fals_own_hosts_are_kept(house: House, egress: Egress) -> None:
    named = {
        "status_url": "https://queue.fal.run/a/b/requests/c/status",
        "cancel_url": "https://eu.fal.run/c",
    }
    house.state("fal")["named"] = named
    _provider, handle = _take(house, egress)
    assert (handle["status"], handle["cancel"]) == (named["status_url"], named["cancel_url"])


def test_a_handle_that_was_tampered_with_leads_nowhere_else(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress)
    with pytest.raises(ProviderError) as caught:
        provider.poll({**handle, "status": house.file(b"{}", "application/json")}, Context())
    assert caught.value.failure.kind is FailureKind.PROTOCOL
    assert not house.fetched
    assert provider.cancel({**handle, "cancel": house.file(b"{}")}) is Billing.UNKNOWN
    assert not house.fetched


def test_fal_is_told_when_to_drop_a_job_and_when_to_forget_a_result(house: House, egress: Egress) -> None:
    provider, _handle = _take(house, egress)
    (call,) = house.asked("fal")
    assert call.headers["x-fal-request-timeout"] == f"{provider.longest:.0f}"
    assert json.loads(call.headers["x-fal-object-lifecycle-preference"]) == {
        "expiration_duration_seconds": 86400
    }


def test_a_size_is_sent_in_pixels_and_a_reference_as_a_data_uri(house: House, egress: Egress) -> None:
    plan = CASE.build(house, egress).plan(task(width=1024, height=576, references=(reference(files.png()),)))
    assert plan.payload["image_size"] == {"width": 1024, "height": 576}
    head, _, data = plan.payload["image_url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == files.png()
    assert plan.adapted == ()


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        (None, None),
        ([], None),
        ([{"message": " 20%|██ | 1/5"}, {"message": " 60%|██████ | 3/5"}], 60),
        ([{"message": "100%|██████████| 5/5"}], 99),
        ([{"message": None}, "x", {"message": 7}], None),
        ("60%|", None),
    ],
)
def test_progress_is_the_last_percentage_of_the_logs(
    logs: Any, percent: int | None, house: House, egress: Egress
) -> None:
    house.state("fal").update(logs=logs, frozen="IN_PROGRESS")
    provider, handle = _take(house, egress)
    running = _poll(provider, handle)
    assert isinstance(running, Running)
    assert running.progress == percent


@pytest.mark.parametrize("status", ["IN_QUEUE", "QUEUED_V2", 7])
def test_a_status_that_nobody_knows_is_still_running(status: Any, house: House, egress: Egress) -> None:
    house.state("fal")["frozen"] = status
    provider, handle = _take(house, egress)
    running = _poll(provider, handle, 3)
    assert isinstance(running, Running)
    assert running.poll_in >= provider.poll_floor


def test_the_ingress_in_front_of_a_result_says_nothing_about_it(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress)
    _poll(provider, handle, 2)
    house.script("fal", r"/requests/[^/]+$", faults.html(502), method="GET")
    with pytest.raises(ProviderError) as caught:
        provider.poll(handle, Context())
    assert caught.value.failure.kind is FailureKind.UNAVAILABLE
    assert caught.value.failure.kind.ask_again
    assert isinstance(_poll(provider, handle), Done)
    assert house.charges["fal"] == 1


def test_a_black_picture_that_is_flagged_is_never_a_result(house: House, egress: Egress) -> None:
    house.state("fal")["result"] = {"has_nsfw_concepts": [True]}
    provider, handle = _take(house, egress)
    with pytest.raises(ProviderError) as caught:
        _poll(provider, handle, 3)
    assert caught.value.failure.kind is FailureKind.POLICY_OUTPUT
    assert caught.value.failure.charged is Charged.YES
    assert not house.fetched


def test_what_is_billed_and_the_seed_that_was_drawn_with_are_told(house: House, egress: Egress) -> None:
    house.state("fal")["result"] = {"seed": 42}
    provider, handle = _take(house, egress)
    done = _poll(provider, handle, 3)
    assert isinstance(done, Done)
    assert done.units == {"each": 1.0, "billable_unit": 1.0}
    assert done.seed == 42
    assert done.model == fal.MODEL


def test_a_single_picture_may_come_without_a_list_and_inside_its_address(
    house: House, egress: Egress
) -> None:
    inside = f"data:image/png;base64,{base64.b64encode(files.png()).decode()}"
    house.state("fal")["result"] = {"images": None, "image": {"url": inside}}
    provider, handle = _take(house, egress)
    done = _poll(provider, handle, 3)
    assert isinstance(done, Done)
    assert done.artifacts[0].content == files.png()
    assert not house.fetched


def test_a_video_comes_as_a_video(house: House, egress: Egress) -> None:
    story = run(lambda: FILMS.build(house, egress), FILMS.plainest, Context())
    assert [(one.role, one.mime) for one in story.artifacts] == [("video", "video/mp4")]
    assert FILMS.build(house, egress).longest > CASE.build(house, egress).longest


def test_cancel_knows_only_that_a_finished_job_is_paid(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress)
    assert provider.cancel(handle) is Billing.UNKNOWN
    assert house.asked("fal", "/cancel$", "PUT")
    _poll(provider, handle, 3)
    assert provider.cancel(handle) is Billing.ALREADY_BILLED
    assert isinstance(_poll(provider, handle), Done)


def test_the_calls_address_for_webhooks_is_sent_where_it_has_one(house: House, egress: Egress) -> None:
    _take(house, egress, webhook_url="https://atelier.example/hooks/all")
    _take(house, egress, context=Context(doorbell="https://atelier.example/hooks/fal/1.x"))
    without, with_one = house.asked("fal")
    assert "fal_webhook" not in without.query
    assert with_one.query["fal_webhook"] == "https://atelier.example/hooks/fal/1.x"


def test_a_webhook_is_a_doorbell_that_nobody_vouches_for(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress)
    headers = {"X-Fal-Webhook-Request-Id": handle["id"], "X-Fal-Webhook-Signature": "00" * 64}
    bell = provider.parse_webhook(
        headers, fal.webhook(handle["id"], payload={"images": [{"url": "http://x/"}]})
    )
    assert bell is not None
    assert (bell.job, bell.verified) == (handle["id"], False)


def test_health_asks_after_a_job_that_never_was(house: House, egress: Egress) -> None:
    assert CASE.build(house, egress).health().state is HealthState.UP
    (call,) = house.asked("fal")
    assert call.method == "GET"
    house.script("fal", ".", faults.answer(403, {"detail": "User is locked. Reason: Exhausted balance."}))
    health = CASE.build(house, egress).health()
    assert health.state is HealthState.DOWN
    assert "credit" in health.reason
