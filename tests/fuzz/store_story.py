"""A sequence of store operations, read off a tape of small numbers; any tape is a valid sequence.

Each operation is a tuple of numbers: the first says what, the others which and how, modulo what there is just then. So
a tape stays valid when operations are taken away or numbers become zero, and shrinking is nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, final

from tests.fuzz.store_pair import Pair

from onstage.core.commit import Commit, Mail, NewEvent, ProgressRow, StateWrite, Transaction, execution_id
from onstage.core.journal import Entry, Slept, Stepped, Transacted, Valued, WaitOpened
from onstage.events.receipt import Status
from onstage.ports.store import Declaration, ExecutionView, Reader
from onstage.testing.commit_script import DECLARATION, CommitScript

__all__ = ["OPERATIONS", "Story", "Tape", "draw"]

Tape = list[tuple[int, ...]]
NUMBERS: Final = 6
_RECEIPTS: Final = 6
_SHOP: Final = DECLARATION
DECLARATIONS: Final = (
    _SHOP,
    Declaration((*_SHOP.types, ("shop.new", 1)), (("shop.new", ()), *_SHOP.handlers), _SHOP.outcomes, b"shop 2"),
    Declaration(_SHOP.types, (("shop.post", ("shop.mail",)), *_SHOP.handlers[:2]), {}, b"shop 3"),
)
TYPES: Final = ("shop.placed", "shop.paid", "shop.lost")
PAYLOADS: Final = (b"{}", b'{"to":"x"}', b'{"to":"x","by":1}', b'{"to":"y"}', b"no JSON")
KEYS: Final = (None, "k", "", "käse\0", "K")


def draw(random: Random, length: int) -> Tape:
    """A tape of so many operations."""
    weights = [weight for weight, _ in OPERATIONS]
    kinds = random.choices(range(len(OPERATIONS)), weights, k=length)
    return [(kind, *(random.randrange(1 << 16) for _ in range(NUMBERS - 1))) for kind in kinds]


class _Odd(Exception):
    """What a user's transaction raises."""


