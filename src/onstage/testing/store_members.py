"""The contract of a store's commits that touch other executions than their own: members of a batch, and forks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.core.commit import Commit, RefusedBecause, execution_id
from onstage.core.journal import Valued
from onstage.events.receipt import Status
from onstage.testing.store_trial import StoreMaker, played

if TYPE_CHECKING:
    from onstage.testing.store_trial import Trial

__all__ = ["StoreMembers"]

CONFLICT, BILL = RefusedBecause.CONFLICT, "shop.bill"
WAITING = int(Status.WAITING)


class StoreMembers(StoreMaker):
    """A commit settles the executions it names in `also` with its own, or nothing of it is applied."""

    @played
    async def test_members_are_settled_with_their_batch(self, trial: Trial) -> None:
        """In the batch of their obligations and later; each process has its own ledger, and each row its status."""
        for together in (True, False):
            roots = [trial.script.root(BILL) for _ in range(3)]
            commit = _settling(trial, roots)
            assert await (trial.why(*roots, commit) if together else trial.why(*roots)) == [None] * (3 + together)
            if not together:
                assert await trial.why(commit) == [None]
            for root in roots:
                assert await trial.digest_and_open(root.process) == (0, 0)
                (view,) = await trial.store.reader.executions(process=root.process)
                assert (view.status, view.ended) == (Status.DONE, commit.ended)
        assert [closed.balanced for closed in trial.closed()] == [True] * 6

    @played
    async def test_a_member_that_has_ended_refuses_the_whole(self, trial: Trial) -> None:
        """It was settled by somebody else; what it did must not be done twice."""
        roots = [trial.script.root(BILL) for _ in range(3)]
        await trial.put(*roots, trial.script.step(roots[2], BILL))
        assert await trial.why(_settling(trial, roots)) == [CONFLICT]
        for root in roots[:2]:
            assert (await trial.digest_and_open(root.process))[1] == 1
        assert await trial.why(_settling(trial, roots[:2])) == [None]

    @played
    async def test_a_member_that_has_a_journal_refuses_the_whole(self, trial: Trial) -> None:
        """It has begun by itself."""
        roots = [trial.script.root(BILL) for _ in range(2)]
        entries = (Valued("x#0", b"1"),)
        await trial.put(*roots, trial.script.step(roots[1], BILL, status=WAITING, entries=entries))
        assert await trial.why(_settling(trial, roots)) == [CONFLICT]
        assert (await trial.digest_and_open(roots[0].process))[1] == 1

    @played
    async def test_an_unknown_member_refuses_the_whole(self, trial: Trial) -> None:
        """Nobody opened its obligation."""
        root = trial.script.root(BILL)
        commit = _settling(trial, [root])
        commit.also = (execution_id(77, 1),)
        assert await trial.why(root, commit) == [None, CONFLICT]

    @played
    async def test_members_stay_settled_after_a_restart(self, trial: Trial) -> None:
        """And nothing of them is open."""
        roots = [trial.script.root(BILL) for _ in range(3)]
        await trial.put(*roots, _settling(trial, roots))
        await trial.crash()
        assert await trial.store.reader.executions() == []
        assert len(await trial.store.reader.executions(process=roots[1].process)) == 1

    @played
    async def test_a_journal_is_taken_over_with_the_obligation_that_it_is_for(self, trial: Trial) -> None:
        """It goes on from that length, in the same batch and after a crash."""
        entries = (Valued("x#0", b"1"), Valued("x#1", b"2"))
        for together in (True, False):
            root = trial.script.root(BILL, copied=entries)
            wrong = trial.script.step(root, BILL, expected=0)
            right = trial.script.step(root, BILL, status=WAITING, expected=2, entries=(Valued("x#2", b"3"),))
            if together:
                assert await trial.why(root, wrong, right) == [None, CONFLICT, None]
            else:
                assert await trial.why(root) == [None]
                (view,) = await trial.store.reader.executions(process=root.process)
                assert (view.status, view.length, view.started) == (Status.READY, 2, 0)
                assert await trial.digest_and_open(root.process) != (0, 0)
                assert await trial.why(wrong, right) == [CONFLICT, None]
            stored = await trial.store.reader.execution(right.execution)
            assert stored is not None
            assert stored.entries == (*entries, *right.entries)
            assert await trial.why(trial.script.step(root, BILL, expected=3)) == [None]
            assert await trial.digest_and_open(root.process) == (0, 0)

    @played
    async def test_what_an_execution_emits_may_have_an_identity_at_the_door(self, trial: Trial) -> None:
        """Another one with it is refused as a duplicate, one on another journal as a conflict."""
        script = trial.script
        roots = [script.root(BILL) for _ in range(3)]
        await trial.put(*roots)
        first, again, late = (
            script.step(root, BILL, ("shop.paid", ()), status=WAITING, door=script.door(b"a")) for root in roots
        )
        late.expected, late.door = 7, script.door(b"b")
        assert await trial.why(first, again, late) == [None, RefusedBecause.DUPLICATE, CONFLICT]
        found = await trial.store.reader.doors((script.door(b"a").identity, script.door(b"b").identity))
        assert [n for n, _ in found.values()] == [first.events[0].n]

    @played
    async def test_a_refused_commit_takes_nothing_over(self, trial: Trial) -> None:
        """Neither the event nor the journal is there, and the same numbers may be used by nobody else."""
        door = trial.script.door(b"a")
        first = trial.script.root(BILL, door=door)
        door.n = first.events[0].n
        again = trial.script.root(BILL, door=trial.script.door(b"a"), copied=(Valued("x#0", b"1"),))
        assert await trial.why(first, again) == [None, RefusedBecause.DUPLICATE]
        assert await trial.store.reader.execution(execution_id(again.process, 1)) is None
        assert await trial.store.reader.event(again.process) is None


def _settling(trial: Trial, roots: list[Commit]) -> Commit:
    """The commit that settles the handler of the first of these events, and with it those of the others."""
    leader, *members = (trial.script.step(root, BILL) for root in roots)
    leader.also = tuple(member.execution for member in members)
    leader.receipts = (*leader.receipts, *(receipt for member in members for receipt in member.receipts))
    return leader
