"""Rules about requests."""

from collections.abc import Callable, Iterator

from hypothesis import given
from tests.unit.contracts.declarations import app, manifests, says

from onstage.contracts.check_codes import Finding
from onstage.contracts.check_requests import ASKS_FINE, ask_chains, asked_back, many_asks, two_answers, unanswered
from onstage.contracts.event_graph import EventGraph
from onstage.contracts.manifest import AppManifest, HandlerManifest

Rule = Callable[[EventGraph], Iterator[Finding]]


def found(rule: Rule, *parts: HandlerManifest) -> list[Finding]:
    return list(rule(EventGraph(app(*parts))))


def chain(length: int) -> list[HandlerManifest]:
    """A handler that asks one that asks one, so many times."""
    links = [says(f"s{n}.tell", asks=(f"q{n + 1}",), answers=f"q{n}") for n in range(1, length)]
    return [says("s0.begin", "placed", asks=("q1",)), *links, says(f"s{length}.tell", answers=f"q{length}")]


def test_two_answers_to_one_request_are_an_error() -> None:
    one, other = says("a.tell", answers="price"), says("b.tell", answers="price")
    (finding,) = found(two_answers, one, other)
    assert (finding.code, finding.severity, finding.event, finding.handler) == ("OS107", "error", "price", "b.tell")
    assert found(two_answers, one, says("b.tell", answers="stock")) == []


def test_a_request_without_an_answer_is_an_error() -> None:
    asking = says("shop.place", "placed", asks=("price",))
    (finding,) = found(unanswered, asking)
    assert (finding.code, finding.severity, finding.event) == ("OS111", "error", "price")
    assert found(unanswered, asking, says("a.tell", answers="price")) == []


def test_a_long_chain_is_found_where_it_begins() -> None:
    (finding,) = found(ask_chains, *chain(3))
    assert (finding.code, finding.severity, finding.handler) == ("OS108", "warning", "s0.begin")
    assert finding.path == ("s0.begin()", "s1.tell()", "s2.tell()", "s3.tell()")
    assert "3 services" in finding.what
    assert found(ask_chains, *chain(2)) == []


def test_a_handler_that_asks_many_is_found() -> None:
    some = tuple(f"q{number}" for number in range(ASKS_FINE))
    assert found(many_asks, says("a.x", "e", asks=some)) == []
    (finding,) = found(many_asks, says("a.x", "e", asks=(*some, "one-more")))
    assert (finding.code, finding.handler) == ("OS109", "a.x")


def test_a_question_that_comes_back_is_found_with_its_way() -> None:
    there, back = says("a.tell", asks=("q",), answers="p"), says("b.tell", asks=("p",), answers="q")
    (finding,) = found(asked_back, there, back)
    assert (finding.code, finding.severity) == ("OS110", "warning")
    assert finding.path == ("a.tell()", "b.tell()", "a.tell()")
    (alone,) = found(asked_back, says("a.tell", asks=("p",), answers="p"))
    assert alone.path == ("a.tell()", "a.tell()")
    assert found(asked_back, there, says("b.tell", answers="q")) == []


def test_who_leaves_its_lane_while_it_waits_may_be_asked_back() -> None:
    free = {"lane": "until-wait"}
    there, back = says("a.tell", asks=("q",), answers="p", **free), says("b.tell", asks=("p",), answers="q", **free)
    assert found(asked_back, there, back) == []
    assert found(asked_back, there, says("b.tell", asks=("p",), answers="q")) != []


@given(manifests(most=5))
def test_a_question_comes_back_exactly_if_a_handler_reaches_itself(manifest: AppManifest) -> None:
    reach = {(a.name, b.name) for a in manifest.handlers for b in manifest.handlers if b.answers in a.asks}
    for _ in manifest.handlers:
        reach |= {(a, d) for a, b in reach for c, d in reach if b == c}
    findings = found(asked_back, *manifest.handlers)
    assert bool(findings) == any(a == b for a, b in reach)
    assert all((each.handler, each.handler) in reach for each in findings)
