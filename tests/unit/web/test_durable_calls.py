"""The durable calls of one execution."""

from onstage.core import journal
from onstage.web.durable_calls import bars_of


def test_a_later_entry_at_a_position_replaces_an_earlier_one_and_keeps_when_it_began() -> None:
    (bar,) = bars_of(
        [
            journal.Attempted("charge#0", arguments=1, attempts=2, due=9, error="no", first=1000),
            journal.Stepped("charge#0", arguments=1, result=b"1", schema=0, attempts=3, ended=5000),
        ]
    )
    assert (bar.state, bar.attempts, bar.start_ms, bar.end_ms) == ("done", 3, 1000, 5000)


def test_what_is_awaited_is_a_bar_that_waits() -> None:
    wait, sleep = bars_of(
        [journal.WaitOpened("wait#0", types=("Paid",), due=None), journal.SleepOpened("sleep#0", due=7)]
    )
    assert (wait.kind, wait.state, wait.text) == ("wait", "waiting", "waits for Paid")
    assert (sleep.kind, sleep.end_ms) == ("sleep", 7)
