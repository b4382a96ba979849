"""A ComfyUI workflow with placeholders: read once, filled for each task.

The file is what ComfyUI exports in the API format: nodes by id, each with `class_type` and `inputs`. A text
that is a placeholder alone becomes the value itself, so that `"seed": "{{seed}}"` gets a number.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

PLACEHOLDERS = frozenset({"prompt", "negative", "seed", "width", "height", "image", "checkpoint"})
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class BadWorkflow(Exception):
    """The file is no workflow that can be filled; the message says why, and what to do."""


@dataclass(frozen=True)
class Workflow:
    """`nodes` as in the file, and which placeholders stand in them."""

    nodes: Mapping[str, Any]
    names: frozenset[str]

    def filled(self, values: Mapping[str, str | int]) -> dict[str, Any]:
        """Return the nodes with `values` in the places of their names; what a value says is not looked at again."""
        found: dict[str, Any] = _mapped(dict(self.nodes), partial(_fill, values))
        return found


def house(name: str) -> Workflow:
    """Return a workflow of this package: text or image."""
    return _read(
        files("app.providers").joinpath(f"workflows/comfyui_{name}.json").read_text(encoding="utf-8")
    )


def load(path: str) -> Workflow:
    """Read the operator's file. Raises BadWorkflow."""
    try:
        return _read(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeError) as err:
        raise BadWorkflow("the file can't be read") from err


def _read(text: str) -> Workflow:
    try:
        nodes = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadWorkflow("the file is not JSON") from err
    if isinstance(nodes, dict) and isinstance(nodes.get("nodes"), list):
        raise BadWorkflow("the file is in the editor's own format; export it from ComfyUI in the API format")
    if not _is_graph(nodes):
        raise BadWorkflow("the file holds no nodes with class_type and inputs")
    names: set[str] = set()
    _mapped(nodes, lambda text: names.update(_PLACEHOLDER.findall(text)))
    if names - PLACEHOLDERS:
        known = ", ".join(sorted(PLACEHOLDERS))
        raise BadWorkflow(
            f"unknown placeholders: {', '.join(sorted(names - PLACEHOLDERS))}; there is {known}"
        )
    if "prompt" not in names:
        raise BadWorkflow("the placeholder {{prompt}} stands nowhere in the file")
    return Workflow(nodes, frozenset(names))


def _is_graph(nodes: Any) -> bool:
    return (
        isinstance(nodes, dict)
        and bool(nodes)
        and all(
            isinstance(node, dict)
            and isinstance(node.get("class_type"), str)
            and isinstance(node.get("inputs"), dict)
            for node in nodes.values()
        )
    )


def _mapped(value: Any, change: Any) -> Any:
    """Return JSON with `change` done to every text in it, keys left as they are."""
    match value:
        case dict():
            return {key: _mapped(below, change) for key, below in value.items()}
        case list():
            return [_mapped(below, change) for below in value]
        case str():
            return change(value)
        case _:
            return value


def _fill(values: Mapping[str, str | int], text: str) -> str | int:
    alone = _PLACEHOLDER.fullmatch(text)
    if alone:
        return values[alone[1]]
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text)
