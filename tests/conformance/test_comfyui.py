"""What is ComfyUI's own: workflows, names of prompts, the queue, the WebSocket, and stopping one prompt alone."""

import json
import time
import uuid
from contextlib import suppress
from dataclasses import replace

import pytest

from app.domain.failure import FailureKind
from app.egress.sender import Egress
from app.providers import comfyui_socket, comfyui_workflow, sniff
from app.providers.base import Accepted, Billing, Done, HealthState, Lost, ProviderError, Running
from tests.conformance.case import reference, run, task
from tests.conformance.cases.comfyui import CASE
from tests.conformance.mutants import mutants
from tests.fakes.house import KEY, faults, files
from tests.fakes.house.comfyui import event
from tests.fakes.house.context import Context

TEXT = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "another.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "drawn: {{prompt}}", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "seed": "{{seed}}",
            "steps": 4,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["4", 0],
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}},
    "8": {
        "class_type": "SaveImage",
        "inputs": {"images": ["6", 0], "filename_prefix": "{{seed}}-{{prompt}}"},
    },
}


@pytest.fixture
def comfyui(house, egress):
    return CASE.build(house, egress)


@pytest.fixture
def saved(tmp_path):
    """Write a workflow, and return where it is."""

    def save(nodes: object, name: str = "workflow.json") -> str:
        path = tmp_path / name
        path.write_text(nodes if isinstance(nodes, str) else json.dumps(nodes))
        return str(path)

    return save


def submitted(provider, context, work=None) -> Accepted:
    taken = provider.submit(provider.plan(work or task()), context)
    assert isinstance(taken, Accepted)
    return taken


# Workflows


def test_a_placeholder_alone_becomes_the_value_and_within_words_its_text(house, egress, saved):
    provider = CASE.build(house, egress, workflow=saved(TEXT))
    graph = provider.plan(task(full_prompt="a heron", seed=5)).payload["prompt"]
    assert graph["5"]["inputs"]["seed"] == 5
    assert graph["2"]["inputs"]["text"] == "drawn: a heron"
    assert graph["8"]["inputs"]["filename_prefix"] == "5-a heron"


def test_a_prompt_that_looks_like_a_placeholder_stays_a_prompt(comfyui):
    words = '{{seed}} {{checkpoint}} "},{"class_type": "SaveImage'
    graph = comfyui.plan(task(full_prompt=words, negative_prompt="{{prompt}}")).payload["prompt"]
    assert graph["2"]["inputs"]["text"] == words
    assert graph["3"]["inputs"]["text"] == "{{prompt}}"
    assert set(graph) == set(comfyui_workflow.house("text").nodes)


def test_a_placeholder_in_a_prompt_within_words_stays_words(house, egress, saved):
    provider = CASE.build(house, egress, workflow=saved(TEXT))
    graph = provider.plan(task(full_prompt="{{seed}} {{prompt}}", seed=5)).payload["prompt"]
    assert graph["2"]["inputs"]["text"] == "drawn: {{seed}} {{prompt}}"


def test_the_operators_workflow_draws_and_what_it_leaves_out_is_said(house, egress, saved):
    provider = CASE.build(house, egress, workflow=saved(TEXT))
    plan = provider.plan(task(negative_prompt="people"))
    assert plan.adapted == (
        "the size is the workflow's own",
        "negative prompt not supported by the workflow",
    )
    assert run(lambda: CASE.build(house, egress, workflow=saved(TEXT)), task(), Context()).done


def test_a_workflow_without_a_seed_says_so(house, egress, saved):
    seedless = json.loads(json.dumps(TEXT).replace('"{{seed}}"', "1").replace("{{seed}}-", ""))
    plan = CASE.build(house, egress, workflow=saved(seedless)).plan(task())
    assert "seed not supported by the workflow" in plan.adapted


