"""Model: one writer, hop fusion, felling, crashes.

Models `Window` (positions), `Batch` (refusals), `Writer` (batches, a commit of unknown outcome), `Node` (`append`,
`_fell`, `_reload`), `Frame.barrier` and `Recovery` (`take_up`, `sweep`). The program is a chain of three handlers: the
first and the last perform a step and settle; the one between appends a commit without journal entries (a parking, a
retry) before it settles: no journal's length tells that one follows from the other, only `after` does. Abstracts from
what rows hold, lanes, timers, doors. Reports are taken together. A commit is refused because it cannot be written
("spoilt": its execution is left to the sweep), its row is absent or settled, or it follows from a refused one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

Execution = tuple[int, int]  # which handler of the chain, and the number of its event
PARKS, LAST = 1, 2


class Commit(NamedTuple):
    position: int
    execution: Execution
    after: int
    settles: bool
    opens: Execution | None


class Run(NamedTuple):
    execution: Execution
    stage: int  # 0 ready, 1 has acted or parked, 2 to be loaded anew once `after` is settled
    after: int


class State(NamedTuple):
    crashes: int
    spoils: int
    doubts: int  # batches whose outcome the writer does not learn
    rows: frozenset[tuple[Execution, bool]] = frozenset({((0, 1), False)})  # on disk; is it settled?
    effects: frozenset[Execution] = frozenset()
    repeated: bool = False
    # What follows is one life of the node; a crash forgets it.
    durable: frozenset[tuple[int, int]] = frozenset()  # positions, and what they follow from
    felled: frozenset[int] = frozenset()
    queue: tuple[Commit, ...] = ()
    unreported: tuple[tuple[Commit, bool], ...] = ()  # refused; was it spoilt?
    doubt: tuple[int, tuple[tuple[Commit, bool], ...]] | None = None
    written: int = 0
    settled: int = 0
    appended: int = 0
    next_n: int = 2
    runs: frozenset[Run] = frozenset({Run((0, 1), 0, 0)})


class WriterModel:
    def __init__(self, broken: str = "", *, crashes: int = 2, spoils: int = 1, doubts: int = 1) -> None:
        self.broken = broken  # the one rule that is left out
        self.first = State(crashes, spoils, doubts)

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        for run in s.runs:
            yield from self._run(s._replace(runs=s.runs - {run}), *run)
        yield from self._write(s)
        if s.written > s.settled:
            yield "report", self._report(s)
        lost = {x for x, settled in s.rows if not settled} - {run.execution for run in s.runs}
        for x in lost if self.broken != "no sweep" else ():
            yield f"sweep {x}", self._reload(s, x)
        if s.crashes:  # what is open on disk is taken up, and numbers go on behind the highest one stored
            again = State(s.crashes - 1, s.spoils, s.doubts, s.rows, s.effects, s.repeated)
            runs = frozenset(Run(x, 0, 0) for x, settled in s.rows if not settled)
            yield "fault crash", again._replace(runs=runs, next_n=max(x[1] for x, _ in s.rows) + 1)

    def _run(self, s: State, x: Execution, stage: int, after: int) -> Iterator[tuple[str, State]]:
        barrier = after > s.settled and self.broken != "no barrier"
        if stage == 2 and after <= s.settled:
            yield f"load {x}", s._replace(runs=s.runs | {Run(x, 0, 0)}) if (x, False) in s.rows else s
        elif stage == 0 and x[0] == PARKS:
            yield f"park {x}", _append(s, x, after, Run(x, 1, s.appended + 1), settles=False)
        elif stage == 0 and not barrier and after in s.felled and self.broken != "credulous":
            yield f"gone {x}", self._reload(s, x)
        elif stage == 0 and not barrier:
            again = s.repeated or (x, True) in s.rows
            yield f"effect {x}", s._replace(effects=s.effects | {x}, repeated=again, runs=s.runs | {Run(x, 1, after)})
        elif stage == 1:
            follower = Run((x[0] + 1, s.next_n), 0, s.appended + 1) if x[0] < LAST else None
            yield f"settle {x}", _append(s, x, after, follower, settles=True)

    def _report(self, s: State) -> State:
        """`_on_batch`: drop what refused commits brought, load anew what made them unless the commit was spoilt."""
        known = {run for run in s.runs if run.after <= s.written and (run.stage == 2 or run.after not in s.felled)}
        runs = s.runs - known | {run._replace(after=0) for run in known}  # the same, in fewer states
        told = s._replace(settled=s.written, unreported=(), runs=runs)
        for commit, spoilt in s.unreported:  # what waits at the barrier is told there
            brought = {run for run in told.runs if run[0] == commit.opens and (run.stage or run[0][0] == PARKS)}
            told = told._replace(runs=told.runs - brought)
            told = told if spoilt else self._reload(told, commit.execution)
        return told

    def _reload(self, s: State, x: Execution) -> State:
        upto = s.appended if s.appended > s.settled and self.broken != "hasty" else 0  # what is on its way
        return s._replace(runs=s.runs - {run for run in s.runs if run.execution == x} | {Run(x, 2, upto)})

    def _write(self, s: State) -> Iterator[tuple[str, State]]:
        if s.doubt is not None and self.broken != "blind retry":
            upto, refused = s.doubt
            left = tuple(commit for commit in s.queue if commit.position > upto)
            yield "look up", s._replace(doubt=None, queue=left, written=upto, unreported=s.unreported + refused)
            return
        for size in range(1, len(s.queue) + 1):  # a batch is all that is queued, or as much as was handed over
            for spoilt in range(-1, size if s.spoils else 0):
                batch, refused = self._batch(s, s.queue[:size], spoilt)
                upto, unreported = s.queue[size - 1].position, s.unreported + refused
                known = batch._replace(queue=s.queue[size:], doubt=None, written=upto, unreported=unreported)
                yield f"write {size}{f' without {spoilt}' if spoilt >= 0 else ''}", known
                if s.doubts:
                    yield "fault unknown outcome", batch._replace(doubts=s.doubts - 1, doubt=(upto, refused))

    def _batch(self, s: State, commits: tuple[Commit, ...], spoilt: int) -> tuple[State, Any]:
        rows, durable, felled, refused = set(s.rows), set(s.durable), set(s.felled), []
        for place, commit in enumerate(commits):
            known = {"no felling": set[int](), "forgetful": felled - s.felled}.get(self.broken, felled)
            if place == spoilt or commit.after in known or (commit.execution, False) not in rows:
                felled.add(commit.position)
                refused.append((commit, place == spoilt))
                continue
            durable.add((commit.position, commit.after))
            rows ^= {(commit.execution, False), (commit.execution, True)} if commit.settles else set()
            rows |= {(commit.opens, False)} if commit.opens else set()
        s = s._replace(rows=frozenset(rows), durable=frozenset(durable), felled=frozenset(felled))
        return s._replace(spoils=s.spoils - (spoilt >= 0)), tuple(refused)

    def wrong(self, s: State) -> str | None:
        durable, stored = {position for position, _ in s.durable}, {x for x, _ in s.rows}
        if not {after for _, after in s.durable} <= durable | {0}:
            return "orphan: a durable commit follows from one that is not"
        if not s.effects <= stored:
            return "an effect before what led to it was durable"
        if sorted(x[0] + 1 for x, settled in s.rows if settled and x[0] < LAST) != sorted(x[0] for x in stored if x[0]):
            return "a settled execution without its follower, or a follower without its cause"
        if any((position in durable) == (position in s.felled) for position in range(1, s.settled + 1)):
            return "the loop was told something else than is on disk"
        return "an effect again after its result was durable" if s.repeated else None

    def is_done(self, s: State) -> bool:
        return not s.runs and s.settled == s.appended and all(settled for _, settled in s.rows)


def _append(s: State, x: Execution, after: int, then: Run | None, *, settles: bool) -> State:
    opens = then.execution if settles and then else None
    queue = (*s.queue, Commit(s.appended + 1, x, after, settles, opens))
    s = s._replace(appended=s.appended + 1, queue=queue, next_n=s.next_n + (opens is not None))
    return s._replace(runs=s.runs | {then}) if then else s
