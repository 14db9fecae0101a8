"""Branches: positions that do not depend on timing. Random trees, random interleavings, cut off anywhere."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.branches import Cursor, branch_path, opening_of, path_of
from onstage.core.execution import Execution
from onstage.core.journal import Entry, Stepped, decode_entry, encode_entry
from onstage.core.requests import DivergedAnswer, Perform, Recorded, StepRequest

NOW = 1_000_000


class Chance:
    """A sequence of choices from a seed (the linear congruential generator of Knuth's MMIX)."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, count: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count


@dataclass(frozen=True)
class Tree:
    """The code of a branch: names of steps, and the branches that it opens and joins in between."""

    items: tuple["str | tuple[Tree, ...]", ...]


@dataclass
class Play:
    """One run: the branches advance in an order drawn from `chance`; a step is labelled by its place in the code."""

    execution: Execution
    chance: Chance
    performed: list[str] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)
    diverged: list[str] = field(default_factory=list)

    def run(self, tree: Tree) -> None:
        self.execution.enter("")
        ready = [self.branch(tree, "", "")]
        while ready:
            place = self.chance.below(len(ready))
            line = ready[place]
            opened = next(line, None)
            if opened is None:
                ready.pop(place)
            elif opened:
                ready[place] = self.joined(line, opened, ready)
                ready += opened

    def joined(self, line: "Line", opened: "list[Line]", ready: "list[Line]") -> "Line":
        """A branch that goes on when those it has opened have ended."""
        while any(other in ready for other in opened):
            yield []
        yield from line

    def branch(self, tree: Tree, path: str, label: str) -> "Line":
        for number, item in enumerate(tree.items):
            here = f"{label}.{number}"
            self.execution.enter(path)
            if isinstance(item, str):
                position = self.execution.make(item)
                yield []  # others run between the making of a call and its doing
                yield from self.step(position, here)
                continue
            position = self.execution.make("gather")
            below = [branch_path(position, index) for index in range(len(item))]
            assert self.execution.opened_at(position) <= len(item)
            for inner in below:
                self.execution.open(inner, path)
            yield [
                self.branch(branch, inner, f"{here}/{index}")
                for index, (branch, inner) in enumerate(zip(item, below, strict=True))
            ]
        if path:
            assert self.execution.missing(path) is None

    def step(self, position: str, label: str) -> "Line":
        answer = self.execution.ask(position, StepRequest(0), NOW)
        if isinstance(answer, DivergedAnswer):
            self.diverged.append(answer.diff)
            return
        if isinstance(answer, Recorded):
            assert isinstance(answer.entry, Stepped)
            self.answered[label] = answer.entry.result.decode()
            return
        assert isinstance(answer, Perform)
        yield []  # it takes its time
        self.performed.append(label)
        self.answered[label] = label
        self.execution.tell(Stepped(position, 0, label.encode(), 0, 1, NOW))


Line = Iterator["list[Line]"]