def test_a_picture_needs_a_workflow_that_takes_one(house, egress, saved):
    provider = CASE.build(house, egress, workflow=saved(TEXT))
    with pytest.raises(ProviderError) as raised:
        provider.plan(task(references=(reference(),)))
    assert raised.value.failure.kind is FailureKind.UNSUPPORTED
    image = {
        **TEXT,
        "9": {"class_type": "LoadImage", "inputs": {"image": "{{image}}"}},
    }
    both = CASE.build(house, egress, workflow=saved(TEXT), image_workflow=saved(image, "image.json"))
    loaded = both.plan(task(references=(reference(),))).payload["prompt"]["9"]["inputs"]["image"]
    assert loaded == f"atelier/{'0' * 64}.png"
    with pytest.raises(ProviderError):
        CASE.build(house, egress, workflow=saved(image)).plan(task())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "no nodes"),
        ("{}", "no nodes"),
        ('{"nodes": [], "links": []}', "API format"),
        ('{"1": {"class_type": "X", "inputs": {"text": "a heron"}}}', "{{prompt}} stands nowhere"),
        (
            '{"1": {"class_type": "X", "inputs": {"text": "{{promt}} {{prompt}}"}}}',
            "unknown placeholders: promt",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_workflow_that_cannot_be_used_takes_the_provider_out_and_not_the_service(
    house, egress, saved, content, says
):
    provider = CASE.build(house, egress, workflow=saved(content))
    found = provider.health()
    assert found.state is HealthState.DOWN
    assert says in found.reason
    with pytest.raises(ProviderError) as raised:
        provider.plan(task())
    assert raised.value.failure.kind is FailureKind.UNSUPPORTED
    assert not house.calls


def test_a_workflow_file_that_is_not_there_is_said_without_its_path(house, egress, tmp_path):
    found = CASE.build(house, egress, workflow=str(tmp_path / "none.json")).health()
    assert found.state is HealthState.DOWN
    assert str(tmp_path) not in found.reason


def test_models_and_sizes_of_the_house_are_within_what_comfyui_takes(comfyui):
    plan = comfyui.plan(task(width=10, height=100_000, seed=-1))
    inputs = plan.payload["prompt"]["4"]["inputs"]
    assert (inputs["width"], inputs["height"]) == (64, 8192)
    assert plan.payload["prompt"]["5"]["inputs"]["seed"] == 2**64 - 1
    assert plan.adapted == ("10x100000 -> 64x8192",)


# Pictures to start from


def test_the_picture_is_uploaded_once_under_its_hash_and_the_prompt_names_it(house, egress):
    content = files.png(300, 200)
    work = task(references=(replace(reference(content), sha256="ab" * 32),))
    for _ in range(2):
        assert run(lambda: CASE.build(house, egress), work, Context()).done
    assert house.state("comfyui")["uploads"] == {f"atelier/{'ab' * 32}.png": content}


def test_a_failed_upload_submits_nothing(house, egress):
    house.script("comfyui", "^/upload/", faults.answer(500, {}))
    story = run(lambda: CASE.build(house, egress), CASE.tasks["picture"], Context())
    assert story.error.failure.kind is FailureKind.UNAVAILABLE
    assert not house.charges


# Names


def test_a_prompt_carries_the_name_of_the_call_so_that_a_crash_finds_it_again(house, comfyui):
    context = Context()
    house.script("comfyui", "^/prompt$", faults.hidden())
    plan = comfyui.plan(task())
    with pytest.raises(ProviderError) as raised:
        comfyui.submit(plan, context)
    assert raised.value.failure.kind is FailureKind.SUBMIT_UNKNOWN
    found = comfyui.find(plan, context)
    assert isinstance(found, Accepted)
    assert found.handle["prompt_id"] == context.key
    assert house.charges["comfyui"] == 1


def test_a_finished_prompt_is_found_too(house, egress, comfyui):
    context = Context()
    assert run(lambda: CASE.build(house, egress), task(), context).done
    found = comfyui.find(comfyui.plan(task()), context)
    assert isinstance(comfyui.poll(found.handle, context), Done)


def test_what_was_never_taken_is_absent_and_what_cannot_be_asked_is_an_error(house, comfyui):
    plan = comfyui.plan(task())
    assert comfyui.find(plan, Context()) is Lost.ABSENT
    house.script("comfyui", "^/queue$", faults.html(502))
    with pytest.raises(ProviderError) as raised:
        comfyui.find(plan, Context())
    assert raised.value.failure.kind is FailureKind.UNAVAILABLE


def test_an_old_server_that_chooses_names_itself_is_polled_by_its_name(house, comfyui):
    chosen = str(uuid.uuid4())
    house.script("comfyui", "^/prompt$", faults.answer(200, {"prompt_id": chosen, "number": 1}))
    taken = submitted(comfyui, Context())
    assert taken.handle["prompt_id"] == chosen


# The queue and the history


def test_the_place_in_the_queue_is_told_by_number_and_not_by_the_order_of_the_heap(house, comfyui):
    taken = submitted(comfyui, Context())
    mine = taken.handle["prompt_id"]
    rows = [[9, "later", {}, {}, []], [5, mine, {}, {}, []], [1, "first", {}, {}, []], [3, "second"]]
    house.script("comfyui", "^/queue$", faults.answer(200, {"queue_running": [], "queue_pending": rows}))
    assert comfyui.poll(taken.handle, Context()) == Running(1.0, stage="waiting, 2 before it")
    running = {"queue_running": [[5, mine, {}, {}, []]], "queue_pending": []}
    house.script("comfyui", "^/queue$", faults.answer(200, running))
    assert comfyui.poll(taken.handle, Context()) == Running(1.0, stage="drawing")


def test_work_that_ends_between_two_questions_is_never_lost(house, comfyui):
    """The queue is asked before the history: asked the other way round, it is in neither."""
    context = Context()
    taken = submitted(comfyui, context)
    house.state("comfyui")["looks"] = 0
    assert isinstance(comfyui.poll(taken.handle, context), Done)
    assert [call.path.split("/")[1] for call in house.asked("comfyui", method="GET")] == [
        "queue",
        "history",
        "view",
    ]


def test_a_saved_picture_goes_before_one_that_is_only_shown(house, egress, saved):
    make = lambda: CASE.build(house, egress, workflow=saved(TEXT))  # noqa: E731 - read where it is used
    story = run(make, task(), Context())
    assert [call.query["type"] for call in house.asked("comfyui", "^/view$")] == ["output"]
    assert len(story.artifacts) == 1


def test_pictures_that_were_put_in_are_no_results(house, egress):
    house.state("comfyui")["names"] = [{"filename": "drawn.png", "subfolder": "", "type": "input"}]
    story = run(lambda: CASE.build(house, egress), task(), Context())
    assert story.error.failure.kind is FailureKind.BAD_RESULT
    assert not house.asked("comfyui", "^/view$")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/drawn",
        "/etc/drawn",
        "drawn\r\nHost: x",
        "drawn" * 1000,
        "drawn&type=input",
        "http://10.0.0.1/drawn",
    ],
)
def test_names_of_files_are_parameters_of_a_query_and_nothing_else(house, egress, name):
    house.state("comfyui")["names"] = [{"filename": name, "subfolder": "../.."}]
    run(lambda: CASE.build(house, egress), task(), Context())
    asked = house.asked("comfyui", "^/view$")
    assert [call.query for call in asked] == [{"filename": name, "subfolder": "../..", "type": "temp"}]
    assert not house.fetched


