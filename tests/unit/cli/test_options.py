"""What every command takes."""

from typing import Any

import pytest

from onstage.cli.failures import Failure
from onstage.cli.options import confirmed


def test_the_store_is_the_option_then_the_environment_then_the_settings_then_the_default(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tiny.run("db", "path").stdout.strip().endswith("tiny.db")
    monkeypatch.setenv("ONSTAGE_STORE", "sqlite:///env.db")
    assert tiny.run("db", "path").stdout.strip().endswith("env.db")
    assert tiny.run("db", "path", "--store", "sqlite:///option.db").stdout.strip().endswith("option.db")
    monkeypatch.delenv("ONSTAGE_STORE")
    (tiny.folder / "pyproject.toml").unlink()
    assert tiny.run("db", "path").stdout.strip().endswith("onstage.db")


def test_settings_hold_in_folders_below(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tiny.folder / "below").mkdir()
    monkeypatch.chdir(tiny.folder / "below")
    assert tiny.run("db", "path").stdout.strip() == str(tiny.store)
    assert tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 1}').exit_code == 0
    assert tiny.store.exists()


def test_a_memory_store_and_an_unknown_kind_cannot_be_looked_at(tiny: Any) -> None:
    assert tiny.run("ps", "--store", "memory:").exit_code == 2
    assert tiny.run("ps", "--store", "postgresql://x/y").exit_code == 2


def test_a_yes_is_enough_and_without_a_terminal_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confirmed("drop all?", yes=True)
    with pytest.raises(Failure, match="--yes"):
        confirmed("drop all?", yes=False)


def test_the_broker_is_the_option_then_the_environment_then_the_settings(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.folder / "pyproject.toml"
    settings.write_text(f'{settings.read_text()}broker = "nats://remembered"\n')

    def written(*arguments: str) -> str:
        tiny.json("deploy", "procfile", "--force", *arguments)
        return (tiny.folder / "Procfile").read_text().split()[-1]

    assert written() == "nats://remembered"
    monkeypatch.setenv("ONSTAGE_BROKER", "nats://surrounding")
    assert written() == "nats://surrounding"
    assert written("--broker", "nats://named") == "nats://named"
    assert "which broker?" in tiny.run("deploy", "procfile", "--force", "--broker", "").stderr
