"""Reading events from a file: one CloudEvent in JSON per line, checked before anything of it is sent.

A line without an id gets (hash of the file, number of the line), so sending a file twice emits nothing twice. The
short form `{"type": ..., "data": ...}` will do: `specversion` and `source` may be left out together.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.cli.failures import Exit, Failure
from onstage.errors import InvalidEvent
from onstage.events.envelope import EVENT_BYTES_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, Envelope, check_depth, from_json

if TYPE_CHECKING:
    from onstage.events.event import EventType

__all__ = ["LINE_BYTES_MAX", "SOURCE", "BadLine", "Line", "check_event", "opened", "read_lines"]

LINE_BYTES_MAX: Final = 2 * EVENT_BYTES_MAX
"""A longer line is refused before it is parsed: base64 and the attributes fit into twice the largest payload."""

SOURCE: Final = "//onstage/door"
"""The source of events that name none: the same as for `stage.emit`, so one id means one event at every door."""

_SPOOLED_BYTES: Final = 16 << 20
_CHUNK: Final = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One event that fits the app: the number of its line, its envelope with an id, and how long the line is."""

    number: int
    envelope: Envelope
    size: int


@final
@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is refused: its number, and what, why and what to do."""

    number: int
    error: Exception


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The file to read, from its beginning; `-` is stdin, which is read to its end first. Raises Failure."""
    if name == "-":
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool, _CHUNK)
            spool.seek(0)
            yield spool
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            why = error.strerror or str(error)
            raise Failure(f"cannot read {name}", why, "check the path and its permissions", code=Exit.USAGE) from error
        yield file


def read_lines(file: IO[bytes], types: Mapping[str, EventType], *, first: int = 1) -> Iterator[Line | BadLine]:
    """The events of a file from line `first` on, each checked; blank lines count and are passed over."""
    digest = _Digest(file)
    number = 0
    while text := file.readline(LINE_BYTES_MAX + 2):
        number += 1
        body = text.rstrip(b"\r\n")
        is_long = len(body) > LINE_BYTES_MAX
        while is_long and not text.endswith(b"\n") and (text := file.readline(_CHUNK)):
            pass
        if number < first or not body.strip():
            continue
        if is_long:
            yield BadLine(number, _too_long())
            continue
        try:
            yield _line(number, body, types, digest.hex)
        except InvalidEvent as error:
            yield BadLine(number, error)


@final
class _Digest:
    """The hash of a whole file, worked out when a line first needs it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hex: str | None = None

    def hex(self) -> str:
        if self._hex is None:
            place = self._file.tell()
            self._file.seek(0)
            digest = blake2b(digest_size=16)
            while chunk := self._file.read(_CHUNK):
                digest.update(chunk)
            self._file.seek(place)
            self._hex = digest.hexdigest()
        return self._hex


def _line(number: int, body: bytes, types: Mapping[str, EventType], file_hash: Callable[[], str]) -> Line:
    envelope = _envelope(body)
    check_event(types, envelope.type, envelope.data)
    if not envelope.id:
        envelope = msgspec.structs.replace(envelope, id=f"{file_hash()}:{number}")
    return Line(number, envelope, len(body))


def _envelope(body: bytes) -> Envelope:
    if b'"specversion"' in body or b'"source"' in body:
        return from_json(body, id_required=False)
    try:
        parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise _refused("this is no JSON object", str(error), "write one CloudEvent in JSON per line") from error
    completed = {"specversion": msgspec.Raw(b'"1.0"'), "source": msgspec.Raw(f'"{SOURCE}"'.encode()), **parts}
    return from_json(msgspec.json.encode(completed), id_required=False)


def check_event(types: Mapping[str, EventType], name: str, data: bytes) -> None:
    """Check an event as the node will. Raises InvalidEvent with what, why and what to do."""
    known = types.get(name)
    if known is None:
        some = ", ".join(sorted(types)[:10]) or "none"
        what = f"unknown event type {name[:NAME_BYTES_MAX]!r}"
        raise _refused(what, "no handler or process of this app names it", f"use one of {some}")
    if len(data) > EVENT_BYTES_MAX:
        why = f"it has {len(data)} bytes, the limit is {EVENT_BYTES_MAX}"
        raise _refused(f"{name}: the payload is too large", why, "store the large part elsewhere, send its address")
    try:
        check_depth(data)
        event: Any = known.decode(data)
        key = known.key_of(event)
    except InvalidEvent as error:
        raise _refused(f"{name}: the payload cannot be taken", str(error), "send a flatter one") from error
    except Exception as error:
        mend = f"correct it as the class at {known.where} says"
        raise _refused(f"{name}: the payload does not fit {known.cls.__qualname__}", str(error), mend) from error
    if key is not None and len(key.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise _refused(f"{name}: the key is too long", f"the limit is {KEY_BYTES_MAX} bytes", "use a shorter one")


def _too_long() -> InvalidEvent:
    why = f"the limit is {LINE_BYTES_MAX} bytes, it was not parsed"
    return _refused("the line is too long", why, "store the large part elsewhere, send its address")


def _refused(what: str, why: str, mend: str) -> InvalidEvent:
    return InvalidEvent(f"{what}\n  why: {why}\n  to do: {mend}")
