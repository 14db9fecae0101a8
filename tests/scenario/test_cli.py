"""The command line as real processes: a node, a second one, a bad file, a polite stop and a kill -9."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ONSTAGE = [sys.executable, "-m", "onstage.cli.main"]
LIMIT_S = 30

APP = """
import asyncio
from dataclasses import dataclass
from pathlib import Path

from onstage import App, Process, Service, event, step


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@step
async def charge(order_id: str) -> None:
    if order_id.startswith("slow"):
        Path("began").touch()
        await asyncio.sleep(1)


payment = Service("payment")


@payment.on(OrderPlaced)
async def take_payment(e: OrderPlaced) -> OrderPaid:
    await charge(e.order_id)
    return OrderPaid(e.order_id)


app = App(payment, Process("order", starts=OrderPlaced, done=OrderPaid))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[tool.onstage]\napp = "shop:app"\nstore = "sqlite:///shop.db"\n')
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command to its end."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*ONSTAGE, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    return call


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a node and wait until it says that it is ready."""
    started: list[subprocess.Popen[str]] = []

    def node() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([*ONSTAGE, "run"], cwd=folder, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"ready: process {process.pid}, sqlite:///shop.db")
        return process

    yield node
    for process in started:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def placed(key: str) -> str:
    return json.dumps({"type": "order-placed", "data": {"order_id": key}})


def keys(run: Run) -> list[str]:
    return [row["key"] for row in json.loads(run("ps", "-o", "json").stdout)]


def test_a_bad_line_stops_a_file_and_nothing_of_it_is_written(folder: Path, run: Run, start: Start) -> None:
    start()
    lines = [placed("o1"), placed("o2"), '{"type": "order-placed", "data": {"order_id": 3}}', placed("o4")]
    (folder / "orders.jsonl").write_text("\n".join(lines))
    result = run("emit", "--file", "orders.jsonl", "--wait", "10s")
    assert result.returncode == 1
    assert "line 3: order-placed: the payload does not fit OrderPlaced" in result.stderr
    assert "2  completed (order-paid)" in result.stdout
    assert keys(run) == ["o2", "o1"]


def test_a_second_node_is_refused_in_three_lines(run: Run, start: Start) -> None:
    first = start()
    second = run("run")
    assert second.returncode == 3
    assert second.stderr.splitlines()[0] == f"another node (process {first.pid}) has shop.db"
    assert len(second.stderr.splitlines()) == 3


def test_a_polite_stop_lets_a_running_step_finish(folder: Path, run: Run, start: Start) -> None:
    node = start()
    run("emit", "order-placed", '{"order_id": "slow-1"}')
    _until(folder / "began")
    node.send_signal(signal.SIGTERM)
    _, log = node.communicate(timeout=LIMIT_S)
    assert node.returncode == 0
    assert "everything accepted is durable" in log
    shown = json.loads(run("show", "slow-1", "-o", "json").stdout)
    assert shown["events"][0]["executions"][0]["journal"] == ["step charge"]


def test_the_second_signal_stops_at_once(folder: Path, run: Run, start: Start) -> None:
    node = start()
    run("emit", "order-placed", '{"order_id": "slow-1"}')
    _until(folder / "began")
    node.send_signal(signal.SIGTERM)
    assert node.stderr is not None
    assert "SIGTERM" in node.stderr.readline()
    node.send_signal(signal.SIGTERM)
    assert node.wait(LIMIT_S) == 128 + signal.SIGTERM


def test_after_a_kill_everything_can_be_read_and_the_next_node_goes_on(folder: Path, run: Run, start: Start) -> None:
    node = start()
    run("emit", "order-placed", '{"order_id": "slow-1"}')
    _until(folder / "began")
    node.kill()
    node.wait(LIMIT_S)
    listed = run("ps")
    assert listed.returncode == 0
    assert "slow-1" in listed.stdout
    assert "no node runs on this store" in listed.stderr
    assert run("doctor").returncode == 0
    start()
    answer = run("emit", "order-placed", '{"order_id": "o2"}', "--wait", "10s")
    assert answer.returncode == 0, answer.stderr
    followed = run("show", "slow-1", "--follow")
    assert followed.returncode == 0
    assert "completed (order-paid)" in followed.stdout


def test_a_dead_node_on_the_same_file_is_no_hindrance_for_many_lines(folder: Path, run: Run, start: Start) -> None:
    (folder / "many.jsonl").write_text("\n".join(placed(f"o{n}") for n in range(300)))
    assert run("emit", "-f", "many.jsonl").returncode == 0
    start()
    again = run("emit", "-f", "many.jsonl", "--wait", "20s", "-o", "json")
    answer = json.loads(again.stdout)
    assert answer == {"accepted": 300, "processes": 300, "refused": [], "verdicts": {"completed (order-paid)": 300}}


def test_dev_runs_the_app_anew_when_a_file_changes(folder: Path) -> None:
    command = [*ONSTAGE, "dev", "--no-ui"]
    dev = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert dev.stdout is not None
        assert dev.stdout.readline().startswith("ready:")
        assert "payment.take_payment: order-placed -> order-paid" in dev.stdout.readline()
        os.utime(folder / "shop.py", ns=(1, 1))
        assert dev.stdout.readline().startswith("ready:")
        dev.send_signal(signal.SIGINT)
        assert dev.wait(LIMIT_S) == 0
    finally:
        dev.terminate()
        dev.communicate(timeout=LIMIT_S)


def test_dev_answers_with_the_web_ui_until_it_ends(folder: Path) -> None:
    dev = subprocess.Popen([*ONSTAGE, "dev"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert dev.stdout is not None
        lines = [dev.stdout.readline() for _ in range(3)]
        (url,) = [line.split()[2] for line in lines if line.startswith("web UI: ")]
        with urllib.request.urlopen(f"{url}/api/v1/services", timeout=LIMIT_S) as answer:  # noqa: S310
            names = [row["handler"] for row in json.load(answer)["handlers"]]
        assert "payment.take_payment" in names
        dev.send_signal(signal.SIGINT)
        assert dev.wait(LIMIT_S) == 0
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"{url}/api/v1/services", timeout=LIMIT_S)  # noqa: S310
    finally:
        dev.terminate()
        dev.communicate(timeout=LIMIT_S)


def _until(path: Path) -> None:
    """Wait for a file that another process makes."""
    from time import monotonic, sleep

    give_up = monotonic() + LIMIT_S
    while not path.exists():
        assert monotonic() < give_up, f"{path} did not come"
        sleep(0.01)
