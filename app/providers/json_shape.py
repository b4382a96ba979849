"""Whether JSON has the shape that was asked for: types, required names, enums, as far as a JSON schema says them."""

from collections.abc import Mapping
from typing import Any

from app.providers.loosely import table


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value has the type, the names and the words that a schema asks for; its other keywords are not read."""
    types = schema.get("type", [])
    named = [types] if isinstance(types, str) else types
    if named and not any(_is(value, name) for name in named):
        return False
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        return _names_fit(value, schema)
    return not isinstance(value, list) or all(fits(one, table(schema.get("items"))) for one in value)


def closed(schema: Mapping[str, Any]) -> bool:
    """Whether every object in a schema says all its names and requires them: then an answer can be held to it strictly."""
    properties = table(schema.get("properties"))
    if (schema.get("type") == "object" or properties) and (
        schema.get("additionalProperties") is not False or set(schema.get("required", [])) != set(properties)
    ):
        return False
    return all(closed(one) for one in (*properties.values(), schema.get("items")) if isinstance(one, dict))


def _names_fit(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    properties = table(schema.get("properties"))
    if any(name not in value for name in schema.get("required", [])):
        return False
    if schema.get("additionalProperties") is False and set(value) - set(properties):
        return False
    return all(fits(value[name], table(inner)) for name, inner in properties.items() if name in value)


def _is(value: Any, name: str) -> bool:
    # A flag is a number to Python, and none to JSON.
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES.get(name, ()))


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "null": (type(None),),
}
