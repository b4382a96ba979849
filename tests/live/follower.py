"""Clients that come back whenever they are cut off. What they are told must be complete, in order, and told once."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import requests
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from app.domain.lifecycle import Status
from app.domain.vocabulary import ENDINGS
from tests.api.conftest import BASE
from tests.conftest import until

_PATIENCE = 0.2


class Follower(ABC):
    """Watches requests from a thread of its own until each has ended; `faults` is what was wrong with what it heard."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = set(ids)
        self.seqs: dict[str, int] = {}
        self.ended: set[str] = set()
        self.updates = self.lines = 0
        self.faults: list[str] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to come, or no sense in going on."""
        return self._closing or bool(self.faults) or self.ended >= self.ids

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join(10)

    def take(self, message: dict[str, Any]) -> None:
        """Note what was said."""
        match message["type"]:
            case "snapshot":
                for row in message["data"].get("requests", [message["data"]]):
                    self._note(row["requestId"], row["seq"], over=Status(row["status"]).terminal, fresh=True)
            case "update":
                self.updates += 1
                self._note(message["requestId"], message["seq"], over=message["event"] in ENDINGS)
            case "error":
                self.faults.append(str(message))
        if message.get("resync"):
            self.faults.append(str(message))

    def _note(self, name: str, seq: int, *, over: bool, fresh: bool = False) -> None:
        known = self.seqs.get(name)
        if known is not None if fresh else seq != (known or 0) + 1:
            self.faults.append(f"{name}: {seq} after {known}")
        self.seqs[name] = seq
        if over:
            self.ended.add(name)

    def _run(self) -> None:
        while not self.done:
            try:
                self._listen()
            except (WebSocketException, requests.RequestException, OSError, EOFError):
                # Cut off, or nobody there: come again.
                continue
            except Exception as err:  # noqa: BLE001 (what ends the thread is a fault too)
                self.faults.append(repr(err))

    @abstractmethod
    def _listen(self) -> None:
        """Connect, say what is known, and take what comes."""


class SocketFollower(Follower):
    """Watches by a WebSocket: a whole batch, or each request by itself."""

    def __init__(self, port: int, headers: dict[str, str], ids: Sequence[str], *, batch: str = "") -> None:
        super().__init__(ids)
        self._address = f"ws://127.0.0.1:{port}/ws"
        self._headers = headers
        self._batch = batch

    def _listen(self) -> None:
        with connect(self._address, additional_headers=self._headers, proxy=None, close_timeout=0.1) as line:
            self.lines += 1
            for wanted in self._wanted():
                line.send(json.dumps({"type": "subscribe", **wanted}))
            while not self.done:
                self._hear(line)

    def _wanted(self) -> Iterator[dict[str, Any]]:
        if self._batch:
            yield {"batchId": self._batch, **({"after": self.seqs} if self.seqs else {})}
            return
        for name in self.ids - self.ended:
            yield {"requestId": name, **({"after": self.seqs[name]} if name in self.seqs else {})}

    def _hear(self, line: ClientConnection) -> None:
        try:
            said = line.recv(timeout=_PATIENCE)
        except TimeoutError:
            return
        self.take(json.loads(said))


class StreamFollower(Follower):
    """Watches one request by Server-Sent Events, as EventSource does."""

    def __init__(self, port: int, headers: dict[str, str], name: str) -> None:
        super().__init__([name])
        self._address = f"http://127.0.0.1:{port}{BASE}/events"
        self._name, self._headers = name, headers
        self._last: str | None = None

    def _listen(self) -> None:
        headers = self._headers | ({"Last-Event-ID": self._last} if self._last else {})
        with closing(
            requests.get(
                self._address,
                params={"requestId": self._name},
                headers=headers,
                stream=True,
                timeout=(5, 20),
            )
        ) as answer:
            self.lines += 1
            if answer.status_code == 204 and self._name not in self.ended:
                self.faults.append("ended, and not told")
            self._read(answer.iter_lines(chunk_size=1, decode_unicode=True))

    def _read(self, lines: Iterable[str]) -> None:
        """Take whole events only: what was cut off in the middle comes again."""
        number = data = ""
        for line in lines:
            name, _, value = line.partition(": ")
            number = value if name == "id" else number
            data = value if name == "data" else data
            if not line and data:
                self.take(json.loads(data))
                self._last, number, data = number, "", ""


@contextmanager
def following(*followers: Follower) -> Iterator[None]:
    """Start them, and wait until each knows of all its requests."""
    try:
        for one in followers:
            one.start()
        until(lambda: all(one.faults or one.seqs.keys() >= one.ids for one in followers), 60)
        yield
    finally:
        for one in followers:
            one.close()
