"""`onstage emit`, without a node: what is accepted is in the file afterwards."""

import asyncio
import sqlite3
from base64 import b64encode
from typing import Any

import pytest
from tests.unit.cli.apart_stage import play_apart

from onstage import Envelope, connect
from onstage.cli.emit_events import PAGE_LINES_MAX, Sender
from onstage.cli.event_lines import SOURCE

GOOD = '{"type": "order-placed", "data": {"order_id": "%s", "amount": 1}}'
BAD = '{"type": "order-placed", "data": {"order_id": "bad"}}'


def keys(tiny: Any) -> Any:
    return [row["key"] for row in reversed(tiny.json("ps"))] if tiny.store.exists() else []


def test_one_event_is_durable_when_the_command_ends(tiny: Any) -> None:
    answer = tiny.json("emit", "order-placed", '{"order_id": "o1", "amount": 1}', "--id", "c1")
    assert (answer["id"], answer["key"]) == ("c1", "o1")
    assert keys(tiny) == ["o1"]


def test_the_same_id_twice_is_the_same_event(tiny: Any) -> None:
    first, second = (tiny.json("emit", "order-placed", '{"order_id": "o1", "amount": 1}', "--id", "c1") for _ in "12")
    assert first["process"] == second["process"]
    assert keys(tiny) == ["o1"]
    other = tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 2}', "--id", "c1")
    assert other.exit_code == 1


@pytest.mark.parametrize(
    ("type", "data", "reason"),
    [
        ("nonsense", "{}", "unknown event type 'nonsense'"),
        ("order-placed", '{"order_id": 5}', "does not fit OrderPlaced"),
        ("order-placed", "{", "does not fit OrderPlaced"),
        ("order-placed", '"' + "x" * (1 << 20) + '"', "the payload is too large"),
    ],
)
def test_a_bad_event_is_refused_and_nothing_is_written(tiny: Any, type: Any, data: Any, reason: Any) -> None:
    result = tiny.run("emit", type, data)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 3
    assert keys(tiny) == []


def test_a_file_is_emitted_in_its_order(tiny: Any, lines: Any) -> None:
    path = lines(GOOD % "o1", "", GOOD % "o2")
    assert tiny.json("emit", "--file", str(path)) == {"accepted": 2, "processes": 2, "refused": []}
    assert keys(tiny) == ["o1", "o2"]


def test_the_same_file_twice_emits_nothing_twice(tiny: Any, lines: Any) -> None:
    path = lines(GOOD % "o1", GOOD % "o1")
    for _ in range(2):
        assert tiny.run("emit", "-f", str(path)).exit_code == 0
    assert keys(tiny) == ["o1", "o1"]


def test_it_stops_at_the_first_bad_line_and_keeps_what_was_before(tiny: Any, lines: Any) -> None:
    path = lines(GOOD % "o1", BAD, GOOD % "o3")
    result = tiny.run("emit", "-f", str(path))
    assert result.exit_code == 1
    assert "line 2: order-placed: the payload does not fit" in result.stderr
    assert "--from-line 2" in result.stderr
    assert keys(tiny) == ["o1"]


NAMED = '{"id": "%s", "type": "order-placed", "data": {"order_id": "%s", "amount": 1}}'


@pytest.mark.parametrize("place", [0, 3, PAGE_LINES_MAX - 1, PAGE_LINES_MAX, PAGE_LINES_MAX + 1, 3 * PAGE_LINES_MAX])
def test_nothing_behind_a_line_that_only_the_node_can_refuse_is_written(tiny: Any, lines: Any, place: int) -> None:
    tiny.json("emit", "order-placed", '{"order_id": "first", "amount": 2}', "--id", "c1")
    good = [GOOD % f"o{number}" for number in range(3 * PAGE_LINES_MAX + 10)]
    good[place] = NAMED % ("c1", "first")
    path = lines(*good)
    result = tiny.run("emit", "-f", str(path))
    assert result.exit_code == 1
    assert f"line {place + 1}: an event with id c1 was admitted before, with another payload" in result.stderr
    assert f"--from-line {place + 1}" in result.stderr
    assert stored(tiny) == ["first", *(f"o{number}" for number in range(place))]
    answer = tiny.json("emit", "-f", str(path), "--continue", code=1)
    assert (answer["accepted"], [bad["line"] for bad in answer["refused"]]) == (len(good) - 1, [place + 1])
    assert stored(tiny) == ["first", *(f"o{number}" for number in range(len(good)) if number != place)]


