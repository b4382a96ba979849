"""The settings: read once from the environment or `.env`, every fault reported at once.

env.py is what reads the environment. A secret `NAME` may also come from a file named by `NAME_FILE`.
The guide's own names are kept [A22].
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from environs import EnvValidationError, validate

from app.config import checks
from app.config.env import Env
from app.config.providers import providers
from app.domain.options import Options
from app.domain.vocabulary import Kind


class BadSettings(Exception):
    """One line per setting that is wrong or missing."""


@dataclass(frozen=True)
class Settings:
    """What the process was told. Times are in seconds unless a name says otherwise."""

    database_url: str
    redis_url: str
    jwt_secret: str
    asset_dir: Path
    public_url: str
    providers: tuple[str, ...]
    provider_order: Mapping[Kind, tuple[str, ...]]
    provider_options: Mapping[str, Options]
    provider_modules: tuple[str, ...]
    patience_seconds: int
    result_cache_seconds: float
    fetch_allow: tuple[str, ...]
    detector_model: Path | None
    detector_url: str | None
    detector_api_key: str | None
    detector_threshold: float
    pet_check: str
    webhook_allow_private: bool
    webhook_disable_days: float
    webhook_concurrency: int

    prices_file: Path | None
    budget_daily: Decimal | None
    budget_monthly: Decimal | None
    client_budget_daily: Decimal | None
    client_budget_monthly: Decimal | None

    access_token_seconds: int
    refresh_token_days: int
    cors_origins: tuple[str, ...]
    proxy_hops: int
    rate_limit_submit: str
    rate_limit_batch_items: str
    rate_limit_upload: str
    rate_limit_webhook_test: str
    rate_limit_images: str
    rate_limit_scenes: str
    rate_limit_login: str
    rate_limit_default: str

    lease_seconds: int
    heartbeat_seconds: int
    sweep_seconds: float
    starve_after: int
    worker_slots: int
    drain_max_seconds: int
    drain_grace: int
    max_attempts_limit: int
    retry_delay_ms: int
    attempt_seconds: int

    result_retention_days: int
    idempotency_hours: int
    upload_hours: int
    scene_days: float
    trash_days: float
    signed_url_seconds: int
    finish_memory_mb: int
    finish_seconds: int
    max_waiters: int
    max_sockets: int
    max_sockets_per_user: int
    max_subscriptions: int
    db_pool_size: int

    enable_metrics: bool
    metrics_collection_interval_ms: int
    log_format: str
    log_level: str

    @property
    def drain_hard_seconds(self) -> int:
        """When a drain stops claiming even while calls run; before that it waits for a moment when none does."""
        return self.drain_max_seconds * 6

    @property
    def ticket_seconds(self) -> int:
        """How long RQ lets a ticket live: longer than any drain, since RQ's timeout kills what runs."""
        return self.drain_hard_seconds + self.attempt_seconds + self.drain_grace + 60

    @property
    def self_fence_seconds(self) -> float:
        """How long a process that can't renew its lease goes on calling providers: three quarters of the lease."""
        return self.lease_seconds * 0.75


def load(env_file: Path | None = None) -> Settings:
    """Read the settings from the environment, after `env_file` (or `.env` in the current folder) for what isn't set.

    Raises BadSettings with every fault, each on a line that names the variable.
    """
    env = Env(eager=False, strip_whitespace=True)
    env.read_env(str(env_file or Path(".env").absolute()), recurse=False)
    try:
        values = _read(env)
        env.seal()
    except EnvValidationError as err:
        raise BadSettings(_faults(err)) from err
    except ValueError as err:
        # A file that a *_FILE names and that can't be read; the message names the variable.
        raise BadSettings(str(err)) from err
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _read(env: Env) -> dict[str, Any]:
    return {**_tools(env), **_door(env), **_work(env), **_keeping(env)}


