"""What a value has to be; each raises ValidationError with a sentence that the operator can act on."""

from decimal import Decimal
from urllib.parse import urlsplit

from environs import ValidationError

MIN_SECRET_BYTES = 32
MOST_DOLLARS = 1_000_000


def dollars(amount: Decimal | None) -> None:
    if amount is not None and not (amount.is_finite() and 0 <= amount < MOST_DOLLARS):
        raise ValidationError(f"must be US dollars, from 0 to less than {MOST_DOLLARS:,}; unset for no limit")


def postgres(url: str) -> None:
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise ValidationError("must be a postgresql:// address; Atelier keeps its queue in PostgreSQL only")


def http(url: str) -> None:
    """Let nothing pass but http and https; what is empty counts as not set."""
    try:
        parts = urlsplit(url)
    except ValueError as err:
        raise ValidationError("must be an http:// or https:// address") from err
    if url and not (parts.scheme in {"http", "https"} and parts.hostname):
        raise ValidationError("must be an http:// or https:// address")


def long_enough(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValidationError(
            f"must be at least {MIN_SECRET_BYTES} bytes; make one with: openssl rand -base64 48"
        )
