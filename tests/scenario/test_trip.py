"""The example with branches: it books, gives up the car alone, and loses nothing wherever it dies."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from onstage.testing import Sim

APP = Path(__file__).resolve().parents[2] / "examples/trip/app.py"


@pytest.fixture
def trip() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("trip_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["trip_app"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["trip_app"]


@pytest.mark.parametrize("with_car", [True, False])
def test_the_trip_is_booked_at_every_crash(
    trip: ModuleType, with_car: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(sim: Sim) -> None:
        sim.fail(trip.book, ConnectionError("busy"), times=2)
        await sim.emit(trip.TripAsked("t1", with_car))
        await sim.settle()
        await sim.advance("10m")
        (booked,) = sim.emitted(trip.TripBooked)
        assert booked.what == ("with a car" if with_car else "without a car")
        assert booked.price == 1600

    assert asyncio.run(Sim(trip.app, seed=3).every_crash(scenario)) > 6
    assert ("cancelled car" in capsys.readouterr().out) is not with_car