def test_a_result_comes_with_the_key_of_the_proxy_and_a_redirect_loses_it(house, egress):
    house.script("comfyui", "^/view$", faults.redirect(house.file(files.png())))
    story = run(lambda: CASE.build(house, egress), task(), Context())
    assert story.done
    assert all(call.authorized for call in house.asked("comfyui", "^/view$"))
    assert [call.authorized for call in house.fetched] == [False]


def test_without_a_key_none_is_sent(house, egress):
    bare = replace(CASE, key=None)
    assert run(lambda: bare.build(house, egress), task(), Context()).done
    assert not any(call.authorized for call in house.asked("comfyui"))


def test_the_result_says_which_seed_and_model_drew_it(house, egress):
    story = run(lambda: CASE.build(house, egress), task(seed=77), Context())
    assert (story.done.seed, story.done.model) == (77, "a-model")
    assert story.artifacts[0].mime in sniff.PICTURES


def test_strange_histories_and_queues_are_a_result_or_a_failure_and_never_a_crash(house, egress):
    context = Context(300, key=str(uuid.uuid4()))
    first = run(lambda: CASE.build(house, egress), task(), context)
    assert first.done
    given = {path: body for name, path, body in house.answers if path.startswith(("/history", "/queue"))}
    for path, body in given.items():
        for mutant in mutants(body, 80):
            house.reset()
            house.script("comfyui", f"^{path}$", faults.answer(200, mutant), forever=True)
            with suppress(ProviderError):
                assert isinstance(CASE.build(house, egress).poll(first.handle, context), Done | Running)