@pytest.mark.parametrize("place", [0, 3, 100])
def test_nothing_behind_a_line_that_a_running_node_refuses_is_written(
    tiny: Any, lines: Any, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tiny.folder))
    good = [GOOD % f"o{number}" for number in range(200)]
    good[place] = NAMED % ("c1", "first")
    path = lines(*good)

    async def story() -> None:
        app, url = tiny.app(), f"sqlite:///{tiny.store}"
        async with app.run(url) as node, connect(url, app) as client:
            data = b'{"order_id": "first", "amount": 2}'
            await node.emit_envelope(Envelope(id="c1", source=SOURCE, type="order-placed", data=data))
            sender = Sender(app)
            with path.open("rb") as file:
                await sender.send(client, file)
            assert [bad.number for bad in sender.bad] == [place + 1]
            assert sender.accepted == place

    asyncio.run(story())
    assert sorted(placed(tiny)) == sorted(["first", *(f"o{number}" for number in range(place))])


def placed(tiny: Any) -> list[str]:
    return [row["key"] for row in tiny.json("ps", "--limit", "1000")]


def stored(tiny: Any) -> list[str]:
    return [row[0] for row in sqlite3.connect(tiny.store).execute("SELECT key FROM onstage_event ORDER BY n")]


def test_an_id_that_a_file_uses_twice_for_different_events_is_refused_the_second_time(tiny: Any, lines: Any) -> None:
    result = tiny.run("emit", "-f", str(lines(NAMED % ("c1", "o1"), NAMED % ("c1", "o2"), GOOD % "o3")))
    assert result.exit_code == 1
    assert "line 2: an event with id c1 was admitted before" in result.stderr
    assert keys(tiny) == ["o1"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD % ("k" * 513), "order-placed: the key is too long"),
        ('{"type": "order-placed", "datacontenttype": "x/y", "data_base64": "%s"}', "nests deeper than"),
        ('{"type": "order-placed"}', "does not fit OrderPlaced"),
    ],
)
def test_what_can_be_checked_here_is_refused_before_anything_of_it_is_sent(
    tiny: Any, lines: Any, bad: Any, reason: Any
) -> None:
    bad = bad.replace("%s", b64encode(b"[" * 500 + b"]" * 500).decode())
    result = tiny.run("emit", "-f", str(lines(GOOD % "o1", bad, GOOD % "o3")))
    assert result.exit_code == 1
    assert reason in result.stderr
    assert keys(tiny) == ["o1"]


def test_with_continue_every_bad_line_is_reported_at_the_end(tiny: Any, lines: Any) -> None:
    path = lines("{", GOOD % "o2", BAD, GOOD % "o4")
    answer = tiny.json("emit", "-f", str(path), "--continue", code=1)
    assert (answer["accepted"], [bad["line"] for bad in answer["refused"]]) == (2, [1, 3])
    assert keys(tiny) == ["o2", "o4"]


def test_it_can_begin_at_a_line(tiny: Any, lines: Any) -> None:
    path = lines(BAD, GOOD % "o2")
    assert tiny.run("emit", "-f", str(path), "--from-line", "2").exit_code == 0
    assert keys(tiny) == ["o2"]


def test_a_dash_reads_stdin(tiny: Any) -> None:
    result = tiny.run("emit", "-", input=GOOD % "o1")
    assert result.exit_code == 0, result.output
    assert keys(tiny) == ["o1"]


def test_without_a_node_it_says_that_the_event_waits(tiny: Any) -> None:
    result = tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 1}', "--wait")
    assert result.exit_code == 3
    assert "waits for `onstage run`" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("order-placed",), ("order-placed", "{}", "-f", "x"), ("-f", "x", "--id", "1"), ("-f", "nowhere.jsonl")],
)
def test_wrong_arguments_are_a_usage_error(tiny: Any, arguments: Any) -> None:
    assert tiny.run("emit", *arguments).exit_code == 2


def test_a_wrong_wait_is_a_usage_error(tiny: Any) -> None:
    assert tiny.run("emit", "order-placed", "{}", "--wait", "soon").exit_code == 2


def test_nothing_is_emitted_into_an_observers_store(tiny: Any, lines: Any) -> None:
    play_apart(tiny, ("o1", 5))
    path = lines('{"type": "order-placed", "data": {"order_id": "o2", "amount": 1}}')
    for what in (["order-placed", '{"order_id": "o2", "amount": 1}'], ["--file", str(path)]):
        refused = tiny.run("emit", *what, "--store", "sqlite:///view.db")
        assert refused.exit_code == 2
        assert "view.db is an observer's store" in refused.stderr


@pytest.mark.parametrize("service", ["payment", "mail"])
def test_what_is_emitted_into_a_part_waits_for_its_node(tiny: Any, service: str) -> None:
    play_apart(tiny, ("o1", 5))
    data, store = '{"order_id": "o2", "amount": 1}', f"sqlite:///{service}.db"
    emitted = tiny.run("emit", "order-placed", data, "--wait", "5s", "--store", store)
    assert emitted.exit_code == 3
    assert "emitted order-placed" in emitted.stdout
    assert "stored and waits" in emitted.stderr
    is_owner = service == "payment"  # the other one only keeps it until it can send it there
    assert len(tiny.json("ps", "--store", store)) == 1 + is_owner
    assert tiny.json("db", "status", "--store", store)["holds"].startswith("one service's part")
