"""A tiny app in a folder of its own, and a way to call the command line there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from onstage.cli.application import load_app
from onstage.cli.main import cli

NUMBERS = count()

APP = """
from dataclasses import dataclass

from onstage import App, Process, Retry, Service, event, step, wait


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    amount: int


@event(key="order_id")
@dataclass(frozen=True)
class OrderApproved:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str


    order_id: str


payment, mail = Service("payment"), Service("mail")


@step
async def charge(order_id: str) -> str:
    return f"receipt {order_id}"


@payment.on(OrderPlaced, retry=Retry(attempts=1))
async def take_payment(e: OrderPlaced) -> OrderPaid:
    if e.amount < 0:
        raise ValueError("a negative amount\\x1b[31m")
    if e.amount >= 1000:
        await wait(OrderApproved, timeout="24h")
    await charge(e.order_id)
    return OrderPaid(e.order_id)


@mail.on(OrderPaid)
async def thank(e: OrderPaid) -> None:
    pass


order = Process("order", starts=OrderPlaced, done=OrderPaid, external=[OrderApproved])
app = App(payment, mail, order)
"""


@dataclass
class Tiny:
    """The folder with the app, its module and its store."""

    folder: Path
    module: str

    @property
    def store(self) -> Path:
        return self.folder / "tiny.db"

    def app(self) -> Any:
        return load_app(f"{self.module}:app", self.folder)

    def source(self) -> str:
        return (self.folder / f"{self.module}.py").read_text()

    def rewrite(self, *changes: tuple[str, str]) -> None:
        """Another version of the app: a module of another name, as nothing is imported twice."""
        text = self.source()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        before, self.module = self.module, f"tiny_app_{next(NUMBERS)}"
        (self.folder / f"{self.module}.py").write_text(text)
        settings = self.folder / "pyproject.toml"
        settings.write_text(settings.read_text().replace(before, self.module))

    def run(self, *arguments: str, input: str | None = None) -> Result:
        """Call the command line."""
        result = CliRunner().invoke(cli, list(arguments), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Call the command line with -o json; answers what it printed on stdout."""
        result = self.run(*arguments, "-o", "json")
        assert result.exit_code == code, result.output
        return msgspec.json.decode(result.stdout)

    def play(self, *orders: tuple[str, int]) -> None:
        """Run a node until each order has ended, waits, or is stuck."""
        asyncio.run(self._play(orders))

    async def _play(self, orders: tuple[tuple[str, int], ...]) -> None:
        from onstage.events.envelope import Envelope

        async with self.app().run(f"sqlite:///{self.store}") as stage:
            for key, amount in orders:
                data = msgspec.json.encode({"order_id": key, "amount": amount})
                named = ascii(key)[1:-1]  # an id has no control characters, a key may
                process = await stage.emit_envelope(Envelope(id=named, source="//test", type="order-placed", data=data))
                while (await process.verdict(timeout=0)).status == "running":
                    await process.verdict(timeout=0.02)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    module = f"tiny_app_{next(NUMBERS)}"
    (tmp_path / f"{module}.py").write_text(APP)
    settings = f'[tool.onstage]\napp = "{module}:app"\nstore = "sqlite:///tiny.db"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("ONSTAGE_STORE", "ONSTAGE_APP", "ONSTAGE_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return Tiny(tmp_path, module)


Lines = Callable[..., Path]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """Writes a file of lines."""

    def write(*texts: str) -> Path:
        path = tmp_path / "events.jsonl"
        path.write_text("".join(f"{text}\n" for text in texts))
        return path

    return write
