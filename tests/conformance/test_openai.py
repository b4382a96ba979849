"""What only OpenAI's language has: words that are looked at and rewritten, edits, tokens, sizes, and models that retire."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.failure import FailureKind
from app.egress.sender import Egress
from app.providers.base import Done, HealthState, ProviderError, Task
from app.providers.openai_sizes import fitted
from tests.conformance.case import PROMPT, reference, run, task
from tests.conformance.cases.localai import CASE as LOCALAI
from tests.conformance.cases.openai import CASE
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context

Draw = Callable[..., Done]
_ENHANCED = task(settings={"enhance": True})
_PIXELS = st.integers(16, 8192)


@pytest.fixture
def draw(house: House, egress: Egress) -> Draw:
    def run_one(work: Task = CASE.plainest, **more: str) -> Done:
        story = run(lambda: CASE.build(house, egress, **more), work, Context())
        assert story.done, story.error
        return story.done

    return run_one


def _drawn(house: House) -> dict[str, Any]:
    call = house.asked("openai", "/images/")[-1]
    found: dict[str, Any] = call.json or {name: values[0] for name, values in call.form.items()}
    return found


def test_the_model_gets_only_what_it_knows(draw: Draw, house: House) -> None:
    draw(quality="high")
    assert _drawn(house) == {
        "model": "gpt-image-2",
        "prompt": CASE.plainest.full_prompt,
        "n": 1,
        "size": "1024x1024",
        "quality": "high",
    }


def test_tokens_are_told_by_what_they_cost(draw: Draw) -> None:
    units = draw(task(references=(reference(), reference()))).units
    assert units == {
        "input_token": len(CASE.plainest.full_prompt) // 4,
        "image_input_token": 400,
        "output_token": 1056,
    }


@pytest.mark.parametrize(("pictures", "name"), [(1, "image"), (3, "image[]")])
def test_references_are_edited_and_arrive_whole(draw: Draw, house: House, pictures: int, name: str) -> None:
    draw(task(references=(reference(),) * pictures))
    call = house.asked("openai", "/images/edits$")[0]
    assert call.files == {name: [reference().content] * pictures}


def test_more_references_than_it_takes_are_left_out_and_that_is_said(
    house: House, egress: Egress, draw: Draw
) -> None:
    many = task(references=(reference(),) * 20)
    assert "only 16 references used" in CASE.build(house, egress).plan(many).adapted
    draw(many)
    assert len(house.asked("openai", "/images/edits$")[0].files["image[]"]) == 16


def test_what_the_model_says_it_drew_is_kept(draw: Draw, house: House) -> None:
    house.state("openai")["revised"] = "a heron at noon"
    assert draw().prompt == "a heron at noon"


def test_a_prompt_is_looked_at_before_it_is_drawn(draw: Draw, house: House) -> None:
    draw(moderation_model="omni-moderation-latest")
    assert [call.path for call in house.asked("openai")] == ["/v1/moderations", "/v1/images/generations"]
    assert house.calls[0].json == {"model": "omni-moderation-latest", "input": CASE.plainest.full_prompt}


def test_a_prompt_that_moderation_flags_is_not_drawn(house: House, egress: Egress) -> None:
    house.state("openai")["flag"] = True
    story = run(
        lambda: CASE.build(house, egress, moderation_model="omni-moderation-latest"), CASE.plainest, Context()
    )
    assert story.error is not None
    assert not house.asked("openai", "/images/")


def test_a_prompt_is_rewritten_where_the_request_asks_for_it(draw: Draw, house: House) -> None:
    done = draw(_ENHANCED, enhance_model="words-1")
    assert _drawn(house)["prompt"] == f"{PROMPT}, at dusk, in mist, in soft colours"
    assert done.prompt == _drawn(house)["prompt"]


@pytest.mark.parametrize("settings", [{}, {"enhance": False}, {"enhance": None}])
def test_a_prompt_is_left_alone_where_the_request_does_not_ask(
    draw: Draw, house: House, settings: dict[str, Any]
) -> None:
    assert draw(task(settings=settings), enhance_model="words-1").prompt is None
    assert not house.asked("openai", "/responses$")


def test_a_picture_that_comes_with_an_address_too_is_not_fetched(house: House, egress: Egress) -> None:
    given = {"b64_json": base64.b64encode(files.png()).decode(), "url": house.file(files.png())}
    house.script("openai", "/images/", faults.answer(200, {"data": [given]}))
    assert run(lambda: CASE.build(house, egress), CASE.plainest, Context()).done
    assert not house.fetched


_HALF = {"type": "output_text", "text": "half of"}


def _responded(status: str, *parts: Any) -> Any:
    output = [{"type": "message", "content": list(parts)}]
    return faults.answer(200, {"status": status, "output": output})


@pytest.mark.parametrize(
    "reply",
    [
        faults.answer(500),
        faults.html(),
        faults.reset(),
        faults.cut_json(),
        _responded("incomplete", _HALF),
        _responded("failed", _HALF),
        _responded("completed", _HALF, {"type": "refusal", "refusal": "no"}),
        _responded("completed", {"type": "output_text", "text": 7}),
        _responded("completed"),
        faults.answer(200, {"status": "completed", "output": None}),
    ],
)
def test_a_rewriting_that_fails_leaves_the_prompt_as_it_is(draw: Draw, house: House, reply: Any) -> None:
    house.script("openai", "/responses$", reply)
    assert draw(_ENHANCED, enhance_model="words-1").prompt is None
    assert _drawn(house)["prompt"] == _ENHANCED.full_prompt


def test_a_rewriting_that_hangs_leaves_the_drawing_most_of_the_time(house: House, egress: Egress) -> None:
    house.script("openai", "/responses$", faults.silent())
    context = Context(2)
    assert run(lambda: CASE.build(house, egress, enhance_model="words-1"), _ENHANCED, context).done
    assert context.remaining() > 1


def test_a_long_rewriting_is_cut(draw: Draw, house: House) -> None:
    words = [{"type": "output_text", "text": "mist " * 10_000}]
    house.script(
        "openai",
        "/responses$",
        faults.answer(200, {"status": "completed", "output": [{"type": "message", "content": words}]}),
    )
    draw(_ENHANCED, enhance_model="words-1")
    assert len(_drawn(house)["prompt"]) < 4_100


def test_other_makers_servers_are_asked_by_chat(house: House, egress: Egress) -> None:
    story = run(lambda: LOCALAI.build(house, egress, enhance_model="words-1"), _ENHANCED, Context())
    assert story.done
    assert story.done.prompt == f"{PROMPT}, in fog, in soft colours"


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "content_filter", "message": {"content": "half of"}},
        {"finish_reason": "length", "message": {"content": "half of"}},
        {"finish_reason": "stop", "message": {"content": None, "refusal": "no"}},
        {"finish_reason": "stop", "message": None},
    ],
)
def test_a_chat_that_refuses_or_breaks_off_changes_nothing(house: House, egress: Egress, choice: Any) -> None:
    house.script("localai", "/chat/completions$", faults.answer(200, {"choices": [choice]}))
    story = run(lambda: LOCALAI.build(house, egress, enhance_model="words-1"), _ENHANCED, Context())
    assert story.done
    assert story.done.prompt is None


def test_a_server_without_a_key_gets_no_authorization(house: House, egress: Egress) -> None:
    run(lambda: LOCALAI.build(house, egress), LOCALAI.plainest, Context())
    assert not any("authorization" in call.headers for call in house.calls)
    assert house.calls[0].json == {
        "model": "dreamshaper",
        "prompt": LOCALAI.plainest.full_prompt,
        "n": 1,
        "size": "1024x1024",
    }


def test_only_the_download_of_a_picture_by_address_is_repeated(house: House, egress: Egress) -> None:
    house.script("cdn", ".", faults.reset(), faults.reset())
    story = run(lambda: LOCALAI.build(house, egress), LOCALAI.plainest, Context(), again=2)
    assert story.done
    assert len(house.calls) == 1


@pytest.mark.parametrize("days", [-1, 5, 60, None])
def test_health_tells_when_the_model_ends(house: House, egress: Egress, days: int | None) -> None:
    end = None if days is None else (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    house.state("openai")["models"] = [{"id": "gpt-image-2", "shutdown_date": end}]
    expected = {-1: HealthState.DOWN, 5: HealthState.DEGRADED}.get(days or 0, HealthState.UP)
    assert CASE.build(house, egress).health().state is expected


def test_health_tells_of_a_model_that_is_not_listed(house: House, egress: Egress) -> None:
    house.state("openai")["models"] = [{"id": "another"}]
    health = CASE.build(house, egress).health()
    assert health.state is HealthState.DEGRADED
    assert "gpt-image-2" in health.reason


def test_what_is_no_picture_is_not_planned(house: House, egress: Egress) -> None:
    with pytest.raises(ProviderError) as caught:
        CASE.build(house, egress).plan(task("model"))
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED


@given(_PIXELS, _PIXELS)
def test_every_size_is_one_that_the_model_takes(width: int, height: int) -> None:
    across, _, down = fitted("gpt-image-2", width, height).partition("x")
    longer, shorter = max(int(across), int(down)), min(int(across), int(down))
    assert longer % 16 == shorter % 16 == 0
    assert longer <= 3840
    assert longer <= 3 * shorter
    assert 655_360 <= longer * shorter <= 8_294_400
    assert (int(across) > int(down)) <= (width > height)


@pytest.mark.parametrize(
    ("model", "asked", "fits"),
    [
        ("gpt-image-2", (1024, 768), "1024x768"),
        ("gpt-image-2", (1001, 1001), "1008x1008"),
        ("gpt-image-1.5", (1024, 576), "1536x1024"),
        ("gpt-image-1-mini", (768, 1024), "1024x1536"),
        ("chatgpt-image-latest", (1024, 1000), "1024x1024"),
    ],
)
def test_a_size_is_changed_as_little_as_the_model_needs(
    model: str, asked: tuple[int, int], fits: str
) -> None:
    assert fitted(model, *asked) == fits
