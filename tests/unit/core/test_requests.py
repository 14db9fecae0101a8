"""What the journal has, against what the code asks for."""

import pytest

from onstage.core.journal import Begun, Entry, Failed, SleepOpened, Slept, Stepped, Valued, WaitOpened
from onstage.core.requests import Request, SleepRequest, StepRequest, ValueRequest, WaitRequest, describe, fits, shown

STEP = StepRequest(0xAB)
WAIT = WaitRequest(("shop.paid",), None)
FITTING: list[tuple[Entry, Request]] = [
    (Begun("charge#0", 0xAB, "refund", b""), STEP),
    (Stepped("charge#0", 0xAB, b"1", 0, 1, 0), STEP),
    (Failed("charge#0", 0xAB, None, None, "no", 1), STEP),
    (WaitOpened("wait#0", ("shop.paid",), None), WAIT),
    (SleepOpened("sleep#0", 5), SleepRequest(3)),
    (Slept("sleep#0"), SleepRequest(3)),
    (Valued("now#0", b"1"), ValueRequest()),
]


@pytest.mark.parametrize(("entry", "request_"), FITTING, ids=lambda value: type(value).__name__)
def test_an_entry_fits_the_request_that_made_it_and_no_other_kind(entry: Entry, request_: Request) -> None:
    assert fits(entry, request_)
    others = {type(other): other for _, other in FITTING if type(other) is not type(request_)}
    assert not any(fits(entry, other) for other in others.values())


def test_other_arguments_and_other_types_do_not_fit() -> None:
    assert not fits(Stepped("charge#0", 0xAB, b"1", 0, 1, 0), StepRequest(0xAC))
    assert not fits(WaitOpened("wait#0", ("shop.paid",), None), WaitRequest(("shop.sent",), None))


def test_both_are_said_in_the_words_of_a_diff() -> None:
    assert describe(STEP) == "step with arguments 000000ab"
    assert describe(WAIT) == "wait for shop.paid"
    assert shown(Stepped("charge#0", 0xAB, b"1", 0, 1, 0)) == "charge#0: stepped with arguments 000000ab"
    assert shown(Slept("sleep#0")) == "sleep#0: slept"
