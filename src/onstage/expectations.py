"""Rules over the events of a process: `expect("order", every(OrderPlaced).leads_to(OrderShipped, within="3d"), ...)`.

The same object, given to `App(...)`, fails a test in `Sim` and tells an `onstage.process.violated` in production.
"""

from __future__ import annotations

from onstage.contracts.expectation import (
    RULES_MAX,
    Every,
    Expectation,
    at_least,
    at_least_once,
    at_most,
    at_most_once,
    before,
    both_or_neither,
    directly_before,
    each_before,
    ends_with,
    every,
    exactly,
    exactly_once,
    exactly_one_of,
    expect,
    never,
    never_both,
    one_of,
    only_if,
    starts_with,
)

__all__ = [
    "RULES_MAX",
    "Every",
    "Expectation",
    "at_least",
    "at_least_once",
    "at_most",
    "at_most_once",
    "before",
    "both_or_neither",
    "directly_before",
    "each_before",
    "ends_with",
    "every",
    "exactly",
    "exactly_once",
    "exactly_one_of",
    "expect",
    "never",
    "never_both",
    "one_of",
    "only_if",
    "starts_with",
]
