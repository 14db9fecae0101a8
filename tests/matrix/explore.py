"""Every hit of every point: `python -m tests.matrix.explore [HITS [DOUBLES [SEED]]]`. It prints what it tried."""

import random
import sys
from time import perf_counter

from tests.matrix.crash import attempt_all, cells, recovering, undisturbed
from tests.matrix.life import KILLED
from tests.matrix.points import Cell

DEFAULTS = (1000, 200, 1)  # all hits, so many double crashes, drawn from this seed


def main(numbers: list[int]) -> int:
    """Both columns, then double crashes; the exit code says whether a promise was broken."""
    hits_max, doubles, seed = (*numbers, *DEFAULTS[len(numbers) :])
    seen, chance, failed = undisturbed().seen, random.Random(seed), 0
    firsts = cells(seen, hits_max, killed=True)
    seconds = cells(recovering(Cell("before sql: commit", 9)).seen, hits_max, killed=True)
    columns = {
        "killed": [(cell,) for cell in firsts],
        "error": [(cell,) for cell in cells(seen, hits_max, killed=False)],
        "killed twice": [(chance.choice(firsts), chance.choice(seconds)) for _ in range(doubles)],
    }
    for name, trials in columns.items():
        started = perf_counter()
        tally = attempt_all(trials)
        failed += len(tally.failures)
        print(
            f"{name}: {len(trials)} trials at {len({cell.point for trial in trials for cell in trial})} points, "
            f"{tally.lives[KILLED]} nodes died there, {len(tally.failures)} broken promises, "
            f"{perf_counter() - started:.0f} s",
            *tally.failures,
            sep="\n",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(list(map(int, sys.argv[1:]))))
