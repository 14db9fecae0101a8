"""Live state: what an execution shows of itself while it runs, key by key, in its journal."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onstage.core.journal import StateSet, fingerprint
from onstage.core.requests import DivergedAnswer, Recorded, StateRequest
from onstage.errors import NotInExecution, UsageError
from onstage.events.codec import NoCodec, encode_any
from onstage.runtime.call import calling_frame
from onstage.runtime.frame import Frame

__all__ = ["LIVE_STATE_BYTES_MAX", "show", "shown"]

LIVE_STATE_BYTES_MAX: Final = 65_536
"""The largest value of a key, in bytes of JSON."""


def show(key: str, value: object) -> None:
    """Show `value` (anything JSON can carry) under `key` from here on; durable with the next commit.

    Raises UsageError for a value that JSON cannot carry, or that is larger than `LIVE_STATE_BYTES_MAX`.
    """
    frame = _frame_for(key)
    try:
        data = encode_any(value)
    except NoCodec as error:
        raise _unshowable(key, str(error), "show plain data, a dataclass or a Struct") from error
    if len(data) > LIVE_STATE_BYTES_MAX:
        raise _unshowable(key, f"it has {len(data)} bytes, of at most {LIVE_STATE_BYTES_MAX}", "show less of it")
    position = frame.execution.make(f"state {key}")
    hashed = fingerprint(key.encode() + data)
    answer = frame.execution.ask(position, StateRequest(hashed), frame.driver.node.clock.now_ms())
    if isinstance(answer, DivergedAnswer):
        frame.diverge(answer.diff)
    if not isinstance(answer, Recorded):
        frame.leave_if_stopped()
        frame.driver.tell(frame, StateSet(position, hashed, key, data))
    if frame.shown is None:
        frame.shown = {}
    frame.shown[key] = msgspec.json.decode(data)


def shown(key: str) -> Any:
    """What this execution shows under `key`, as it is read from outside. Raises KeyError if it shows nothing there."""
    return (_frame_for(key).shown or {})[key]


def _frame_for(key: object) -> Frame:
    if not isinstance(key, str) or not key:
        raise _unshowable(key, "a key is text", 'write state["stage"]')
    frame = calling_frame(f'state["{key}"]')
    if frame is None:
        raise NotInExecution(
            f'state["{key}"] was used outside a handler\n  why: there is no execution that could show it\n'
            "  to do: use it in a handler or workflow; outside, read it with handle.state()"
        )
    return frame


def _unshowable(key: object, why: str, mend: str) -> UsageError:
    return UsageError(f"{key!r} cannot be shown as live state\n  why: {why}\n  to do: {mend}")
