"""What the doctor says about one thing."""

import pytest

from onstage.cli.finding import bytes_shown


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (4 << 20, "4.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_are_said_as_people_say_them(count: int, text: str) -> None:
    assert bytes_shown(count) == text
