"""What is special about Replicate."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import PICTURES, Kind
from app.egress.sender import Egress
from app.providers.bad_option import BadOption
from app.providers.base import Accepted, Billing, Done, HealthState, Lost, Provider, ProviderError, Running
from tests.conformance.case import Case, reference, run, task
from tests.conformance.cases.replicate import CASES
from tests.fakes.house import KEY, House, faults, files, replicate
from tests.fakes.house.context import Context

CASE, FILMS, VERSIONED = CASES


def _take(
    house: House, egress: Egress, case: Case = CASE, context: Context | None = None, **more: str
) -> tuple[Provider, dict[str, Any]]:
    provider = case.build(house, egress, **more)
    taken = provider.submit(provider.plan(case.plainest), context or Context())
    assert isinstance(taken, Accepted)
    return provider, json.loads(json.dumps(taken.handle))


def _poll(provider: Provider, handle: dict[str, Any], times: int = 1) -> Done | Running:
    return [provider.poll(handle, Context()) for _ in range(times)][-1]


def _job(house: House, handle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = house.state("replicate")["predictions"][handle["id"]]
    return found


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        (replicate.MODEL, f"/v1/models/{replicate.MODEL}/predictions", None),
        (f"a/b:{replicate.VERSION}", "/v1/predictions", replicate.VERSION),
        (replicate.VERSION, "/v1/predictions", replicate.VERSION),
        ("deployments/alice/hers", "/v1/deployments/alice/hers/predictions", None),
    ],
)
def test_a_model_a_version_and_a_deployment_have_their_own_routes(
    model: str, path: str, version: str | None, house: House, egress: Egress
) -> None:
    _take(house, egress, replace(CASE, model=model))
    (call,) = house.asked("replicate")
    assert call.path == path
    assert call.json.get("version") == version


def test_replicate_is_told_to_end_what_nobody_will_ask_after(house: House, egress: Egress) -> None:
    provider, _handle = _take(house, egress)
    (call,) = house.asked("replicate")
    assert call.headers["cancel-after"] == f"{provider.longest:.0f}s"


def test_references_are_sent_as_data_uris(house: House, egress: Egress) -> None:
    provider = CASE.build(house, egress)
    plan = provider.plan(task(references=(reference(), reference())))
    assert [one[:22] for one in plan.payload["input"]["input_images"]] == ["data:image/png;base64,"] * 2


def test_one_field_for_pictures_takes_the_first_and_says_so(house: House, egress: Egress) -> None:
    plan = CASE.build(house, egress, image="image").plan(task(references=(reference(), reference())))
    assert plan.payload["input"]["image"].startswith("data:")
    assert "1 of 2 references used" in plan.adapted


def test_references_are_unsupported_where_no_field_is_named_for_them(house: House, egress: Egress) -> None:
    with pytest.raises(ProviderError) as caught:
        CASE.build(house, egress, image="").plan(task(references=(reference(),)))
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED


def test_a_setting_decides_what_it_makes(house: House, egress: Egress) -> None:
    assert CASE.build(house, egress).kinds == PICTURES
    assert FILMS.build(house, egress).kinds == {Kind.VIDEO}
    assert FILMS.build(house, egress).longest > CASE.build(house, egress).longest
    with pytest.raises(ProviderError):
        CASE.build(house, egress).plan(task(Kind.VIDEO))


@pytest.mark.parametrize(
    "more",
    [
        {"kinds": "pictures,songs"},
        {"kinds": "translation"},
        {"size": "large"},
        {"input": "[]"},
        {"input": "{"},
        {"durations": "5,10"},
        {"durations": "[]"},
        {"durations": '["long"]'},
    ],
)
def test_a_setting_that_cannot_be_read_is_named(more: dict[str, str], house: House, egress: Egress) -> None:
    with pytest.raises(BadOption, match="REPLICATE_"):
        CASE.build(house, egress, **more)


def test_inputs_of_the_settings_win_over_those_of_the_task(house: House, egress: Egress) -> None:
    plan = CASE.build(house, egress, input='{"aspect_ratio": "21:9"}').plan(task())
    assert plan.payload["input"]["aspect_ratio"] == "21:9"


@pytest.mark.parametrize(
    ("durations", "asked", "sent", "adapted"),
    [
        ("", 7.4, 7, "7.4 seconds -> 7"),
        ("", 6, 6, None),
        ("[5, 9]", 30, 9, "30 seconds -> 9"),
        ('["5s", "9s"]', 5, "5s", None),
        ("", "long", None, None),
        ("", True, None, None),
    ],
)
def test_a_video_lasts_as_near_to_what_is_asked_as_the_model_can(
    house: House, egress: Egress, durations: str, asked: object, sent: object, adapted: str | None
) -> None:
    plan = FILMS.build(house, egress, durations=durations).plan(
        task(Kind.VIDEO, settings={"duration": asked})
    )
    assert plan.payload["input"].get("duration") == sent
    assert [words for words in plan.adapted if "second" in words] == ([adapted] if adapted else [])


def test_what_a_model_has_no_field_for_is_said(house: House, egress: Egress) -> None:
    settings = {"script": "A heron.", "duration": 5, "resolution": "720p"}
    plan = FILMS.build(house, egress, duration="", script="").plan(task(Kind.VIDEO, settings=settings))
    assert {"script not supported", "duration not supported", "resolution not supported"} <= set(plan.adapted)
    assert not {"script", "duration", "resolution"} & set(plan.payload["input"])


def test_a_video_comes_as_a_video(house: House, egress: Egress) -> None:
    story = run(lambda: FILMS.build(house, egress), FILMS.plainest, Context())
    assert [(one.role, one.mime) for one in story.artifacts] == [("video", "video/mp4")]


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ("", None),
        (None, None),
        (["45%|"], None),
        ("Loading weights 45% done", None),
        (" 10%|█ | 1/10\r 45%|████ | 4/10", 45),
        ("100%|██████████| 4/4", 99),
        ("730%|??", 99),
        (" 45%|" + "." * 20_000 + " 60%|", 60),
    ],
)
def test_progress_is_the_last_percentage_of_the_logs(
    logs: Any, percent: int | None, house: House, egress: Egress
) -> None:
    house.state("replicate").update(logs=logs, frozen="processing")
    provider, handle = _take(house, egress)
    running = _poll(provider, handle)
    assert isinstance(running, Running)
    assert running.progress == percent


@pytest.mark.parametrize("status", ["starting", "processing", "QUEUED_V2", "", 7, None, ["x"]])
def test_a_status_that_nobody_knows_is_still_running(status: Any, house: House, egress: Egress) -> None:
    house.state("replicate")["frozen"] = status
    provider, handle = _take(house, egress)
    running = _poll(provider, handle, 3)
    assert isinstance(running, Running)
    assert running.poll_in >= provider.poll_floor


@pytest.mark.parametrize("shape", ["address", "list", "object", "nested"])
def test_an_output_may_have_any_form(shape: str, house: House, egress: Egress) -> None:
    url = house.file(files.png(), "image/png")
    shapes = {"address": url, "list": [url], "object": {"image": url}, "nested": {"images": [{"file": url}]}}
    house.state("replicate")["output"] = shapes[shape]
    provider, handle = _take(house, egress)
    done = _poll(provider, handle, 2)
    assert isinstance(done, Done)
    assert [one.content for one in done.artifacts] == [files.png()]
    assert done.units == {"each": 1.0, "second": 1.5}
    assert done.seed == task().seed


def test_an_output_may_be_held_by_its_own_address(house: House, egress: Egress) -> None:
    house.state("replicate")["output"] = ["data:image/png;base64,AAAA"]
    provider, handle = _take(house, egress)
    with pytest.raises(ProviderError) as caught:
        _poll(provider, handle, 2)
    assert caught.value.failure.kind is FailureKind.BAD_RESULT
    assert not house.fetched


def test_all_files_of_an_output_are_fetched(house: House, egress: Egress) -> None:
    house.state("replicate")["output"] = [house.file(files.png()), house.file(files.webp())]
    provider, handle = _take(house, egress)
    done = _poll(provider, handle, 2)
    assert isinstance(done, Done)
    assert [one.mime for one in done.artifacts] == ["image/png", "image/webp"]
    assert done.units["each"] == 2


def test_what_is_ready_at_once_is_fetched_without_asking(house: House, egress: Egress) -> None:
    made = {"id": "abc", "status": "succeeded", "output": [house.file(files.png())]}
    house.script("replicate", r"/predictions$", faults.answer(201, made))
    provider, handle = _take(house, egress)
    assert isinstance(_poll(provider, handle), Done)
    assert len(house.asked("replicate")) == 1


@pytest.mark.parametrize("job", ["../account", "abc?cursor=x", "abc#x"])
def test_the_id_of_a_job_cannot_lead_to_another_route(job: str, house: House, egress: Egress) -> None:
    house.script("replicate", r"/predictions$", faults.answer(201, {"id": job, "status": "starting"}))
    provider, handle = _take(house, egress)
    with pytest.raises(ProviderError):
        _poll(provider, handle)
    asked = house.asked("replicate", method="GET")
    assert [(call.path, call.query) for call in asked] in ([], [(f"/v1/predictions/{job}", {})])


def test_cancel_stops_what_runs_and_says_that_a_finished_one_is_paid(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress)
    assert provider.cancel(handle) is Billing.STOPPED
    provider, handle = _take(house, egress)
    _poll(provider, handle, 2)
    assert provider.cancel(handle) is Billing.ALREADY_BILLED
    assert _job(house, handle)["status"] == "succeeded"


# -- finding a submit whose answer was lost


def _lose(house: House, egress: Egress, case: Case = CASE) -> Provider:
    house.script("replicate", r"/predictions$", faults.hidden(), method="POST")
    provider = case.build(house, egress)
    with pytest.raises(ProviderError) as caught:
        provider.submit(provider.plan(case.plainest), Context())
    assert caught.value.failure.kind is FailureKind.SUBMIT_UNKNOWN
    return provider


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_a_submit_whose_answer_was_lost_is_found_and_finished_without_a_second_charge(
    house: House, egress: Egress
) -> None:
    provider = _lose(house, egress)
    found = provider.find(provider.plan(task()), Context(began_at=_ago(1)))
    assert isinstance(found, Accepted)
    handle = json.loads(json.dumps(found.handle))
    assert isinstance(_poll(CASE.build(house, egress), handle, 2), Done)
    assert house.charges["replicate"] == 1


def test_a_submit_with_pictures_is_found_by_its_words_and_its_seed(house: House, egress: Egress) -> None:
    provider = _lose(house, egress)
    (made,) = house.state("replicate")["predictions"].values()
    made["input"]["input_images"] = ["https://replicate.delivery/x.png"]
    plan = provider.plan(task(references=(reference(),)))
    assert isinstance(provider.find(plan, Context(began_at=_ago(1))), Accepted)


def test_what_was_made_before_the_call_or_of_other_words_is_not_it(house: House, egress: Egress) -> None:
    provider, _handle = _take(house, egress)
    (made,) = house.state("replicate")["predictions"].values()
    made["created_at"] = _ago(600).isoformat()
    assert provider.find(provider.plan(task()), Context(began_at=_ago(60))) is Lost.ABSENT
    made["created_at"] = _ago(30).isoformat()
    assert provider.find(provider.plan(task(seed=8)), Context(began_at=_ago(60))) is Lost.ABSENT
    assert isinstance(provider.find(provider.plan(task()), Context(began_at=_ago(60))), Accepted)


def test_a_call_that_may_still_be_on_its_way_is_not_called_absent(house: House, egress: Egress) -> None:
    provider = CASE.build(house, egress)
    assert provider.find(provider.plan(task()), Context(began_at=_ago(5))) is Lost.UNSURE


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"results": None, "next": "https://api.replicate.com/v1/predictions?cursor=x"},
        {
            "results": [{"id": "a", "created_at": "2999-01-01T00:00:00Z", "input": {"prompt": "x"}}],
            "next": "more",
        },
        {"results": [{"id": "a", "created_at": "2999-01-01T00:00:00Z", "input": {}}], "next": None},
        {"results": [{"id": "a", "created_at": "soon"}], "next": None},
    ],
)
def test_a_list_that_does_not_tell_leaves_it_unsure(
    page: dict[str, Any], house: House, egress: Egress
) -> None:
    house.script("replicate", r"/predictions$", faults.answer(200, page), method="GET")
    provider = CASE.build(house, egress)
    assert provider.find(provider.plan(task()), Context(began_at=_ago(90))) is Lost.UNSURE


def test_a_list_that_cannot_be_had_is_asked_for_again(house: House, egress: Egress) -> None:
    house.script("replicate", r"/predictions$", faults.html(503), method="GET")
    provider = CASE.build(house, egress)
    with pytest.raises(ProviderError) as caught:
        provider.find(provider.plan(task()), Context(began_at=_ago(90)))
    assert caught.value.failure.kind.ask_again


# -- webhooks


def test_the_calls_address_for_webhooks_is_sent_where_it_has_one(house: House, egress: Egress) -> None:
    _take(house, egress, webhook_url="https://atelier.example/hooks/all")
    _take(house, egress, context=Context(doorbell="https://atelier.example/hooks/replicate/1.x"))
    without, with_one = house.asked("replicate")
    assert "webhook" not in without.json
    assert with_one.json["webhook"] == "https://atelier.example/hooks/replicate/1.x"
    assert with_one.json["webhook_events_filter"] == ["completed"]


def test_a_webhook_signed_by_the_standard_is_verified_and_is_only_a_doorbell(
    house: House, egress: Egress
) -> None:
    provider, handle = _take(house, egress, webhook_secret=replicate.SECRET)
    headers, body = replicate.webhook(house, handle["id"])
    bell = provider.parse_webhook(headers, body)
    assert bell is not None
    assert (bell.job, bell.verified) == (handle["id"], True)


@pytest.mark.parametrize(
    "wrong",
    ["secret", "body", "old", "early", "no secret", "an empty one", "no headers", "a word for a time"],
)
def test_a_webhook_that_is_not_signed_right_is_not_verified(wrong: str, house: House, egress: Egress) -> None:
    more = {} if wrong in {"no secret", "an empty one"} else {"webhook_secret": replicate.SECRET}
    provider, handle = _take(house, egress, **more)
    ages = {"old": 301, "early": -301}
    secret = {"secret": "whsec_b3RoZXI=", "an empty one": ""}.get(wrong, replicate.SECRET)
    headers, body = replicate.webhook(house, handle["id"], secret=secret, age=ages.get(wrong, 0))
    body = body.replace(b"starting", b"succeeded") if wrong == "body" else body
    headers = {} if wrong == "no headers" else headers
    if wrong == "a word for a time":
        headers["Webhook-Timestamp"] = "now"
    bell = provider.parse_webhook(headers, body)
    assert bell is not None
    assert not bell.verified


def test_health_is_whose_key_it_is(house: House, egress: Egress) -> None:
    assert CASE.build(house, egress).health().state is HealthState.UP
    assert house.asked("replicate", "/account$")
    assert replace(CASE, key=f"not the {KEY}").build(house, egress).health().state is HealthState.DOWN
