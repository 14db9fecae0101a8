"""The handle of a process: its id, and how long a verdict is waited for."""

import asyncio
from datetime import timedelta

import pytest

from onstage.observe.verdict import Verdict
from onstage.process_handle import ProcessHandle


class Ways:
    """Notes how long it is waited for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float | None]] = []

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:
        self.asked.append((process, timeout_s))
        raise LookupError(process)


@pytest.mark.parametrize(
    ("timeout", "expected_s"), [(0, 0.0), ("2m", 120.0), (timedelta(seconds=3), 3.0), (None, None)], ids=str
)
def test_a_verdict_is_waited_for_as_long_as_was_said(timeout: str | timedelta | None, expected_s: float | None) -> None:
    ways = Ways()
    handle = ProcessHandle("a-7", ways)
    with pytest.raises(LookupError):
        asyncio.run(handle.verdict(timeout=timeout))
    assert ways.asked == [("a-7", expected_s)]
    assert repr(handle) == "Process[a-7]"
