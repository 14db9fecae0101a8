"""Each play: its worlds are sound, its situations come up, and each checker of its own sees what it is about."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.testing.world.plays.staged import GUESTS, PLAYS, alone, spoilt, worlds

from onstage.testing.world import playing, programme
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.playing import play
from onstage.testing.world.plays.long_steps_played import BEATS, TOLD
from onstage.testing.world.plays.pauses_played import OVER, Held
from onstage.testing.world.programme import HOW_MANY, drawn_plays, programme_of
from onstage.testing.world.tape import Tape
from onstage.testing.world.world_run import World

SEEDS = range(14)
CHANGE = (
    "update onstage_event set data = cast(replace(cast(data as text), '{}', '{}') as blob)"
    " where type = (select id from onstage_type where name = '{}') and cast(data as text) like '%{}%'"
)


def change(type: str, old: str, new: str) -> str:
    """The statement that changes this text in the payloads of a type."""
    return CHANGE.format(old, new, type, old)


SPOILT = [
    ("requests", change("onstage.answer/world.price", '"value"', '"other"'), "answers"),
    ("requests", change("world.got", 'heard":"', 'heard":"9'), "answers"),
    ("workflows", change("onstage.start/house.build", '"n":', '"n":99'), "workflows"),
    ("times", change("world.reminded", '"n":', '"n":9'), "delays"),
    ("times", change("onstage.tick/bell.chime", ":40Z", ":41Z"), "schedules"),
    ("states", "update onstage_state set version = version + 1", "state"),
    ("states", "update onstage_state set data = null where data is not null", "state"),
    ("branches", change("world.came", "way 0", "way 1"), "branches"),
    ("changes", change("world.framed", " lines", " circles"), "changes"),
    (
        "gatherings",
        "delete from effect where id in (select max(id) from effect where handler = 'dock.ship')",
        "gatherings",
    ),
    ("gatherings", "update effect set place = '9' || place where handler = 'dock.ship'", "gatherings"),
    ("histories", "update onstage_execution set gating = 1 where id & 65535 > 16", "histories"),
    ("histories", "delete from effect where handler like 'archive.keep@%'", "histories"),
    (
        "forks",
        "delete from onstage_entry where execution in (select number from onstage_note where topic = 'forked')",
        "forks",
    ),
    ("offloads", "update onstage_blob set refs = refs + 1", "offload"),
    ("offloads", "update onstage_blob_body set body = x'00'", "offload"),
    ("seals", "update onstage_event set data = x'7b7d'", "seal"),
    ("watches", change("onstage.process.overdue", '"number":', '"number":1'), "watches"),
    ("watches", change("onstage.process.violated", "before", "after"), "watches"),
    ("intakes", change("world.booked", '"n":', '"n":9'), "intake"),
    ("counts", "update onstage_execution set status = 8 where status = 6", "counts"),
]


@pytest.mark.parametrize("name", PLAYS)
def test_worlds_of_a_play_are_sound_and_show_what_it_is_about(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = alone(monkeypatch, name)
    results = worlds(SEEDS)
    assert [what for result in results for what in result.violations] == []
    seen = {mark for result in results for mark in result.marks} & set(chosen.marks)
    assert len(seen) >= len(chosen.marks) / 2, f"only {seen}"


@pytest.mark.parametrize(("name", "sql", "checker"), SPOILT)
def test_a_spoilt_play_is_seen(name: str, sql: str, checker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, name)
    assert checker in spoilt(monkeypatch, sql, SEEDS)


def too_many_at_once() -> bool:
    OUTSIDE.most_within["mill"] = 9
    return True


def often() -> bool:
    sifted = [began for began in OUTSIDE.begun if began.handler == "gate.sift"]
    OUTSIDE.begun += [replace(began, at_s=sifted[0].at_s) for began in sifted[1:]]
    OUTSIDE.begun.sort(key=lambda began: began.at_s)
    return OUTSIDE.disk_was_quick and len({(began.execution, began.life) for began in sifted}) > 2


def held_all_the_time() -> bool:
    OUTSIDE.notes[OVER].append(Held("lock", 0, 0.0, 0, len(OUTSIDE.begun)))
    return any(began.handler.startswith("lock.") for began in OUTSIDE.begun)


def said_by_nobody() -> bool:
    told = len(OUTSIDE.notes[TOLD])
    OUTSIDE.notes[TOLD].clear()
    return told > 2


def begun_anew() -> bool:
    beats: list[Any] = OUTSIDE.notes[BEATS]
    said = [beat for beat in beats if not beat.begins and beat.leg == 1]
    beats += [beat._replace(begins=True, leg=0) for beat in said]
    return bool(said)


@pytest.mark.parametrize(
    ("name", "checker", "tell"),
    [
        ("flow", "flow", too_many_at_once),
        ("flow", "flow", often),
        ("pauses", "pauses", held_all_the_time),
        ("long steps", "long", said_by_nobody),
        ("long steps", "long", begun_anew),
    ],
)
def test_what_was_seen_from_outside_decides(
    name: str, checker: str, tell: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch, name)
    plain, told = playing.check_at_rest, list[bool]()

    def check(world: World) -> None:
        told.append(tell())
        plain(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    for result in map(play, SEEDS):
        if told[-1] and checker in {what.partition(":")[0] for what in result.violations}:
            return
    raise AssertionError("not seen in any of these worlds")


def test_most_worlds_play_a_few_and_some_none() -> None:
    drawn = [_drawn(Tape(seed)) for seed in range(200)]
    own = [[name for name in plays if name not in GUESTS] for plays in drawn]
    assert {len(plays) for plays in own} == set(HOW_MANY)
    assert {name for plays in drawn for name in plays} == set(PLAYS)
    assert _drawn(Tape(1, {})) == ()


def test_a_guest_changes_nothing_of_what_else_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    with_guests = [_drawn(Tape(seed)) for seed in range(200)]
    assert 20 < sum(plays[-1:] in [(name,) for name in GUESTS] for plays in with_guests) < 60
    monkeypatch.setattr(programme, "GUESTS", ())
    assert [tuple(name for name in plays if name not in GUESTS) for plays in with_guests] == [
        _drawn(Tape(seed)) for seed in range(200)
    ]


def _drawn(tape: Tape) -> tuple[str, ...]:
    return tuple(each.name for each in drawn_plays(tape.stream("programme"), tape.stream("guests")))


def test_a_programme_is_made_once() -> None:
    names = tuple(PLAYS)
    assert programme_of(1, names, today=False) is programme_of(1, names, today=False)
    services = {service.name for service in programme_of(1, names, today=True).services}
    assert services >= {"road", "desk", "house", "crew", "bell", "till", "wall", "mill", "dock", "lock", "archive"}
