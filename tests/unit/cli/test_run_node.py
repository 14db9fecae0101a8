"""`onstage run`: what it refuses. The process itself runs in tests/scenario/test_cli.py."""

from typing import Any


def test_without_an_app_it_says_how_to_name_one(tiny: Any) -> None:
    (tiny.folder / "pyproject.toml").unlink()
    result = tiny.run("run")
    assert result.exit_code == 2
    assert "which app?" in result.stderr


def test_a_folder_that_is_missing_is_unreachable(tiny: Any) -> None:
    result = tiny.run("run", "--store", "sqlite:///no/such/folder/x.db")
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 3


def test_some_services_need_a_broker(tiny: Any) -> None:
    result = tiny.run("run", "-s", "payment")
    assert result.exit_code == 2
    assert "services=... needs a broker" in result.stderr


def test_a_service_that_is_not_there_is_refused(tiny: Any) -> None:
    result = tiny.run("run", "-s", "nobody", "--broker", "nats://h")
    assert result.exit_code == 2
    assert "there is no service nobody" in result.stderr


def test_a_store_of_whole_processes_is_not_run_apart(tiny: Any) -> None:
    tiny.play(("o1", 5))
    result = tiny.run("run", "-s", "payment", "--broker", "nats://127.0.0.1:1")
    assert result.exit_code == 3
    assert "holds whole processes" in result.stderr
