"""Mutation score: how many small defects in `core` and `observe` their unit tests notice.

Samples mutants by the seed that it prints, runs the unit tests that import the changed module on each in a forked
process, lists those that survived and prints the score. A mutant that exceeds its processor time is noticed too.
Exit code: 0 if the score reaches `--at-least`, 1 if not, 2 if the tests fail without any mutant.
"""

import argparse
import importlib
import importlib.util
import os
import random
import re
import resource
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from time import perf_counter
from types import CodeType, ModuleType

import pytest
from hypothesis import Phase, settings
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "src"
MODULES = sorted(path for package in ("core", "observe") for path in (SOURCE / "onstage" / package).rglob("*.py"))
TESTS = sorted(path for package in ("core", "observe") for path in (ROOT / "tests/unit" / package).rglob("test_*.py"))
UNCHANGED = ("onstage.errors", "onstage.events.duration", "onstage.events.receipt")
CPU_LIMIT_S = 30


class MutantFinder(SourceFileLoader):
    """Imports the changed source in place of one module, past every cache."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(".".join(mutant.path.relative_to(SOURCE).with_suffix("").parts), str(mutant.path))
        self.source = mutant.source

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


class ExamplesFirst:
    """A pytest plugin: tests by example run first, since a generated one takes a hundred times as long."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(getattr(item, "function", None), "hypothesis"))


def unit_tests_of(path: Path) -> list[Path]:
    """The module's own unit tests, then the others that import it."""
    importing = re.compile(rf"^from onstage\.[\w.]+(\.| import .*\b){path.stem}\b", re.MULTILINE)
    own = [test for test in TESTS if test.stem == f"test_{path.stem}"]
    return own + [test for test in TESTS if test not in own and importing.search(test.read_text())]


def try_out(tests: Sequence[Path], mutant: Mutant | None = None) -> str:
    """Run the tests in a forked process: `survived`, `killed` or `out of time`."""
    child = os.fork()
    if child == 0:
        run_tests(tests, mutant)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "out of time" if os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    code = os.WEXITSTATUS(status)
    assert code not in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}, "no tests were run"
    return "killed" if code else "survived"


def run_tests(tests: Sequence[Path], mutant: Mutant | None) -> None:
    """In the child: put the mutant in place, run the tests until the first fails, end the process."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 1))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if mutant is not None:
            sys.meta_path.insert(0, MutantFinder(mutant))
        warm = "ignore::pytest.PytestAssertRewriteWarning"  # plugins that were loaded before the fork
        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", warm, f"--rootdir={ROOT}"]
        code = pytest.main([*options, *map(str, tests)], plugins=[ExamplesFirst()])
    finally:
        os._exit(int(code))


def warm_up() -> None:
    """Load what no mutant changes, once for all children, and make generated tests repeatable."""
    package = ModuleType("onstage")  # not the real one, which imports everything, the modules to change included
    package.__path__ = [str(SOURCE / "onstage")]
    sys.modules["onstage"] = package
    for name in UNCHANGED:
        importlib.import_module(name)
    phases = (Phase.explicit, Phase.generate)  # what was noticed need not be made small
    settings.register_profile("mutation", derandomize=True, database=None, deadline=None, phases=phases)
    settings.load_profile("mutation")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="modules to change; default: all of core and observe")
    parser.add_argument("--mutants", type=int, default=500, help="how many to sample (500); 0 takes all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats a sample")
    parser.add_argument("--at-least", type=float, default=85, help="the least score in percent (85)")
    options = parser.parse_args()
    tests = {path: unit_tests_of(path) for path in [path.resolve() for path in options.files] or MODULES}
    every = [mutant for path in tests for mutant in mutants_of(path)]
    sample = random.Random(options.seed).sample(every, min(options.mutants or len(every), len(every)))
    print(f"seed {options.seed}: {len(sample)} of {len(every)} mutants", flush=True)
    warm_up()
    started = perf_counter()
    if try_out(TESTS) != "survived":
        print("The tests fail without any mutant.", file=sys.stderr)
        return 2
    ends: Counter[str] = Counter()
    for mutant in sorted(sample, key=lambda mutant: (mutant.path, mutant.line)):
        end = try_out(tests[mutant.path], mutant)
        ends[end] += 1
        if end == "survived":
            print(f"\nsurvived {mutant.path.relative_to(ROOT)}:{mutant.line}\n{mutant.diff}", flush=True)
    score = 100 * (1 - ends["survived"] / len(sample))
    said = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    print(f"\nseed {options.seed}: {said} of {len(sample)} in {perf_counter() - started:.0f} s: score {score:.1f} %")
    return int(score < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
