"""Words from Gemini: what generateContent is sent for a question, and what it answered.

Field names are those of google-genai 3.3.0; `responseJsonSchema` takes JSON schemas as they are.
"""

import base64
from collections.abc import Mapping
from typing import Any

from app.domain.vocabulary import Kind
from app.providers.base import Reference
from app.providers.loosely import number, table, tables, word
from app.providers.words import Question


def body(asked: Question) -> dict[str, Any]:
    """Return what is sent for a question, without the safety settings."""
    text = [{"text": asked.text}] if asked.text or not asked.picture else []
    shown = [inline(asked.picture)] if asked.picture else []
    config: dict[str, Any] = {"maxOutputTokens": asked.tokens}
    if asked.kind is Kind.VISION:
        config["responseMimeType"] = "application/json"
    if asked.schema:
        config["responseJsonSchema"] = dict(asked.schema)
    return {
        "systemInstruction": {"parts": [{"text": asked.told}]},
        "contents": [{"role": "user", "parts": [*text, *shown]}],
        "generationConfig": config,
    }


def said(answer: Mapping[str, Any]) -> str:
    """Return the words of the first candidate, without those that the model only thought."""
    candidate = next(iter(tables(answer.get("candidates"))), {})
    parts = tables(table(candidate.get("content")).get("parts"))
    return "".join(word(part.get("text")) or "" for part in parts if not part.get("thought"))


def units(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return the tokens used; empty where it isn't told."""
    out = number(usage.get("candidatesTokenCount"))
    if out is None:
        return {}
    return {
        "input_token": number(usage.get("promptTokenCount")) or 0.0,
        "text_output_token": out + (number(usage.get("thoughtsTokenCount")) or 0.0),
    }


def inline(picture: Reference) -> dict[str, Any]:
    """Return a picture as a part of the request."""
    data = base64.b64encode(picture.content).decode()
    return {"inlineData": {"mimeType": picture.mime, "data": data}}
