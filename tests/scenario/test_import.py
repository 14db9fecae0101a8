"""Importing Onstage is cheap: nothing comes along that only some users need."""

import subprocess
import sys

import pytest

HEAVY = (
    "nats", "psycopg", "starlette", "rich", "click", "pydantic", "attrs", "attr", "opentelemetry", "sqlalchemy",
    "django", "sqlite3",
)  # fmt: skip
SAY_MODULES = "import sys\nimport onstage\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("module", HEAVY)
def test_importing_onstage_pulls_in_nothing_heavy(module: str, loaded: set[str]) -> None:
    assert module not in loaded


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return set(in_a_fresh_process(SAY_MODULES).split())


def test_who_only_declares_loads_no_engine() -> None:
    """Stores, the node and its socket come with the first `run` or `connect`."""
    modules = set(in_a_fresh_process("import sys\nimport onstage\nprint(*sys.modules)").split())
    assert modules.isdisjoint({"apsw", "onstage.assembly", "onstage.stage", "onstage.runtime.node", "onstage.stores"})


def test_a_broker_that_is_not_opened_needs_no_client_library() -> None:
    code = """
from onstage.brokers.nats.broker import NatsBroker
NatsBroker("nats://localhost", environ={})
"""
    assert {"nats", "nkeys"}.isdisjoint(in_a_fresh_process(code + SAY_MODULES).split())


def test_what_is_looked_for_is_really_looked_for(loaded: set[str]) -> None:
    assert {"onstage", "msgspec", "asyncio"} <= loaded


def test_an_app_with_a_handler_pulls_in_nothing_heavy_either() -> None:
    code = """
from dataclasses import dataclass
from onstage import App, Service, event, step
@event
@dataclass
class Placed:
    id: str
shop = Service("shop")
@shop.on(Placed)
async def take(e: Placed) -> None: ...
App(shop).run("memory:")
"""
    loaded = set(in_a_fresh_process(code + SAY_MODULES).split())
    assert loaded.isdisjoint(HEAVY)
