"""The contract of a store's writing half: commits, refusals, the ledger, and what a crash may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from onstage.core.commit import RefusedBecause, execution_id
from onstage.core.journal import Slept, Valued
from onstage.errors import StoreUnavailable
from onstage.events.receipt import Status
from onstage.ports.store import Declaration
from onstage.testing.commit_script import DECLARATION
from onstage.testing.store_trial import StoreMaker, played

if TYPE_CHECKING:
    from onstage.testing.store_trial import Trial

__all__ = ["StoreWriting"]

CONFLICT, FELLED, STALE = RefusedBecause.CONFLICT, RefusedBecause.FELLED, RefusedBecause.STALE_EPOCH
WAITING, BILL, PACK, MAIL = int(Status.WAITING), "shop.bill", "shop.pack", "shop.mail"


class StoreWriting(StoreMaker):
    """Commits go in wholly or not at all, in one order; a crash forgets a suffix."""

    # Order and durability.

    @played
    async def test_append_gives_increasing_positions(self, trial: Trial) -> None:
        """The order of appending is the order of everything."""
        positions = [trial.store.append(trial.script.root()) for _ in range(5)]
        assert positions == sorted(set(positions))
        assert trial.store.undurable == 5
        trial.store.flush()
        await trial.store.durable(positions[-1])
        assert trial.store.undurable == 0

    @played
    async def test_what_durable_answered_for_can_be_read(self, trial: Trial) -> None:
        """Also when it is asked again later, and for every earlier position."""
        assert await trial.put(trial.script.root(), trial.script.root()) == [None, None]
        assert len(await trial.store.reader.events()) == 2
        assert await trial.settled(1) is None

    @played
    async def test_a_refusal_is_answered_again_to_those_who_ask_late(self, trial: Trial) -> None:
        """A refused commit must never be taken for a durable one."""
        stale = trial.script.root()
        stale.epoch -= 1
        assert await trial.why(stale, trial.script.root()) == [STALE, None]
        assert getattr(await trial.settled(stale.position), "because", None) == STALE

    @played
    async def test_a_closed_store_takes_nothing_and_says_so(self, trial: Trial) -> None:
        """Closing twice is harmless; what was appended before is durable."""
        trial.store.append(trial.script.root())
        await trial.store.close()
        await trial.store.close()
        with pytest.raises(StoreUnavailable):
            trial.store.append(trial.script.root())
        with pytest.raises(StoreUnavailable):
            await trial.store.durable(99)
        await trial.restart()
        assert len(await trial.store.reader.events()) == 1

    @played
    async def test_a_batch_is_reported_once_and_counted(self, trial: Trial) -> None:
        """The reports cover every position, in order."""
        await trial.put(trial.script.root(), trial.script.root())
        await trial.put(trial.script.root())
        assert [outcome.position for outcome in trial.outcomes] == [2, 3]
        counted = trial.store.statistics()
        assert (counted["batches"], counted["commits"], counted["refused"]) == (2, 3, 0)

    # Refusals.

    @played
    async def test_a_refused_commit_leaves_no_trace(self, trial: Trial) -> None:
        """Its events, obligations, journal, mail, door and receipts are all missing."""
        script = trial.script
        root = script.root(BILL)
        await trial.put(root)
        before = await _everything(trial, root.process)
        door, letter = script.door(b"a"), script.letter(PACK, root.process)
        entries = (Valued("x#0", b"1"),)
        bad = script.step(root, BILL, ("shop.paid", (PACK,)), expected=7, door=None, entries=entries, mail=(letter,))
        assert await trial.why(bad) == [CONFLICT]
        assert await _everything(trial, root.process) == before
        assert await trial.store.reader.doors((door.identity,)) == {}

    @played
    async def test_a_commit_on_another_journal_length_is_refused(self, trial: Trial) -> None:
        """In the batch of the obligation, in the batch of the entries, and later."""
        script, entry = trial.script, (Valued("x#0", b"1"),)
        root = script.root(BILL)
        early = script.step(root, BILL, expected=1)
        first = script.step(root, BILL, status=WAITING, entries=entry)
        again = script.step(root, BILL, status=WAITING, entries=entry)
        assert await trial.why(root, early, first, again) == [None, CONFLICT, None, CONFLICT]
        assert await trial.why(script.step(root, BILL)) == [CONFLICT]
        assert await trial.why(script.step(root, BILL, expected=1)) == [None]

    @played
    async def test_a_commit_of_an_unknown_execution_is_refused(self, trial: Trial) -> None:
        """Nobody opened this obligation."""
        assert await trial.why(trial.script.go_on(execution_id(77, 1), 77)) == [CONFLICT]

    @played
    async def test_a_commit_of_an_ended_execution_is_refused(self, trial: Trial) -> None:
        """An end is final, within a batch and across batches."""
        script = trial.script
        root = script.root(BILL)
        assert await trial.why(root, script.step(root, BILL), script.step(root, BILL)) == [None, None, CONFLICT]
        assert await trial.why(script.step(root, BILL)) == [CONFLICT]

    @played
    async def test_an_execution_stays_in_the_process_that_it_was_opened_in(self, trial: Trial) -> None:
        """Whatever process a commit names: its row and its ledger are those of the obligation."""
        script = trial.script
        root, other = script.root(BILL, PACK), script.root(BILL)
        waiting, wrong = script.step(root, BILL, status=WAITING), script.step(root, BILL)
        waiting.process = wrong.process = other.process
        await trial.put(root, other, waiting)
        await trial.put(wrong)
        assert [view.handler for view in await trial.store.reader.executions(process=root.process)] == [BILL, PACK]
        assert await trial.digest_and_open(root.process) != (0, 0)
        await trial.put(script.step(root, PACK))
        assert await trial.digest_and_open(root.process) == (0, 0)
        assert (await trial.digest_and_open(other.process))[1] == 1

    @played
    async def test_an_event_number_is_stored_once(self, trial: Trial) -> None:
        """A second event of the same number is a defect; it spoils nothing else."""
        first, other = trial.script.root(), trial.script.root()
        again = trial.script.root()
        again.events = first.events
        assert await trial.why(first, again, other) == [None, RefusedBecause.USER, None]
        assert [event.n for event in await trial.store.reader.events()] == [first.process, other.process]

    @played
    async def test_an_older_writers_commits_are_refused(self, trial: Trial) -> None:
        """A zombie wakes up with commits of its epoch: the store belongs to somebody else now."""
        zombie = trial.script
        await trial.put(zombie.root(BILL))
        await trial.restart()
        assert trial.opened.epoch > zombie.opened.epoch
        assert await trial.why(zombie.root(BILL), trial.script.root(BILL)) == [STALE, None]

    @played
    async def test_a_refused_commit_fells_its_descendants_only(self, trial: Trial) -> None:
        """Siblings survive; children of children do not."""
        script = trial.script
        bad = script.root(BILL)
        bad.epoch -= 1
        bad.position = trial.store.append(bad)
        child = script.root(after=(bad.position,))
        trial.store.append(child)
        grandchild, sibling = script.root(after=(child.position,)), script.root(after=())
        answers = await trial.why(grandchild, sibling)
        assert answers == [FELLED, None]
        assert getattr(await trial.settled(child.position), "because", None) == FELLED
        assert [event.n for event in await trial.store.reader.events()] == [sibling.process]

    @played
    async def test_felling_reaches_across_batches(self, trial: Trial) -> None:
        """A descendant that was appended before anybody knew of the refusal is felled in its own batch."""
        script = trial.script
        bad = script.root()
        bad.epoch -= 1
        await trial.put(bad, script.root())
        assert await trial.why(script.root(after=(bad.position,))) == [FELLED]
        assert await trial.why(script.root(after=(bad.position + 1,))) == [None]

    # The door.

    @played
    async def test_the_same_event_at_the_door_is_answered_with_the_first(self, trial: Trial) -> None:
        """The same payload gives the number, another payload None; within a batch and across batches."""
        script = trial.script
        first = script.root(door=script.door(b"id"))
        same = script.root(door=script.door(b"id"))
        other = script.root(door=script.door(b"id", b"other"))
        for answers in (await trial.put(first, same, other), [None, *await trial.put(same, other)]):
            assert answers[0] is None
            assert [(a.because, a.existing) for a in answers[1:] if a] == [  # type: ignore[union-attr]
                (RefusedBecause.DUPLICATE, first.process),
                (RefusedBecause.DUPLICATE, None),
            ]
        identity = b"id".ljust(16, b".")
        known = await trial.store.reader.doors((identity, b"x" * 16))
        assert known == {identity: (first.process, b"p".ljust(16, b"."))}

    @played
    async def test_a_refused_event_does_not_close_the_door(self, trial: Trial) -> None:
        """The client sends again, and is let in."""
        script = trial.script
        bad = script.root(door=script.door(b"id"))
        bad.epoch -= 1
        assert await trial.why(bad, script.root(door=script.door(b"id"))) == [STALE, None]

    # The ledger.

    @played
    async def test_the_digest_is_zero_exactly_when_nothing_is_open(self, trial: Trial) -> None:
        """After every commit of a small process."""
        script = trial.script
        root = script.root(BILL, PACK)
        paid = script.step(root, BILL, ("shop.paid", (MAIL,)))
        for commit in (root, paid, script.step(root, PACK), script.step(paid, MAIL)):
            await trial.put(commit)
            digest, still_open = await trial.digest_and_open(root.process)
            assert (digest == 0) == (still_open == 0) == (commit.execution >> 16 == paid.events[0].n)
        assert [(c.process, c.balanced) for c in trial.closed()] == [(root.process, True)]

    @played
    async def test_a_process_without_listeners_closes_at_once(self, trial: Trial) -> None:
        """It ended when it began."""
        root = trial.script.root()
        await trial.put(root)
        view = await trial.store.reader.process(root.process)
        assert view is not None
        assert view.ended == view.started
        assert [closed.process for closed in trial.closed()] == [root.process]

    @played
    async def test_a_process_opens_again_with_an_extra_input(self, trial: Trial) -> None:
        """And closes again; `ended` is empty in between."""
        script, reader = trial.script, trial.store.reader
        root = script.root(BILL)
        await trial.put(root, script.step(root, BILL, ended=50))
        extra = script.joining(root.process, PACK)
        await trial.put(extra)
        again = await reader.process(root.process)
        assert again is not None
        assert (again.open, again.ended) == (1, None)
        await trial.put(script.step(extra, PACK, ended=70))
        assert [(c.ended, c.balanced) for c in trial.closed()] == [(50, True), (70, True)]

    @played
    async def test_the_first_outcome_stands(self, trial: Trial) -> None:
        """Of two events that end the process, the first in commit order is the outcome."""
        script = trial.script
        root = script.root(BILL, PACK, declared="order")
        lost = script.step(root, PACK, ("shop.lost", ()))
        await trial.put(root, lost)
        await trial.put(script.step(root, BILL, ("shop.paid", ())))
        assert [(c.process, c.outcome) for c in trial.closed()] == [(root.process, "shop.lost")]

    @played
    async def test_an_undeclared_process_has_no_outcome(self, trial: Trial) -> None:
        """Only a declared process says which events end it."""
        root = trial.script.root(BILL)
        await trial.put(root, trial.script.step(root, BILL, ("shop.paid", ())))
        assert trial.closed()[0].outcome is None

    @played
    async def test_a_process_ends_with_the_commit_that_closes_it(self, trial: Trial) -> None:
        """However the commits fall into batches."""
        script, ends = trial.script, []
        for apart in (False, True):
            root = script.root(BILL, PACK)
            commits = [root, script.step(root, BILL, ended=200), script.step(root, PACK, ended=150)]
            for part in [[commit] for commit in commits] if apart else [commits]:
                await trial.put(*part)
            view = await trial.store.reader.process(root.process)
            assert view is not None
            ends.append(view.ended)
        assert ends == [150, 150]

    # Crashes and restarts.

    @played
    async def test_a_crash_forgets_a_suffix_never_the_middle(self, trial: Trial) -> None:
        """What was durable is there, what came after it is wholly there or wholly gone."""
        script = trial.script
        durable = [script.root(BILL) for _ in range(3)]
        await trial.put(*durable)
        lost = [script.root(BILL) for _ in range(3)]
        for commit in lost:
            trial.store.append(commit)
        await trial.crash()
        present = [event.n for event in await trial.store.reader.events()]
        expected = [commit.process for commit in (*durable, *lost)]
        assert present == expected[: len(present)]
        assert len(present) >= 3

    @played
    async def test_those_who_wait_learn_that_the_store_was_killed(self, trial: Trial) -> None:
        """Nobody waits for ever."""
        position = trial.store.append(trial.script.root())
        trial.store.abandon()
        with pytest.raises(StoreUnavailable):
            await trial.store.durable(position)

    @played
    async def test_each_start_draws_a_new_incarnation_and_epoch(self, trial: Trial) -> None:
        """The earlier ones are kept, with the numbers they began at."""
        first = trial.opened
        await trial.put(trial.script.root(), trial.script.root())
        second = await trial.crash()
        third = await trial.restart()
        assert first.store == second.store == third.store
        assert first.epoch < second.epoch < third.epoch
        assert third.incarnations[:1] == first.incarnations
        assert third.incarnations[:2] == second.incarnations
        assert len({name for _, name in third.incarnations}) == 3
        assert [n for n, _ in third.incarnations] == [1, 3, 3]

    @played
    async def test_a_number_is_never_given_twice_in_an_incarnation(self, trial: Trial) -> None:
        """Numbers of a forgotten suffix may come again, under another name."""
        store, given = trial.opened.store, set[tuple[str, str, int]]()
        for _ in range(4):
            name = trial.opened.incarnations[-1][1]
            numbers = {(store, name, trial.script.root().process) for _ in range(3)}
            assert not numbers & given
            given |= numbers
            await trial.put(trial.script.root())
            await trial.crash()
            assert trial.opened.next_n > max(event.n for event in await trial.store.reader.events())

    @played
    async def test_the_clock_begins_above_everything_stored(self, trial: Trial) -> None:
        """Receipts count as well as events."""
        root = trial.script.root(BILL)
        last = trial.script.step(root, BILL)
        await trial.put(root, last)
        highest = max(r.hlc for bundle in await trial.store.reader.receipts() for r in bundle.receipts)
        assert highest == last.receipts[0].hlc
        assert (await trial.restart()).hlc == highest
        assert (await trial.restart()).hlc == highest

    @played
    async def test_work_goes_on_after_a_restart(self, trial: Trial) -> None:
        """The journal and the ledger continue where they were."""
        root = trial.script.root(BILL)
        await trial.put(root, trial.script.step(root, BILL, status=WAITING, entries=(Valued("x#0", b"1"),)))
        await trial.crash()
        rest = trial.script.step(root, BILL, expected=1, entries=(Slept("y#0"),))
        assert await trial.why(rest) == [None]
        stored = await trial.store.reader.execution(rest.execution)
        assert stored is not None
        assert stored.entries == (Valued("x#0", b"1"), Slept("y#0"))
        assert trial.closed()[-1].balanced

    # Names.

    @played
    async def test_names_keep_their_numbers(self, trial: Trial) -> None:
        """Handlers renamed by `was` too; those nobody declares any more are listed."""
        before = trial.opened
        handlers = (("shop.new", ()), (MAIL, ()), ("shop.invoice", (BILL,)))
        types = (("shop.new", 1), *DECLARATION.types)
        after = await trial.restart(Declaration(types, handlers, {}, b"shop 2"))
        assert after.handlers["shop.invoice"] == before.handlers[BILL]
        assert after.handlers[MAIL] == before.handlers[MAIL]
        assert after.handlers["shop.new"] not in before.handlers.values()
        assert after.retired_handlers == {before.handlers[PACK]: PACK}
        assert {key: after.types[key] for key in before.types} == before.types
        assert after.topology > before.topology

    @played
    async def test_the_order_of_declaring_a_renaming_does_not_matter(self, trial: Trial) -> None:
        """The old name may be in use again, for another handler."""
        before = trial.opened
        after = await trial.restart(Declaration((), ((PACK, (MAIL,)), ("shop.invoice", (PACK,)), (BILL, ())), {}, b""))
        assert after.handlers["shop.invoice"] == before.handlers[PACK]
        assert after.handlers[PACK] == before.handlers[MAIL]
        assert after.handlers[BILL] == before.handlers[BILL]
        assert after.retired_handlers == {}

    @played
    async def test_the_same_topology_keeps_its_epoch(self, trial: Trial) -> None:
        """A restart without changes is no change."""
        before = trial.opened
        assert (await trial.restart()).topology == before.topology


async def _everything(trial: Trial, process: int) -> tuple[object, ...]:
    reader = trial.store.reader
    mail = [await reader.mail(handler, process) for handler in trial.opened.handlers.values()]
    executions = await reader.executions(process=process)
    return await reader.events(), executions, await reader.process(process), await reader.receipts(), mail
