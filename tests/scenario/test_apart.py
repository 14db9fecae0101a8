"""Services apart as real processes over a real NATS server, as the command line runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from onstage.testing.nats_server import NatsServer

ONSTAGE = [sys.executable, "-m", "onstage.cli.main"]
LIMIT_S = 30

APP = """
from dataclasses import dataclass

from onstage import App, Process, Service, event


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderMailed:
    order_id: str


payment, mail = Service("payment"), Service("mail")


@payment.on(OrderPlaced)
async def take_payment(e: OrderPlaced) -> OrderPaid:
    return OrderPaid(e.order_id)


@mail.on(OrderPaid)
async def thank(e: OrderPaid) -> OrderMailed:
    return OrderMailed(e.order_id)


app = App(payment, mail, Process("order", starts=OrderPlaced, done=OrderMailed))
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[tool.onstage]\napp = "shop:app"\n')
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a command that runs until it is stopped; what it says goes to NAME.out and NAME.err."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *arguments: str) -> subprocess.Popen[str]:
        with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
            process = subprocess.Popen([*ONSTAGE, *arguments], cwd=folder, stdout=out, stderr=err, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.send_signal(signal.SIGINT)  # so that it can stop what it has started
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT_S)
        process.kill()
        process.wait()


@pytest.fixture
def server(folder: Path) -> Iterator[NatsServer]:
    """A server that is not started yet."""
    server = NatsServer(folder / "nats")
    yield server
    server.kill()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ONSTAGE, *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def until(path: Path, text: str, *, times: int = 1) -> str:
    """Wait until a file holds a text so often; answers all of it."""
    give_up = time.monotonic() + LIMIT_S
    while (said := path.read_text()).count(text) < times:
        assert time.monotonic() < give_up, f"{path.name} does not say {text!r} {times} times:\n{said}"
        time.sleep(0.02)
    return said


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_services_wait_for_the_broker_and_a_process_goes_through_them(
    folder: Path, start: Start, server: NatsServer
) -> None:
    broker = ("--broker", server.url)
    processes = [
        start("payment", "run", "-s", "payment", "--store", "sqlite:///payment.db", *broker),
        start("mail", "run", "-s", "mail", "--store", "sqlite:///mail.db", *broker, "-o", "json"),
        start("observer", "observe", "--store", "sqlite:///view.db", *broker),
    ]
    waiting = f"waiting for the broker: no NATS server answers at {server.url}"
    for name in ("payment", "observer"):
        assert until(folder / f"{name}.err", "\n").startswith(waiting)
        assert (folder / f"{name}.out").read_text() == ""
    assert json.loads(until(folder / "mail.out", "\n"))["broker"] == "away"

    server.start()
    ready = f"broker {server.url}, 1 service (payment), 1 handler\n"
    assert until(folder / "payment.out", ready).startswith("ready: process ")
    until(folder / "observer.out", "observing\n")
    *_, last = until(folder / "mail.out", "ready").splitlines()
    assert json.loads(last)["services"] == ["mail"]
    assert (folder / "payment.err").read_text().count("broker:") == 1, "attempts are not told"

    emitted = run(folder, "emit", "order-placed", '{"order_id": "o1"}', "--store", "sqlite:///payment.db", "--wait")
    assert emitted.returncode == 0, emitted.stderr
    assert "completed (order-mailed)" in emitted.stdout
    (row,) = json.loads(run(folder, "ps", "--store", "sqlite:///view.db", "-o", "json").stdout)
    assert (row["key"], row["verdict"], row["outcome"]) == ("o1", "completed", "order-mailed")

    server.kill()
    until(folder / "payment.err", "the broker is away: ")
    kept = run(folder, "emit", "order-placed", '{"order_id": "o2"}', "--store", "sqlite:///payment.db")
    assert kept.returncode == 0, kept.stderr
    server.start()
    until(folder / "payment.err", "the broker is back\n")
    again = run(folder, "emit", "order-placed", '{"order_id": "o3"}', "--store", "sqlite:///payment.db", "--wait")
    assert again.returncode == 0, again.stderr
    assert (folder / "payment.err").read_text().count("the broker is") == 2

    followed = run(folder, "show", "o2", "--follow", "--store", "sqlite:///view.db")
    assert "completed (order-mailed)" in followed.stdout, followed.stderr

    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(LIMIT_S) for process in processes] == [0, 0, 0]
    assert "everything accepted is durable" in (folder / "payment.err").read_text()
    said = (folder / "observer.err").read_text()
    assert re.search(r"stopped; 9 events and \d+ receipts were read", said), said
    rows = json.loads(run(folder, "ps", "--store", "sqlite:///view.db", "-o", "json").stdout)
    assert {each["key"]: each["verdict"] for each in rows} == dict.fromkeys(("o1", "o2", "o3"), "completed")


