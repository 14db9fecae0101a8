"""The fixture `sim`, a simulated world around the application under test, and plain coroutine tests with it.

pytest loads this module in every project where Onstage is installed. So it lies outside the package and imports the
engine only where the fixture is used. Tests without `sim` are left to pytest and to its other plugins.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.app import App
    from onstage.testing import Sim

__all__ = ["pytest_configure", "pytest_pyfunc_call", "sim", "sim_app"]

_MARK: Final = "sim(app=None, *, seed=0, faults=()): the application, the seed and the faults of the fixture `sim`."
_CONTRACT: Final = (
    *("store_contract", "store_progress", "store_reading", "store_transactions", "store_trial", "store_writing"),
    *("broker_contract", "broker_cursors", "broker_log", "broker_service", "broker_trial"),
)
_NO_APP: Final = (
    "the fixture `sim` needs an application\n  why: {why}\n"
    '  to do: write app = "module:app" under [tool.onstage] in pyproject.toml, or a fixture `sim_app` that returns it'
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker `sim`, and let the contracts' assertions say what they compared."""
    config.addinivalue_line("markers", _MARK)
    pytest.register_assert_rewrite(*(f"onstage.testing.{name}" for name in _CONTRACT))


@pytest.fixture
def sim_app(request: pytest.FixtureRequest) -> App:
    """The application that `sim` plays: the marker's, or the one that `pyproject.toml` remembers for `onstage`.

    Override this fixture in a test file or `conftest.py` to give another one.
    """
    marker = request.node.get_closest_marker("sim")
    if marker is not None and marker.args:
        app: App = marker.args[0]
        return app
    from onstage.cli.application import load_app
    from onstage.cli.failures import Failure
    from onstage.reading.settings import find_settings

    try:
        settings = find_settings(request.path.parent)
        return load_app(settings.app, settings.folder)
    except Failure as failure:
        raise pytest.UsageError(_NO_APP.format(why=f"{failure.what}: {failure.why}")) from None


@pytest.fixture
def sim(request: pytest.FixtureRequest, sim_app: App) -> Iterator[Sim]:
    """A world with `sim_app` in it, started, and gone after the test. The marker `sim` gives a seed and faults.

    A test that takes it may be a coroutine, and needs no other plugin for that.
    """
    from onstage.testing import Sim

    marker = request.node.get_closest_marker("sim")
    with asyncio.Runner() as runner:
        world = Sim(sim_app, **({} if marker is None else marker.kwargs))
        runner.run(world.__aenter__())
        try:
            yield world
        finally:
            runner.run(world.__aexit__(None, None, None))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test that takes `sim`; another plugin that runs coroutines has made it a plain one before."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function) or not _is_ours(pyfuncitem.funcargs.get("sim")):
        return None
    taken = inspect.signature(function).parameters
    asyncio.run(function(**{name: value for name, value in pyfuncitem.funcargs.items() if name in taken}))
    return True


def _is_ours(world: Any) -> bool:
    """Whether this is our fixture: a project may have one of that name of its own. Imports nothing to find out."""
    return type(world).__module__ == "onstage.testing.sim"