names = st.sampled_from(["charge", "pack", "gather"])
trees: st.SearchStrategy[Tree] = st.recursive(
    st.lists(names, max_size=3).map(lambda items: Tree(tuple(items))),
    lambda inner: st.lists(names | st.lists(inner, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4).map(
        lambda items: Tree(tuple(items))
    ),
    max_leaves=8,
)
seeds = st.integers(0, 2**32)


def labels(tree: Tree, label: str = "") -> set[str]:
    found = set[str]()
    for number, item in enumerate(tree.items):
        here = f"{label}.{number}"
        if isinstance(item, str):
            found.add(here)
            continue
        for index, branch in enumerate(item):
            found |= labels(branch, f"{here}/{index}")
    return found


def first_run(tree: Tree, seed: int) -> tuple[Entry, ...]:
    play = Play(Execution(), Chance(seed))
    play.run(tree)
    assert play.execution.ended() is None
    return play.execution.take_entries()


def replayed(journal: tuple[Entry, ...], tree: Tree, seed: int) -> Play:
    play = Play(Execution([decode_entry(encode_entry(entry)) for entry in journal]), Chance(seed))
    play.run(tree)
    return play


@given(trees, seeds, seeds)
def test_whatever_the_order_of_the_branches_a_replay_answers_each_call_its_own_result(
    tree: Tree, first: int, second: int
) -> None:
    play = replayed(first_run(tree, first), tree, second)
    assert (play.diverged, play.performed) == ([], [])
    assert play.answered == {label: label for label in labels(tree)}
    assert play.execution.ended() is None


@given(trees, seeds, seeds, st.data())
def test_branches_that_are_cut_off_anywhere_go_on_where_each_of_them_was(
    tree: Tree, first: int, second: int, data: st.DataObject
) -> None:
    journal = first_run(tree, first)
    cut = data.draw(st.integers(0, len(journal)))
    play = replayed(journal[:cut], tree, second)
    assert play.diverged == []
    assert play.answered == {label: label for label in labels(tree)}
    done = [entry.result.decode() for entry in journal[:cut] if isinstance(entry, Stepped)]
    assert Counter(done + play.performed) == Counter(labels(tree)), "each step once, in this run or the one before"
    assert play.execution.ended() is None


@given(trees, seeds, seeds, st.data())
def test_a_branch_that_has_changed_is_diverged(tree: Tree, first: int, second: int, data: st.DataObject) -> None:
    journal = first_run(tree, first)
    steps = [entry for entry in journal if isinstance(entry, Stepped) and path_of(entry.position)]
    if not steps:
        return
    gone = data.draw(st.sampled_from(steps))
    path = path_of(gone.position)
    later = [entry for entry in journal if entry is not gone]
    if not any(path_of(entry.position) == path for entry in later):
        return
    play = replayed(tuple(later), tree, second)
    numbers = [entry.position for entry in journal if path_of(entry.position) == path]
    if numbers.index(gone.position) < len(numbers) - 1:
        assert play.diverged, "a new effect behind the frontier of its branch"


def test_a_flat_counter_gives_results_to_the_wrong_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With three branches of three steps and random timing, nearly every replay: hence the paths."""
    tree = Tree((tuple(Tree(("a", "b", "c")) for _ in range(3)),))
    counts = dict[int, int]()

    def make(execution: Execution, name: str) -> str:
        if name == "gather":
            return "gather#0"
        number = counts.get(id(execution), 0)
        counts[id(execution)] = number + 1
        return f"call#{number}"

    def mislabelled() -> int:
        wrong = 0
        for seed in range(1, 60):
            counts.clear()
            play = replayed(first_run(tree, 0), tree, seed)
            wrong += play.answered != {label: label for label in labels(tree)}
        return wrong

    assert mislabelled() == 0
    with monkeypatch.context() as patch:
        patch.setattr(Execution, "make", make)
        assert mislabelled() > 50


def test_a_position_tells_its_branch() -> None:
    inner = branch_path(branch_path("gather#0", 2) + "race#11", 0)
    assert inner == "gather#0/2/race#11/0/"
    assert path_of(inner + "charge#3") == inner
    assert opening_of(inner) == ("gather#0/2/race#11", 0)
    assert path_of("scope hotel#0/0/charge#3") == "scope hotel#0/0/"


@pytest.mark.parametrize(
    "position", ["charge#0", "emit onstage.start/shop.fulfil#0", "1/charge#0", "undo/gather#0/1/charge#0", "gather#0"]
)
def test_a_name_with_a_stroke_is_no_branch(position: str) -> None:
    assert path_of(position) == ""


def test_a_branch_is_behind_as_long_as_whoever_waits_for_it() -> None:
    main, branch, spawned = Cursor(), Cursor("gather#0/0/"), Cursor("spawn#0/0/")
    branch.under = main
    main.expect("charge#0")
    assert (main.is_behind, branch.is_behind, spawned.is_behind) == (True, True, False)
    assert main.take("charge") == "charge#0"
    assert not branch.is_behind


def test_fewer_branches_than_the_journal_has_are_noticed() -> None:
    execution = Execution([Stepped("gather#0/2/charge#0", 0, b"", 0, 1, NOW)])
    assert execution.opened_at(execution.make("gather")) == 3
    assert Execution().opened_at("gather#0") == 0
    assert execution.missing("gather#0/2/") == "the branch gather#0/2 ended, the journal also has gather#0/2/charge#0"


def test_a_handler_that_opens_no_branches_any_more_has_left_out_their_opening() -> None:
    execution = Execution([Stepped("gather#0/2/charge#0", 0, b"", 0, 1, NOW)])
    answer = execution.ask(execution.make("pack"), StepRequest(0), NOW)
    assert isinstance(answer, DivergedAnswer)
    assert execution.ended() == "the handler returned, the journal also has gather#0"
