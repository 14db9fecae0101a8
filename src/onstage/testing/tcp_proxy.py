"""A TCP proxy between a client and a server, for what happens to lines: slow, half open, reset, healthy again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, final

__all__ = ["CHUNK_BYTES_MAX", "TcpProxy"]

CHUNK_BYTES_MAX: Final = 65_536
"""How much a line carries at once."""


@final
class TcpProxy:
    """Forwards each connection to a server on this machine. All of it belongs to one loop."""

    def __init__(self, target_port: int) -> None:
        """Not yet listening. `delay_s` may be changed at any time: how long each piece stays on the line."""
        self.port = 0
        self.delay_s = 0.0
        self._target_port = target_port
        self._flows = {"there": asyncio.Event(), "back": asyncio.Event()}
        self.release()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._lines: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free loopback port, `port`; the same again after `stop`."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse and end all connections."""
        if self._server is not None:
            self._server.close()
        self.reset()
        lines = tuple(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    def hold(self) -> None:
        """Carry nothing more, and say nothing about it: the line is half open."""
        self._flows["there"].clear()
        self.hold_answers()

    def hold_answers(self) -> None:
        """Carry nothing more from the server to the client; the server hears everything."""
        self._flows["back"].clear()

    def release(self) -> None:
        """Carry on, beginning with what was held."""
        for flow in self._flows.values():
            flow.set()

    def reset(self) -> None:
        """Break all present connections, with a reset on both sides."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(there[1])
            self._carry(reader, there[1], self._flows["there"])
            self._carry(there[0], writer, self._flows["back"])
            return
        writer.transport.abort()

    def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event) -> None:
        line = asyncio.get_running_loop().create_task(self._line(reader, writer, flow))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES_MAX):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await flow.wait()
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)
