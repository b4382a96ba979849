"""The context of one call, for tests: it keeps what it was told."""

import time
import uuid
from datetime import UTC, datetime


class Context:
    """`seconds` is the time that the attempt has, by a real clock; `recorded` is the progress that was told.

    `doorbell` is where the provider may ring.
    """

    traceparent: str | None = None

    def __init__(
        self,
        seconds: float = 30.0,
        *,
        key: str | None = None,
        began_at: datetime | None = None,
        cancelled: bool = False,
        doorbell: str | None = None,
    ) -> None:
        self.key = key or str(uuid.uuid4())
        self.began_at = began_at or datetime.now(UTC)
        self.doorbell = doorbell
        self.recorded: list[tuple[int, str]] = []
        self.no_longer_wanted = cancelled
        self._until = time.monotonic() + seconds

    def remaining(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def progress(self, percent: int, stage: str) -> None:
        self.recorded.append((percent, stage))

    def cancelled(self) -> bool:
        return self.no_longer_wanted
