"""The clients of a tour send again until they are answered."""

from pathlib import Path

from tests.unit.testing.tour.rested import rested

from onstage.testing.tour.repertory import Allowed, Booked, Rang
from onstage.testing.tour.senders import Send, programme_of
from onstage.testing.world.tape import Tape


def test_a_programme_is_drawn_from_the_tape() -> None:
    programme = programme_of(Tape(4))
    assert [(at, send.id, send.event) for at, send in programme] == [
        (at, send.id, send.event) for at, send in programme_of(Tape(4))
    ]
    assert [at for at, _ in programme] == sorted(at for at, _ in programme)
    kinds = {type(send.event) for seed in range(10) for _, send in programme_of(Tape(seed))}
    assert kinds == {Allowed, Booked, Rang}


def test_who_was_not_answered_sends_to_the_next_life(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        send = Send(Rang("a", 99), "late", "bank", [])
        world.end_life("bank", 2.0)
        world.senders.sends.append(send)
        world.run_to(world.now_s + 1)
        assert not world.senders.are_done
        world.run_to(world.now_s + 5)
        assert send.is_over
        assert world.rows("post", "select 1 from onstage_event where data = ?", b'{"key":"a","n":99}')


def test_what_is_sent_twice_at_two_nodes_is_one_event(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        sends = [Send(Booked("z", 0), "twice", at, []) for at in ("shop", "audit")]
        for send in sends:
            world.senders.sends.append(send)
            world.run_to(world.now_s + 5)
        assert all(send.is_over for send in sends)
        sql = "select 1 from onstage_event where cause = 0 and data = ?"
        assert len(world.rows("shop", sql, b'{"key":"z","n":0}')) == 1