def _tools(env: Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    return {
        "database_url": env.str("DATABASE_URL", validate=checks.postgres),
        "redis_url": env.str("REDIS_URL"),
        "jwt_secret": env.str("JWT_SECRET", validate=checks.long_enough),
        "asset_dir": Path(env.str("ASSET_DIR", "data/assets")).absolute(),
        "public_url": env.str("PUBLIC_URL", "http://127.0.0.1:8000"),
        **providers(env),
        "provider_modules": tuple(env.list("PROVIDER_MODULES", [])),
        "patience_seconds": env.int("PATIENCE_SECONDS", 60, validate=validate.Range(min=0)),
        "result_cache_seconds": env.float("RESULT_CACHE_SECONDS", 0.0, validate=validate.Range(min=0)),
        "fetch_allow": tuple(env.list("FETCH_ALLOW", [])),
        "detector_model": Path(model) if (model := env.str("DETECTOR_MODEL", "")) else None,
        "detector_url": env.str("DETECTOR_URL", None, validate=checks.http) or None,
        "detector_api_key": env.str("DETECTOR_API_KEY", None) or None,
        "detector_threshold": env.float("DETECTOR_THRESHOLD", 0.25, validate=validate.Range(min=0, max=1)),
        "pet_check": env.str("PET_CHECK", "auto", validate=validate.OneOf(["auto", "require", "off"])),
        "webhook_allow_private": env.bool("WEBHOOK_ALLOW_PRIVATE", False),
        "webhook_disable_days": env.float("WEBHOOK_DISABLE_DAYS", 5.0, validate=validate.Range(min=0)),
        "webhook_concurrency": env.int("WEBHOOK_CONCURRENCY", 8, validate=positive),
        "prices_file": env.path("PRICES_FILE", None),
        "budget_daily": env.decimal("BUDGET_DAILY_USD", None, validate=checks.dollars),
        "budget_monthly": env.decimal("BUDGET_MONTHLY_USD", None, validate=checks.dollars),
        "client_budget_daily": env.decimal("CLIENT_BUDGET_DAILY_USD", None, validate=checks.dollars),
        "client_budget_monthly": env.decimal("CLIENT_BUDGET_MONTHLY_USD", None, validate=checks.dollars),
    }


def _door(env: Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    return {
        "access_token_seconds": env.int("ACCESS_TOKEN_SECONDS", 900, validate=positive),
        "refresh_token_days": env.int("REFRESH_TOKEN_DAYS", 30, validate=positive),
        "cors_origins": tuple(env.list("CORS_ORIGINS", [])),
        "proxy_hops": env.int("PROXY_HOPS", 0, validate=validate.Range(min=0)),
        "rate_limit_submit": env.str("RATE_LIMIT_SUBMIT", "100/15minutes"),
        "rate_limit_batch_items": env.str("RATE_LIMIT_BATCH_ITEMS", "5000/15minutes"),
        "rate_limit_upload": env.str("RATE_LIMIT_UPLOAD", "400/15minutes"),
        "rate_limit_webhook_test": env.str("RATE_LIMIT_WEBHOOK_TEST", "10/minute"),
        "rate_limit_images": env.str("RATE_LIMIT_IMAGES", "10/minute"),
        "rate_limit_scenes": env.str("RATE_LIMIT_SCENES", "5/minute"),
        "rate_limit_login": env.str("RATE_LIMIT_LOGIN", "10/minute"),
        "rate_limit_default": env.str("RATE_LIMIT_DEFAULT", "1200/minute"),
    }


def _work(env: Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    return {
        "lease_seconds": env.int("LEASE_SECONDS", 60, validate=positive),
        "heartbeat_seconds": env.int("HEARTBEAT_SECONDS", 15, validate=positive),
        "sweep_seconds": env.float("SWEEP_SECONDS", 5.0, validate=validate.Range(min=0.05)),
        "starve_after": env.int("STARVE_AFTER", 300, validate=positive),
        "worker_slots": env.int("WORKER_SLOTS", env.int("MAX_CONCURRENT_REQUESTS", 5), validate=positive),
        "drain_max_seconds": env.int("DRAIN_MAX_SECONDS", 600, validate=positive),
        "drain_grace": env.int("DRAIN_GRACE", 120, validate=validate.Range(min=0)),
        "max_attempts_limit": env.int("MAX_ATTEMPTS_LIMIT", 5, validate=validate.Range(min=1, max=20)),
        "retry_delay_ms": env.int("RETRY_DELAY_MS", 10000, validate=validate.Range(min=0)),
        "attempt_seconds": env.int("ATTEMPT_SECONDS", 600, validate=positive),
    }


def _keeping(env: Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    return {
        "result_retention_days": env.int("RESULT_RETENTION_DAYS", 30, validate=positive),
        "idempotency_hours": env.int("IDEMPOTENCY_HOURS", 48, validate=positive),
        "upload_hours": env.int("UPLOAD_HOURS", 24, validate=positive),
        "scene_days": env.float("SCENE_CACHE_DAYS", 7.0, validate=validate.Range(min=0)),
        "trash_days": env.float("TRASH_DAYS", 30.0, validate=validate.Range(min=0)),
        "signed_url_seconds": env.int("SIGNED_URL_SECONDS", 86400, validate=positive),
        "finish_memory_mb": env.int("FINISH_MEMORY_MB", 1024, validate=validate.Range(min=256)),
        "finish_seconds": env.int("FINISH_SECONDS", 30, validate=positive),
        "max_waiters": env.int("MAX_WAITERS", 16, validate=validate.Range(min=0)),
        "max_sockets": env.int("MAX_SOCKETS", 5000, validate=positive),
        "max_sockets_per_user": env.int("MAX_SOCKETS_PER_USER", 2500, validate=positive),
        "max_subscriptions": env.int("MAX_SUBSCRIPTIONS", 200, validate=positive),
        "db_pool_size": env.int("DB_POOL_SIZE", 10, validate=positive),
        "enable_metrics": env.bool("ENABLE_METRICS", True),
        "metrics_collection_interval_ms": env.int("METRICS_COLLECTION_INTERVAL", 60000, validate=positive),
        "log_format": env.str("LOG_FORMAT", "json", validate=validate.OneOf(["json", "console"])),
        "log_level": env.str("LOG_LEVEL", "INFO"),
    }


def _check_together(settings: Settings) -> None:
    if settings.heartbeat_seconds * 2 > settings.lease_seconds:
        raise BadSettings(
            "HEARTBEAT_SECONDS: must be at most half of LEASE_SECONDS, or one late heartbeat costs the lease"
        )
    if settings.pet_check == "require" and not (settings.detector_model or settings.detector_url):
        raise BadSettings("PET_CHECK: require needs somebody who looks: set DETECTOR_MODEL or DETECTOR_URL")


def _faults(err: EnvValidationError) -> str:
    faults: Any = err.error_messages
    return "\n".join(f"{name}: {' '.join(map(str, found))}" for name, found in faults.items())


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings by name with every secret replaced, for `doctor` and the log."""
    secret = {"database_url", "redis_url", "jwt_secret", "provider_options", "detector_api_key"}
    return {f.name: "***" if f.name in secret else getattr(settings, f.name) for f in fields(settings)}
