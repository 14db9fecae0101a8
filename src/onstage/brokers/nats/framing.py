"""Messages with headers as NATS has them on the wire (`HPUB`), written at once.

nats-py checks, strips and translates each header by itself, which for an event takes longer than all the rest. What it
would repair is refused here, in one look at the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.client import Client

__all__ = ["framed", "header_lines", "send"]

_VERSION: Final = "NATS/1.0\r\n"


def header_lines(headers: Mapping[str, str]) -> str:
    """The lines of these headers. Raises UsageError if they would become others."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    text = "".join(lines)
    if text.count("\r") + text.count("\n") != 2 * len(lines) or any(line[0] in ": " for line in lines):
        raise UsageError(
            "a header of a message is none\n  why: it holds a line break, or has no name\n"
            "  to do: encode what it says, as to_headers of onstage.events.binding does"
        )
    return text


def framed(subject: str, data: bytes, *, reply: str, headers: Mapping[str, str]) -> bytes:
    """The bytes that publish a message with headers. Raises UsageError as `header_lines` does."""
    head = f"{_VERSION}{header_lines(headers)}\r\n".encode()
    first = f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}\r\n".encode()
    return b"".join((first, head, data, b"\r\n"))


async def send(client: Client, subject: str, data: bytes, *, reply: str, headers: Mapping[str, str] | None) -> None:
    """Hand a message to the connection. Raises what nats-py raises, and UsageError as `framed` does."""
    if not headers:
        return await client.publish(subject, data, reply=reply)
    frame = framed(subject, data, reply=reply, headers=headers)
    if not client.is_connected:
        raise ConnectionError("the connection is gone")
    await client._send_command(frame)  # noqa: SLF001  the way that its own publish takes
    queue = client._flush_queue  # noqa: SLF001
    if queue is not None and queue.empty():
        await client._flush_pending()  # noqa: SLF001
