"""Webhooks as their owners see them: where events are sent, what was sent there, and whether anybody answers."""

from app.queue.outbox import Try
from app.services.webhooks.deliveries import Delivery, deliveries, delivery, replay, replay_failed
from app.services.webhooks.endpoints import (
    DEFAULT_EVENTS,
    Endpoint,
    change,
    create,
    delete,
    find,
    listing,
    rotate,
)
from app.services.webhooks.trial import Tested, ping, test

__all__ = [
    "DEFAULT_EVENTS",
    "Delivery",
    "Endpoint",
    "Tested",
    "Try",
    "change",
    "create",
    "delete",
    "deliveries",
    "delivery",
    "find",
    "listing",
    "ping",
    "replay",
    "replay_failed",
    "rotate",
    "test",
]
