"""OpenAI's pictures and words, and those of any server that speaks its language: one POST that answers at once.

Settings: OPENAI_QUALITY (low, medium, high, auto), OPENAI_MODERATION_MODEL (looks at the prompt before it is
drawn), OPENAI_ENHANCE_MODEL (rewrites it, where a request asks for that), OPENAI_CHAT_MODEL (answers in words: without
it there are only pictures), OPENAI_ORGANIZATION, OPENAI_PROJECT, and OPENAI_COMPATIBLE=1 for servers that refuse
fields which they don't know (LocalAI and its like, by OPENAI_BASE_URL): they get model, prompt, n and size. Field
names are those of openai 3.51.0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import openai_errors, openai_models, openai_sizes, openai_words
from app.providers.base import (
    Accepted,
    Artifact,
    Context,
    Done,
    Health,
    Plan,
    Provider,
    Reference,
    Running,
    Task,
)
from app.providers.loosely import content, number, table, tables, word
from app.providers.openai_chat import Chat
from app.providers.wire import Wire, request_id
from app.providers.words import WORDS

SECONDS = 300.0
_MOST_PROMPT = 32_000
_MOST_REFERENCES = 16


class OpenAI(Provider):
    """Draws from words, or with references edits them; with a chat model it makes words, too."""

    longest = SECONDS

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self._wire = Wire(options, egress, base_url="https://api.openai.com/v1", headers=_headers(options))
        self._plain = options.more.get("compatible") == "1"
        chat = options.more.get("chat_model")
        self.kinds = PICTURES | WORDS if chat else PICTURES
        self._chat = Chat(self._wire, self.name, chat or "", plain=self._plain)

    def plan(self, task: Task) -> Plan:
        """Return the fields of a generation, an edit or a question. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        if task.kind in WORDS:
            return self._chat.plan(task)
        prompt = task.full_prompt
        if task.negative_prompt:
            prompt = f"{prompt}\n\nLeave out: {task.negative_prompt}"
        size = openai_sizes.fitted(self.model, task.width, task.height, plain=self._plain)
        payload = {"model": self.model, "prompt": prompt[:_MOST_PROMPT], "n": 1, "size": size}
        quality = self.options.more.get("quality")
        if quality and not self._plain:
            payload["quality"] = quality
        return Plan(task, self.model, payload, tuple(_adapted(task, prompt, size)))

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        """Draw, or answer; where the settings say so, look at the prompt and rewrite it first. Raises ProviderError."""
        if plan.task.kind in WORDS:
            return self._chat.submit(plan, context)
        self._look_at(plan, context)
        prompt = self._worded(plan, context)
        reply = self._draw({**plan.payload, "prompt": prompt}, plan.task.references, context)
        if not reply.ok:
            raise openai_errors.refused(self._wire, reply)
        answer = self._wire.json(reply, charged=Charged.UNKNOWN)
        if answer.get("error"):
            raise openai_errors.refused(self._wire, reply)
        units = _units(table(answer.get("usage")))
        given = tables(answer.get("data"))
        revised = next((said for one in given if (said := word(one.get("revised_prompt")))), None)
        changed = revised or (prompt if prompt != plan.payload["prompt"] else None)
        handle = {"urls": _urls(given), "model": plan.model, "units": units, "prompt": changed}
        if handle["urls"]:
            return Accepted(handle, self.poll_floor, request_id(reply))
        drawn = tuple(self._pictures(given, reply, Charged.YES if units else Charged.UNKNOWN))
        return replace(_done(drawn, handle), request_id=request_id(reply))

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Fetch the pictures that the server answered with the addresses of. Raises ProviderError."""
        return _done(tuple(self._wire.fetch(url, context) for url in handle["urls"]), handle)

    def health(self) -> Health:
        """Look for the models in the list of models: a GET that costs nothing."""
        models = [self.model, *([self._chat.model] if self._chat.model else [])]
        return openai_models.health(self._wire, self.name, models)

    def _look_at(self, plan: Plan, context: Context) -> None:
        model = self.options.more.get("moderation_model")
        if model and openai_words.flagged(self._wire, model, plan.payload["prompt"], context):
            raise self._wire.error(FailureKind.POLICY_INPUT)

    def _worded(self, plan: Plan, context: Context) -> str:
        """Return the prompt to draw: what the client said is rewritten, what its kind adds stays."""
        prompt: str = plan.payload["prompt"]
        model = self.options.more.get("enhance_model")
        if not model or plan.task.settings.get("enhance") is not True:
            return prompt
        better = openai_words.rewritten(self._wire, model, plan.task.prompt, context, plain=self._plain)
        return prompt.replace(plan.task.prompt, better, 1)[:_MOST_PROMPT] if better else prompt

    def _draw(self, fields: Mapping[str, Any], references: tuple[Reference, ...], context: Context) -> Reply:
        if not references:
            return self._wire.submit("/images/generations", context, seconds=SECONDS, json=dict(fields))
        name = "image" if len(references) == 1 else "image[]"
        files = [
            (name, (f"{place}.{one.mime.removeprefix('image/')}", one.content, one.mime))
            for place, one in enumerate(references[:_MOST_REFERENCES])
        ]
        return self._wire.submit("/images/edits", context, seconds=SECONDS, data=dict(fields), files=files)

    def _pictures(self, given: list[dict[str, Any]], reply: Reply, charged: Charged) -> Iterator[Artifact]:
        if not given:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=charged)
        for one in given:
            drawn = content(one.get("b64_json"))
            if drawn is None:
                raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=charged)
            yield self._wire.artifact(drawn)


def _headers(options: Options) -> dict[str, str]:
    named = {
        "Authorization": f"Bearer {options.api_key}" if options.api_key else None,
        "OpenAI-Organization": options.more.get("organization"),
        "OpenAI-Project": options.more.get("project"),
    }
    return {name: value for name, value in named.items() if value}


def _adapted(task: Task, prompt: str, size: str) -> Iterator[str]:
    if size != (asked := f"{task.width}x{task.height}"):
        yield f"{asked} -> {size}"
    if task.negative_prompt:
        yield "negative prompt written into the prompt"
    if len(prompt) > _MOST_PROMPT:
        yield f"prompt cut to {_MOST_PROMPT} characters"
    if len(task.references) > _MOST_REFERENCES:
        yield f"only {_MOST_REFERENCES} references used"
    yield "seed not supported"


def _urls(given: list[dict[str, Any]]) -> list[str]:
    return [url for one in given if one.get("b64_json") is None and (url := word(one.get("url")))]


def _done(artifacts: tuple[Artifact, ...], handle: Mapping[str, Any]) -> Done:
    units = handle["units"] or {"each": float(len(artifacts))}
    return Done(artifacts, handle["model"], units=units, prompt=handle["prompt"])


def _units(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return the tokens used, words and pictures that went in apart; empty where it isn't told."""
    drawn = number(usage.get("output_tokens"))
    if drawn is None:
        return {}
    details = table(usage.get("input_tokens_details"))
    pictures = number(details.get("image_tokens")) or 0.0
    words = number(details.get("text_tokens"))
    if words is None:
        words = max(0.0, (number(usage.get("input_tokens")) or 0.0) - pictures)
    return {"input_token": words, "image_input_token": pictures, "output_token": drawn}
