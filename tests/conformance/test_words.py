"""What each maker of words is sent, and what becomes of its figures."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import PICTURES, Kind
from app.egress.sender import Egress
from app.providers.bad_option import BadOption
from app.providers.base import Done, HealthState, ProviderError, Task
from app.providers.prices import load
from app.providers.words import WORDS
from tests.conformance.case import PROMPT, Case, run, task
from tests.conformance.cases import chat, dhruva, gemini, openai
from tests.conformance.words import FACTS, SCHEMA, TASKS, TRANSLATION
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context

Ask = Callable[..., Done]


@pytest.fixture
def ask(house: House, egress: Egress) -> Ask:
    def run_one(case: Case, work: Task, **more: str) -> Done:
        story = run(lambda: case.build(house, egress, **more), work, Context())
        assert story.done, story.error
        return story.done

    return run_one


def _sent(house: House) -> dict[str, Any]:
    sent: dict[str, Any] = house.calls[-1].json
    return sent


@pytest.mark.parametrize("case", [openai.WORDS, gemini.WORDS, chat.CASE], ids=lambda case: case.id)
@pytest.mark.parametrize("name", TASKS)
def test_an_answer_is_data_and_no_file(ask: Ask, case: Case, name: str) -> None:
    done = ask(case, TASKS[name])
    assert done.artifacts == ()
    if TASKS[name].kind is Kind.VISION:
        assert done.data == {"label": "heron", "score": 0.875}
    else:
        assert done.data["text"].startswith(PROMPT)


def test_openai_is_told_apart_what_to_do_and_with_what(ask: Ask, house: House) -> None:
    done = ask(openai.WORDS, TRANSLATION)
    sent = _sent(house)
    assert sent["input"] == PROMPT
    assert PROMPT not in sent["instructions"]
    assert (sent["model"], sent["store"], sent["max_output_tokens"]) == ("words-1", False, 16_000)
    assert done.model == "words-1"
    assert done.units == {"input_token": 90, "text_output_token": 40}
    assert done.request_id == "req-openai"


def test_openai_sees_the_picture_and_is_held_to_the_schema(ask: Ask, house: House) -> None:
    ask(openai.WORDS, FACTS)
    sent = _sent(house)
    words, picture = sent["input"][0]["content"]
    assert words == {"type": "input_text", "text": PROMPT}
    assert base64.b64decode(picture["image_url"].partition(",")[2]) == files.png(256, 256)
    assert sent["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "schema": SCHEMA,
        "strict": True,
    }


def test_a_schema_that_leaves_something_open_is_not_asked_for_strictly(ask: Ask, house: House) -> None:
    work = replace(FACTS, settings={"schema": {"type": "object"}})
    ask(openai.WORDS, work)
    assert _sent(house)["text"]["format"]["strict"] is False


def test_a_chat_server_sees_the_picture_too(ask: Ask, house: House) -> None:
    done = ask(chat.CASE, FACTS)
    sent = _sent(house)
    system, user = sent["messages"]
    assert PROMPT not in system["content"]
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert sent["max_tokens"] == 8_000
    assert done.units == {"input_token": 70, "text_output_token": 30}


def test_gemini_is_sent_schema_and_picture_and_keeps_its_thoughts_to_itself(ask: Ask, house: House) -> None:
    done = ask(gemini.WORDS, FACTS)
    sent = _sent(house)
    assert sent["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert [set(part) for part in sent["contents"][0]["parts"]] == [{"text"}, {"inlineData"}]
    assert PROMPT not in str(sent["systemInstruction"])
    assert len(sent["safetySettings"]) == 4
    assert house.calls[-1].path.endswith("/gemini-words-1:generateContent")
    assert done.units == {"input_token": 12, "text_output_token": 1150}
    assert done.model == "gemini-words-1"


@pytest.mark.parametrize("case", [openai.WORDS, gemini.WORDS], ids=lambda case: case.id)
def test_words_are_priced_as_words(case: Case, house: House, egress: Egress) -> None:
    plan = case.build(house, egress).plan(TRANSLATION)
    units = {"input_token": plan.units["input_token"], "text_output_token": len(PROMPT)}
    assert plan.units == units
    assert (
        0 < load().cost(case.name, plan.model, plan.units) < load().cost(case.name, plan.model, {"each": 1})
    )


@pytest.mark.parametrize("case", [openai.WORDS, gemini.WORDS], ids=lambda case: case.id)
def test_without_a_chat_model_there_are_only_pictures(case: Case, house: House, egress: Egress) -> None:
    assert case.build(house, egress).kinds == PICTURES | WORDS
    assert case.build(house, egress, chat_model="").kinds == PICTURES
    with pytest.raises(ProviderError) as caught:
        case.build(house, egress, chat_model="").plan(TRANSLATION)
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize("case", [openai.WORDS, gemini.WORDS], ids=lambda case: case.id)
def test_with_a_chat_model_pictures_are_drawn_as_ever(case: Case, ask: Ask, house: House) -> None:
    assert ask(case, task()).artifacts
    assert _sent(house).get("model", "gpt-image-2") == "gpt-image-2"


def test_health_looks_for_the_chat_model_too(house: House, egress: Egress) -> None:
    health = openai.WORDS.build(house, egress, chat_model="words-of-last-year").health()
    assert health.state is HealthState.DEGRADED
    assert "words-of-last-year" in health.reason
    assert gemini.WORDS.build(house, egress, chat_model="gone").health().state is HealthState.DOWN


def test_other_makers_servers_answer_by_chat_under_openais_name(ask: Ask, house: House) -> None:
    case = replace(chat.CASE, called="openai", adapter="app.providers.openai:OpenAI")
    done = ask(case, TRANSLATION, compatible="1", chat_model="dreamshaper")
    assert done.data == {"text": f"{PROMPT}, in fog"}
    assert house.calls[-1].path.endswith("/chat/completions")


def test_where_nothing_is_told_of_tokens_their_number_is_guessed(ask: Ask, house: House) -> None:
    choice = {"finish_reason": "stop", "message": {"content": "x"}}
    house.script("localai", "/chat/completions$", faults.answer(200, {"choices": [choice]}))
    done = ask(chat.CASE, TRANSLATION)
    assert done.units["text_output_token"] == len(PROMPT)


def test_a_chat_server_makes_what_its_settings_say(house: House, egress: Egress) -> None:
    assert chat.CASE.build(house, egress).kinds == WORDS
    assert chat.CASE.build(house, egress, kinds="translation, prompt").kinds == {
        Kind.TRANSLATION,
        Kind.PROMPT,
    }
    with pytest.raises(BadOption, match="CHAT_KINDS"):
        chat.CASE.build(house, egress, kinds="cover")


def test_a_chat_server_without_a_model_makes_nothing_and_says_why(house: House, egress: Egress) -> None:
    provider = replace(chat.CASE, model="").build(house, egress)
    assert not provider.kinds
    assert provider.health().state is HealthState.DOWN
    assert "CHAT_MODEL" in provider.health().reason


@pytest.mark.parametrize("case", dhruva.CASES, ids=lambda case: case.id or case.name)
def test_dhruva_gets_a_text_by_paragraphs_and_gives_it_back_as_it_stood(
    case: Case, ask: Ask, house: House
) -> None:
    done = ask(case, case.tasks["paragraphs"])
    assert done.data == {"text": "hi<Once upon a time.>\n\nhi<There was a heron.>\nhi<The end>"}
    assert done.model == case.model
    call = house.calls[-1]
    assert call.headers["authorization"] == "masked"
    assert call.query == ({"serviceId": case.model} if case.id else {})


def test_dhruva_is_asked_for_the_service_that_the_settings_name(house: House, egress: Egress) -> None:
    provider = dhruva.PIPELINE.build(house, egress, service_id="somebody/another--model")
    config = provider.plan(TRANSLATION).payload["pipelineTasks"][0]["config"]
    assert config == {
        "serviceId": "somebody/another--model",
        "language": {"sourceLanguage": "en", "targetLanguage": "hi"},
    }
    with pytest.raises(BadOption, match="DHRUVA_DIALECT"):
        dhruva.PIPELINE.build(house, egress, dialect="pidgin")


@pytest.mark.parametrize(
    "work",
    [
        task(),
        replace(TRANSLATION, prompt=" \n "),
        replace(TRANSLATION, prompt="x" * 5001),
        replace(TRANSLATION, prompt="x\n" * 301),
        replace(TRANSLATION, settings={"target": "fr"}),
    ],
)
def test_dhruva_says_what_it_cannot_translate_before_anything_is_sent(
    house: House, egress: Egress, work: Task
) -> None:
    with pytest.raises(ProviderError) as caught:
        dhruva.PIPELINE.build(house, egress).plan(work)
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED
    assert not house.calls
