"""Model: doors and the inbox. Events from outside come twice, at once, and around crashes.

Models `Admission` (`emit`, `_admit`, `durable`), the doors of `Batch` (`_seen_at_the_door`), and the
client that resends with the id it drew once. Each admitted event opens one obligation, whose handler settles it with a
transaction of its own: a row in its table. The look into the store is a suspension here, as the port allows, although
SQLite's reader answers at once. Abstracts from keys and processes, and from felling (`writer_model`).
"""

from collections.abc import Iterator
from typing import NamedTuple

# (identity, payload): two producers send the same event, a third something else under its id.
SENT = ((1, 1), (1, 1), (1, 2))


class Request(NamedTuple):
    stage: str = "new"  # new, looking, sent, answered, refused; known: it came a moment ago, by `recent`
    n: int = 0  # the event it is about
    upto: int = 0  # the position it waits for


class Commit(NamedTuple):
    position: int
    n: int
    event: tuple[int, int] | None  # identity and payload; None if this settles the obligation
    door: tuple[int, int] | None


class Disk(NamedTuple):
    doors: frozenset[tuple[int, int, int]] = frozenset()  # identity, payload, n
    events: frozenset[tuple[int, int, int]] = frozenset()  # the same
    settled: frozenset[int] = frozenset()
    effects: tuple[int, ...] = ()  # the handler's own table


class State(NamedTuple):
    disk: Disk
    crashes: int
    repeats: int
    requests: tuple[Request, ...]
    told: frozenset[tuple[int, int, int]] = frozenset()  # identity, payload, n: acknowledged, for ever
    # What follows is one life of the node; a crash forgets it.
    recent: frozenset[tuple[int, int, int, int]] = frozenset()  # identity, payload, n, position
    queue: tuple[Commit, ...] = ()
    duplicates: frozenset[tuple[int, int]] = frozenset()  # position, the event that was there (0: another payload)
    open: frozenset[int] = frozenset()
    written: int = 0
    settled: int = 0
    appended: int = 0
    next_n: int = 1


class DoorModel:
    def __init__(self, broken: str = "", *, sent: int = 3, crashes: int = 1, repeats: int = 0) -> None:
        self.broken = broken  # the one rule that is left out
        self.first = State(Disk(), crashes, repeats, (Request(),) * sent)

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        for place, request in enumerate(s.requests):
            yield from self._request(s, place, request)
        for n in s.open:
            settling = Commit(s.appended + 1, n, None, None)
            yield f"handle {n}", s._replace(open=s.open - {n}, queue=(*s.queue, settling), appended=s.appended + 1)
        for size in range(1, len(s.queue) + 1):
            yield f"write {size}", self._write(s, size)
        if s.written > s.settled:
            gone = {n for _, _, n, position in s.recent if position in dict(s.duplicates)}
            late = {known for known in s.recent if known[3] > s.written}
            yield "report", s._replace(settled=s.written, recent=frozenset(late), open=s.open - gone)
        if s.crashes:
            again = tuple(r if r.stage in ("answered", "refused") else Request() for r in s.requests)
            stored = frozenset(n for _, _, n in s.disk.events)
            life = State(s.disk, s.crashes - 1, s.repeats, again, s.told, open=stored - s.disk.settled)
            yield "fault crash", life._replace(next_n=max(stored, default=0) + 1)

    def _request(self, s: State, place: int, r: Request) -> Iterator[tuple[str, State]]:
        match r.stage:
            case "new":
                known = {payload: n for identity, payload, n, _ in s.recent if identity == SENT[place][0]}
                n, stage = known.get(SENT[place][1], 0), "known" if known else "looking"
                stage = "refused" if known and not n and self.broken == "trusts memory" else stage
                yield f"knock {place}", _now(s, place, stage, n, s.appended)
            case "looking":
                yield f"look {place}", self._look(s, place)
            case "sent" if r.upto <= s.settled or self.broken == "early answer":
                there = dict(s.duplicates).get(r.upto, r.n)
                yield f"answer {place}", self._answer(s, place, there) if there else _now(s, place, "refused")
            case "known" if r.upto <= s.settled:
                trusts = self.broken == "trusts memory"
                yield f"wake {place}", self._answer(s, place, r.n) if trusts else _now(s, place, "looking")
            case "answered" if s.repeats:
                yield "fault again", _now(s._replace(repeats=s.repeats - 1), place, "new")

    def _look(self, s: State, place: int) -> State:
        """`reader.doors`: what is there decides; nobody is refused for what may yet be forgotten."""
        found = [(payload, n) for identity, payload, n in s.disk.doors if identity == SENT[place][0]]
        if not found:
            return self._admit(s, place)
        payload, n = found[0]
        return self._answer(s, place, n) if payload == SENT[place][1] else _now(s, place, "refused")

    def _answer(self, s: State, place: int, n: int) -> State:
        return _now(s._replace(told=s.told | {(*SENT[place], n)}), place, "answered", n)

    def _admit(self, s: State, place: int) -> State:
        n, position, event = s.next_n, s.appended + 1, SENT[place]
        commits = [Commit(position, n, event, None if self.broken in ("row apart", "no row") else event)]
        if self.broken == "row apart":
            commits.append(Commit(position + 1, n, None, event))
        recent = frozenset(known for known in s.recent if known[0] != event[0]) | {(*event, n, position)}
        s = s._replace(recent=recent, queue=(*s.queue, *commits), appended=commits[-1].position)
        return _now(s._replace(open=s.open | {n}, next_n=n + 1), place, "sent", n, position)

    def _write(self, s: State, size: int) -> State:
        doors, events, settled = set(s.disk.doors), set(s.disk.events), set(s.disk.settled)
        effects, duplicates = s.disk.effects, set(s.duplicates)
        for position, n, event, door in s.queue[:size]:
            there = [known for known in doors if door and known[0] == door[0]]
            if event and there and self.broken != "unchecked":
                duplicates.add((position, there[0][2] if there[0][1] == event[1] else 0))
                continue
            doors |= {(*door, n)} if door else set()
            events |= {(*event, n)} if event else set()
            if not event and not door and n in {known[2] for known in events} - settled:
                settled.add(n)
                effects = (*effects, n)
        disk = Disk(frozenset(doors), frozenset(events), frozenset(settled), effects)
        written = s.queue[size - 1].position
        return s._replace(disk=disk, queue=s.queue[size:], duplicates=frozenset(duplicates), written=written)

    def wrong(self, s: State) -> str | None:
        if len({identity for identity, _, _ in s.disk.events}) < len(s.disk.events):
            return "two events for one identity"
        if not s.told <= s.disk.events:
            return "a producer was told of an event that is not there"
        return "an effect twice" if len(set(s.disk.effects)) < len(s.disk.effects) else None

    def is_done(self, s: State) -> bool:
        ended = all(request.stage in ("answered", "refused") for request in s.requests)
        stored = {n for _, _, n in s.disk.events}
        return ended and not s.queue and bool(stored) and stored == set(s.disk.effects)


def _now(s: State, place: int, stage: str, *about: int) -> State:
    requests = list(s.requests)
    requests[place] = Request(stage, *about)
    return s._replace(requests=tuple(requests))