@final
class Story:
    """Plays a tape on a pair of stores."""

    def __init__(self, pair: Pair) -> None:
        """Nothing is opened before `play`."""
        self._pair = pair
        self._script: CommitScript
        self._declaration = _SHOP
        self._appended: list[Commit] = []
        self._open: dict[int, ExecutionView] = {}
        self._lengths: dict[int, int] = {}
        self._ended: list[int] = []
        self._processes: list[int] = []
        self._letters: list[Mail] = []
        self._stored: list[NewEvent] = []
        self._unsettled: list[Commit] = []
        self._doors = 0
        self._versions: dict[tuple[str, str], int] = {}

    async def play(self, tape: Tape) -> None:
        """Play all operations, then compare everything. Raises Differs."""
        self._script = CommitScript(await self._pair.open(_SHOP))
        for kind, *numbers in tape:
            await OPERATIONS[kind % len(OPERATIONS)][1](self, *numbers)
        await self.settle()
        await self.look_at_everything()

    # Commits.

    async def root(self, handlers: int, key: int, door: int, after: int, due: int) -> None:
        """An event from outside that begins a process, sometimes through the door."""
        commit = self._script.root(
            *self._handlers(handlers), declared=("order", None)[key % 2], key=KEYS[key % 5], after=self._after(after)
        )
        commit.door = self._door(door, commit.process)
        commit.events[0].data = PAYLOADS[due % len(PAYLOADS)]
        if due % 4 == 0:
            for obligation in commit.opened:
                obligation.due, obligation.gating = due, due % 8 == 0
        self._append(commit)
        self._processes.append(commit.process)

    async def joining(self, process: int, handlers: int, letters: int, after: int, door: int) -> None:
        """An event from outside that joins a process, and lies in the mailboxes of some handlers."""
        number, wanted = self._process(process), set(self._handlers(letters))
        waiting = [view for view in self._open.values() if view.status == Status.WAITING]
        if waiting and process % 4:  # most letters go to somebody who waits for one
            view = waiting[process % len(waiting)]
            number, wanted = view.process, wanted | {view.handler}
        mail = tuple(self._script.letter(name, number) for name in sorted(wanted))
        for letter in mail:
            letter.about = number if letter.n % 4 == 0 else 0
        n = self._script.next_n
        commit = self._script.joining(number, *self._handlers(handlers), mail=mail, after=self._after(after))
        commit.door = self._door(door, n)
        commit.undecided = number if door % 5 == 0 else 0
        if letters % 3 == 0:  # the version is now the next one, now another
            commit.progress = (ProgressRow(number, 1 + after % 3, door % 7 or None, "open", b"%d" % n, n % 2),)
        self._append(commit)

    async def go_on(self, execution: int, how: int, emits: int, after: int, wrong: int) -> None:
        """An execution goes on: it is done, rejected, waits, tries again, is set aside, or only records something."""
        x = self._execution(execution)
        status = _STATUSES[how % len(_STATUSES)]
        entries = self._entries(x, how)
        expected = self._lengths.get(x, 0) + {6: 1, 7: -1}.get(wrong % 20, 0)
        options: dict[str, Any] = {
            "status": int(status),
            "expected": max(expected, 0),
            "entries": entries,
            "after": self._after(after),
            "attempts": how % 4,
            "segment": how % 3,
            "started": 500 + how % 7,
            "ended": 2_000 + how % 100,
            "code": how,
            "error": f"why {how}" if status in (Status.RETRYING, Status.PARKED, Status.DIVERGED) else None,
            "due": 9_000 + how if status in (Status.WAITING, Status.RETRYING) and how % 3 else None,
            "waits": ("shop.paid", "shop.paid shop.lost")[how % 2] if status is Status.WAITING else None,
        }
        outputs = [(TYPES[(emits + n) % 3], self._handlers(emits >> 2 + n)) for n in range(emits % 4 // 2)]
        if wrong % 20 == 5:
            options["epoch"] = self._script.opened.epoch + (1 if wrong % 40 > 19 else -1)
        commit = self._script.go_on(x, self._process_of(x), *outputs, **options)
        commit.states = self._states_of(how, wrong)
        self._append(commit)
        self._lengths[x] = self._lengths.get(x, 0) + len(entries)
        if not status.is_open:
            self._open.pop(x, None)
            self._ended.append(x)

    async def transact(self, execution: int, how: int, after: int, *_: int) -> None:
        """A user's transaction: it answers an entry, or raises."""
        x, entry = self._execution(execution), Transacted(f"tx#{how % 3}", how, b"result", 0)

        def run(_: Any) -> Entry:
            if how % 3 == 0:
                raise _Odd(how)
            return entry

        options: dict[str, Any] = {"status": int(Status.RUNNING), "expected": self._lengths.get(x, 0)}
        commit = self._script.go_on(x, self._process_of(x), after=self._after(after), **options)
        commit.transaction = Transaction(run)
        self._append(commit)
        if how % 3:
            self._lengths[x] = self._lengths.get(x, 0) + 1

    async def drop(self, execution: int, *_: int) -> None:
        """An operator drops what was set aside."""
        aside = [x for x, view in self._open.items() if view.status in _ASIDE]
        if aside:
            x = aside[execution % len(aside)]
            options: dict[str, Any] = {
                "status": int(Status.DROPPED),
                "expected": self._lengths.get(x, 0),
                "attempts": 0,
            }
            self._append(self._script.go_on(x, self._process_of(x), **options))

    async def stale(self, handlers: int, newer: int, *_: int) -> None:
        """A writer of another epoch."""
        commit = self._script.root(*self._handlers(handlers))
        commit.epoch += 1 if newer % 2 else -1
        self._append(commit)

    async def defect(self, kind: int, which: int, *_: int) -> None:
        """What no engine would write: a number twice, a letter twice, a process that is not there."""
        if kind % 3 == 0:
            self._append(self._script.joining(1_000_000 + which))
            return
        commit = self._script.root()
        if kind % 3 == 1 and self._stored:
            commit.events = (self._stored[which % len(self._stored)],)
        elif self._letters:
            commit.mail = (self._letters[which % len(self._letters)],) * (1 + kind % 2)
        self._append(commit)

    # The rest.

    async def settle(self, *_: int) -> None:
        """Write everything as one batch; compare what became of each commit and what was reported."""
        self._pair.flush()
        for commit in self._unsettled:
            if await self._pair.settled(commit.position) is None:
                self._letters.extend(commit.mail)
                self._stored.extend(commit.events)
        self._unsettled.clear()
        await self._pair.compare_reports()
        await self._learn()

    async def ask_late(self, position: int, *_: int) -> None:
        """What became of an earlier commit."""
        earlier = range(1, self._pair.memory.appended - self._pair.memory.undurable + 1)
        if earlier:
            await self._pair.settled(earlier[position % len(earlier)])

    async def look(self, what: int, a: int, b: int, limit: int, c: int) -> None:
        """One question to the reader."""
        number = (*range(11), 8, 8)[what % 13]  # `unread` rarely has an answer
        if number == _RECEIPTS:
            await self._pair.receipts(f"look {number}", after=(0, b % 16)[a % 2], limit=1 + limit % 5)
            return
        await self._pair.read(f"look {number}", _questions(self, a, b, 1 + limit % 5, c)[number])

    async def restart(self, declaration: int, *_: int) -> None:
        """Close and open again, sometimes with other names."""
        self._declaration = DECLARATIONS[declaration % len(DECLARATIONS)]
        self._begin_anew(CommitScript(await self._pair.restart(self._declaration)))
        await self._learn()

    async def crash(self, flushed: int, *_: int) -> None:
        """Kill both before they have written what is appended."""
        if flushed % 2:
            self._pair.flush()
        self._begin_anew(CommitScript(await self._pair.crash(self._declaration)))
        await self._learn()

    async def look_at_everything(self) -> None:
        """All there is, page by page."""
        pair = self._pair
        for process in await pair.read("processes", lambda r: r.processes(limit=10_000)):
            await pair.read("executions", lambda r, p=process.id: r.executions(process=p, limit=10_000))  # type: ignore[misc]
            for handler in self._script.opened.handlers.values():
                await pair.read("mail", lambda r, p=process.id, h=handler: r.mail(h, p, limit=10_000))  # type: ignore[misc]
        for view in await pair.read("open executions", lambda r: r.executions(limit=10_000)):
            await pair.read("execution", lambda r, x=view.id: r.execution(x))  # type: ignore[misc]
            for field in (None, "to"):
                await pair.read("ahead", lambda r, x=view.id, f=field: r.ahead(x, statuses=_ASIDE, field=f))  # type: ignore[misc]
        for event in await pair.read("events", lambda r: r.events(limit=10_000)):
            await pair.read("answer", lambda r, n=event.n: r.answer(n))  # type: ignore[misc]
        await pair.receipts("receipts")
        await pair.read("unread", lambda r: r.unread(limit=10_000))
        await pair.read("events", lambda r: _paged(r, 3))
        await pair.read("progress", lambda r: r.progress_due(limit=10_000))
        for key in ("k0", "k1"):
            await pair.read("states of key", lambda r, k=key: r.states(key=k))  # type: ignore[misc]

    # Choosing.

    def _states_of(self, how: int, wrong: int) -> tuple[StateWrite, ...]:
        """Sometimes one or two new values of keyed states, with the version that is next, or another."""
        written: list[StateWrite] = []
        for place in [(f"s.{how % 2}", f"k{wrong % 2}")] * (how % 3 // 2 * (1 + wrong % 2)):
            version = self._versions.get(place, 0)
            expected = version + (wrong % 11 == 3)
            data = None if how % 5 == 0 else b"%d" % how
            written.append(StateWrite(*place, expected, expected + 1, how % 3, data))
            self._versions[place] = expected + 1
        return tuple(written)

    def _append(self, commit: Commit) -> None:
        commit.position = self._pair.append(commit)
        self._unsettled.append(commit)
        self._appended.append(commit)
        for obligation in commit.opened:
            self._lengths.setdefault(obligation.execution, 0)

    def _begin_anew(self, script: CommitScript) -> None:
        self._script = script
        self._appended.clear()
        self._unsettled.clear()

    async def _learn(self) -> None:
        views = await self._pair.read("open executions", lambda r: r.executions(limit=10_000))
        self._open = {view.id: view for view in views}
        states = await self._pair.read("states", lambda r: r.states(limit=10_000))
        self._versions = {(view.state, view.key): view.version for view in states}
        self._lengths = {view.id: view.length for view in views}
        self._processes = [view.id for view in await self._pair.read("processes", lambda r: r.processes(limit=10_000))]

    def _handlers(self, bits: int) -> tuple[str, ...]:
        names = [name for name, _ in self._declaration.handlers]
        return tuple(name for place, name in enumerate(names) if bits >> place & 1)

    def _process(self, number: int) -> int:
        return self._processes[number % len(self._processes)] if self._processes else self._script.next_n

    def _process_of(self, execution: int) -> int:
        if execution in self._open:
            return self._open[execution].process
        events = (event for commit in self._appended for event in commit.events if event.n == execution >> 16)
        return next((event.process for event in events), execution >> 16)

    def _execution(self, number: int) -> int:
        if number % 16 == 15:
            return execution_id(999, 1 + number % 3)  # nobody opened it
        if number % 16 == 14 and self._ended:
            return self._ended[number % len(self._ended)]
        known = list(self._lengths)
        return known[number % len(known)] if known else execution_id(998, 1)

    def _after(self, number: int) -> tuple[int, ...]:
        if not self._appended or number % 8 < 6:
            return ()
        chosen = {self._appended[-1 - (number >> shift) % min(len(self._appended), 6)].position for shift in (2, 5)}
        return tuple(sorted(chosen))

    def _door(self, number: int, n: int) -> Any:
        if number % 2:
            return None
        door = self._script.door(b"id%d" % (number >> 1 & 3), b"payload %d" % (number >> 3 & 1))
        door.n = n
        return door

    def _entries(self, execution: int, how: int) -> tuple[Entry, ...]:
        length = self._lengths.get(execution, 0)
        made = (
            Valued(f"now#{length}", b"1"),
            Stepped(f"charge#{length}", how, b'{"a":1}', 5, 1, 9),
            WaitOpened(f"wait#{length}", ("shop.paid",), None),
            Slept(f"sleep#{length}"),
        )
        return made[: how % 5]


_ASIDE: Final = (Status.PARKED, Status.DIVERGED)
_STATUSES: Final = (
    Status.DONE,
    Status.WAITING,
    Status.WAITING,
    Status.RETRYING,
    Status.RUNNING,
    Status.PARKED,
    Status.DONE,
    Status.REJECTED,
    Status.DIVERGED,
    Status.SKIPPED,
    Status.READY,
)


async def _paged(reader: Reader, limit: int) -> list[list[Any]]:
    pages, after = [], 0
    while page := await reader.events(after=after, limit=limit):
        pages.append(page)
        after = page[-1].n
    return pages


def _questions(story: Story, a: int, b: int, limit: int, c: int) -> tuple[Callable[[Reader], Awaitable[Any]], ...]:
    process = story._process(a) if a % 8 else 77_777  # noqa: SLF001
    execution, n = story._execution(a), process + b % 5  # noqa: SLF001
    statuses = [s for s in range(13 if b % 2 else 6) if c >> s & 1]
    handlers = sorted(story._script.opened.handlers)  # noqa: SLF001
    handler = (None, *handlers)[c % (1 + len(handlers))]
    known = sorted(story._lengths) or [0]  # noqa: SLF001
    after = known[b % len(known)] - b % 2
    letter = story._letters[a % len(story._letters)] if story._letters else Mail(1 + b % 4, process, 0)  # noqa: SLF001
    one: dict[str, Any] = {
        "process": (None, process)[b % 2],
        "type": (None, *TYPES)[c % 4],
        "after": (0, b % 8)[a % 2],
        "limit": limit,
    }
    of: dict[str, Any] = {
        "process": (None, story._process_of(execution))[b % 2],  # noqa: SLF001
        "statuses": (None, statuses)[a % 2],
        "handler": handler,
        "after": after,
        "limit": limit,
    }
    some: dict[str, Any] = {"key": KEYS[a % 5], "declared": (None, "order")[b % 2], "open_only": bool(c % 2)}
    return (
        lambda r: r.event(n),
        lambda r: r.events(**one),
        lambda r: r.execution(execution),
        lambda r: r.executions(**of),
        lambda r: r.process(process),
        lambda r: r.processes(**some, before=(None, b % 20)[a % 2], limit=limit),
        lambda r: r.receipts(limit=limit),
        lambda r: r.mail(letter.handler, letter.process, after=(0, letter.n - 1, letter.n)[c % 3], limit=limit),
        lambda r: r.unread(after=(0, 0, after)[a % 3], limit=limit),
        lambda r: r.doors(((b"id%d" % (b % 5)).ljust(16, b"."), b"x" * 16)),
        lambda r: r.manifest(),
    )


OPERATIONS: Final[tuple[tuple[int, Callable[..., Awaitable[None]]], ...]] = (
    (10, Story.settle),
    (10, Story.root),
    (6, Story.joining),
    (20, Story.go_on),
    (3, Story.transact),
    (2, Story.drop),
    (1, Story.stale),
    (1, Story.defect),
    (2, Story.ask_late),
    (16, Story.look),
    (1, Story.restart),
    (1, Story.crash),
)
"""How often, and what. The first one is what a zero becomes."""
