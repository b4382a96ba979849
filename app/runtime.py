"""The tools, built once from the settings and handed down. Both doors build the same."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from app.clock import Clock, utc_now
from app.config import Settings
from app.db import Database
from app.events.bell import Bell
from app.providers import registry
from app.providers.base import Provider
from app.queue.board import Board
from app.storage.files import AssetStore
from app.storage.finish import Finisher


@dataclass
class Runtime:
    """What every service is handed. Nothing connects or starts before it is used."""

    settings: Settings
    db: Database
    clock: Clock = utc_now
    rng: random.Random = field(default_factory=random.SystemRandom)

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.settings.redis_url, ticket_seconds=self.settings.ticket_seconds)

    @cached_property
    def board(self) -> Board:
        return Board(self.db)

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        return registry.build(self.settings.providers, self.settings.provider_modules)

    @cached_property
    def store(self) -> AssetStore:
        return AssetStore(self.settings.asset_dir)

    @cached_property
    def finisher(self) -> Finisher:
        return Finisher(
            self.store, memory_mb=self.settings.finish_memory_mb, seconds=self.settings.finish_seconds
        )

    def close(self) -> None:
        """Give back what was opened."""
        if "finisher" in self.__dict__:
            self.finisher.close()
        if "bell" in self.__dict__:
            self.bell.close()
        self.db.close()


def build(settings: Settings, *, name: str = "atelier") -> Runtime:
    """Build the tools for a process; `name` is how PostgreSQL's views call it."""
    return Runtime(settings, Database(settings.database_url, pool_size=settings.db_pool_size, name=name))
