"""`onstage observe`: what it refuses. The process itself runs in tests/scenario/test_apart.py."""

from typing import Any


def test_without_a_broker_it_says_how_to_name_one(tiny: Any) -> None:
    result = tiny.run("observe")
    assert result.exit_code == 2
    assert "which broker?" in result.stderr


def test_it_needs_a_file(tiny: Any) -> None:
    result = tiny.run("observe", "--broker", "nats://h", "--store", "memory:")
    assert result.exit_code == 2
    assert "memory: cannot be looked at" in result.stderr


def test_a_url_of_another_kind_is_refused(tiny: Any) -> None:
    result = tiny.run("observe", "--broker", "http://h", "--store", "sqlite:///view.db")
    assert result.exit_code == 2
    assert "http is no way to a NATS broker" in result.stderr
