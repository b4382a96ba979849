"""The tables, as typed mappings: columns and constraints, no queries and no methods.

What the database itself keeps true (the queue row of a request is unique, statuses are the guide's five,
counters follow the rows) stands in migrations/versions, which is what creates them; a test holds both equal.
"""

from app.models.access import ApiKey, AuditEntry, RevokedToken, User
from app.models.base import Base
from app.models.files import Asset, RequestAsset, Upload
from app.models.generation import Attempt, Batch, GenerationRequest, IdempotencyKey, QueueEntry, RequestEvent
from app.models.library import (
    LibraryAsset,
    LibraryFile,
    MaterialPreset,
    PromptTemplate,
    Scene,
    Tally,
)
from app.models.money import Budget, PastCost, Spend
from app.models.operation import Flight, ProviderGate, ProviderHealth, QueueCounter, StatsMinute, Worker
from app.models.pipelines import Pipeline, PipelineStage, RequestNeed
from app.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookTry

__all__ = [
    "ApiKey",
    "Asset",
    "Attempt",
    "AuditEntry",
    "Base",
    "Batch",
    "Budget",
    "Flight",
    "GenerationRequest",
    "IdempotencyKey",
    "LibraryAsset",
    "LibraryFile",
    "MaterialPreset",
    "PastCost",
    "Pipeline",
    "PipelineStage",
    "PromptTemplate",
    "ProviderGate",
    "ProviderHealth",
    "QueueCounter",
    "QueueEntry",
    "RequestAsset",
    "RequestEvent",
    "RequestNeed",
    "RevokedToken",
    "Scene",
    "Spend",
    "StatsMinute",
    "Tally",
    "Upload",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookTry",
    "Worker",
]