# Stopping


def test_what_waits_is_taken_out_and_nothing_is_interrupted(house, comfyui):
    house.state("comfyui")["held"] = True
    taken = submitted(comfyui, Context())
    assert comfyui.cancel(taken.handle) is Billing.NOT_STARTED
    assert not house.asked("comfyui", "^/interrupt$")
    assert not house.state("comfyui")["jobs"]


def test_what_runs_is_interrupted_by_its_name(house, comfyui):
    taken = submitted(comfyui, Context())
    house.state("comfyui")["jobs"][0]["looked"] = 1
    house.state("comfyui")["looks"] = 100
    assert comfyui.cancel(taken.handle) is Billing.STOPPED
    [call] = house.asked("comfyui", "^/interrupt$")
    assert call.json == {"prompt_id": taken.handle["prompt_id"]}
    assert comfyui.cancel(taken.handle) is Billing.STOPPED
    assert len(house.asked("comfyui", "^/interrupt$")) == 1


def test_somebody_elses_prompt_is_never_interrupted(house, comfyui):
    submitted(comfyui, Context())
    house.state("comfyui")["jobs"][0]["looked"] = 2
    house.state("comfyui").update(held=True)
    mine = submitted(comfyui, Context())
    assert comfyui.cancel(mine.handle) is Billing.NOT_STARTED
    assert not house.asked("comfyui", "^/interrupt$")
    assert len(house.state("comfyui")["jobs"]) == 1


def test_what_is_finished_stays_and_was_paid(house, egress, comfyui):
    story = run(lambda: CASE.build(house, egress), task(), Context())
    assert comfyui.cancel(story.handle) is Billing.ALREADY_BILLED
    assert isinstance(comfyui.poll(story.handle, Context()), Done)
    assert not [call for call in house.asked("comfyui", method="POST") if call.path != "/prompt"]


def test_an_interrupt_that_is_not_heeded_leaves_the_bill_unknown(house, comfyui):
    taken = submitted(comfyui, Context())
    house.state("comfyui")["jobs"][0]["looked"] = 1
    house.state("comfyui")["looks"] = 100
    house.script("comfyui", "^/interrupt$", faults.answer(200), forever=True)
    assert comfyui.cancel(taken.handle) is Billing.UNKNOWN


# Health


def test_a_checkpoint_that_the_server_does_not_have_is_down_at_once(house, egress):
    absent = replace(CASE, model="gone.safetensors").build(house, egress)
    assert absent.health().state is HealthState.DOWN
    assert "gone.safetensors" in absent.health().reason


def test_a_server_that_tells_no_checkpoints_is_up(house, comfyui):
    house.script("comfyui", "^/models/", faults.answer(404, {}), forever=True)
    assert comfyui.health().state is HealthState.UP


# Listening


