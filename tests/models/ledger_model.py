"""Model: the ledger of one process, with crashes, a wait, and timers that are late.

Models `Driver` (`commit`, `_delta`, `_parked`), `calls._wait` (listen, look, then the clock), `Mailbox`, `Node`
(`nudge`, `unpark`), `TimerLoop._fire`, `Recovery` (`_park`, `_unread`), the ledger in `Batch` (open, digest, conflicts)
and `Watch`. The root opens X and Y. X waits for mail, with a deadline or without; Y sends it. When the wait is over, X
opens Z. Tokens are bits. The look into the mailbox is a suspension. Abstracts from refusals other than conflicts.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

X, Y, Z, MAIL = 1, 2, 4, 8  # the tokens


class Commit(NamedTuple):
    who: int  # 0: nobody; a change of the digest on its own
    delta: int
    expected: int = 0  # the journal's length
    due: int | None = None
    outcome: tuple[str, int] | None = None  # how the wait ended and when; then X settles


class Run(NamedTuple):  # of X
    stage: str = "woken"  # woken, listening, looked
    length: int = 0
    due: int | None = None
    found: bool = False


class Disk(NamedTuple):
    open: frozenset[int] = frozenset({X, Y})
    digest: int = X ^ Y
    length: int = 0  # of X's journal: 1 from the first parking on, 2 when the wait is over
    due: int | None = None
    outcomes: tuple[tuple[str, int], ...] = ()
    mail: bool = False


class State(NamedTuple):
    crashes: int
    disk: Disk = Disk()
    now: int = 0
    said: bool = False  # that the process has ended
    # What follows is one life of the node; a crash forgets it.
    runs: tuple[Run, ...] = (Run(),)  # of X
    parked: bool = False
    listens: bool = False
    nudged: bool = False
    due: int | None = None
    after: int = 0
    others: frozenset[int] = frozenset({Y})  # deliveries of Y and Z
    mail_at: int = 0
    queue: tuple[Commit, ...] = ()
    settled: int = 0
    appended: int = 0


class LedgerModel:
    def __init__(self, broken: str = "", *, crashes: int = 3, deadline: bool = True) -> None:
        self.broken, self.deadline = broken, deadline  # `broken` is the one rule that is left out
        self.first = State(crashes)

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        for place, run in enumerate(s.runs):
            yield from self._run(s._replace(runs=s.runs[:place] + s.runs[place + 1 :]), run)
        if Y in s.others:
            delta = Y ^ MAIL ^ (0 if self.broken == "mail open" else MAIL)  # its mail is opened and settled at once
            sent = self._append(s._replace(others=s.others - {Y}, mail_at=s.appended + 1), Y, delta)
            sent = sent._replace(nudged=True, after=sent.appended) if s.listens else sent
            yield "send", _unpark(sent) if s.listens and s.parked else sent
        if Z in s.others:
            said = s.said or self.broken == "said early"
            yield "end", self._append(s._replace(others=s.others - {Z}, said=said), Z, Z)
        due = s.disk.due if self.broken == "double" and len(s.runs) == 1 else s.due  # double: a stale timer wakes too
        if due is not None and due <= s.now:
            yield "timer", _unpark(s)
        if s.now < max(2, s.due or 0):
            yield "tick", s._replace(now=s.now + 1)
        for size in range(1, len(s.queue) + 1):
            yield f"write {size}", self._write(s, size)
        # A batch is reported, or somebody asks for the verdict. What is no longer queued is written.
        yield "report", s._replace(settled=s.appended - len(s.queue), said=s.said or not s.disk.open)
        if s.crashes:
            yield "fault crash", self._again(s)

    def _run(self, s: State, run: Run) -> Iterator[tuple[str, State]]:
        match run.stage:
            case "woken" if s.after <= s.settled:
                due = s.disk.due if s.disk.length else s.now + 1 if self.deadline else None
                run, listens = Run("listening", s.disk.length, due), self.broken != "deaf"
                yield "listen", s._replace(runs=(*s.runs, run), listens=listens) if X in s.disk.open else s
            case "listening" if s.mail_at <= s.settled:
                yield "look", s._replace(runs=(*s.runs, run._replace(stage="looked", found=s.disk.mail)))
            case "looked":
                late = run.due is not None and run.due <= s.now + (self.broken == "early")
                outcome = "mail" if run.found else "timeout" if late else None
                yield outcome or "park", self._decided(s, run, outcome)

    def _decided(self, s: State, run: Run, outcome: str | None) -> State:
        if outcome:
            s = s._replace(listens=False, others=s.others | {Z})
            return self._append(s, X, X ^ Z, run.length, run.due, (outcome, s.now))
        s = s._replace(parked=True, listens=True, due=run.due, after=s.appended + 1)
        s = self._append(s, X, 0, run.length, run.due)
        return _unpark(s) if s.nudged else s

    def _append(self, s: State, who: int, delta: int, *more: Any) -> State:
        commits = [Commit(who, 0, *more), Commit(0, delta)] if self.broken == "apart" else [Commit(who, delta, *more)]
        return s._replace(queue=(*s.queue, *commits), appended=s.appended + len(commits))

    def _write(self, s: State, size: int) -> State:
        disk = s.disk
        for commit in s.queue[:size]:
            fits = commit.who in disk.open and (commit.who != X or commit.expected == disk.length)
            if fits or not commit.who or self.broken == "double":
                disk = _applied(disk, commit)
        return s._replace(disk=disk, queue=s.queue[size:])

    def _again(self, s: State) -> State:
        life = State(s.crashes - 1, s.disk, s.now, s.said, runs=(), others=s.disk.open - {X})
        parked = life._replace(parked=True, listens=True, due=s.disk.due)
        wakes = not s.disk.length or (s.disk.mail and self.broken != "unread")
        return life if X not in s.disk.open else _unpark(parked) if wakes else parked

    def wrong(self, s: State) -> str | None:
        disk = s.disk
        if bool(disk.open) != bool(disk.digest):
            return "the ledger is not balanced"
        if len(disk.outcomes) > 1:
            return "a wait has ended twice"
        if any(outcome == "timeout" and at < (disk.due or 0) for outcome, at in disk.outcomes):
            return "a wait was given up before its time"
        return "a verdict that is not on disk" if s.said and disk.open else None

    def is_done(self, s: State) -> bool:
        return s.said and not s.disk.open and not s.queue


def _unpark(s: State) -> State:
    return s._replace(runs=(*s.runs, Run()), parked=False, nudged=False, listens=False, due=None)


def _applied(disk: Disk, commit: Commit) -> Disk:
    disk = disk._replace(digest=disk.digest ^ commit.delta)
    if commit.who in (Y, Z):
        return disk._replace(open=disk.open - {commit.who}, mail=disk.mail or commit.who == Y)
    if commit.outcome:
        outcomes, settled = (*disk.outcomes, commit.outcome), disk.open - {X} | {Z}
        return disk._replace(length=2, due=commit.due, outcomes=outcomes, open=settled)
    return disk._replace(length=1, due=commit.due) if commit.who else disk
