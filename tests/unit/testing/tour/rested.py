"""A tour that has come to rest, whose files can be looked at and spoilt."""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from onstage.testing.checks.stored_part import StoredPart
from onstage.testing.tour.repertory import OBSERVER, SERVICES
from onstage.testing.tour.rest import come_to_rest
from onstage.testing.tour.tour_world import TourWorld

DULL: dict[str, list[int]] = {"plan": [7, 0, 0, 0, 0], "levels": []}
"""No faults, and some orders of one key at one node."""


@contextmanager
def rested(folder: Path, seed: int = 0, *, dull: bool = True) -> Iterator[TourWorld]:
    """A world at rest; with `dull` nothing went wrong in it."""
    logging.disable(logging.CRITICAL)
    world = TourWorld(seed, folder, DULL if dull else None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            world.storm()
            come_to_rest(world)
            yield world
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            world.close()
            gc.collect()
        logging.disable(logging.NOTSET)


def spoil(world: TourWorld, name: str, sql: str) -> None:
    """Change something in the file of a service, or of the observer."""
    connection = apsw.Connection(str(world.path(name)))
    connection.set_busy_timeout(1000)
    connection.execute(sql)
    connection.close(True)


def parts_of(world: TourWorld) -> dict[str, StoredPart]:
    """The stores of the services as they are now."""
    return {service: StoredPart(world.reader_of(service)) for service in SERVICES}


def watching_of(world: TourWorld) -> StoredPart:
    """The store of the observer as it is now."""
    return StoredPart(world.reader_of(OBSERVER))
