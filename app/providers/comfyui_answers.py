"""What ComfyUI's answers say: its queue, its history, and the errors of a refused prompt.

Nothing here raises: what is missing or of another shape reads as empty. From server.py and execution.py of
Comfy-Org/ComfyUI, 2026-11.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.providers.loosely import table, tables


@dataclass(frozen=True)
class Queue:
    """The prompts by their ids: what runs, and what waits, the next first."""

    running: list[str]
    waiting: list[str]

    def __contains__(self, job: str) -> bool:
        return job in self.running or job in self.waiting


def queue(body: Any) -> Queue | None:
    """Return the queue that an answer to GET /queue holds, or None where it holds none."""
    if not isinstance(body, dict):
        return None
    parts = [body.get(part) for part in ("queue_running", "queue_pending")]
    if not all(isinstance(part, list) for part in parts):
        return None
    return Queue(*map(_ids, parts))


def status(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the history says of a prompt's end."""
    return table(entry.get("status"))


def events(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what happened to a prompt, by the events' names."""
    messages = status(entry).get("messages")
    pairs = (
        [one for one in messages if isinstance(one, list) and len(one) == 2]
        if isinstance(messages, list)
        else []
    )
    return {str(name): table(about) for name, about in pairs}


def pictures(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pictures that a prompt made: what it saved, or else what it only shows."""
    nodes = table(entry.get("outputs")).values()
    found = [one for node in nodes for one in tables(table(node).get("images"))]
    saved = [one for one in found if one.get("type") == "output"]
    return saved or [one for one in found if one.get("type") == "temp"]


def error_types(body: Any) -> Iterator[str]:
    """Yield the types of a refusal's errors: of the prompt as a whole, and of its nodes."""
    whole = table(body)
    yield str(table(whole.get("error")).get("type"))
    for node in table(whole.get("node_errors")).values():
        for error in tables(table(node).get("errors")):
            yield str(error.get("type"))


def _ids(rows: Any) -> list[str]:
    """Return the prompts of a part of the queue, the next first; ComfyUI keeps them as a heap."""
    found = [row for row in rows if isinstance(row, list) and len(row) > 1]
    return [str(row[1]) for row in sorted(found, key=_number)]


def _number(row: list[Any]) -> float:
    return float(row[0]) if isinstance(row[0], int | float) else 0.0


# The types of validation errors, from execution.py. A task only ever fills in words, numbers and a picture, so
# that what is wrong with the graph is wrong for every task: no fault of the client's.
LACKS = {"value_not_in_list", "missing_node_type"}
LACKS_SAYS = "does not have the checkpoint, or a node, that its workflow asks for."
GRAPH = {
    "prompt_no_outputs",
    "required_input_missing",
    "bad_linked_input",
    "return_type_mismatch",
    "dependency_cycle",
    "invalid_dynamic_input",
    "exception_during_validation",
    "exception_during_inner_validation",
}
GRAPH_SAYS = "can't run the workflow that is configured."
