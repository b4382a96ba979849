"""The tools, built once from the settings and handed down. Both doors build the same."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from app.clock import Clock, utc_now
from app.config import BadSettings, Settings
from app.db import Database
from app.detect.choose import choose
from app.detect.seen import Detector
from app.egress.sender import Egress
from app.events.bell import Bell
from app.events.channel import Channel
from app.providers import prices, registry
from app.providers.base import Provider
from app.providers.prices import BadPrices, Prices
from app.providers.registry import UnknownProvider
from app.queue.board import Board
from app.storage.files import AssetStore
from app.storage.finish import Finisher
from app.storage.held import Held

# This machine and its neighbours. Never link-local ones: there clouds tell machines who they are, with their keys.
_PRIVATE = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
)


@dataclass
class Runtime:
    """What every service is handed. Nothing connects or starts before it is used."""

    settings: Settings
    db: Database
    clock: Clock = utc_now
    rng: random.Random = field(default_factory=random.SystemRandom)

    def __post_init__(self) -> None:
        self.db.told = self._tell

    @cached_property
    def bell(self) -> Bell:
        return Bell(self.settings.redis_url, ticket_seconds=self.settings.ticket_seconds)

    @cached_property
    def channel(self) -> Channel:
        return Channel(self.settings.redis_url)

    @cached_property
    def board(self) -> Board:
        return Board(self.db)

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """The configured providers by name. Raises BadSettings where one can't be built."""
        settings = self.settings
        try:
            return registry.build(settings.provider_options, self.egress, settings.provider_modules)
        except (UnknownProvider, ValueError, ImportError) as err:
            raise BadSettings(f"The providers can't be built: {err}") from err

    @cached_property
    def egress(self) -> Egress:
        return Egress(self.settings.fetch_allow)

    @cached_property
    def webhook_egress(self) -> Egress:
        """The way to receivers, whose addresses clients give: to private ones in development alone."""
        return Egress(_PRIVATE if self.settings.webhook_allow_private else ())

    @cached_property
    def detector(self) -> Detector | None:
        """Who says what is to be seen in a picture; None where nobody can."""
        settings = self.settings
        return choose(
            model=settings.detector_model,
            url=settings.detector_url,
            api_key=settings.detector_api_key,
            egress=self.egress,
        )

    @cached_property
    def prices(self) -> Prices:
        try:
            return prices.load(self.settings.prices_file)
        except BadPrices as err:
            raise BadSettings(f"PRICES_FILE: {err}") from err

    @cached_property
    def store(self) -> AssetStore:
        return AssetStore(self.settings.asset_dir)

    @cached_property
    def held(self) -> Held:
        return Held(self.settings.asset_dir)

    @cached_property
    def finisher(self) -> Finisher:
        return Finisher(
            self.store, memory_mb=self.settings.finish_memory_mb, seconds=self.settings.finish_seconds
        )

    def _tell(self, ids: list[str]) -> None:
        self.channel.tell(ids)

    def close(self) -> None:
        """Give back what was opened."""
        if "finisher" in self.__dict__:
            self.finisher.close()
        for provider in self.__dict__.get("providers", {}).values():
            provider.close()
        if found := self.__dict__.get("detector"):
            found.close()
        for tool in ("bell", "channel"):
            if tool in self.__dict__:
                getattr(self, tool).close()
        self.db.close()


def build(settings: Settings, *, name: str = "atelier") -> Runtime:
    """Build the tools for a process; `name` is how PostgreSQL's views call it.

    Raises BadSettings where the file of prices is wrong: at the start, not at the first request.
    """
    rt = Runtime(settings, Database(settings.database_url, pool_size=settings.db_pool_size, name=name))
    _ = rt.prices
    return rt
