"""Watches processes from behind the log: what became of each, what is late, and who is to be told.

Theory of operation. The monitor reads receipts behind the writer, from a place of its own, and folds them into rows of
progress. One commit for each page holds the rows, the place, and what is told of it: whatever dies, a receipt is folded
once and a change told once. A time that passes is looked at only when all that happened before it has been folded. No
handler waits for any of this, and no event carries anything for it; where nothing declared needs it, it does not run.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note, ProgressRow, RefusedBecause
from onstage.errors import StoreUnavailable
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import hlc_ms
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.events.receipt import Status
from onstage.observe.progress import (
    UNDECLARED,
    Heard,
    Plan,
    Progress,
    decode_progress,
    encode_progress,
)
from onstage.ports.clock import LOOK_AGAIN_S_MAX
from onstage.ports.store import Refused
from onstage.runtime.snags import Snags, obligation_of
from onstage.runtime.task_end import end_tasks
from onstage.runtime.watched_process import Told, WatchedProcess, unless_undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onstage.events.receipt import Receipt
    from onstage.ports.clock import Clock
    from onstage.ports.store import Bundle, ProcessView, Store
    from onstage.runtime.snags import Snag
    from onstage.runtime.watched_process import Teller

__all__ = ["MONITOR", "ProcessMonitor"]

MONITOR: Final = "monitor"
"""The topic of the note that holds the place, and since when processes are watched."""
PAGE: Final = 100
"""So many bundles of receipts at most are folded into one commit."""
PACE_S: Final = 0.05
"""So long at least lies between two pages while more is written: what happens together is told together."""
AGAIN_S: Final = 1.0
"""What failed is tried again after so long."""
CATCH_UP_S: Final = 0.25
"""While the store still hears what has happened elsewhere, due rows are looked for after so long again."""
UNWATCHED_MAX: Final = 100_000
"""So many processes that need no watching are remembered; others are looked up."""

_ASIDE: Final = (Status.PARKED, Status.DIVERGED)
_OPENED: Final = int(Status.READY)
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[int, int]).decode
log = logging.getLogger("onstage.monitor")


@final
class ProcessMonitor:
    """The monitor of one store. `load` it before anything runs there, then `start`; `poke` it with each batch."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        plans: Mapping[str, Plan],
        teller: Teller,
        *,
        type_name: Callable[[int], str],
        handler_name: Callable[[int], str],
        is_current: Callable[[], bool] = lambda: True,
        snags: Snags | None = None,
    ) -> None:
        """Watch the processes that have a plan; with a teller that wants changes, also what is stuck elsewhere.

        While it `is_current` the store has all that has happened, and times that pass are looked at.
        """
        self._store = store
        self._clock = clock
        self._plans = plans
        self._teller = teller
        self._type_name = type_name
        self._handler_name = handler_name
        self._is_current = is_current
        self._snags = snags
        self._place = 0
        self._since = 0
        self._unwatched: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._working = False
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Take up the place, or begin behind everything that is there: what began earlier is not watched."""
        if self._snags is not None:
            await self._snags.load()
        notes = await self._store.reader.notes(MONITOR, limit=1)
        if notes:
            self._place, self._since = _DECODE(notes[0].body)
            return
        self._place = await self._store.reader.newest_receipt()
        self._since = self._clock.now_ms() if self._place else 0
        position = self._teller.append((), (), [self._note()])
        self._store.flush()
        await self._store.durable(position)

    def start(self) -> None:
        """Begin to read."""
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def poke(self) -> None:
        """Something was written."""
        self._wake.set()

    @property
    def is_behind(self) -> bool:
        """Whether there is something that it has not looked at."""
        return self._working or self._wake.is_set()

    async def close(self) -> None:
        """Read no more."""
        await end_tasks(self._task)

    # Running.

    async def _run(self) -> None:
        due: int | None = None
        again_s: float | None = None
        while True:
            await self._until_due(due, again_s)
            self._working, again_s = True, None
            self._wake.clear()
            try:
                await self._look()
                await asyncio.sleep(PACE_S)
                due = await self._next_due()
                again_s = None if due is None or self._is_current() else CATCH_UP_S
            except StoreUnavailable as error:
                log.debug("processes are not watched for a moment: %s", error)
                again_s = AGAIN_S
            except Exception:
                log.exception("watching processes failed; it is tried again in %s s", AGAIN_S)
                again_s = AGAIN_S
            finally:
                self._working = False

    async def _until_due(self, due: int | None, again_s: float | None) -> None:
        """Wait until something is written, or it is so late (ms), or for `again_s`; nothing is read meanwhile."""
        while not self._wake.is_set():
            left_s = again_s
            if again_s is None and due is not None:
                left_s = min((due - self._clock.now_ms()) / 1000, LOOK_AGAIN_S_MAX)
            if left_s is not None and left_s <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            if again_s is not None:
                return

    async def _next_due(self) -> int | None:
        first = await self._store.reader.progress_due(limit=1)
        return first[0].due if first else None

    async def _look(self) -> None:
        await self._read()
        now = self._clock.now_ms()
        if self._snags is not None and self._is_current():
            async for page in self._snags.look():
                await self._take_snags(page, self._snags, now)
        if not self._is_current() or not await self._store.reader.progress_due(now, limit=1):
            return
        # What came in time may be on its way to the disk: it is read before anything is called late.
        self._store.flush()
        with suppress(Refused):
            await self._store.durable(self._store.appended)
        await self._read()
        while await self._lapse(now):
            pass

    async def _read(self) -> None:
        while page := await self._store.reader.receipts(after=self._place, limit=PAGE):
            await self._fold(page)

    # Folding.

    async def _fold(self, page: Sequence[Bundle]) -> None:
        receipts = [receipt for bundle in page for receipt in bundle.receipts if self._may_concern(receipt)]
        loaded = await self._load_rows({receipt.process for receipt in receipts})
        told: list[Told] = []
        for receipt in receipts:
            if self._snags is not None:
                self._snags.heard(receipt.process, self._handler_name(receipt.handler), receipt.status)
            process = loaded.get(receipt.process)
            if process is None:
                process = await self._begin(receipt.process, is_stuck=receipt.status in _ASIDE)
                if process is None:
                    continue
                loaded[receipt.process] = process
            process.is_touched = True
            heard = await self._heard(receipt, process.plan.keyed_types)
            told += [Told(process.view, change) for change in process.progress.hear(process.plan, heard)]
        place = self._place
        self._place = page[-1].position
        touched = [process for process in loaded.values() if process.is_touched]
        if not touched:
            return  # folded again after a restart, such a page comes to nothing again
        try:
            await self._write(told, touched)
        except BaseException:
            self._place = place
            raise

    async def _take_snags(self, page: Sequence[Snag], snags: Snags, now: int) -> None:
        loaded = await self._load_rows({snag.view.process for snag in page})
        told: list[Told] = []
        for view, why in page:
            process = loaded.get(view.process) or await self._begin(view.process, is_stuck=why is not None)
            if process is None:
                continue
            loaded[view.process] = process
            if why is None:
                process.is_touched |= process.progress.unblock(obligation_of(view))
                continue
            is_known = obligation_of(view) in process.progress.blocked
            changes = process.progress.block(obligation_of(view), view.handler, why, now)
            process.is_touched |= not is_known
            told += [Told(process.view, change) for change in changes]
        if touched := [process for process in loaded.values() if process.is_touched]:
            await self._write(told, touched, snags.note)

    def _may_concern(self, receipt: Receipt) -> bool:
        if receipt.process not in self._unwatched:
            return True
        return self._teller.wants_changes and receipt.status in _ASIDE

    async def _load_rows(self, processes: set[int]) -> dict[int, WatchedProcess]:
        loaded: dict[int, WatchedProcess] = {}
        for row in await self._store.reader.progress(sorted(processes)) if processes else ():
            process = await self._loaded(row)
            if process is not None:
                loaded[row.process] = process
        return loaded

    async def _loaded(self, row: ProgressRow) -> WatchedProcess | None:
        view = await self._store.reader.process(row.process)
        assert view is not None, "what is watched is stored"
        try:
            progress = decode_progress(row.body)
        except DecodeFailed:
            log.exception("the progress of process %s cannot be read; it is not watched any more", view.wire_id)
            progress = Progress()
        return WatchedProcess(view, self._plans.get(view.declared or "", UNDECLARED), progress, row.version)

    async def _begin(self, process: int, *, is_stuck: bool) -> WatchedProcess | None:
        """A process that has no row yet; None if it needs none."""
        view = await self._store.reader.process(process)
        if view is None or view.started < self._since:
            self._leave(process)
            return None
        plan = self._plans.get(view.declared or "")
        if plan is not None:
            return WatchedProcess(view, plan, Progress(), 0)
        if not self._teller.wants_changes or not is_stuck or await self._is_own(view):
            self._leave(process)
            return None
        self._unwatched.pop(process, None)
        return WatchedProcess(view, UNDECLARED, Progress(), 0)

    async def _is_own(self, view: ProcessView) -> bool:
        """Whether it is one that tells a change: whoever fails at that must not be told of it so again."""
        root = await self._store.reader.event(view.id)
        return root is not None and root.type.startswith(CHANGED_PREFIX)

    def _leave(self, process: int) -> None:
        self._unwatched[process] = None
        while len(self._unwatched) > UNWATCHED_MAX:
            del self._unwatched[next(iter(self._unwatched))]

    async def _heard(self, receipt: Receipt, keyed: frozenset[str]) -> Heard:
        types = tuple(self._type_name(number) for _, number in receipt.outputs)
        events = [n for n, _ in receipt.outputs]
        is_input = receipt.handler == 0 and receipt.status == _OPENED  # an event from outside, or of another store
        if is_input:
            event = await self._store.reader.event(receipt.event)
            types, events = (types, events) if event is None else ((event.type,), [event.n])
        return Heard(
            at=receipt.ended or hlc_ms(receipt.hlc),
            obligation=f"{receipt.event}/{receipt.handler}",
            status=receipt.status,
            delta=receipt.delta,
            types=types,
            error=receipt.error,
            handler=self._handler_name(receipt.handler),
            is_input=is_input,
            keys=await self._keys(types, events, keyed) if keyed else (),
        )

    async def _keys(
        self, types: tuple[str, ...], events: Sequence[int], keyed: frozenset[str]
    ) -> tuple[str | None, ...]:
        found = [
            await self._store.reader.event(n) if name in keyed else None for name, n in zip(types, events, strict=True)
        ]
        return tuple(None if event is None else event.key for event in found)

    # Time.

    async def _lapse(self, now: int) -> bool:
        """Deal with some rows that are due; whether there may be more."""
        rows = await self._store.reader.progress_due(now, limit=PAGE)
        processes = [process for row in rows if (process := await self._loaded(row)) is not None]
        told = [
            Told(process.view, change) for process in processes for change in process.progress.lapse(now, process.plan)
        ]
        if processes:
            await self._write(told, processes)
        for process in processes:
            deadline, progress = process.progress.deadline, process.progress
            if deadline is not None and deadline <= now and not progress.over and progress.outcome is None:
                await self._pass(process, now)
        return any(row.due is None or row.due > now for row in (process.row() for process in processes))

    async def _pass(self, process: WatchedProcess, now: int) -> None:
        """The deadline of a process is over: the store decides whether it had an outcome by then."""
        stored, reason = encode_progress(process.progress), ""
        process.progress.passed(now, "late")
        try:
            position = await self._teller.append_late(process.view, process.row())
            over = "passed" if position is None else "late"
            if position is not None:
                self._store.flush()
                await self._store.durable(position)
        except Refused as refused:
            over = "met" if refused.refusal.because == RefusedBecause.CONFLICT else "failed"
            reason = f"late= of process {process.plan.declared} was refused: {refused.refusal.error}"
        except StoreUnavailable:
            raise
        except Exception as error:  # the user's function may raise anything
            log.exception("late= of process %s failed", process.plan.declared)
            over, reason = "failed", f"late= failed: {type(error).__name__}: {error}".partition("\n")[0]
        if over == "late":
            process.version += 1
            return
        process.progress = decode_progress(stored)
        changes = process.progress.passed(now, over, reason if over == "failed" else "")
        await self._write([Told(process.view, change) for change in changes], [process])

    # Writing.

    async def _write(self, told: Sequence[Told], processes: Sequence[WatchedProcess], *more: Note) -> None:
        told = await unless_undone(told, self._store.reader)
        position = self._teller.append(told, [process.row() for process in processes], [self._note(), *more])
        self._store.flush()
        await self._store.durable(position)
        for process in processes:
            process.version += 1

    def _note(self) -> Note:
        return Note(MONITOR, 0, _ENCODE((self._place, self._since)))
