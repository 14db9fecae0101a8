"""The codes and the order of findings."""

import re
from itertools import permutations

from tests.unit.contracts.declarations import says

from onstage.contracts.check_codes import CODES, Finding, about, in_order


def finding(code: str, severity: str, handler: str) -> Finding:
    return Finding(code=code, severity=severity, what="w", mend="m", handler=handler)  # type: ignore[arg-type]


def test_codes_are_of_one_form_and_say_what_they_find() -> None:
    assert all(re.fullmatch(r"OS[1-3]\d\d", code) for code in CODES)
    assert list(CODES) == sorted(CODES)
    assert len(set(CODES.values())) == len(CODES)


def test_errors_come_first_then_codes_then_handlers() -> None:
    expected = (
        finding("OS201", "error", "a.b"),
        finding("OS101", "warning", "a.b"),
        finding("OS101", "warning", "a.c"),
        finding("OS102", "warning", "a.a"),
        finding("OS101", "info", "a.a"),
    )
    assert all(in_order(order) == expected for order in permutations(expected))


def test_a_finding_about_a_handler_names_its_service() -> None:
    found = about(says("shop.review", "placed"), "OS101", "info", "w", "m", event="placed")
    assert (found.service, found.handler, found.event) == ("shop", "shop.review", "placed")
