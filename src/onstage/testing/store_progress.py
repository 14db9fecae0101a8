"""The contract of a store for whoever watches or undoes processes: their rows, and what is refused by an outcome."""

from __future__ import annotations

from typing import Final

import msgspec

from onstage.core.commit import Commit, Note, Notes, ProgressRow, RefusedBecause, WaveRow
from onstage.core.journal import Begun
from onstage.core.undoing import REJECTION, decode_undoing
from onstage.events.receipt import Status
from onstage.testing.store_trial import StoreMaker, Trial, played

__all__ = ["StoreProgress"]

BILL: Final = "shop.bill"
PACK: Final = "shop.pack"
BEGUN: Final = Begun("charge#0", 1, "shop:charge", b"[]")
"""What can be undone."""


class StoreProgress(StoreMaker):
    """Subclass the whole contract, not this part of it."""

    @played
    async def test_a_row_of_progress_replaces_the_one_before(self, trial: Trial) -> None:
        """Each is read as it was written last, also after a crash."""
        rows = [ProgressRow(7, 1, 500, "open", b"one"), ProgressRow(3, 1, None, "stuck", b"")]
        await trial.put(_saying(trial, *rows))
        assert await trial.store.reader.progress([3, 7, 9, 7]) == [rows[1], rows[0]]
        newer = ProgressRow(7, 2, None, "overdue", b"two", violated=2)
        await trial.put(_saying(trial, newer))
        await trial.crash()
        assert await trial.store.reader.progress([7]) == [newer]
        assert await trial.store.reader.progress([]) == []

    @played
    async def test_a_row_that_does_not_follow_is_refused_with_its_commit(self, trial: Trial) -> None:
        """Whoever worked it out from an older one was overtaken: also by a commit of the same batch."""
        first = ProgressRow(7, 1, None, "open", b"first")
        again = _saying(trial, msgspec.structs.replace(first, body=b"again"))
        again.notes = Notes((Note("place", 0, b"lost"),))
        ahead = _saying(trial, ProgressRow(7, 3, None, "open", b""))
        conflict = RefusedBecause.CONFLICT
        assert await trial.why(_saying(trial, first), again, ahead) == [None, conflict, conflict]
        assert await trial.why(_saying(trial, first)) == [conflict]
        assert await trial.store.reader.progress([7]) == [first]
        assert await trial.store.reader.notes("place") == []

    @played
    async def test_what_is_due_is_read_in_its_order(self, trial: Trial) -> None:
        """Up to a moment or ever, page by page; what has no time is left out."""
        dues = {1: 300, 2: 100, 3: None, 4: 200, 5: 100}
        await trial.put(_saying(trial, *(ProgressRow(n, 1, due, "open", b"") for n, due in dues.items())))
        reader = trial.store.reader
        assert [row.process for row in await reader.progress_due()] == [2, 5, 4, 1]
        assert [row.process for row in await reader.progress_due(200)] == [2, 5, 4]
        assert [row.process for row in await reader.progress_due(limit=1)] == [2]
        assert await reader.progress_due(99) == []
        await trial.put(_saying(trial, ProgressRow(2, 2, None, "open", b"")))
        assert [row.process for row in await reader.progress_due(100)] == [5]

    @played
    async def test_what_waits_for_no_outcome_is_refused_by_one(self, trial: Trial) -> None:
        """An outcome that is stored, or stands before it in the same batch; whichever of them comes first."""
        script = trial.script
        done, open_ = (script.root(BILL, declared="order") for _ in range(2))
        ended = script.step(done, BILL, ("shop.paid", ()))
        late = [script.joining(root.process, undecided=root.process) for root in (done, open_)]
        assert await trial.why(done, open_, ended, *late) == [None, None, None, RefusedBecause.CONFLICT, None]
        again = [script.joining(root.process, undecided=root.process) for root in (done, open_)]
        assert await trial.why(*again) == [RefusedBecause.CONFLICT, None]
        assert len(await trial.store.reader.events(process=done.process)) == 2
        assert len(await trial.store.reader.events(process=open_.process)) == 3

    @played
    async def test_asking_whether_there_is_an_outcome_changes_no_process(self, trial: Trial) -> None:
        """A process that has ended has not ended once more."""
        root = trial.script.root(declared="order")
        await trial.put(root)
        seen = len(trial.closed())
        asking = _saying(trial, ProgressRow(root.process, 1, None, "open", b""))
        asking.undecided = root.process
        assert await trial.why(asking) == [None]
        assert len(trial.closed()) == seen

    @played
    async def test_the_newest_receipt_is_known_by_its_position(self, trial: Trial) -> None:
        """What is read after it is new."""
        reader = trial.store.reader
        assert await reader.newest_receipt() == 0
        await trial.put(trial.script.root(BILL), trial.script.root(BILL))
        newest = (await reader.receipts())[-1].position
        assert await reader.newest_receipt() == newest
        assert await reader.receipts(after=newest) == []

    @played
    async def test_the_first_row_decides_whether_a_process_is_undone(self, trial: Trial) -> None:
        """All others who would be first are refused, also of the same batch, also after a crash."""
        first, second = (WaveRow(7, 1, "compensating", body) for body in (b"one", b"two"))
        conflict = RefusedBecause.CONFLICT
        assert await trial.why(_waving(trial, first), _waving(trial, second)) == [None, conflict]
        assert trial.outcomes[-1].waves == [first]
        await trial.crash()
        assert await trial.why(_waving(trial, second)) == [conflict]
        last = WaveRow(7, 2, "compensated", b"three")
        await trial.put(_waving(trial, WaveRow(3, 1, "pivoted", b"")), _waving(trial, last))
        reader = trial.store.reader
        assert await reader.waves([7, 9]) == [last]
        assert [row.process for row in await reader.waves()] == [3, 7]
        assert [row.process for row in await reader.waves(after=3)] == [7]
        assert [row.process for row in await reader.waves(limit=1)] == [3]
        assert await reader.waves(open_only=True) == []
        await trial.put(*(_waving(trial, WaveRow(n, 1, "compensating", b"")) for n in (11, 5, 8)))
        assert [row.process for row in await reader.waves(open_only=True, limit=2)] == [5, 8]
        assert [row.process for row in await reader.waves(open_only=True, after=8)] == [11]

    @played
    async def test_an_outcome_that_undoes_decides_in_its_own_commit(self, trial: Trial) -> None:
        """Unless it is not the first outcome, or the process is undone, or must not be."""
        script = trial.script
        roots = [script.root(BILL, declared="order") for _ in range(3)]
        lost = [script.step(root, BILL, ("shop.lost", ()), entries=(BEGUN,)) for root in roots]
        paid = script.joining(roots[1].process)
        paid.events[0].type = trial.opened.types["shop.paid", 1]
        pivoted = WaveRow(roots[2].process, 1, "pivoted", b"")
        await trial.put(*roots, paid, _waving(trial, pivoted), *lost)
        row, kept = await trial.store.reader.waves()
        assert kept == pivoted
        assert (row.process, row.version, row.state) == (roots[0].process, 1, "compensating")
        undoing = decode_undoing(row.body)
        assert (undoing.reason, undoing.exempt) == ("shop.lost", lost[0].events[0].n)

    @played
    async def test_nothing_is_decided_before_something_can_be_undone(self, trial: Trial) -> None:
        """The outcome or the rejection is remembered, across batches and crashes; what is begun then decides."""
        script = trial.script
        lost, rejected, other = (script.root(BILL, PACK, declared=name) for name in ("order", "order", None))
        settled = (
            script.step(lost, BILL, ("shop.lost", ())),
            *(script.step(root, BILL, status=int(Status.REJECTED)) for root in (rejected, other)),
        )
        await trial.put(lost, rejected, other, *settled)
        await trial.crash()
        script, reader = trial.script, trial.store.reader
        views = [await reader.process(root.process) for root in (lost, rejected, other)]
        asked = [(view.asked, view.undoable) for view in views if view is not None]
        assert asked == [(settled[0].events[0].n, 0), (REJECTION, 0), (0, 0)]
        assert await reader.waves() == []
        await trial.put(
            *(script.step(root, PACK, status=int(Status.RUNNING), entries=(BEGUN,)) for root in (lost, rejected, other))
        )
        waves = {row.process: decode_undoing(row.body) for row in await reader.waves()}
        assert waves.keys() == {lost.process, rejected.process}
        assert waves[lost.process].exempt == settled[0].events[0].n
        assert waves[rejected.process].reason == "a handler rejected"
        assert waves[rejected.process].exempt == 0

    @played
    async def test_a_cancel_is_refused_by_an_outcome_of_its_own_batch(self, trial: Trial) -> None:
        """One of the two decides, whichever comes first."""
        script = trial.script
        root = script.root(BILL, declared="order")
        cancel = _waving(trial, WaveRow(root.process, 1, "compensating", b""))
        cancel.undecided = root.process
        paid = script.step(root, BILL, ("shop.paid", ()))
        assert await trial.why(root, paid, cancel) == [None, None, RefusedBecause.CONFLICT]
        assert await trial.store.reader.waves() == []


def _waving(trial: Trial, *rows: WaveRow) -> Commit:
    return Commit(epoch=trial.opened.epoch, waves=rows)


def _saying(trial: Trial, *rows: ProgressRow) -> Commit:
    return Commit(epoch=trial.opened.epoch, progress=rows)
