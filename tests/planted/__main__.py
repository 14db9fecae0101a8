"""Plant each bug and look for it: `python -m tests.planted [BUG ...] [--without CHECKER] [--seeds N] [--workers N]`.

A line for each bug: the checkers that complained, in which world the first of them did, in how many seconds. Bugs that
no world can show are looked for with the test that is named for them.
Exit code: 0 every bug was found, 1 one was not, 2 there is no such bug or checker.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from time import perf_counter

from tests.planted.bugs import BUGS
from tests.planted.hunt import SEEDS_MAX, Found, hunt, run_test

WIDTH = max(map(len, BUGS))


def main(given: Sequence[str]) -> int:
    """Hunt; return the exit code."""
    options = _options(given)
    named = options.bugs or list(BUGS)
    checkers = {checker for bug in BUGS.values() for checker in bug.checkers}
    if unknown := [name for name in named if name not in BUGS] + [c for c in options.without if c not in checkers]:
        print(f"There is no {', '.join(unknown)}. Bugs: {', '.join(BUGS)}. Checkers: {', '.join(sorted(checkers))}.")
        return 2
    began, missed, most = perf_counter(), 0, 0
    for found in _hunt_all(named, options):
        missed += not found.is_found
        most = max(most, found.seeds)
        print(_line(found), flush=True)
    seconds = perf_counter() - began
    print(f"{len(named) - missed} of {len(named)} planted bugs found in {seconds:.0f} s, in {most} worlds at most")
    return int(missed > 0)


def _options(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__.partition("\n")[0])
    parser.add_argument("bugs", nargs="*", metavar="BUG", help="only these")
    parser.add_argument("--without", action="append", default=[], metavar="CHECKER", help="do not listen to this one")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="how many worlds for each bug (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="how many processes (%(default)s)")
    return parser.parse_args(given)


def _hunt_all(named: list[str], options: argparse.Namespace) -> Iterator[Found]:
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        hunts = [
            pool.submit(hunt, name, without=options.without, seeds=options.seeds)
            if BUGS[name].checkers
            else pool.submit(run_test, name)
            for name in named
        ]
        for done in as_completed(hunts):
            yield done.result()


def _line(found: Found) -> str:
    if not found.seeds:
        return f"{found.name:<{WIDTH}}  {'found by' if found.is_found else 'NOT FOUND by'} {found.checkers[0]}"
    by = " ".join(found.checkers)
    if not found.is_found:
        return f"{found.name:<{WIDTH}}  NOT FOUND in {found.seeds} worlds{f', but there was {by}' if by else ''}"
    return f"{found.name:<{WIDTH}}  found by {by} in {found.seeds} worlds, {found.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
