"""Google's Gemini models: one generateContent, which answers at once, a refusal too, in a 200.

Settings: GEMINI_IMAGE_SIZE (512, 1K, 2K, 4K; else by the longer side), GEMINI_SAFETY, the threshold of every harm
category (BLOCK_ONLY_HIGH), and GEMINI_CHAT_MODEL, which answers in words: without it there are only pictures. Field
names and words are those of google-genai 3.3.0.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import gemini_words, waits, words
from app.providers.base import (
    Accepted,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Task,
)
from app.providers.loosely import content, number, table, tables, word
from app.providers.shapes import nearest
from app.providers.wire import Wire

SECONDS = 180.0


class Gemini(Provider):
    """Draws and edits pictures, with a chat model makes words too; references are sent inside the request."""

    longest = SECONDS

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        headers = {"x-goog-api-key": options.api_key} if options.api_key else {}
        self._wire = Wire(options, egress, base_url=_BASE, headers=headers)
        self._chat_model = options.more.get("chat_model")
        self.kinds = PICTURES | words.WORDS if self._chat_model else PICTURES

    def plan(self, task: Task) -> Plan:
        """Return the body of generateContent. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        if self._chat_model and task.kind in words.WORDS:
            asked = words.question(task)
            payload = {**gemini_words.body(asked), **self._safety()}
            return Plan(task, self._chat_model, payload, (), asked.units)
        ratio = nearest(task.width, task.height, _RATIOS)
        size = self.options.more.get("image_size") or _size(max(task.width, task.height))
        adapted = [f"{task.width}x{task.height} -> {ratio}{f' at {size}' if size else ''}"]
        prompt = task.full_prompt
        if task.negative_prompt:
            prompt = f"{prompt}\n\nLeave out: {task.negative_prompt}"
            adapted.append("negative prompt written into the prompt")
        parts = [{"text": prompt}, *map(gemini_words.inline, task.references)]
        payload = {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": {
                "responseModalities": ["IMAGE"],
                "imageConfig": {"aspectRatio": ratio, **({"imageSize": size} if size else {})},
                "seed": task.seed & _MOST_SEED,
            },
            **self._safety(),
        }
        if task.seed > _MOST_SEED:
            adapted.append("seed cut to 31 bits")
        return Plan(task, self.model, payload, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        """Draw, or answer. Raises ProviderError."""
        path = f"{self._path(plan.model)}:generateContent"
        reply = self._wire.submit(path, context, seconds=SECONDS, json=plan.payload)
        if not reply.ok:
            raise self._refused(reply)
        answer = self._wire.json(reply, charged=Charged.UNKNOWN)
        if plan.task.kind in words.WORDS:
            return self._answered(plan, answer, reply)
        units = _units(table(answer.get("usageMetadata")))
        self._check(answer, reply, Charged.YES if _drew(units) else Charged.UNKNOWN)
        found = [content(data) for data in _pictures(answer)]
        if not found or None in found:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=Charged.YES)
        artifacts = tuple(self._wire.artifact(one) for one in found if one)
        return Done(
            artifacts,
            plan.model,
            seed=plan.payload["generationConfig"]["seed"],
            units=units or {"each": float(len(artifacts))},
            request_id=word(answer.get("responseId")),
        )

    def health(self) -> Health:
        """Look whether the models are there: GETs that cost nothing. Says what is wrong with the first that isn't up."""
        models = [self.model, *([self._chat_model] if self._chat_model else [])]
        return next((one for one in map(self._health, models) if one.state is not HealthState.UP), _UP)

    def _health(self, model: str) -> Health:
        reply = self._wire.knock("GET", self._path(model))
        if reply is None:
            return Health(HealthState.DOWN, self._wire.error(FailureKind.CONNECT_FAILED).failure.message)
        if reply.ok:
            return _UP
        failure = self._refused(reply).failure
        return Health(HealthState.DEGRADED if failure.kind.waits else HealthState.DOWN, failure.message)

    def _answered(self, plan: Plan, answer: Mapping[str, Any], reply: Reply) -> Done:
        units = gemini_words.units(table(answer.get("usageMetadata")))
        charged = Charged.YES if units else Charged.UNKNOWN
        self._check(answer, reply, charged, withheld=words.WITHHELD.format(self.name))
        data = words.answer(words.question(plan.task), gemini_words.said(answer))
        if data is None:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=charged)
        named = word(answer.get("responseId"))
        return Done((), plan.model, units=units or plan.units, request_id=named, data=data)

    def _path(self, model: str) -> str:
        return f"/models/{quote(model.removeprefix('models/'), safe='')}"

    def _safety(self) -> dict[str, Any]:
        threshold = self.options.more.get("safety")
        if not threshold:
            return {}
        return {"safetySettings": [{"category": harm, "threshold": threshold} for harm in _HARMS]}

    def _check(
        self, answer: Mapping[str, Any], reply: Reply, charged: Charged, withheld: str | None = None
    ) -> None:
        """Raise what a 200 that is no success says; `withheld` is the message where something was made and kept back."""
        if word(table(answer.get("promptFeedback")).get("blockReason")):
            raise self._wire.error(FailureKind.POLICY_INPUT, reply)
        for candidate in tables(answer.get("candidates")):
            kind = _FINISHES.get(word(candidate.get("finishReason")) or "")
            if kind is not None:
                paid = Charged.NO if kind is FailureKind.AUTH_FAILED else charged
                message = withheld if kind is FailureKind.POLICY_OUTPUT else None
                raise self._wire.error(kind, reply, message=message, charged=paid)

    def _refused(self, reply: Reply) -> ProviderError:
        error = _error(reply.json_or_none())
        details = tables(error.get("details"))
        status = word(error.get("status")) or ""
        if reply.status == 429 or status == "RESOURCE_EXHAUSTED":
            return self._throttled(reply, details)
        reasons = (_REASONS.get(word(one.get("reason")) or "") for one in details)
        kind = next((one for one in reasons if one), None) or _STATUSES.get(status)
        if kind is None or reply.status == 402:
            return self._wire.by_status(reply)
        return self._wire.error(kind, reply)

    def _throttled(self, reply: Reply, details: list[dict[str, Any]]) -> ProviderError:
        """Tell a minute's limit, which passes, from a day's, which no wait of ours outlasts."""
        broken = [one for detail in details for one in tables(detail.get("violations"))]
        if any(_PER_DAY.search(word(one.get("quotaId")) or "") for one in broken):
            return self._wire.error(FailureKind.QUOTA_EXHAUSTED, reply)
        asked = (waits.duration(word(one.get("retryDelay"))) for one in details)
        return self._wire.by_status(reply, retry_after=next((one for one in asked if one is not None), None))


