"""Whether processes can end: against all ways in which handlers may decide, tried one by one."""

from collections.abc import Mapping
from itertools import pairwise, product

from hypothesis import given, settings
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.check_completion import Completion, endless_cycles, endless_processes, ways_to_end
from onstage.contracts.event_graph import EventGraph, Ways, node_of
from onstage.contracts.manifest import AppManifest

Choice = Mapping[str, tuple[str, ...]]


def ends(graph: EventGraph, name: str, choice: Choice, before: frozenset[str] = frozenset()) -> bool:
    """Whether an event comes to its end if every handler always decides in the same way: nothing comes round."""
    if name in before:
        return False
    next_ones = [other for each in graph.gated[name] for other in choice[each.name]]
    return all(ends(graph, other, choice, before | {name}) for other in next_ones)


def completing(graph: EventGraph) -> set[str]:
    """The events that come to their end for at least one way to decide."""
    every = [[(each.name, way) for way in ways_to_end(each)] for each in graph.handlers]
    choices = [dict(choice) for choice in product(*every)]
    return {name for name in graph.types if any(ends(graph, name, choice) for choice in choices)}


@settings(max_examples=300)
@given(manifests(most=4))
def test_the_fixpoint_is_what_some_decisions_bring_to_an_end(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    completion = Completion(graph)
    can = completing(graph)
    assert {name for name in graph.types if name not in completion.stuck} == can
    for handler in graph.handlers:
        is_able = any(can.issuperset(way) for way in ways_to_end(handler))
        assert (node_of(handler) in completion.stuck) == (not is_able)


@given(manifests())
def test_each_circle_is_one_and_nothing_leads_out_of_it(manifest: AppManifest) -> None:
    completion = Completion(EventGraph(manifest))
    for path in completion.circles:
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1 >= 2
        assert all(b in completion.graph.after(a) for a, b in pairwise(path))
        assert completion.stuck.issuperset(path)
        for node in Ways([path[0]], completion.after):
            assert path[0] in Ways([node], completion.after), "a way leads out"
    assert bool(completion.circles) == bool(completion.stuck)


@given(manifests())
def test_a_process_is_reported_exactly_if_a_start_cannot_complete(manifest: AppManifest) -> None:
    completion = Completion(EventGraph(manifest))
    reported = {(each.what.split()[1].rstrip(","), each.event) for each in endless_processes(completion)}
    stuck = {(each.name, name) for each in manifest.processes for name in each.starts if name in completion.stuck}
    assert reported == stuck


def test_a_circle_without_a_way_out_is_an_error_with_its_path() -> None:
    completion = Completion(EventGraph(app(says("s.again", "tried", "failed"), says("t.again", "failed", "tried"))))
    (finding,) = endless_cycles(completion)
    assert (finding.code, finding.severity, finding.service) == ("OS201", "error", "t")
    assert finding.path == ("failed", "t.again()", "tried", "s.again()", "failed")


def test_a_circle_that_leads_into_another_is_not_the_innermost() -> None:
    completion = Completion(
        EventGraph(app(says("s.outer", "tried", "tried + beaten"), says("t.inner", "beaten", "beaten")))
    )
    assert completion.stuck >= {"tried", "beaten"}
    assert completion.circles == [("beaten", "t.inner()", "beaten")]


def test_a_way_out_anywhere_is_enough() -> None:
    out = app(says("s.again", "tried", "failed | -"), says("t.again", "failed", "tried"))
    assert Completion(EventGraph(out)).stuck == frozenset()


def test_all_gating_handlers_must_get_out_and_others_need_not() -> None:
    both = (says("s.again", "tried", "tried"), says("t.note", "tried", "-"))
    assert Completion(EventGraph(app(*both))).stuck == {"tried", "s.again()"}
    listening = says("s.again", "tried", "tried", gating=False)
    assert "tried" not in Completion(EventGraph(app(listening, both[1]))).stuck


def test_one_alternative_needs_all_its_events() -> None:
    loop = says("s.loop", "round", "round")
    both = Completion(EventGraph(app(loop, says("t.go", "begun", "round + ended"))))
    assert "begun" in both.stuck
    one = Completion(EventGraph(app(loop, says("t.go", "begun", "round | ended"))))
    assert "begun" not in one.stuck


def test_who_may_reject_or_is_not_known_gets_out() -> None:
    assert not Completion(EventGraph(app(says("s.again", "tried", "tried", rejects=True)))).stuck
    assert not Completion(EventGraph(app(says("s.again", "tried", "tried", alternatives=())))).stuck


def test_a_circle_that_takes_time_or_was_not_read_is_a_warning() -> None:
    for unsure in ({"timer": True}, {"inferred": False}):
        completion = Completion(EventGraph(app(says("s.beat", "beaten", "beaten", **unsure))))
        assert [each.severity for each in endless_cycles(completion)] == ["warning"]


def test_a_process_that_only_leads_into_a_circle_is_told_the_way() -> None:
    parts = (says("a.begin", "begun", "tried"), says("b.again", "tried", "tried"), process("begun", "tried"))
    (finding,) = endless_processes(Completion(EventGraph(app(*parts))))
    assert (finding.code, finding.severity) == ("OS202", "error")
    assert finding.path == ("begun", "a.begin()", "tried")
