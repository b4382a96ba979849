"""Meshy's own ways: a model from words is bought in two phases, and each of them once."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Accepted, Billing, Done, Doorbell, HealthState, Lost, ProviderError, Running
from app.providers.model_inputs import held
from tests.conformance.case import PROMPT, reference, run, task
from tests.conformance.cases.meshy import CASE, MODEL
from tests.fakes.house import faults, files
from tests.fakes.house.context import Context

WORDS = task(Kind.MODEL)
ROUTE = r"^/openapi/v2/text-to-3d$"


@pytest.fixture
def make(house, egress):
    return lambda **more: CASE.build(house, egress, **more)


def bodies(house, mode=None):
    sent = [call.json for call in house.asked("meshy", ROUTE, "POST")]
    return [body for body in sent if mode in {None, body["mode"]}]


def start(make, work=WORDS):
    provider = make()
    return kept(provider.submit(provider.plan(work), Context()))


def kept(accepted):
    """The handle as it comes out of the database."""
    assert isinstance(accepted, Accepted)
    return json.loads(json.dumps(accepted.handle))


def until_accepted(make, handle):
    """Poll until the work comes to its next phase."""
    for _ in range(10):
        step = make().poll(handle, Context())
        if isinstance(step, Accepted):
            return kept(step)
        assert isinstance(step, Running)
    raise AssertionError("it never came to the next phase")


def finish(make, handle):
    for _ in range(20):
        step = make().poll(handle, Context())
        if isinstance(step, Done):
            return step
        handle = kept(step) if isinstance(step, Accepted) else handle
    raise AssertionError("it never ended")


def refused(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.failure


def test_words_become_a_mesh_and_then_its_texture(house, make):
    story = run(make, WORDS, Context())
    preview, refine = bodies(house)
    assert (preview["mode"], refine["mode"]) == ("preview", "refine")
    assert preview["prompt"] == WORDS.full_prompt
    assert refine["preview_task_id"] in house.state("meshy")["tasks"]
    assert [one.role for one in story.artifacts] == ["model", "thumbnail"]
    assert story.done.units == {"credit": 30.0}
    assert house.charges["meshy"] == 2


def test_progress_never_falls_from_one_phase_to_the_next(make):
    told = [one.progress for one in run(make, WORDS, Context()).running if one.progress is not None]
    assert told == sorted(told)
    assert told[0] < 30 < told[-1]


def test_the_handle_tells_a_fresh_process_which_phase_runs(make):
    handle = start(make)
    assert handle["phase"] == "preview"
    later = until_accepted(make, handle)
    assert later["phase"] == "refine"
    assert later["preview"] == handle["id"]
    assert later["id"] != handle["id"]
    assert PROMPT not in json.dumps(later)


@pytest.mark.parametrize("named", [False, True])
def test_a_process_that_died_with_the_refine_in_its_hands_does_not_buy_it_again(house, make, named):
    house.state("meshy")["names_previews"] = named
    handle = start(make)
    first = until_accepted(make, handle)
    again = until_accepted(make, handle)
    assert again["id"] == first["id"]
    assert finish(make, again).artifacts
    assert house.charges["meshy"] == 2


@pytest.mark.parametrize("fault", [faults.reset(), faults.answer(500, {}), faults.answer(202, {})])
def test_a_refine_whose_answer_is_lost_is_found_and_not_bought_again(house, make, fault):
    handle = start(make)
    reply = (
        faults.hidden(lambda _request: fault) if isinstance(fault, faults.Response) else faults.hidden(fault)
    )
    house.script("meshy", ROUTE, reply, method="POST")
    failure = refused(lambda: until_accepted(make, handle))
    assert failure.kind is FailureKind.UNAVAILABLE
    assert failure.kind.ask_again
    assert failure.retry_after == 15
    assert failure.charged is Charged.YES
    assert finish(make, handle).artifacts
    assert len(bodies(house, "refine")) == 1
    assert house.charges["meshy"] == 2


def test_a_refine_that_never_arrived_is_bought_by_the_next_poll(house, make):
    handle = start(make)
    house.script("meshy", ROUTE, faults.reset(), method="POST")
    refused(lambda: until_accepted(make, handle))
    assert finish(make, handle).artifacts
    assert house.charges["meshy"] == 2


def test_two_models_of_the_same_words_get_a_texture_each(house, make):
    one, other = start(make), start(make)
    # The other's mesh is finished before the one's texture is bought.
    for _ in range(2):
        make().poll(other, Context())
    assert make().cancel(other) is Billing.ALREADY_BILLED
    one, other = until_accepted(make, one), until_accepted(make, other)
    assert one["id"] != other["id"]
    assert {body["preview_task_id"] for body in bodies(house, "refine")} == {one["preview"], other["preview"]}


def test_where_a_refine_names_its_preview_the_right_one_of_twins_is_taken(house, make):
    house.state("meshy")["names_previews"] = True
    handles = [start(make), start(make)]
    first = [until_accepted(make, handle)["id"] for handle in handles]
    assert [until_accepted(make, handle)["id"] for handle in handles] == first
    assert house.charges["meshy"] == 4


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (faults.answer(429, {"message": "NoMoreConcurrentTasks"}), FailureKind.QUEUE_FULL),
        (faults.answer(429, {"message": "RateLimitExceeded"}), FailureKind.RATE_LIMITED),
        (faults.answer(503, {}), FailureKind.UNAVAILABLE),
        (faults.html(522), FailureKind.UNAVAILABLE),
    ],
)
def test_a_texture_that_has_to_wait_is_bought_later_for_the_same_mesh(house, make, reply, kind):
    handle = start(make)
    house.script("meshy", ROUTE, reply, method="POST")
    assert refused(lambda: until_accepted(make, handle)).kind is kind
    assert finish(make, handle).artifacts
    assert len(bodies(house, "preview")) == 1
    assert house.charges["meshy"] == 2


def test_without_credits_for_the_texture_the_mesh_is_said_to_be_paid(house, make):
    handle = start(make)
    house.script("meshy", ROUTE, faults.answer(402, {"message": "x"}), method="POST")
    failure = refused(lambda: until_accepted(make, handle))
    assert failure.kind is FailureKind.QUOTA_EXHAUSTED
    assert failure.charged is Charged.YES


def test_a_texture_that_fails_is_tried_once_more_on_the_same_mesh(house, make):
    house.state("meshy")["fail"] = [None, {"message": "busy"}]
    assert finish(make, start(make)).artifacts
    assert len(bodies(house, "preview")) == 1
    assert len(bodies(house, "refine")) == 2
    assert house.charges["meshy"] == 2  # The one that failed was refunded.


def test_a_texture_that_fails_twice_fails_and_the_mesh_is_said_to_be_paid(house, make):
    house.state("meshy")["fail"] = [None, {"message": "busy"}, {"message": "busy"}]
    failure = refused(lambda: finish(make, start(make)))
    assert failure.kind is FailureKind.JOB_FAILED
    assert failure.charged is Charged.YES
    assert house.charges["meshy"] == 1


def test_a_texture_that_is_against_the_policy_is_not_tried_again(house, make):
    house.state("meshy")["fail"] = [None, {"message": "NSFW content"}]
    assert refused(lambda: finish(make, start(make))).kind is FailureKind.POLICY_INPUT
    assert len(bodies(house, "refine")) == 1


def test_a_waiting_task_is_deleted_and_costs_nothing(house, make):
    handle = start(make)
    assert make().cancel(handle) is Billing.NOT_STARTED
    assert make().cancel(handle) is Billing.NOT_STARTED
    assert [call.method for call in house.asked("meshy", handle["id"])] == ["GET", "DELETE", "GET", "GET"]
    assert house.charges["meshy"] == 0


def test_a_running_task_is_left_alone_and_billed(house, make):
    handle = start(make)
    for _ in range(2):
        make().poll(handle, Context())
    house.state("meshy")["frozen"] = "IN_PROGRESS"
    assert make().cancel(handle) is Billing.ALREADY_BILLED
    assert not house.asked("meshy", ".", "DELETE")


def test_a_finished_model_is_never_deleted(house, make):
    story = run(make, WORDS, Context())
    assert make().cancel(story.handle) is Billing.ALREADY_BILLED
    assert not house.asked("meshy", ".", "DELETE")
    assert finish(make, story.handle).artifacts


def test_a_texture_that_waits_is_taken_back_while_its_mesh_stays_billed(house, make):
    handle = until_accepted(make, start(make))
    assert make().cancel(handle) is Billing.ALREADY_BILLED
    assert len(house.asked("meshy", handle["id"], "DELETE")) == 1
    assert house.charges["meshy"] == 1


def test_a_submit_that_was_lost_is_found_by_its_words(house, make):
    provider, context = make(), Context(5)
    plan = provider.plan(WORDS)
    house.script("meshy", ROUTE, faults.hidden(), method="POST")
    assert refused(lambda: provider.submit(plan, context)).kind is FailureKind.SUBMIT_UNKNOWN
    found = make().find(plan, context)
    assert finish(make, kept(found)).artifacts
    assert house.charges["meshy"] == 2


def test_a_submit_that_never_arrived_is_surely_absent(make):
    provider = make()
    assert provider.find(provider.plan(WORDS), Context()) is Lost.ABSENT


def test_what_others_asked_for_and_what_is_older_is_not_ours(house, make):
    start(make, task(Kind.MODEL, full_prompt="a boat"))
    provider = make()
    assert provider.find(provider.plan(WORDS), Context()) is Lost.ABSENT
    start(make)
    later = Context(began_at=datetime.now(UTC) + timedelta(minutes=1))
    assert provider.find(provider.plan(WORDS), later) is Lost.ABSENT


def test_of_two_that_could_be_ours_none_is_taken(make):
    start(make), start(make)
    provider = make()
    assert provider.find(provider.plan(WORDS), Context()) is Lost.UNSURE


def test_a_list_that_does_not_reach_back_far_enough_is_not_sure(house, make):
    for _ in range(50):
        start(make, task(Kind.MODEL, full_prompt="a boat"))
    provider = make()
    plan = provider.plan(WORDS)
    assert provider.find(plan, Context()) is Lost.UNSURE
    assert house.asked("meshy", ROUTE, "GET")[-1].query["page_size"] == "50"


def test_pictures_show_no_words_but_those_for_their_texture(make):
    work = task(Kind.MODEL, references=(reference(),))
    handle = start(make, work)
    provider = make()
    found = provider.find(provider.plan(work), Context())
    assert kept(found)["id"] == handle["id"]


def test_rigs_are_not_listed_and_so_never_sure(house, make):
    provider = make()
    plan = provider.plan(task(Kind.RIG, source=MODEL))
    assert provider.find(plan, Context()) is Lost.UNSURE
    assert not house.calls


def test_a_rig_comes_with_the_two_walks_that_are_part_of_it(house, make):
    done = finish(make, start(make, task(Kind.RIG, source=MODEL, settings={"height": 2})))
    assert [one.role for one in done.artifacts] == ["rig", "animation", "animation"]
    sent = house.asked("meshy", "/rigging$", "POST")[0].json
    address = sent.pop("model_url")
    assert address.startswith("data:application/octet-stream;base64,")
    assert held(address) == MODEL.content
    assert sent == {"height_meters": 2}


def test_a_model_does_not_fail_with_its_thumbnail(house, make):
    work = task(Kind.MODEL, references=(reference(),))
    house.script("cdn", ".", lambda _request: faults.raw(200, files.glb()), faults.html(503))
    assert [one.role for one in finish(make, start(make, work)).artifacts] == ["model"]


def test_a_status_of_tomorrow_is_work_that_goes_on(house, make):
    handle = start(make)
    house.state("meshy")["frozen"] = "QUEUED_V2"
    assert isinstance(make().poll(handle, Context()), Running)


@pytest.mark.parametrize("progress", ["half", None, -4, 250, True, [], 10**400])
def test_strange_progress_is_held_within_its_bounds(house, make, progress):
    handle = start(make)
    told = {"id": handle["id"], "status": "IN_PROGRESS", "progress": progress}
    house.script("meshy", handle["id"], faults.answer(200, told))
    step = make().poll(handle, Context())
    assert step.progress is None or 0 <= step.progress <= 99


@pytest.mark.parametrize("job", ["../../balance?x=#", "a?page_size=1", "a#b", "a/b"])
def test_an_id_that_leads_elsewhere_stays_one_part_of_the_path(house, make, job):
    handle = {**start(make), "id": job}
    refused(lambda: make().poll(handle, Context()))
    make().cancel(handle)
    assert all(call.path.endswith(f"/{job}") for call in house.asked("meshy", ".", "GET"))
    assert not house.asked("meshy", "balance$")
    assert not house.asked("meshy", ".", "DELETE")


def test_it_is_told_no_address_to_ring_at_since_its_account_has_one(house, make):
    provider = make(webhook_url="https://atelier.example/all")
    provider.submit(provider.plan(WORDS), Context(doorbell="https://atelier.example/1.x"))
    assert provider.account_webhook
    assert not any("atelier.example" in repr(body) for body in bodies(house))


def test_a_webhook_rings_for_a_task_and_is_never_believed(make):
    body = json.dumps({"id": "a task", "status": "SUCCEEDED", "model_urls": {"glb": "http://evil.example"}})
    assert make().parse_webhook({}, body.encode()) == Doorbell("a task", verified=False)


def test_an_account_without_credits_is_down(house, make):
    house.state("meshy")["balance"] = 0
    assert make().health().state is HealthState.DOWN


@pytest.mark.parametrize(
    ("settings", "expected", "adapted"),
    [
        ({"polycount": "low"}, 10_000, None),
        ({"polycount": 50}, 100, "50 polygons -> 100"),
        ({"polycount": 10**9}, 300_000, "1000000000 polygons -> 300000"),
        ({}, None, None),
    ],
)
def test_polygons_are_asked_for_by_number_or_tier(make, settings, expected, adapted):
    plan = make().plan(task(Kind.MODEL, settings=settings))
    assert plan.payload["body"].get("target_polycount") == expected
    assert plan.payload["body"].get("should_remesh") == (True if expected else None)
    assert adapted is None or adapted in plan.adapted


@pytest.mark.parametrize(
    ("asked", "expected", "credits_"),
    [("8k", "8k", 35.0), (4096, "4k", 30.0), (1024, "2k", 30.0), (None, None, 30.0)],
)
def test_the_texture_is_asked_for_by_its_side(make, asked, expected, credits_):
    plan = make().plan(task(Kind.MODEL, settings={"textureResolution": asked, "pbr": True}))
    assert plan.payload["refine"].get("texture_resolution") == expected
    assert plan.payload["refine"]["enable_pbr"] is True
    assert plan.units == {"credit": credits_}


def test_prompts_are_cut_to_what_it_takes_and_style_goes_to_the_texture(make):
    plan = make().plan(task(Kind.MODEL, full_prompt="x" * 900, prompt="y" * 900, style="clay"))
    assert len(plan.payload["body"]["prompt"]) == 800
    assert len(plan.payload["refine"]["texture_prompt"]) == 600
    assert {"prompt cut to 800 characters", "texture prompt cut to 600 characters"} <= set(plan.adapted)


def test_moderation_is_asked_for_where_the_operator_wants_it(make):
    assert make(moderation="1").plan(WORDS).payload["body"]["moderation"] is True
    assert "moderation" not in make().plan(WORDS).payload["body"]


@pytest.mark.parametrize(
    "work",
    [
        task(),
        task(Kind.RETEXTURE),
        task(Kind.RIG),
        task(Kind.RIG, source=MODEL, settings={"height": "tall"}),
        task(Kind.MODEL, settings={"polycount": "many"}),
        task(Kind.MODEL, settings={"polycount": True}),
        task(Kind.MODEL, settings={"textureResolution": "3k"}),
        task(Kind.MODEL, references=(reference(files.webp(), "image/webp"),)),
    ],
)
def test_what_it_cannot_make_is_said_before_anything_is_sent(house, make, work):
    assert refused(lambda: make().plan(work)).kind is FailureKind.UNSUPPORTED
    assert not house.calls
