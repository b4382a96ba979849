"""The database's engine, and the one way to a transaction.

Two shapes, both READ COMMITTED (a claim under REPEATABLE READ fails where it should skip):
`begin()` for several statements that stand or fall together, `once()` for a single statement, which
commits by itself and so costs one round trip. What a transaction wrote events about (`note`) is told, once it
is committed, to whom `told` leads.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

T = TypeVar("T")

_log = structlog.get_logger(__name__)
# What is raised where a statement failed for whatever reason, or no connection came free.
FAILED = (DBAPIError, PoolTimeout)
# What is raised where the server can't be reached, or no connection to it came free.
AWAY = (OperationalError, InterfaceError, PoolTimeout)
_TRIES = 4
_DELAYS = (0.1, 0.3, 1.0, 2.0)
# Deadlock, serialization failure: PostgreSQL's own advice is to run the transaction again.
_AGAIN = {"40P01", "40001"}
_NOTED = "atelier.noted"


class Database:
    """A pool of connections to PostgreSQL, opened when first asked for one."""

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_seconds: float = 10.0, name: str = "atelier"
    ) -> None:
        self.engine = _engine(url, pool_size, statement_seconds, name)
        self._once = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # Is handed the ids that a transaction noted, after its commit; must not raise.
        self.told: Callable[[list[str]], object] = _nobody

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give a connection inside a transaction: committed at the end, rolled back on an error."""
        with self.engine.begin() as connection:
            noted = connection.info[_NOTED] = []
            yield connection
        self._tell(noted)

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """Give a connection on which every statement is its own transaction."""
        with self._once.connect() as connection:
            noted = connection.info[_NOTED] = []
            yield connection
        self._tell(noted)

    def again(self, act: Callable[[], T]) -> T:
        """Run `act`, a whole transaction, and run it again where PostgreSQL chose it as a deadlock's victim."""
        for _ in range(_TRIES - 1):
            try:
                return act()
            except DBAPIError as err:
                if sqlstate(err) not in _AGAIN:
                    raise
        return act()

    def insist(self, act: Callable[[], T], *, seconds: float) -> T:
        """Run `act`, a whole transaction, again while the database is away, for up to `seconds`.

        `act` must bear to be run twice: a connection may break between a commit and its answer.
        """
        give_up = time.monotonic() + seconds
        for delay in chain(_DELAYS, repeat(_DELAYS[-1])):
            try:
                return self.again(act)
            except AWAY as err:
                if time.monotonic() > give_up:
                    raise
                _log.warning("database_away", error=type(err).__name__)
                time.sleep(delay)
        raise AssertionError("repeat() doesn't end")

    def close(self) -> None:
        self.engine.dispose()

    def _tell(self, noted: list[str]) -> None:
        if noted:
            self.told(noted)


def note(tx: Connection, ids: Iterable[str]) -> None:
    """Remember that this transaction writes events of these requests, for those who wait to hear of them."""
    tx.info.setdefault(_NOTED, []).extend(ids)


def _nobody(_ids: list[str]) -> None:
    pass


def sqlstate(err: DBAPIError) -> str | None:
    """Return PostgreSQL's five-character code of the error, or None where the server never answered."""
    code: Any = getattr(err.orig, "sqlstate", None)
    return code if isinstance(code, str) else None


def _engine(url: str, pool_size: int, statement_seconds: float, name: str) -> Engine:
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        isolation_level="READ COMMITTED",
        # An error's text would else carry the values of its statement into logs: prompts, hashes.
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_use_lifo=True,
        connect_args={
            "application_name": name,
            "connect_timeout": 5,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            # A plan that was prepared while the queue was empty reads all of it, and is kept when it is long:
            # claims took 120 ms at 100,000 rows. Planning anew costs 0.2 to 0.4 ms.
            "options": (
                "-c plan_cache_mode=force_custom_plan"
                f" -c statement_timeout={int(statement_seconds * 1000)} -c lock_timeout=5000"
                " -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
            ),
        },
    )
