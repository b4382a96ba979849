"""What a question to a chat model must look like in OpenAI's language, and what is answered to one about a picture."""

from typing import Any

FACTS = '{"label": "heron", "score": 0.875}'
_RESPONSE = {
    "model": str,
    "input": (str, list),
    "instructions": str,
    "max_output_tokens": int,
    "store": bool,
    "text": dict,
}
_COMPLETION = {"model": str, "messages": list, "max_tokens": int, "response_format": dict}
_FORMATS = {"json_schema": {"type", "name", "schema", "strict"}, "json_object": {"type"}}


def wrong_response(body: Any) -> str | None:
    """Return the field of a body for /responses that is not as it must be."""
    if wrong := _wrong(body, _RESPONSE, {"model", "input"}):
        return wrong
    if isinstance(body["input"], list):
        kinds = {"input_text": ("text",), "input_image": ("image_url",)}
        if [set(one) for one in body["input"]] != [{"role", "content"}]:
            return "input"
        if not _parts_fit(body["input"][0]["content"], kinds):
            return "input.content"
    given = body.get("text", {"format": {"type": "json_object"}})
    return None if set(given) == {"format"} and _format_fits(given["format"]) else "text"


def wrong_completion(body: Any) -> str | None:
    """Return the field of a body for /chat/completions that is not as it must be."""
    if wrong := _wrong(body, _COMPLETION, {"model", "messages"}):
        return wrong
    if [(set(one), one["role"]) for one in body["messages"]] != [
        ({"role", "content"}, "system"),
        ({"role", "content"}, "user"),
    ]:
        return "messages"
    content = body["messages"][1]["content"]
    if not isinstance(content, str) and not _parts_fit(
        content, {"text": ("text",), "image_url": ("image_url",)}
    ):
        return "messages.content"
    given = body.get("response_format", {"type": "json_object"})
    schema = given.get("json_schema")
    flat = {"type": given.get("type"), **(schema or {})}
    return None if _format_fits(flat) else "response_format"


def _wrong(body: Any, fields: dict[str, Any], needed: set[str]) -> str | None:
    if not isinstance(body, dict) or not needed <= set(body):
        return "body"
    return next((name for name in body if not isinstance(body[name], fields.get(name, ()))), None)


def _parts_fit(parts: list[dict[str, Any]], kinds: dict[str, tuple[str, ...]]) -> bool:
    for part in parts:
        if set(part) != {"type", *kinds.get(part.get("type"), ())}:
            return False
        shown = part.get("image_url", "data:image/")
        address = shown.get("url") if isinstance(shown, dict) else shown
        if not address.startswith(("data:image/", "https://")):
            return False
    return bool(parts)


def _format_fits(given: dict[str, Any]) -> bool:
    names = _FORMATS.get(given.get("type", ""))
    return set(given) == names and (not given.get("strict") or _is_closed(given["schema"]))


def _is_closed(schema: dict[str, Any]) -> bool:
    """Whether an object names all that it may hold: what is strict must."""
    named = schema.get("properties", {})
    return schema.get("additionalProperties") is False and set(schema.get("required", [])) == set(named)
