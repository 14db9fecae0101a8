"""Delayed events that come early, twice, or as others, and runs of a schedule that nobody tells of, are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.planned_run import SCHEDULES, ScheduleRow, encode_row
from onstage.events.receipt import Status
from onstage.testing.checks.delayed_events import begun_after_expiry, released_wrongly, runs_unaccounted

KEPT = b'{"type":"a.b","due":5000,"data":{"x":1},"key":"k"}'
LATER = 3


def kept(file: File, *hlcs_ms: int, data: bytes = b'{"x":1}') -> list[str]:
    """Event 1 was kept until 5000 and emitted at these times."""
    file.do("insert into onstage_type values (9, 'onstage.later', 1)")
    file.do("insert into onstage_handler values (3, 'onstage.later')")
    file.event(1, type=9)
    file.do("update onstage_event set data = ? where n = 1", KEPT)
    cause = file.execution(1, Status.DONE, handler=LATER)
    for n, at in enumerate(hlcs_ms, 2):
        file.event(n, cause=cause, hlc=at << 16)
        file.do("update onstage_event set data = ? where n = ?", data, n)
    return list(released_wrongly(file.look(), ()))


def test_a_delayed_event_comes_when_it_is_due(file: File) -> None:
    assert kept(file, 5000) == []


def test_one_that_comes_early_twice_never_or_as_another_is_seen(file: File) -> None:
    assert kept(file, 4999) == ["delayed event 1 was emitted 1 ms early"]
    file.do("update onstage_event set data = '{}', hlc = ? where n = 2", 5000 << 16)
    assert list(released_wrongly(file.look(), ())) == ["delayed event 1 was emitted as another one"]
    assert list(released_wrongly(file.look(), {1})) == []
    file.do("delete from onstage_event where n = 2")
    assert list(released_wrongly(file.look(), ())) == ["delayed event 1 was emitted 0 times"]


def test_what_is_skipped_expires_and_leaves_nothing(file: File) -> None:
    file.do("create table effect (id integer primary key, event text, handler text, place text)")
    file.event(1)
    file.execution(1, Status.SKIPPED)
    assert list(begun_after_expiry(file.look(), {"shop.take"})) == ["event 1 was skipped, and never expires"]
    file.do('update onstage_event set extra = \'{"expirytime":"2026-01-01T00:00:00Z"}\'')
    assert list(begun_after_expiry(file.look(), {"shop.take"})) == []
    wire = next(iter(file.look().wires))
    file.do("insert into effect (event, handler, place) values (?, 'shop.take', 'x')", wire)
    assert list(begun_after_expiry(file.look(), {"shop.take"})) == ["event 1 was skipped, and handled all the same"]


def test_each_planned_run_is_told_of(file: File) -> None:
    file.do("insert into onstage_type values (9, 'onstage.tick/shop.take', 1)")

    def row(runs: int, skipped: int) -> list[str]:
        kept = ScheduleRow(name="shop.take", said="10s", due=40_000, runs=runs, skipped=skipped)
        file.do("insert or replace into onstage_note values (?, 1, ?)", SCHEDULES, encode_row(kept))
        return list(runs_unaccounted(file.look(), "shop.take", 10_000, ()))

    for n, second in enumerate((10, 20), 1):
        file.event(n, type=9)
        data = b'{"schedule":"shop.take","planned":"1970-01-01T00:00:%dZ"}' % second
        file.do("update onstage_event set data = ? where n = ?", data, n)
    assert row(2, 1) == []
    assert row(2, 0) == ["shop.take has lost runs: 2 ran and 0 were left out since 10000"]
    assert row(3, 1) == ["shop.take says 3 runs, and there are 2"]
    file.do("update onstage_event set data = (select data from onstage_event where n = 1)")
    assert row(2, 1) == ["shop.take ran more than once for [10000]"]
