"""The tables, as typed mappings: columns and constraints, no queries and no methods.

What the database itself keeps true (the queue row of a request is unique, statuses are the guide's five,
counters follow the rows) stands in migrations/versions, which is what creates them; a test holds both equal.
"""

from app.models.access import ApiKey, AuditEntry, RevokedToken, User
from app.models.base import Base
from app.models.files import Asset, RequestAsset
from app.models.generation import Attempt, Batch, GenerationRequest, IdempotencyKey, QueueEntry, RequestEvent
from app.models.operation import ProviderHealth, QueueCounter, StatsMinute, Worker

__all__ = [
    "ApiKey",
    "Asset",
    "Attempt",
    "AuditEntry",
    "Base",
    "Batch",
    "GenerationRequest",
    "IdempotencyKey",
    "ProviderHealth",
    "QueueCounter",
    "QueueEntry",
    "RequestAsset",
    "RequestEvent",
    "RevokedToken",
    "StatsMinute",
    "User",
    "Worker",
]
