"""Reading lines: what they become, and what is refused before anything of it is sent."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onstage.cli.emit_events import types_of
from onstage.cli.event_lines import LINE_BYTES_MAX, SOURCE, BadLine, check_event, opened, read_lines
from onstage.cli.failures import Failure
from onstage.errors import InvalidEvent
from onstage.events.event import define_event

DATA = '{"order_id": "o1", "amount": 1}'
SHORT = f'{{"type": "order-placed", "data": {DATA}}}'


@pytest.fixture
def read(tiny: Any) -> Any:
    types = types_of(tiny.app())
    return lambda text, **options: list(read_lines(io.BytesIO(text.encode()), types, **options))


def test_a_cloud_event_is_kept_as_it_is(read: Any) -> None:
    head = '"specversion": "1.0", "id": "c1", "source": "//shop", "type": "order-placed"'
    (line,) = read(f'{{{head}, "data": {DATA}}}')
    assert (line.number, line.envelope.id, line.envelope.source) == (1, "c1", "//shop")
    assert line.envelope.data.decode() == DATA


def test_a_line_without_an_id_is_named_by_file_and_line(read: Any) -> None:
    short = f"{SHORT}\n"
    first, second = read(short + short)
    assert first.envelope.source == SOURCE
    assert first.envelope.id.partition(":")[0] == second.envelope.id.partition(":")[0]
    assert (first.envelope.id[-2:], second.envelope.id[-2:]) == (":1", ":2")
    assert read(short)[0].envelope.id != first.envelope.id
    assert read(short)[0].envelope.id == read(short)[0].envelope.id


def test_blank_lines_count_and_windows_line_ends_do_no_harm(read: Any) -> None:
    assert [line.number for line in read(f"\r\n\n{SHORT}\r\n")] == [3]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "nonsense",
        '{"data": {}}',
        '{"specversion": "0.3", "id": "1", "source": "/x", "type": "order-placed", "data": {}}',
        '{"specversion": "1.0", "id": "1", "type": "order-placed", "data": {}}',
        '{"type": "unknown", "data": {}}',
        '{"type": "order-placed"}',
        '{"type": "order-placed", "data": ' + "[" * 300 + "]" * 300 + "}",
    ],
)
def test_what_is_no_event_of_the_app_is_refused(read: Any, text: str) -> None:
    (line,) = read(text)
    assert isinstance(line, BadLine)


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_read(read: Any) -> None:
    first, second = read("x" * (LINE_BYTES_MAX + 3_000_000) + f"\n{SHORT}")
    assert "too long" in str(first.error)
    assert (second.number, second.size) == (2, len(SHORT))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot read"), opened(str(tmp_path / "nowhere")):
        pass


def test_an_error_of_the_class_itself_is_a_refusal_of_its_line() -> None:
    @dataclass
    class Ratio:
        part: int

        def __post_init__(self) -> None:
            self.share = 1 / self.part

    with pytest.raises(InvalidEvent, match=r"does not fit .*Ratio\n  why: division by zero"):
        check_event({"ratio": define_event(Ratio, name="ratio")}, "ratio", b'{"part":0}')