def test_a_start_without_a_broker_can_be_stopped(folder: Path, start: Start, server: NatsServer) -> None:
    commands = {"run": ("-s", "payment", "--store", "sqlite:///payment.db"), "observe": ("--store", "sqlite:///v.db")}
    for name, more in commands.items():
        process = start(name, name, *more, "--broker", server.url)
        until(folder / f"{name}.err", "waiting for the broker")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert "stopped before it was ready" in (folder / f"{name}.err").read_text()


def test_dev_runs_every_service_apart_and_anew_when_a_file_changes(folder: Path, start: Start) -> None:
    dev = start("dev", "dev", "--nats")
    out, err = folder / "dev.out", folder / "dev.err"
    until(out, "ready: ", times=3)
    store = ("--store", "sqlite:///.onstage/onstage-payment.db")
    emitted = run(folder, "emit", "order-placed", '{"order_id": "o1"}', *store, "--wait")
    assert "completed (order-mailed)" in emitted.stdout, emitted.stderr

    (mail,) = re.findall(r"^mail: process (\d+)", out.read_text(), re.MULTILINE)
    os.kill(int(mail), signal.SIGKILL)
    until(err, "mail ended with exit code -9; it is run anew when a file changes")
    os.utime(folder / "shop.py", ns=(1, 1))
    said = until(out, "1 service (mail)", times=2)
    pids = [int(pid) for pid in re.findall(r": process (\d+)", said)]
    (port,) = re.findall(r"nats://127.0.0.1:(\d+), data in", err.read_text())

    dev.send_signal(signal.SIGINT)
    assert dev.wait(LIMIT_S) == 0
    assert err.read_text().endswith("stopped\n")
    assert not [pid for pid in pids if is_alive(pid)]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0, "the server still runs"
    (row,) = json.loads(run(folder, "ps", "--store", "sqlite:///.onstage/view.db", "-o", "json").stdout)
    assert row["verdict"] == "completed"


DESK = """
from onstage.verdicts import ProcessCompleted

desk = Service("desk")


@desk.on(ProcessCompleted)
async def file(e: ProcessCompleted) -> None: ...


app = App(payment, mail, desk, Process("order", starts=OrderPlaced, done=OrderMailed))
"""


def test_a_handler_hears_of_each_end_once_although_the_observer_is_killed_and_replaced(
    folder: Path, start: Start, server: NatsServer
) -> None:
    (folder / "shop.py").write_text(APP + DESK)
    server.start()
    broker = ("--broker", server.url)
    for name in ("payment", "mail", "desk"):
        start(name, "run", "-s", name, "--store", f"sqlite:///{name}.db", *broker)
        until(folder / f"{name}.out", "ready")

    def heard() -> list[str]:
        """The keys of the orders whose end was told and handled."""
        said = run(folder, "ps", "--type", "onstage.process.completed", "--store", "sqlite:///desk.db", "-o", "json")
        events = [json.loads(line) for line in _told(folder)]
        assert len(events) == len(json.loads(said.stdout)), said.stderr
        return sorted(each["key"] for each in events)

    def ordered(key: str) -> None:
        store = ("--store", "sqlite:///payment.db")
        emitted = run(folder, "emit", "order-placed", f'{{"order_id": "{key}"}}', *store, "--wait")
        assert "completed (order-mailed)" in emitted.stdout, emitted.stderr

    observer = start("observer", "observe", "--store", "sqlite:///view.db", *broker)
    until(folder / "observer.out", "observing\n")
    ordered("o1")
    until_told(folder, 1)
    observer.kill()
    observer.wait()
    start("other", "observe", "--store", "sqlite:///other.db", *broker)
    until(folder / "other.out", "observing\n")
    ordered("o2")
    until_told(folder, 2)
    assert heard() == ["o1", "o2"]


def _told(folder: Path) -> list[str]:
    sql = (
        "select cast(e.data as text) data from onstage_event e join onstage_type t on t.id = e.type"
        " where t.name = 'onstage.process.completed'"
    )
    said = run(folder, "sql", sql, "--store", "sqlite:///desk.db", "-o", "json")
    return [row["data"] for row in json.loads(said.stdout or "[]")]


def until_told(folder: Path, times: int) -> None:
    """Wait until so many ends were told at the desk."""
    give_up = time.monotonic() + LIMIT_S
    while len(_told(folder)) < times:
        assert time.monotonic() < give_up, f"not told {times} times"
        time.sleep(0.1)