def _size(longer: int) -> str | None:
    """Return the size class that a longer side in pixels needs; None is the model's own, about 1K."""
    if longer <= 1280:
        return None
    return "2K" if longer <= 2560 else "4K"


def _pictures(answer: Mapping[str, Any]) -> list[Any]:
    """Return the data of the pictures, without those that the model only thought with."""
    parts = [
        part
        for candidate in tables(answer.get("candidates"))
        for part in tables(table(candidate.get("content")).get("parts"))
    ]
    return [
        table(part["inlineData"]).get("data")
        for part in parts
        if "inlineData" in part and not part.get("thought")
    ]


def _error(body: Any) -> dict[str, Any]:
    """Return the error of an answer, which some routes wrap in a list of one."""
    first = body[0] if isinstance(body, list) and body else body
    return table(table(first).get("error"))


def _units(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return the tokens used, pictures and words apart, since their prices differ twentyfold; empty where it isn't told."""
    out = number(usage.get("candidatesTokenCount"))
    if out is None:
        return {}
    details = tables(usage.get("candidatesTokensDetails"))
    drawn = sum(number(one.get("tokenCount")) or 0.0 for one in details if one.get("modality") == "IMAGE")
    drawn = min(out, drawn) if details else out
    return {
        "input_token": number(usage.get("promptTokenCount")) or 0.0,
        "output_token": drawn,
        "text_output_token": out - drawn + (number(usage.get("thoughtsTokenCount")) or 0.0),
    }


def _drew(units: Mapping[str, float]) -> bool:
    return units.get("output_token", 0.0) > 0


_BASE = "https://generativelanguage.googleapis.com/v1beta"
_MOST_SEED = 2**31 - 1
_UP = Health(HealthState.UP)
# Those that every model takes.
_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9", "21:9")
_HARMS = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
)
_FINISHES = {
    "SAFETY": FailureKind.POLICY_OUTPUT,
    "IMAGE_SAFETY": FailureKind.POLICY_OUTPUT,
    "PROHIBITED_CONTENT": FailureKind.POLICY_OUTPUT,
    "IMAGE_PROHIBITED_CONTENT": FailureKind.POLICY_OUTPUT,
    "BLOCKLIST": FailureKind.POLICY_OUTPUT,
    "SPII": FailureKind.POLICY_OUTPUT,
    "ESCALATION": FailureKind.POLICY_OUTPUT,
    "RECITATION": FailureKind.POLICY_OUTPUT,
    "IMAGE_RECITATION": FailureKind.POLICY_OUTPUT,
    "NO_IMAGE": FailureKind.BAD_RESULT,
    "IMAGE_OTHER": FailureKind.BAD_RESULT,
    "OTHER": FailureKind.BAD_RESULT,
    "MALFORMED_RESPONSE": FailureKind.BAD_RESULT,
    "MAX_TOKENS": FailureKind.BAD_RESULT,
    "PUP_LIMITED_DISABLED": FailureKind.AUTH_FAILED,
}
# google.rpc.ErrorInfo.reason, which says more than the status beside it.
_REASONS = {
    "API_KEY_INVALID": FailureKind.AUTH_FAILED,
    "CONSUMER_SUSPENDED": FailureKind.PERMISSION_DENIED,
    "BILLING_DISABLED": FailureKind.PERMISSION_DENIED,
    "SERVICE_DISABLED": FailureKind.PERMISSION_DENIED,
}
# google.rpc.Code
_STATUSES = {
    "INVALID_ARGUMENT": FailureKind.BAD_REQUEST,
    "UNAUTHENTICATED": FailureKind.AUTH_FAILED,
    "FAILED_PRECONDITION": FailureKind.PERMISSION_DENIED,
    "PERMISSION_DENIED": FailureKind.PERMISSION_DENIED,
    "NOT_FOUND": FailureKind.MODEL_RETIRED,
    "INTERNAL": FailureKind.UNAVAILABLE,
    "UNAVAILABLE": FailureKind.UNAVAILABLE,
    "DEADLINE_EXCEEDED": FailureKind.UNAVAILABLE,
}
# google.rpc.QuotaFailure names the limit that was met: GenerateRequestsPerDayPerProjectPerModel-FreeTier.
_PER_DAY = re.compile(r"PerDay")
