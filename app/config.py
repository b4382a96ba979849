"""The settings: read once from the environment or `.env`, every fault reported at once.

The only module that reads the environment. A secret `NAME` may also come from a file named by `NAME_FILE`.
The guide's own names are kept [A22].
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from environs import EnvValidationError, FileAwareEnv, ValidationError, validate

from app.domain.options import Ambiguous, Options, Rate
from app.domain.vocabulary import Kind

MIN_SECRET_BYTES = 32
# Used, in this order, where PROVIDERS is not set and their keys are.
KEYED = ("openai", "stability", "gemini", "huggingface", "replicate", "fal")
MOST_DOLLARS = 1_000_000


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
    env = _Env(eager=False, strip_whitespace=True)
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


class _Env(FileAwareEnv):
    """The environment, and below it what `.env` says."""

    def names(self) -> set[str]:
        """Return every variable that is set."""
        return {*os.environ, *self._environ}


def _read(env: _Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    return {
        "database_url": env.str("DATABASE_URL", validate=_postgres),
        "redis_url": env.str("REDIS_URL"),
        "jwt_secret": env.str("JWT_SECRET", validate=_long_enough),
        "asset_dir": Path(env.str("ASSET_DIR", "data/assets")).absolute(),
        "public_url": env.str("PUBLIC_URL", "http://127.0.0.1:8000"),
        **_providers(env),
        "provider_modules": tuple(env.list("PROVIDER_MODULES", [])),
        "patience_seconds": env.int("PATIENCE_SECONDS", 60, validate=validate.Range(min=0)),
        "result_cache_seconds": env.float("RESULT_CACHE_SECONDS", 0.0, validate=validate.Range(min=0)),
        "fetch_allow": tuple(env.list("FETCH_ALLOW", [])),
        "webhook_allow_private": env.bool("WEBHOOK_ALLOW_PRIVATE", False),
        "webhook_disable_days": env.float("WEBHOOK_DISABLE_DAYS", 5.0, validate=validate.Range(min=0)),
        "webhook_concurrency": env.int("WEBHOOK_CONCURRENCY", 8, validate=positive),
        "prices_file": env.path("PRICES_FILE", None),
        "budget_daily": env.decimal("BUDGET_DAILY_USD", None, validate=_dollars),
        "budget_monthly": env.decimal("BUDGET_MONTHLY_USD", None, validate=_dollars),
        "client_budget_daily": env.decimal("CLIENT_BUDGET_DAILY_USD", None, validate=_dollars),
        "client_budget_monthly": env.decimal("CLIENT_BUDGET_MONTHLY_USD", None, validate=_dollars),
        "access_token_seconds": env.int("ACCESS_TOKEN_SECONDS", 900, validate=positive),
        "refresh_token_days": env.int("REFRESH_TOKEN_DAYS", 30, validate=positive),
        "cors_origins": tuple(env.list("CORS_ORIGINS", [])),
        "proxy_hops": env.int("PROXY_HOPS", 0, validate=validate.Range(min=0)),
        "rate_limit_submit": env.str("RATE_LIMIT_SUBMIT", "100/15minutes"),
        "rate_limit_batch_items": env.str("RATE_LIMIT_BATCH_ITEMS", "5000/15minutes"),
        "rate_limit_upload": env.str("RATE_LIMIT_UPLOAD", "400/15minutes"),
        "rate_limit_webhook_test": env.str("RATE_LIMIT_WEBHOOK_TEST", "10/minute"),
        "rate_limit_login": env.str("RATE_LIMIT_LOGIN", "10/minute"),
        "rate_limit_default": env.str("RATE_LIMIT_DEFAULT", "1200/minute"),
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
        "result_retention_days": env.int("RESULT_RETENTION_DAYS", 30, validate=positive),
        "idempotency_hours": env.int("IDEMPOTENCY_HOURS", 48, validate=positive),
        "upload_hours": env.int("UPLOAD_HOURS", 24, validate=positive),
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


def _providers(env: _Env) -> dict[str, Any]:
    """Read the order of the providers, for each kind that has one of its own, and the options of each."""
    keyed = [name for name in KEYED if env.str(f"{_upper(name)}_API_KEY", None)]
    usual = tuple(_listed(env, "PROVIDERS") or keyed or ["sketch"])
    order = {kind: tuple(own) for kind in Kind if (own := _listed(env, f"PROVIDERS_{_upper(kind)}"))}
    names = dict.fromkeys([*usual, *(name for own in order.values() for name in own)])
    return {
        "providers": usual,
        "provider_order": order,
        "provider_options": {name: _options(env, name) for name in names},
    }


def _listed(env: FileAwareEnv, variable: str) -> list[str]:
    names: list[Any] = env.list(variable, [])
    return [str(name).strip() for name in names]


def _options(env: _Env, name: str) -> Options:
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


def _dollars(amount: Decimal | None) -> None:
    if amount is not None and not (amount.is_finite() and 0 <= amount < MOST_DOLLARS):
        raise ValidationError(f"must be US dollars, from 0 to less than {MOST_DOLLARS:,}; unset for no limit")


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _postgres(url: str) -> None:
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise ValidationError("must be a postgresql:// address; Atelier keeps its queue in PostgreSQL only")


def _long_enough(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValidationError(
            f"must be at least {MIN_SECRET_BYTES} bytes; make one with: openssl rand -base64 48"
        )


def _check_together(settings: Settings) -> None:
    if settings.heartbeat_seconds * 2 > settings.lease_seconds:
        raise BadSettings(
            "HEARTBEAT_SECONDS: must be at most half of LEASE_SECONDS, or one late heartbeat costs the lease"
        )


def _faults(err: EnvValidationError) -> str:
    faults: Any = err.error_messages
    return "\n".join(f"{name}: {' '.join(map(str, found))}" for name, found in faults.items())


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings by name with every secret replaced, for `doctor` and the log."""
    secret = {"database_url", "redis_url", "jwt_secret", "provider_options"}
    return {f.name: "***" if f.name in secret else getattr(settings, f.name) for f in fields(settings)}
