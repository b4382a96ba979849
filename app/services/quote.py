"""What a request may cost, before anybody is asked."""

from dataclasses import replace
from decimal import Decimal

from app.domain.vocabulary import PICTURES
from app.providers.base import ProviderError, Reference
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services import route
from app.services.task import task_of

_PICTURE = Reference(b"", "image/png", "0" * 64)
_MODEL = Reference(b"", "model/gltf-binary", "0" * 64)


def estimates(rt: Runtime, request: NewRequest) -> list[Decimal]:
    """Return the US dollars of one success by each provider that may make it, in the order they are asked in.

    Pictures to start from aren't looked at: what they add is seen to when the provider is called. Where there is
    nothing to make without them, a stand-in is.
    """
    task = task_of(request.id, request.type, request.prompt, request.metadata)
    if request.type not in PICTURES:
        task = replace(task, references=(_PICTURE,), source=_MODEL)
    found = []
    for provider in route.order(rt, request.type, request.metadata.get("provider")):
        try:
            plan = provider.plan(task)
        except ProviderError:
            # It will be passed over.
            continue
        found.append(rt.prices.cost(provider.name, plan.model, plan.units))
    return found


def highest(rt: Runtime, request: NewRequest) -> Decimal:
    """Return what is to be reserved for it in US dollars: its most expensive provider may get it."""
    return max(estimates(rt, request), default=Decimal(0))
