"""The view reads each table once, and names what it found."""

from tests.unit.testing.checks.filing import File, settled

from onstage.core.journal import Slept
from onstage.events.receipt import Status


def test_it_shows_what_stands_there(file: File) -> None:
    file.event(1)
    x = file.execution(1, Status.DONE, Slept("sleep#0"))
    file.receipts(settled(1), settled(1), seq=4)
    found = file.look()
    assert found.events[1].type == "a.b"
    assert not found.executions[x].is_open
    assert found.journals == {x: [Slept("sleep#0")]}
    assert found.places == {x: [0]}
    assert [(row.epoch, row.shard, row.seq) for row in found.receipts] == [(1, 1, 4), (1, 1, 5)]
    assert list(found.wires.values()) == [1]
    assert found.handler_of(x) == "shop.take"


def test_a_look_keeps_what_it_has_read(file: File) -> None:
    look = file.look()
    assert look.events == {}
    file.event(1)
    assert look.events == {}
    assert set(file.look().events) == {1}
