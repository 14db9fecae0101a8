"""The contract of a store's commits that settle several executions: a batch and its members."""

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


def _settling(trial: Trial, roots: list[Commit]) -> Commit:
    """The commit that settles the handler of the first of these events, and with it those of the others."""
    leader, *members = (trial.script.step(root, BILL) for root in roots)
    leader.also = tuple(member.execution for member in members)
    leader.receipts = (*leader.receipts, *(receipt for member in members for receipt in member.receipts))
    return leader