def test_the_sampler_is_heard_by_the_websocket_and_never_falls(house, comfyui):
    context = Context()
    taken = submitted(comfyui, context)
    mine = taken.handle["prompt_id"]
    house.state("comfyui")["told"] = [
        event("status", status={"exec_info": {"queue_remaining": 1}}),
        b"\0\0\0\1\0\0\0\2" + files.png(),
        event("progress", prompt_id=mine, value=5, max=25, node="5"),
        event("progress", prompt_id="another", value=25, max=25, node="5"),
        event("progress", prompt_id=mine, value=20, max=25, node="5"),
        event("progress", prompt_id=mine, value=1, max=25, node="5"),
        event("progress", prompt_id=mine, value=float("nan"), max=25),
        event("progress", prompt_id=mine, value="x", max=None),
        event("progress", prompt_id=mine, value=1, max=0),
        event("progress", prompt_id=mine, value=900, max=25),
        "no JSON",
        "[]",
        '{"type": 7, "data": 8}',
        event("executing", prompt_id=mine, node=None),
        event("progress", prompt_id=mine, value=25, max=25),
    ]
    heard = list(comfyui.watch(taken.handle, context))
    assert [one.progress for one in heard] == [20, 80, 80, 99]
    assert {one.poll_in for one in heard} == {comfyui.poll_floor}


@pytest.mark.parametrize("kind", ["execution_success", "execution_error", "execution_interrupted"])
def test_listening_ends_with_the_work(house, comfyui, kind):
    taken = submitted(comfyui, Context())
    mine = taken.handle["prompt_id"]
    house.state("comfyui")["told"] = [
        event(kind, prompt_id="another"),
        event("progress", prompt_id=mine, value=1, max=2),
        event(kind, prompt_id=mine),
        event("progress", prompt_id=mine, value=2, max=2),
    ]
    assert [one.progress for one in comfyui.watch(taken.handle, Context())] == [50]


def test_a_server_without_a_websocket_tells_nothing_and_breaks_nothing(house, egress, comfyui):
    taken = submitted(comfyui, Context())
    for reply in (faults.answer(404, {}), faults.html(), faults.truncated(), faults.unterminated()):
        house.script("comfyui", "^/ws$", reply)
        assert list(comfyui.watch(taken.handle, Context())) == []
    assert list(CASE.build(house, egress, house.nowhere).watch(taken.handle, Context())) == []


@pytest.mark.parametrize("noise", [b"\xff\xff\xff\xff", b"\x81\x02\xc3\x28", b"\x81\x7f" + b"\xff" * 8])
def test_bytes_that_are_no_messages_end_the_telling(house, comfyui, noise):
    taken = submitted(comfyui, Context())
    house.state("comfyui")["noise"] = noise
    assert list(comfyui.watch(taken.handle, Context())) == []


@pytest.mark.parametrize(
    "greeting", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n"]
)
def test_a_greeting_of_another_protocol_tells_nothing(house, comfyui, greeting):
    taken = submitted(comfyui, Context())
    house.script("comfyui", "^/ws$", faults._wild(lambda line: line.sendall(greeting)))
    assert list(comfyui.watch(taken.handle, Context())) == []


def test_nobody_listens_longer_than_the_attempt_lasts(house, comfyui):
    taken = submitted(comfyui, Context())
    house.script("comfyui", "^/ws$", faults.silent(), forever=True)
    began = time.monotonic()
    assert list(comfyui.watch(taken.handle, Context(0.3))) == []
    assert time.monotonic() - began < 1.5
    assert list(comfyui.watch(taken.handle, Context(cancelled=True))) == []


def test_the_listener_is_the_client_that_submitted_and_shows_the_key(house, comfyui):
    context = Context()
    taken = submitted(comfyui, context)
    list(comfyui.watch(taken.handle, context))
    [call] = house.asked("comfyui", "^/ws$")
    assert call.query == {"clientId": context.key}
    assert call.authorized
    assert KEY not in repr(taken)


@pytest.mark.parametrize(
    ("value", "most", "percent"),
    [
        (0, 20, 0),
        (10, 20, 50),
        (20, 20, 99),
        (-3, 20, 0),
        (1, -1, None),
        (10**400, 20, None),
        (1e308, 1e-308, None),
        (None, 20, None),
    ],
)
def test_percent_is_within_bounds_or_nothing(value, most, percent):
    assert comfyui_socket.percent_of(value, most) == percent


def test_the_egress_that_submits_is_the_one_that_asks(house):
    """A house on loopback is the operator's own address, and needs no leave."""
    assert run(lambda: CASE.build(house, Egress()), task(), Context()).done
