"""Which providers there are, by name, and how the configured ones are built."""

import importlib
from collections.abc import Callable, Mapping, Sequence

from app.providers.base import Provider


class UnknownProvider(Exception):
    """The settings name a provider that nobody registered."""


def build(names: Sequence[str], modules: Sequence[str] = ()) -> dict[str, Provider]:
    """Return the providers in the order of `names`, which is the order they are tried in.

    `modules` are the operator's own: each has a mapping `PROVIDERS` from name to a function that builds one.
    Raises UnknownProvider.
    """
    known: dict[str, Callable[[], Provider]] = {"sketch": _sketch}
    for module in modules:
        known.update(_registered(module))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownProvider(
            f"PROVIDERS: {', '.join(unknown)} not known; there is {', '.join(sorted(known))}"
        )
    return {name: known[name]() for name in names}


def _registered(module: str) -> Mapping[str, Callable[[], Provider]]:
    registered: Mapping[str, Callable[[], Provider]] = importlib.import_module(module).PROVIDERS
    return registered


def _sketch() -> Provider:
    from app.providers.sketch.provider import Sketch

    return Sketch()
