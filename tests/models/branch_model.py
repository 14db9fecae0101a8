"""Model: an execution with a race, and a branch beside it: replay, parking, events, a deadline, crashes.

Models `Frame` (weights, `park`, `settle_blocked`, `ends`, `stop`), `gather._race`, `calls._wait` and replay from the
first line. Branch 0 of the race waits for mail, branch 1 for a time; a third branch, gathered beside the race, does a
step and then another. When both have ended, it is said who has won. Mail may come at any time; a wait after the race
takes what the race has left. A crash forgets what is not in the journal.
"""

from collections.abc import Iterator
from typing import NamedTuple

MAIL, TIME = "mail", "time"


class State(NamedTuple):
    crashes: int
    now: int = 0
    mail: bool = False  # in the mailbox, for ever
    # The journal.
    taken: bool = False  # by the branch that waits
    winner: str | None = None
    steps: int = 0  # of the branch beside, whose results are recorded
    said: str | None = None  # who has won, as it went out with an effect
    later: bool = False  # the wait after the race has taken the mail
    done: bool = False
    # One run; a parked execution has none.
    runs: bool = True
    waits: bool = True  # the branch that waits is blocked, or has yet to look: False once it has ended in this run
    sleeps: bool = True
    beside: int = 0  # steps that the branch beside has passed in this run
    stepping: bool = False
    seen: str | None = None  # the winner, for the code of this run
    listens: bool = False
    due: bool = False


class BranchModel:
    def __init__(self, broken: str = "", *, crashes: int = 2) -> None:
        self.broken = broken  # the one rule that is left out
        self.first = State(crashes)

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        if not s.mail:
            woken = s.listens and not s.runs
            yield "mail", _begin(s._replace(mail=True)) if woken else s._replace(mail=True)
        if s.now < 1:
            yield "tick", s._replace(now=1)
        if s.due and not s.runs and s.now >= 1:
            yield "timer", _begin(s)
        if s.runs and not s.done:
            yield from self._race(s)
            yield from self._beside(s)
            yield from self._after(s)
            yield from self._park(s)
        if s.crashes and not s.done:
            yield "fault crash", _begin(s._replace(crashes=s.crashes - 1))

    def _race(self, s: State) -> Iterator[tuple[str, State]]:
        if s.winner is not None and s.seen is None:
            yield "replay winner", s._replace(seen=s.winner)
            return
        if s.seen is not None:
            return
        keeps = self.broken != "winner not recorded"
        if s.waits and s.mail:
            yield "won by mail", s._replace(seen=MAIL, winner=MAIL if keeps else None, taken=keeps, waits=False)
        if s.sleeps and s.now >= 1:
            taken = s.taken or (self.broken == "event kept" and s.mail)
            yield "won by time", s._replace(seen=TIME, winner=TIME if keeps else None, sleeps=False, taken=taken)

    def _beside(self, s: State) -> Iterator[tuple[str, State]]:
        if s.beside < s.steps:
            yield "replay step", s._replace(beside=s.beside + 1)
        elif s.stepping:
            yield "step ended", s._replace(stepping=False, steps=s.steps + 1, beside=s.beside + 1)
        elif s.beside < 2:
            yield "step begins", s._replace(stepping=True)

    def _after(self, s: State) -> Iterator[tuple[str, State]]:
        if s.seen is None or s.beside < 2:
            return
        if s.said is None or s.said != s.seen:
            yield "say", s._replace(said=s.seen if s.said is None else f"{s.said} {s.seen}")
        elif s.later or (s.mail and not s.taken) or s.seen == MAIL:
            yield "end", s._replace(later=s.seen != MAIL, done=True, runs=False)

    def _park(self, s: State) -> Iterator[tuple[str, State]]:
        undecided = s.seen is None
        racing = undecided and not s.mail and s.now < 1 and s.winner is None
        ended = s.beside == 2 and not s.stepping
        can_park = ended or (self.broken == "parks under a step")
        if racing and can_park:
            due = self.broken != "earliest forgotten"
            yield "park", s._replace(runs=False, listens=True, due=due, stepping=False)
        waiting = not undecided and ended and s.said == s.seen == TIME and not s.mail
        if waiting:
            yield "park after", s._replace(runs=False, listens=self.broken != "deaf", due=False)

    def wrong(self, s: State) -> str | None:
        if s.said is not None and " " in s.said:
            return "a replay had another winner"
        if s.winner == TIME and s.taken:
            return "a branch that has lost keeps its event"
        if not s.runs and not s.done and s.beside < 2:
            return "parked although a branch could go on"
        if not s.runs and not s.done and not s.due and s.seen is None:
            return "parked, and the time in one of its branches will not wake it"
        return None

    def is_done(self, s: State) -> bool:
        return s.done


def _begin(s: State) -> State:
    """Run from the first line: what is not in the journal is forgotten."""
    return s._replace(runs=True, waits=True, sleeps=True, beside=0, stepping=False, seen=None, listens=False, due=False)
