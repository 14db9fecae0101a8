"""Says how many cases were tried, per decoder and in all."""

from typing import Any

from tests.fuzz.trial import CASES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not CASES:
        return
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(CASES.items()))
    terminalreporter.write_line(f"fuzz: {CASES.total():,} cases ({each})")
