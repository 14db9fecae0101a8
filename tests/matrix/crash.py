"""One trial: a node dies at a cell, perhaps a second time on its way up, is started again, and is looked at."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.matrix.life import ENDED, KILLED, LOG, Life, live
from tests.matrix.points import Cell
from tests.matrix.witness import Witness

Change = Callable[[], None]
SURE = 0.75  # how batches fall differs from life to life, so the last hits of a point are not reached in each


def nothing() -> None:
    """No planted bug."""


@dataclass
class Tally:
    """What came of many trials."""

    lives: Counter[int] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def undisturbed(change: Change = nothing) -> Life:
    """A life that nobody disturbs; it keeps every promise, and counts how often it reaches each point."""
    with TemporaryDirectory() as folder:
        life = live(Path(folder), change=change)
        assert life.code == ENDED, (Path(folder) / LOG).read_text()
        Witness(Path(folder)).look_at_the_end()
    return life


def recovering(first: Cell) -> Life:
    """The life after a death at `first`."""
    with TemporaryDirectory() as folder:
        live(Path(folder), first)
        return live(Path(folder))


def cells(seen: dict[str, int], hits_max: int, *, killed: bool) -> list[Cell]:
    """At most so many hits of each point, spread evenly; the first one always."""
    chosen = list[Cell]()
    for point, count in sorted(seen.items()):
        top = count if count <= 2 else round(count * SURE)
        some = min(top, hits_max)
        hits = {1 + round(number * (top - 1) / max(1, some - 1)) for number in range(some)}
        chosen += [Cell(point, hit, killed) for hit in sorted(hits)]
    return chosen


def attempt(deaths: Iterable[Cell], change: Change = nothing) -> list[int]:
    """Die at each of the cells in turn, then live to the end; answers how the disturbed lives ended.

    Raises AssertionError for a broken promise, looked for after every death and at the end.
    """
    codes = list[int]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        witness, log = Witness(folder), folder / LOG
        for cell in deaths:
            codes.append(live(folder, cell, change=change).code)
            assert codes[-1] in (ENDED, KILLED), f"ended with {codes[-1]}:\n{log.read_text()}"
            witness.look()
        told = log.stat().st_size
        code = live(folder, change=change).code
        said = log.read_bytes()[told:].decode()
        witness.look()
        assert code == ENDED, f"stuck: the last life ended with {code}:\n{said}"
        witness.look_at_the_end()
        assert "ERROR" not in said, said
        assert "Traceback" not in said, said
    return codes


def attempt_all(trials: Iterable[tuple[Cell, ...]]) -> Tally:
    """Every trial, past failures."""
    tally = Tally()
    for deaths in trials:
        try:
            codes = attempt(deaths)
        except AssertionError as error:
            tally.failures.append(f"{', then '.join(map(str, deaths))}: {error}")
            continue
        tally.lives.update(codes)
        tally.reached.update(cell.point for cell, code in zip(deaths, codes, strict=True) if code == KILLED)
    return tally
