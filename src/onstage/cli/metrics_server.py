"""Health and metrics of a node on a port of its own, for this machine only: `onstage run --metrics-port`.

As little HTTP as a scraper needs: GET, one request a connection. It binds to the loopback address and answers only who
asks for that by name, so that no page in somebody's browser can read it under a name of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from onstage.cli.failures import Exit, Failure
from onstage.embedding.asgi import Answer, answer_to_get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from onstage.embedding.embedded_stage import EmbeddedStage

__all__ = ["HOST", "metrics_server"]

HOST: Final = "127.0.0.1"
REQUEST_S_MAX: Final = 5.0
"""How long a request may take to arrive."""
HEAD_BYTES_MAX: Final = 16_384
"""The longest head of a request."""
_HERE: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


@asynccontextmanager
async def metrics_server(stage: object, port: int) -> AsyncIterator[int]:
    """Answer on this port of the loopback address (0: any free one) while inside; gives the port. Raises Failure.

    `stage` is a Stage, or what has its `loop`, `not_ready` and `metrics_text`.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                found = await _answer(cast("EmbeddedStage", stage), reader)
                writer.write(_response(found))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone, or is in no hurry
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, HOST, port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        raise Failure(
            f"port {port} cannot be used", str(error), "name a free one: --metrics-port 9464", code=Exit.USAGE
        ) from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _answer(stage: EmbeddedStage, reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        return Answer(431, "text/plain", b"the head of the request is too long\n")
    request, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = request.split(" ")
    if len(parts) != 3 or parts[0] != "GET":
        return Answer(405, "text/plain", b"this takes GET\n", (("allow", "GET"),))
    if headers.get("host", "").rpartition(":")[0] not in _HERE and headers.get("host") not in _HERE:
        return Answer(421, "text/plain", b"this is for localhost\n")
    return await answer_to_get(stage, parts[1].partition("?")[0])


def _response(answer: Answer) -> bytes:
    headers = (("content-type", answer.kind), ("content-length", str(len(answer.body))), ("connection", "close"))
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*headers, *answer.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
