"""Which providers are asked for what, in which order, and what the operator says about each."""

from typing import Any

from environs import FileAwareEnv, ValidationError, validate

from app.config.env import Env
from app.domain.options import Ambiguous, Options, Rate
from app.domain.vocabulary import Kind

# Used, in this order, where PROVIDERS is not set and their keys are.
KEYED = ("openai", "stability", "gemini", "huggingface", "replicate", "fal")
# For some kinds: who comes before the usual ones where there is a key, and who makes it here when nobody else does.
_FOR_KIND: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.MODEL: (("meshy",), ("relief",)),
    Kind.RETEXTURE: (("meshy",), ("relief",)),
    Kind.RIG: (("meshy",), ()),
    Kind.SPRITES: ((), ("relief",)),
    Kind.VIDEO: (("revid",), ("kenburns",)),
    Kind.GAME_ASSET: (("assetgen", "huggingface"), ()),
    Kind.TRANSLATION: (("dhruva", "chat"), ()),
    Kind.PROMPT: (("chat",), ()),
    Kind.VISION: (("chat",), ()),
}
# What says that one can be used, where that is no key.
_NEEDED = {"assetgen": "BASE_URL", "chat": "BASE_URL"}


def providers(env: Env) -> dict[str, Any]:
    """Read the order of the providers, for each kind that has one of its own, and the options of each."""
    keyed = [name for name in KEYED if env.str(f"{_upper(name)}_API_KEY", None)]
    usual = tuple(_listed(env, "PROVIDERS") or keyed or ["sketch"])
    order = {kind: tuple(found) for kind in Kind if (found := _of_kind(env, kind, usual))}
    names = dict.fromkeys([*usual, *(name for own in order.values() for name in own)])
    return {
        "providers": usual,
        "provider_order": order,
        "provider_options": {name: _options(env, name) for name in names},
    }


def _of_kind(env: Env, kind: Kind, usual: tuple[str, ...]) -> list[str]:
    """Return who is asked for a kind: as PROVIDERS_<KIND> says, else those made for it that can be used, then the usual ones.

    Nothing where the usual ones are all there is.
    """
    if own := _listed(env, f"PROVIDERS_{_upper(kind)}"):
        return own
    before, after = _FOR_KIND.get(kind, ((), ()))
    first = [name for name in before if env.str(f"{_upper(name)}_{_NEEDED.get(name, 'API_KEY')}", None)]
    return list(dict.fromkeys([*first, *usual, *after])) if first or after else []


def _listed(env: FileAwareEnv, variable: str) -> list[str]:
    names: list[Any] = env.list(variable, [])
    return [str(name).strip() for name in names]


def _options(env: Env, name: str) -> Options:
    prefix = f"{_upper(name)}_"
    ambiguous = env.enum(f"{prefix}AMBIGUOUS_SUBMIT", None, enum=Ambiguous, by_value=True)
    own = {key.removeprefix(prefix).removesuffix("_FILE") for key in env.names() if key.startswith(prefix)}
    return Options(
        name=name,
        api_key=env.str(f"{prefix}API_KEY", None) or None,
        base_url=env.str(f"{prefix}BASE_URL", None) or None,
        model=env.str(f"{prefix}MODEL", None) or None,
        concurrency=env.int(f"{prefix}CONCURRENCY", None, validate=validate.Range(min=1)),
        rate=_rate(env, f"{prefix}RATE"),
        ambiguous=ambiguous or env.enum("AMBIGUOUS_SUBMIT", None, enum=Ambiguous, by_value=True),
        more={
            option.lower(): value
            for option in own - _KNOWN_OPTIONS
            if (value := env.str(f"{prefix}{option}", None)) is not None
        },
    )


_KNOWN_OPTIONS = {"API_KEY", "BASE_URL", "MODEL", "CONCURRENCY", "RATE", "AMBIGUOUS_SUBMIT"}
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


def _rate(env: FileAwareEnv, variable: str) -> Rate | None:
    words = env.str(variable, None, validate=_is_rate)
    if not words:
        return None
    calls, _, period = words.partition("/")
    return Rate(int(calls), _PERIODS[period.strip()])


def _is_rate(words: str) -> None:
    calls, _, period = words.partition("/")
    if not calls.strip().isdecimal() or int(calls) < 1 or period.strip() not in _PERIODS:
        raise ValidationError(
            "must be a number of calls in a period, such as 50/minute (second, minute, hour, day)"
        )


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
