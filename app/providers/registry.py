"""Which providers there are, by name, and how the configured ones are built."""

import importlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files

from app.domain.options import Options
from app.egress.sender import Egress
from app.providers.base import Provider

Make = Callable[[Options, Egress, str], Provider]

# name -> where its class is; loaded only where it is configured.
HOUSE = {
    "a1111": "app.providers.a1111:A1111",
    "comfyui": "app.providers.comfyui:ComfyUI",
    "sketch": "app.providers.sketch.provider:Sketch",
    "openai": "app.providers.openai:OpenAI",
    "stability": "app.providers.stability:Stability",
    "meshy": "app.providers.meshy:Meshy",
    "revid": "app.providers.revid:Revid",
    "horde": "app.providers.horde:Horde",
    "assetgen": "app.providers.assetgen:AssetGen",
    "gemini": "app.providers.gemini:Gemini",
    "huggingface": "app.providers.huggingface:HuggingFace",
    "replicate": "app.providers.replicate:Replicate",
    "fal": "app.providers.fal:Fal",
    "chat": "app.providers.chat:Chat",
    "dhruva": "app.providers.dhruva:Dhruva",
    "relief": "app.providers.relief.provider:Relief",
    "kenburns": "app.providers.kenburns.provider:Kenburns",
}


class UnknownProvider(Exception):
    """The settings name a provider that nobody registered."""


def build(
    configured: Mapping[str, Options], egress: Egress, modules: Sequence[str] = ()
) -> dict[str, Provider]:
    """Return the providers by name, in the order of `configured`.

    `modules` are the operator's own: each has a mapping `PROVIDERS` from name to what builds one out of its
    options, the way out and the model to ask for. Raises UnknownProvider.
    """
    own: dict[str, Make] = {}
    for module in modules:
        own.update(importlib.import_module(module).PROVIDERS)
    unknown = [name for name in configured if name not in {*HOUSE, *own}]
    if unknown:
        known = ", ".join(sorted({*HOUSE, *own}))
        raise UnknownProvider(f"PROVIDERS: {', '.join(unknown)} not known; there is {known}")
    models = _models()
    return {
        name: (own.get(name) or _house(name))(options, egress, options.model or models.get(name, name))
        for name, options in configured.items()
    }


def _house(name: str) -> Make:
    module, _, attribute = HOUSE[name].partition(":")
    found: Make = getattr(importlib.import_module(module), attribute)
    return found


def _models() -> Mapping[str, str]:
    text = files("app.providers").joinpath("catalogue.toml").read_text()
    models: Mapping[str, str] = tomllib.loads(text)["models"]
    return models
