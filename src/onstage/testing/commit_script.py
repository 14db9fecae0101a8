"""Commits as a node would build them, for those who test a store: roots, settled obligations, extra inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.commit import Commit, Door, Mail, NewEvent, NewProcess, Obligation, event_of, execution_id, handler_of
from onstage.events.receipt import OPEN_MAX, Receipt, Status, token
from onstage.ports.store import Declaration

if TYPE_CHECKING:
    from onstage.ports.store import Opened

__all__ = ["DECLARATION", "CommitScript"]

DECLARATION: Final = Declaration(
    types=(("shop.placed", 1), ("shop.paid", 1), ("shop.lost", 1)),
    handlers=(("shop.bill", ()), ("shop.pack", ()), ("shop.mail", ())),
    outcomes={"order": frozenset({"shop.paid", "shop.lost"})},
    manifest=b"shop 1",
    undoing={"order": frozenset({"shop.lost"})},
)
"""A shop of three event types and three handlers; `order` ends with one of two types, one of which has it undone."""


@final
class CommitScript:
    """Builds commits for a store that was opened with `DECLARATION`, and hands out numbers as a node does."""

    def __init__(self, opened: Opened) -> None:
        """Continue behind the store's high-water marks."""
        self.opened = opened
        self.next_n = opened.next_n
        self.hlc = opened.hlc

    def root(self, *handlers: str, declared: str | None = None, key: str | None = None, **options: Any) -> Commit:
        """An event from outside that begins a process and opens an obligation for each of the handlers."""
        n = self.next_n
        events, opened, delta, outputs = self._emit([("shop.placed", handlers)], n, 0, key)
        return Commit(
            epoch=self.opened.epoch,
            process=n,
            roots=(NewProcess(n, declared, key, 1_000 + n, f"wire-{n}"),),
            events=events,
            opened=opened,
            receipts=(self._receipt(n, n, 0, 0, delta, outputs),),
            **options,
        )

    def joining(self, process: int, *handlers: str, **options: Any) -> Commit:
        """An event from outside that joins a process."""
        n = self.next_n
        events, opened, delta, outputs = self._emit([("shop.placed", handlers)], process, 0, None)
        receipt = self._receipt(process, n, 0, 0, delta, outputs)
        settings = {"epoch": self.opened.epoch, "process": process, **options}
        return Commit(events=events, opened=opened, receipts=(receipt,), **settings)

    def step(self, commit: Commit, handler: str, *emits: tuple[str, tuple[str, ...]], **options: Any) -> Commit:
        """The handler of the first event of `commit` goes on, or with a final status (the default) settles it.

        `emits` are (event type, handlers) of what it emits.
        """
        event = commit.events[0]
        return self.go_on(execution_id(event.n, self.opened.handlers[handler]), event.process, *emits, **options)

    def go_on(self, execution: int, process: int, *emits: tuple[str, tuple[str, ...]], **options: Any) -> Commit:
        """The same for an execution by its number."""
        settings = {"epoch": self.opened.epoch, "status": int(Status.DONE), "ended": 2_000, **options}
        events, opened, delta, outputs = self._emit(emits, process, execution, None)
        event, handler, status = event_of(execution), handler_of(execution), settings["status"]
        commit = Commit(execution=execution, process=process, events=events, opened=opened, **settings)
        if status > OPEN_MAX:
            delta ^= _token(process, event, handler)
        if status > OPEN_MAX or events:
            commit.receipts = (self._receipt(process, event, handler, status, delta, outputs),)
        return commit

    def door(self, identity: bytes, payload: bytes = b"p") -> Door:
        """The identity of the event that the next root will emit."""
        return Door(identity.ljust(16, b"."), payload.ljust(16, b"."), self.next_n)

    def letter(self, handler: str, process: int) -> Mail:
        """The event that comes next, put into the handler's mailbox."""
        return Mail(self.opened.handlers[handler], process, self.next_n)

    def _emit(
        self, emits: Any, process: int, cause: int, key: str | None
    ) -> tuple[tuple[NewEvent, ...], tuple[Obligation, ...], int, tuple[tuple[int, int], ...]]:
        events: list[NewEvent] = []
        opened: list[Obligation] = []
        delta = 0
        for name, handlers in emits:
            n, number = self.next_n, self.opened.types[name, 1]
            self.next_n, self.hlc = n + 1, self.hlc + 1
            events.append(NewEvent(n, process, number, key, cause, self.hlc, self.opened.topology, b"{}"))
            for handler in handlers:
                interned = self.opened.handlers[handler]
                opened.append(Obligation(execution_id(n, interned), process, gating=True))
                delta ^= _token(process, n, interned)
        return tuple(events), tuple(opened), delta, tuple((event.n, event.type) for event in events)

    def _receipt(
        self, process: int, event: int, handler: int, status: int, delta: int, outputs: tuple[tuple[int, int], ...]
    ) -> Receipt:
        self.hlc += 1
        return Receipt(process, event, handler, 0, status, self.hlc, delta.to_bytes(16, "big"), outputs)


def _token(process: int, event: int, handler: int) -> int:
    return token(str(process), str(event), str(handler), 0)
