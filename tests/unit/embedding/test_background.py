"""A stage in a thread of its own: from any thread, after a fork, at the end of the interpreter."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest
from tests.unit.embedding.shop import APP, Placed

from onstage import App, Service, step
from onstage.embedding.background import Background
from onstage.errors import StoreUnavailable, UsageError

PROGRAM = """
import os, sys
from tests.unit.embedding.shop import APP, Placed
stage = APP.run("sqlite:///node.db")
"""


def run(folder: Path, body: str) -> str:
    """Run a program of its own, with warnings as errors; answers what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + dedent(body)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_many_threads_emit_and_ask(folder: Path) -> None:
    with APP.run(f"sqlite:///{folder}/node.db").run_in_background() as stage, ThreadPoolExecutor(8) as pool:
        processes = list(pool.map(lambda n: stage.emit(Placed(str(n)), id=f"id{n}"), range(40)))
        assert {str(each.verdict(timeout=10)) for each in processes} == {"completed (embed.paid)"}
        assert stage.process("7").id == processes[7].id == stage.emit(Placed("7"), id="id7").id
        assert str(stage.verdict(processes[3].id)) == "completed (embed.paid)"
        with pytest.raises(LookupError):
            stage.process("no such key")


def test_after_it_was_stopped_a_call_says_so(folder: Path) -> None:
    stage = APP.run(f"sqlite:///{folder}/node.db").run_in_background()
    stage.stop()
    stage.stop()
    for call in (stage.start, lambda: stage.emit(Placed("1")), lambda: stage.process("1")):
        with pytest.raises(UsageError, match="was stopped"):
            call()


def test_who_waits_when_it_is_stopped_is_told(folder: Path) -> None:
    stage = APP.run(f"sqlite:///{folder}/node.db").run_in_background()
    waiting, told = threading.Event(), []
    stage.start()

    def ask() -> None:
        waiting.set()
        try:
            stage._ask(asyncio.Event().wait)  # noqa: SLF001  nothing that waits for ever is public
        except UsageError as error:
            told.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    waiting.wait()
    stage.stop()
    thread.join(10)
    assert len(told) == 1
    assert "was stopped" in told[0]


def test_what_entering_raises_is_raised_and_it_may_be_tried_again(folder: Path) -> None:
    (folder / "node.db").mkdir()
    stage = Background(APP.run(f"sqlite:///{folder}/node.db"), lazy=True)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            stage.start()
    (folder / "node.db").rmdir()
    with stage:
        assert stage.emit(Placed("1")).id


def test_a_call_on_its_own_loop_is_refused_and_one_in_a_step_is_not(folder: Path) -> None:
    held: list[Background] = []
    service, answers = Service("caller"), []

    @step
    def inside(id: str) -> str:
        return held[0].emit(Placed(f"from {id}")).id

    @service.on(Placed)
    async def take(e: Placed) -> None:
        if e.id != "1":
            return
        try:
            held[0].emit(Placed("2"))
        except UsageError as error:
            answers.append(str(error))
        answers.append(await inside(e.id))

    held.append(App(service).run(f"sqlite:///{folder}/node.db").run_in_background())
    with held[0] as stage:
        assert stage.emit(Placed("1")).verdict(timeout=10).is_final
    assert "the stage's own loop" in answers[0]
    assert len(answers) == 2


def test_at_the_end_of_the_program_everything_accepted_is_done(folder: Path) -> None:
    body = """
    background = stage.run_in_background()
    background.emit(Placed("1"))
    import atexit
    atexit.register(lambda: print(stage.is_node))  # is run after the stage has ended
    """
    assert run(folder, body) == "False\n"
    assert not list(folder.glob("*-wal"))


def test_a_child_of_a_process_that_runs_it_is_refused(folder: Path) -> None:
    body = """
    background = stage.run_in_background()
    background.emit(Placed("1"))
    if os.fork() == 0:
        try:
            background.emit(Placed("2"))
        except Exception as error:
            print(type(error).__name__, "call stage.run_in_background() after the fork" in str(error), flush=True)
        background.stop()
        sys.exit()
    os.wait()
    print(background.emit(Placed("3")).verdict(timeout=10))
    """
    assert run(folder, body) == "UsageError True\ncompleted (embed.paid)\n"


def test_a_lazy_one_starts_in_each_child(folder: Path) -> None:
    body = """
    background = stage.run_in_background(lazy=True)
    for n in range(2):
        if os.fork() == 0:
            process = background.emit(Placed(str(n)))
            print(process.verdict(timeout=10), flush=True)
            sys.exit()
        os.wait()
    """
    assert run(folder, body) == "completed (embed.paid)\n" * 2


def test_a_child_does_not_keep_the_file_of_its_parent(folder: Path) -> None:
    body = """
    import signal
    background = stage.run_in_background()
    child = os.fork()
    if child == 0:
        signal.pause()
    background.stop()
    with APP.run("sqlite:///node.db").run_in_background() as other:
        print(other.emit(Placed("1")).verdict(timeout=10))
    os.kill(child, signal.SIGKILL)
    """
    assert run(folder, body) == "completed (embed.paid)\n"
