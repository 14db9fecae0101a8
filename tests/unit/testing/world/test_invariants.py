"""Each check complains when what it is about is spoilt: a world is played, its file is changed, then it is checked."""

import pytest

from onstage.testing.world import playing
from onstage.testing.world.invariants import check_at_rest
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.playing import play
from onstage.testing.world.world_run import World

SEED = 3


def spoilt(monkeypatch: pytest.MonkeyPatch, sql: str, seed: int = SEED) -> set[str]:
    """The invariants that a world breaks if its file is changed by this statement before it is checked."""

    def check(world: World) -> None:
        connection = world._power.meddle()  # noqa: SLF001  behind everybody's back
        before = connection.total_changes()
        connection.execute(sql)
        assert connection.total_changes() > before or not sql, "the statement changes nothing"
        connection.close()
        check_at_rest(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    return {what.partition(":")[0] for what in play(seed).violations}


def test_an_untouched_file_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spoilt(monkeypatch, "") == set()


@pytest.mark.parametrize(
    ("sql", "invariant"),
    [
        ("delete from onstage_execution where id = (select max(id) from onstage_execution)", "I1"),
        ("update onstage_execution set status = 0 where id = (select max(id) from onstage_execution)", "I1"),
        ("update onstage_execution set status = 9 where id = (select max(id) from onstage_execution)", "I1"),
        ("insert into effect (event, handler, place) select event, handler, place from effect limit 6", "I2"),
        ("delete from effect where handler != 'road.walk'", "I2"),
        ("update effect set id = -id where handler = 'rail.block'", "I4"),
        ("update onstage_event set cause = 77 << 16 | 1 where cause > 0", "I5"),
        ("update onstage_event set hlc = 1 where cause > 0", "I5"),
        ("update onstage_receipt set epoch = 99 where position = 1", "I9"),
        ("delete from onstage_door where n = (select min(n) from onstage_door)", "I10"),
        ("update onstage_event set data = '{}' where n in (select n from onstage_door)", "I10"),
        ("delete from onstage_receipt where position = 2", "I12"),
        ("update onstage_process set digest = x'01' where id = (select min(id) from onstage_process)", "I12"),
        ("update onstage_process set open = 1 where id = (select min(id) from onstage_process)", "I12"),
        ("delete from onstage_entry where place = 0", "I13"),
        ("delete from onstage_entry where place > 0", "I13"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_seen(sql: str, invariant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):  # not every world has what the statement changes
        try:
            assert invariant in spoilt(monkeypatch, sql, seed)
        except AssertionError:
            continue
        return
    raise AssertionError("not seen in any of 30 worlds")


def test_steps_that_nobody_called_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(world: World) -> None:
        OUTSIDE.calls = [call for call in OUTSIDE.calls if not call.is_effect]
        check_at_rest(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    found = [what for seed in range(5) for what in play(seed).violations]
    assert {what.partition(":")[0] for what in found} == {"I3"}


def test_a_verdict_at_rest_that_is_not_true_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onstage.testing.world.invariants.truths", lambda *_: {"completed"})
    assert {what.partition(":")[0] for what in play(SEED).violations} == {"I7"}


def test_a_lane_out_of_order_is_seen_in_the_steps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(world: World) -> None:
        OUTSIDE.calls = OUTSIDE.calls[::-1]
        check_at_rest(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    found = [what for seed in range(5) for what in play(seed).violations]
    assert {what.partition(":")[0] for what in found} == {"I4"}
