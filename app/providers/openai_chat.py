"""Words in OpenAI's language: by its responses, or by the older chat completions, which other makers' servers know.

Field names are those of openai 3.51.0. Chat completions are sent `max_tokens`: OpenAI has another name for it now,
and answers by responses here; the others know this one.
"""

import base64
from collections.abc import Mapping
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from app.egress.reply import Reply
from app.providers import openai_errors, words
from app.providers.base import Context, Done, Plan, Reference, Task
from app.providers.json_shape import closed
from app.providers.loosely import number, table, tables, word
from app.providers.wire import Wire, request_id
from app.providers.words import Question


class Chat:
    """One model that answers in words. `plain` asks it by chat completions."""

    def __init__(self, wire: Wire, name: str, model: str, *, plain: bool) -> None:
        self._wire = wire
        self._name = name
        self.model = model
        self._plain = plain

    @property
    def path(self) -> str:
        return "/chat/completions" if self._plain else "/responses"

    def plan(self, task: Task) -> Plan:
        """Return the body of a question for a task of WORDS. Raises ProviderError (unsupported)."""
        asked = words.question(task)
        return Plan(task, self.model, self.body(asked), (), asked.units)

    def submit(self, plan: Plan, context: Context) -> Done:
        """Ask, and read the answer. Raises ProviderError."""
        reply = self._wire.submit(self.path, context, seconds=words.SECONDS, json=dict(plan.payload))
        if not reply.ok:
            raise openai_errors.refused(self._wire, reply)
        answer = self._wire.json(reply, charged=Charged.UNKNOWN)
        if answer.get("error"):
            raise openai_errors.refused(self._wire, reply)
        data = self._data(plan.task, answer, reply)
        units = _units(table(answer.get("usage"))) or plan.units
        return Done((), plan.model, units=units, request_id=request_id(reply), data=data)

    def body(self, asked: Question) -> dict[str, Any]:
        """Return what is sent for a question."""
        return (_completion if self._plain else _response)(self.model, asked)

    def read(self, answer: Mapping[str, Any]) -> str | FailureKind:
        """Return what the model said, or what its saying nothing whole means."""
        return _completed(answer) if self._plain else _responded(answer)

    def _data(self, task: Task, answer: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        said = self.read(answer)
        data = words.answer(words.question(task), said) if not isinstance(said, FailureKind) else None
        if data is not None:
            return data
        kind = said if isinstance(said, FailureKind) else FailureKind.BAD_RESULT
        withheld = words.WITHHELD.format(self._name) if kind is FailureKind.POLICY_OUTPUT else None
        raise self._wire.error(kind, reply, message=withheld, charged=Charged.YES)


def _response(model: str, asked: Question) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "instructions": asked.told,
        "input": asked.text,
        "max_output_tokens": asked.tokens,
        "store": False,
    }
    if asked.picture:
        shown = {"type": "input_image", "image_url": _data_url(asked.picture)}
        text = [{"type": "input_text", "text": asked.text}] if asked.text else []
        body["input"] = [{"role": "user", "content": [*text, shown]}]
    if asked.kind is Kind.VISION:
        schema = {"type": "json_schema", **_schema(asked.schema)} if asked.schema else {"type": "json_object"}
        body["text"] = {"format": schema}
    return body


def _completion(model: str, asked: Question) -> dict[str, Any]:
    content: Any = asked.text
    if asked.picture:
        shown = {"type": "image_url", "image_url": {"url": _data_url(asked.picture)}}
        content = [*([{"type": "text", "text": asked.text}] if asked.text else []), shown]
    said = [{"role": "system", "content": asked.told}, {"role": "user", "content": content}]
    body: dict[str, Any] = {"model": model, "messages": said, "max_tokens": asked.tokens}
    if asked.kind is Kind.VISION:
        schema = (
            {"type": "json_schema", "json_schema": _schema(asked.schema)}
            if asked.schema
            else {"type": "json_object"}
        )
        body["response_format"] = schema
    return body


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "answer", "schema": dict(schema), "strict": closed(schema)}


def _data_url(picture: Reference) -> str:
    return f"data:{picture.mime};base64,{base64.b64encode(picture.content).decode()}"


def _responded(answer: Mapping[str, Any]) -> str | FailureKind:
    if answer.get("status") != "completed":
        filtered = table(answer.get("incomplete_details")).get("reason") == "content_filter"
        return FailureKind.POLICY_OUTPUT if filtered else FailureKind.BAD_RESULT
    messages = [one for one in tables(answer.get("output")) if one.get("type") == "message"]
    parts = [part for one in messages for part in tables(one.get("content"))]
    if any(part.get("type") == "refusal" for part in parts):
        return FailureKind.POLICY_OUTPUT
    return "".join(word(part.get("text")) or "" for part in parts if part.get("type") == "output_text")


def _completed(answer: Mapping[str, Any]) -> str | FailureKind:
    choice = next(iter(tables(answer.get("choices"))), {})
    message = table(choice.get("message"))
    if message.get("refusal") or choice.get("finish_reason") == "content_filter":
        return FailureKind.POLICY_OUTPUT
    if choice.get("finish_reason") not in ("stop", None):
        return FailureKind.BAD_RESULT
    return word(message.get("content")) or ""


def _units(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return the tokens used; empty where it isn't told."""
    given = number(usage.get("input_tokens", usage.get("prompt_tokens")))
    said = number(usage.get("output_tokens", usage.get("completion_tokens")))
    if given is None or said is None:
        return {}
    return {"input_token": given, "text_output_token": said}
