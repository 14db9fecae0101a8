"""What clients of a tour ask at nodes whose store does not answer."""

import msgspec

from onstage.events.answer import Answer
from onstage.testing.tour.commissions import TYPES, Commission, Commissions, commissioned_app, commissions_of
from onstage.testing.tour.repertory import tour_app
from onstage.testing.world.tape import Tape


def test_the_same_seed_asks_the_same() -> None:
    first, again, other = (
        [(at_s, each.type, each.n, each.at, each.cancelled_at) for at_s, each in commissions_of(Tape(seed))]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_other_tours_know_nothing_of_it() -> None:
    plain = {handler.full_name for service in tour_app().services for handler in service.handlers}
    more = {handler.full_name for service in commissioned_app().services for handler in service.handlers}
    assert more - plain == {"bank.quote", "post.carry", "shop.haul"}


def test_an_answer_is_compared_with_what_was_asked() -> None:
    quote = Commission(TYPES[0], 3, "shop", None)
    assert quote.complaint == "errand.get-quote 3 has no answer"
    quote.answer = Answer("x", value=msgspec.Raw(b"4"))
    assert quote.complaint == "errand.get-quote 3 was answered with b'4'"
    quote.answer = Answer("x", failure=("cancelled", "by whom"))
    assert quote.complaint == "errand.get-quote 3 ended as cancelled"
    quote.answer = Answer("x", value=msgspec.Raw(b"3"))
    assert quote.complaint is None
    endless = Commission(TYPES[1], 103, "shop", "bank", answer=Answer("x", failure=("cancelled", "by bank")))
    assert endless.complaint is None
    assert not endless.is_over, "its cancel is not known to have arrived"


def test_it_is_done_when_each_is_over() -> None:
    commissions = Commissions([(1.0, Commission(TYPES[0], 3, "shop", None))])
    assert not commissions.are_done
    commissions.go_on(2.0, {})
    assert not commissions.are_done
    commissions.asked[0].answer = Answer("x", value=msgspec.Raw(b"3"))
    assert commissions.are_done
