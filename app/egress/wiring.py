"""Connections that know their exchange: checked addresses, one deadline for all of it, and whether a byte has left.

requests' own timeouts are per read: a server that sends one byte a second is never late. Here a timer ends
the connection itself when the time is over, whatever it is doing.
"""

import socket
import ssl
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, Timer
from time import monotonic
from typing import Any, Self

import requests.utils
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from app.egress.errors import Late, Refused, Unanswered, Unreached
from app.egress.guard import Guard
from app.egress.meter import Metered

_LONGEST = 86_400.0
# A TLS record holds more than this, so what the first write brings is all or nothing to the other side.
_FIRST = 1024
# The timer is who ends an exchange; a socket that gives up by itself is only for a timer that never came.
_GRACE = 5.0


class Exchange:
    """One request and its answer of at most `limit` bytes. `guard` None connects to any address: the operator's own."""

    def __init__(self, guard: Guard | None, seconds: float, limit: int) -> None:
        self.guard = guard
        self.seconds = min(seconds, _LONGEST)
        self.limit = limit
        self.sent = False
        self.expired = False
        self.status: int | None = None
        self._ends = 0.0
        self._line: socket.socket | None = None
        self._timer = Timer(self.seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._ends = monotonic() + self.seconds
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        # Else it could cut a line of somebody else's, whose number was ours a moment ago.
        self._timer.join()
        if self._line is not None:
            self._cut()
            self._line.close()

    @property
    def left(self) -> float:
        """The seconds that are left of it."""
        return max(0.0, self._ends - monotonic())

    def connect(self, host: str, port: int, seconds: float, options: Any) -> socket.socket:
        """Return a connection to the first address of `host` that answers; every address must pass the guard.

        `seconds` is for each address. Raises EgressError, OSError.
        """
        if self._line is not None:
            raise Unanswered("an exchange has one connection: what was sent over it may not be sent again")
        found = self._look_up(host, port)
        if self.guard:
            for *_, (address, *_more) in found:
                self.guard.check(host, port, str(address))
        failed: OSError = OSError("the name has no address")
        for family, kind, protocol, _name, target in found:
            line = socket.socket(family, kind, protocol)
            try:
                for option in options or ():
                    line.setsockopt(*option)
                # A timeout of 0 would mean not to wait at all.
                line.settimeout(max(0.001, min(seconds, self.left)))
                line.connect(target)
                self._hold(line, host, port)
            except OSError as err:
                line.close()
                failed = err
            except Refused:
                line.close()
                raise
            else:
                return line
        raise failed

    def _look_up(self, host: str, port: int) -> list[Any]:
        """Ask in a thread: nothing can stop a look-up, and a resolver may take longer than there is time."""
        answer: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            try:
                answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as err:
                answer.put(err)

        Thread(target=ask, name="look-up", daemon=True).start()
        try:
            found = answer.get(timeout=self.left)
        except Empty:
            raise TimeoutError("the look-up took too long") from None
        if isinstance(found, UnicodeError):
            raise OSError("that is no name") from found
        if isinstance(found, OSError):
            raise found
        return list(found)

    def _hold(self, line: socket.socket, host: str, port: int) -> None:
        if self.guard:
            self.guard.check(host, port, line.getpeername()[0], here=line.getsockname()[0])
        # A duplicate, since TLS takes the original over; shutting it down ends the connection of both.
        self._line = line.dup()
        if self.expired:
            self._cut()

    def _expire(self) -> None:
        self.expired = True
        self._cut()

    def _cut(self) -> None:
        if self._line is not None:
            try:
                self._line.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It ended by itself in this moment.
                return


class _Plain(HTTPConnection):
    """A connection of one exchange."""

    exchange: Exchange

    def _new_conn(self) -> socket.socket:
        try:
            return self.exchange.connect(self._dns_host, self.port, self.timeout or 0.0, self.socket_options)
        except OSError as err:
            if not self.exchange.left:
                raise Late("the time was over before anybody answered", sent=False) from err
            raise Unreached(f"{self.host} can't be reached ({type(err).__name__})") from err

    def send(self, data: Any) -> None:
        """Send, and mark the exchange as sent once the first bytes are on their way."""
        if self.sock is None:
            self.connect()
        # urllib3 leaves the time for connecting on it, which is too short for a large body.
        self.sock.settimeout(self.exchange.left + _GRACE)
        if not self.exchange.sent:
            # http.client's first piece is always the head, in bytes.
            count = self.sock.send(data[:_FIRST])
            self.exchange.sent = True
            data = data[count:]
        super().send(data)


class _Secure(_Plain, HTTPSConnection):
    """The same over TLS."""


class _Trust(ssl.SSLContext):
    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Leave it as it was made: urllib3 would set it anew for each connection, while others shake hands by it."""


def trust(authorities: str | None = None) -> ssl.SSLContext:
    """Return whom we believe: the usual authorities, and those in the PEM file `authorities`. Raises OSError.

    Made once, since reading the authorities takes some 20 ms of processor time.
    """
    made = _Trust(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    if authorities:
        made.load_verify_locations(authorities)
    made.hostname_checks_common_name = False
    return made


class Wiring(HTTPAdapter):
    """requests' transport for one exchange: nothing is retried, and the connection serves nothing else."""

    def __init__(self, exchange: Exchange, trusted: ssl.SSLContext) -> None:
        self._exchange = exchange
        self._trusted = trusted
        super().__init__(max_retries=0)

    def init_poolmanager(self, *_args: Any, **_kwargs: Any) -> None:
        self.poolmanager = PoolManager(num_pools=1, maxsize=1, ssl_context=self._trusted)
        known: Any = {
            "http": partial(self._pool, HTTPConnectionPool, _Plain),
            "https": partial(self._pool, HTTPSConnectionPool, _Secure),
        }
        self.poolmanager.pool_classes_by_scheme = known

    def cert_verify(self, conn: Any, *_args: Any) -> None:
        """Ask for a certificate, always; requests would read all authorities anew here."""
        conn.cert_reqs = "CERT_REQUIRED"

    def _pool(self, pool: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        made = pool(*args, **kwargs)
        of_it = {"exchange": self._exchange, "response_class": partial(Metered, self._exchange.limit)}
        made.ConnectionCls = type(connection.__name__, (connection,), of_it)
        return made
