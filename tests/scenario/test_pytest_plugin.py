"""The pytest plugin as a user's project has it: in a folder of its own, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from dataclasses import dataclass
from onstage import App, Process, Service, event, step

@event(key="key")
@dataclass(frozen=True)
class Asked:
    key: str

@event(key="key")
@dataclass(frozen=True)
class Answered:
    key: str

desk = Service("desk")

@step(retries=3)
async def think(key: str) -> str:
    return key

@desk.on(Asked)
async def answer(e: Asked) -> Answered:
    return Answered(await think(e.key))

app = App(desk, Process("talk", starts=Asked, done=Answered))
"""
SETTINGS = """
[tool.onstage]
app = "talk:app"
[tool.pytest.ini_options]
addopts = ["--strict-markers"]
filterwarnings = ["error"]
"""
IS_ANSWERED = """
    await sim.emit(Asked("a"))
    await sim.settle()
    assert sim.outcome("a") == "Answered"
"""


def pytest_says(folder: Path, test: str, *options: str, settings: str = SETTINGS) -> str:
    (folder / "talk.py").write_text(APP)
    (folder / "pyproject.toml").write_text(settings)
    (folder / "test_talk.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:timeout", *options]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_coroutine_with_the_fixture_needs_no_more_than_the_remembered_app(tmp_path: Path) -> None:
    test = f"from talk import *\n\nasync def test_it(sim, tmp_path):\n    assert tmp_path.exists(){IS_ANSWERED}"
    assert "1 passed" in pytest_says(tmp_path, test)


def test_a_failing_assertion_in_a_coroutine_fails_the_test_and_says_what_it_compared(tmp_path: Path) -> None:
    test = f"from talk import *\n\nasync def test_it(sim):{IS_ANSWERED}    assert sim.calls(think) == 7\n"
    said = pytest_says(tmp_path, test)
    assert "1 failed" in said
    assert "assert 1 == 7" in said


def test_the_marker_gives_app_seed_and_faults(tmp_path: Path) -> None:
    test = f"""
import pytest
from onstage.testing import Crash, Fail
from talk import *

@pytest.mark.sim(app, seed=3, faults=[Fail(think, ConnectionError()), Crash(desk, after=think)])
async def test_it(sim):{IS_ANSWERED}    assert (sim.seed, sim.calls(think), sim.world.kills) == (3, 3, 1)
"""
    assert "1 passed" in pytest_says(tmp_path, test, settings="[tool.pytest.ini_options]\nstrict_markers = true\n")


def test_a_fixture_of_the_project_can_give_the_app(tmp_path: Path) -> None:
    test = f"""
import pytest, talk
from talk import *

@pytest.fixture
def sim_app():
    return talk.app

async def test_it(sim):{IS_ANSWERED}"""
    assert "1 passed" in pytest_says(tmp_path, test, settings="")


def test_without_an_app_it_says_what_to_write(tmp_path: Path) -> None:
    said = pytest_says(tmp_path, "async def test_it(sim): ...", settings="")
    assert "1 error" in said
    assert 'write app = "module:app" under [tool.onstage]' in said


@pytest.mark.parametrize("options", [(), ("-p", "no:onstage")])
def test_other_tests_are_left_alone_and_the_engine_is_not_imported(tmp_path: Path, options: tuple[str, ...]) -> None:
    test = """
import sys
import pytest

@pytest.fixture
def sim():
    return 5

def test_another_fixture_of_that_name(sim):
    assert sim == 5

def test_nothing_was_imported():
    assert not [name for name in sys.modules if name.partition(".")[0] in ("onstage", "apsw", "msgspec")]
"""
    assert "2 passed" in pytest_says(tmp_path, test, *options, settings="")


def test_a_coroutine_without_the_fixture_is_left_to_pytest(tmp_path: Path) -> None:
    said = pytest_says(tmp_path, "@__import__('pytest').fixture\ndef sim(): return 5\nasync def test_it(sim): ...\n")
    assert "async def functions are not natively supported" in said
