"""Run the suites, two at a time and past failures: `python tests/suites.py [SUITE ...]`.

A suite's output appears in one piece when the suite ends; a table and one line of totals close the run.
Exit code: 0 all passed, 1 something failed, 2 no such suite.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
AT_ONCE = 2
SUITE_LIMIT_S = 1700  # a suite that hangs has failed; all of them have half an hour

RUFF = [f"{BIN}/ruff"]
CONCISE = ["--quiet", "--output-format=concise"]
MYPY = [f"{BIN}/mypy", "--no-error-summary"]
PYRIGHT = [f"{BIN}/basedpyright", "--pythonpath", sys.executable]
# Suites run side by side, so none may write the shared `--last-failed` cache.
PYTEST = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]

TOLD = {"sim", "processes"}  # what these print is a result too

Command = list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """How one suite went. A tool counts as one test."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    output: str

    @property
    def summary(self) -> str:
        """The table's last column."""
        counts = {"passed": self.passed, "failed": self.failed, "skipped": self.skipped}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def example_types() -> list[Command]:
    """Check each example alone, as its user would: two examples may have files of the same name."""
    examples = sorted({path.parent for path in ROOT.glob("examples/*/*.py")})
    each = [[*MYPY, "--strict", str(example.relative_to(ROOT))] for example in examples]
    return [*each, [*PYRIGHT, "examples"]]


# In order of start, the longest first: the short ones fill the gaps.
SUITES: dict[str, list[Command]] = {
    "sim": [[f"{BIN}/onstage", "sim", "--seeds", "5000", "--workers", str(AT_ONCE), "--strict"]],
    "scenario": [[*PYTEST, "tests/scenario"]],
    "apart": [[*PYTEST, "tests/apart"]],
    "matrix": [[*PYTEST, "tests/matrix"]],
    "processes": [[*PYTEST, "tests/processes"]],
    "tour": [[*PYTEST, "tests/tour"]],
    "fuzz": [[*PYTEST, "tests/fuzz"]],
    "faults": [[*PYTEST, "tests/faults"]],
    "browser": [[*PYTEST, "tests/browser"]],
    "contract": [[*PYTEST, "tests/contract"]],
    "models": [[*PYTEST, "tests/models"]],
    "planted": [[*PYTEST, "tests/planted"]],
    "unit": [[*PYTEST, "tests/unit"]],
    "docs": [[*PYTEST, "tests/docs"]],
    "examples": example_types(),
    "types": [MYPY],
    "lint": [[*RUFF, "check", *CONCISE, "."], [*RUFF, "format", "--check", *CONCISE, "."]],
    "imports": [[f"{BIN}/lint-imports", "--no-logo"]],
    "tidy": [[*PYTEST, "tests/test_tidy.py", "tests/mutation"]],
}


def run(name: str) -> Result:
    """Run all commands of a suite and count what passed."""
    started = perf_counter()
    runs = [execute(command) for command in SUITES[name]]
    seconds = perf_counter() - started
    output = "\n".join(text for _, text in runs if text)
    is_green = all(code == 0 for code, _ in runs)
    counts = count_tests(output) if PYTEST[2] in SUITES[name][0] else {"passed": int(is_green)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    failed = failed if is_green else max(failed, 1)  # no tests at all, a crash, a hang
    return Result(name, counts.get("passed", 0), failed, counts.get("skipped", 0), seconds, output)


def execute(command: Command) -> tuple[int, str]:
    """Run one command from the root; return its exit code and all it said."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SUITE_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"{' '.join(command)}\nstopped after {SUITE_LIMIT_S} s"
    except OSError as error:
        return 1, f"{error}. `make .venv/.dev` installs the tools."
    return done.returncode, done.stdout.strip()


def count_tests(output: str) -> dict[str, int]:
    """Read pytest's closing line, such as `2 failed, 40 passed, 1 skipped in 0.31s`."""
    closing = output.rsplit("\n", 1)[-1]
    return {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|error|skipped)", closing)}


def report(results: list[Result]) -> None:
    """Print the table and the totals."""
    print(f"\n{'suite':<10}{'seconds':>8}  result")
    for result in results:
        print(f"{result.name:<10}{result.seconds:>8.1f}  {result.summary}")
    passed, failed = sum(result.passed for result in results), sum(result.failed for result in results)
    print(f"\n{passed} passed, {failed} failed", flush=True)


def main(names: list[str]) -> int:
    """Run the named suites, or all of them; return the exit code."""
    names = list(dict.fromkeys(names)) or list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        print(f"No suite called {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in as_completed([pool.submit(run, name) for name in names]):
            result = future.result()
            results[result.name] = result
            print(f"--- {result.name} {'FAILED' if result.failed else 'ok'}", flush=True)
            if result.failed or result.name in TOLD:
                print(result.output, flush=True)
    report([results[name] for name in names])
    return int(any(result.failed for result in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
