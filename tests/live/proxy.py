"""A TCP proxy that cuts connections in the middle of whatever is being sent."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

# Closing discards what wasn't sent yet, and the other side is told at once: a connection reset.
_RESET = struct.pack("ii", 1, 0)
# How long a connection that is to be cut may wait for something that it can be cut in the middle of.
_MIDDLE_SECONDS = 0.05
# By then the handshake is over: who is cut off in it has nothing to lose yet.
_SHAKEN_BYTES = 1200
_CHUNK = 64 << 10


class _Line:
    """One connection through the proxy."""

    def __init__(self, chance: random.Random, *ends: asyncio.StreamWriter) -> None:
        self._chance = chance
        self._ends = ends
        self.carried = 0
        self.doomed = False

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what comes, and of the last of a doomed connection only a part."""
        with suppress(OSError):
            while found := await reader.read(_CHUNK):
                self.carried += len(found)
                writer.write(found[: self._chance.randrange(len(found))] if self.doomed else found)
                await writer.drain()
                if self.doomed:
                    break
        self.end()

    def end(self) -> None:
        for writer in self._ends:
            if self.doomed and not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.close()


class Proxy:
    """Between clients and `port`; it chooses at random, so that a seed tells its choices."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._to = port
        self._chance = chance
        self._lines: list[_Line] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.cuts = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> bool:
        """Cut one of the connections that are in use; return whether there was one."""
        return bool(self._do(self._cut()))

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            # Nobody listens there just now.
            writer.close()
            return
        line = _Line(self._chance, writer, back)
        self._lines.append(line)
        await asyncio.gather(line.pump(reader, back), line.pump(there, writer))
        self._lines.remove(line)

    async def _cut(self) -> bool:
        whole = [line for line in self._lines if not line.doomed and line.carried > _SHAKEN_BYTES]
        if not whole:
            return False
        line = self._chance.choice(whole)
        line.doomed = True
        self.cuts += 1
        self._loop.call_later(_MIDDLE_SECONDS, line.end)
        return True

    async def _close(self) -> None:
        self._server.close()
        for line in self._lines:
            line.end()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None

    def _do(self, act: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(10)
