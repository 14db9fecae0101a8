"""The contract of a store that is one of several: notes of the node, processes of other stores, parts of a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core.commit import (
    Commit,
    NewHandler,
    NewProcess,
    Note,
    Notes,
    Obligation,
    RefusedBecause,
    StateWrite,
    execution_id,
)
from onstage.core.journal import Slept
from onstage.events.receipt import Receipt, Status
from onstage.ports.store import StateView
from onstage.testing.commit_script import DECLARATION
from onstage.testing.store_trial import StoreMaker, Trial, played

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StoreParts"]

BILL: Final = "shop.bill"
ELSEWHERE: Final = b"elsewhere".ljust(16, b".")
PARTIAL: Final = msgspec.structs.replace(DECLARATION, partial=True)


class StoreParts(StoreMaker):
    """Subclass the whole contract, not this part of it."""

    # Notes.

    @played
    async def test_notes_are_kept_by_topic_and_number(self, trial: Trial) -> None:
        """In order, page by page, the newest first if one likes; a later one replaces an earlier one."""
        await trial.put(noting(trial, [Note("place", n, b"%d" % n) for n in (3, 1, 2)]))
        await trial.put(noting(trial, [Note("place", 2, b"two"), Note("other", 9, b"")]))
        reader = trial.store.reader
        assert await reader.notes("place") == [Note("place", 1, b"1"), Note("place", 2, b"two"), Note("place", 3, b"3")]
        assert [note.number for note in await reader.notes("place", after=1, limit=1)] == [2]
        assert [note.number for note in await reader.notes("place", newest_first=True, limit=2)] == [3, 2]
        assert await reader.notes("nowhere") == []

    @played
    async def test_notes_are_dropped_before_others_are_kept(self, trial: Trial) -> None:
        """In one commit, and only those between the two numbers."""
        await trial.put(noting(trial, [Note("place", n, b"") for n in range(5)]))
        await trial.put(noting(trial, [Note("place", 2, b"new")], dropped=[("place", 1, 3), ("other", 0, 9)]))
        assert [(note.number, note.body) for note in await trial.store.reader.notes("place")] == [
            (0, b""),
            (2, b"new"),
            (4, b""),
        ]

    @played
    async def test_notes_of_a_refused_commit_are_not_kept(self, trial: Trial) -> None:
        """They are part of it."""
        bad = noting(trial, [Note("place", 1, b"")])
        bad.epoch -= 1
        assert await trial.why(bad) == [RefusedBecause.STALE_EPOCH]
        assert await trial.store.reader.notes("place") == []

    @played
    async def test_notes_survive_a_crash(self, trial: Trial) -> None:
        """As everything durable does."""
        await trial.put(noting(trial, [Note("place", 1, b"here")]))
        await trial.crash()
        assert await trial.store.reader.notes("place") == [Note("place", 1, b"here")]

    # Handlers that get a number later.

    @played
    async def test_a_handler_may_be_named_in_a_commit(self, trial: Trial) -> None:
        """Its executions have that name, also after a restart, and the next handler gets another number."""
        number = max(trial.opened.handlers.values()) + 1
        root = trial.script.root(BILL)
        again = Obligation(execution_id(root.events[0].n, number), root.process, gating=False)
        named = Commit(epoch=trial.opened.epoch, handlers=(NewHandler(number, "shop.bill@1"),), opened=(again,))
        assert await trial.why(root, named) == [None, None]
        await trial.restart(msgspec.structs.replace(DECLARATION, handlers=(*DECLARATION.handlers, ("shop.new", ()))))
        assert trial.opened.handlers["shop.bill@1"] == number
        assert trial.opened.handlers["shop.new"] > number
        views = await trial.store.reader.executions(handler="shop.bill@1")
        assert [(view.id, view.gating) for view in views] == [(again.execution, False)]

    @played
    async def test_a_number_or_name_that_is_taken_refuses_the_commit(self, trial: Trial) -> None:
        """And nothing of it is stored."""
        known = trial.opened.handlers
        taken = (NewHandler(known[BILL], "shop.bill@1"), NewHandler(max(known.values()) + 1, BILL))
        for new in taken:
            bad = noting(trial, [Note("place", 1, b"")])
            bad.handlers = (new,)
            assert await trial.why(bad) == [RefusedBecause.USER]
        assert await trial.store.reader.notes("place") == []

    # Processes of other stores.

    @played
    async def test_a_process_of_another_store_is_found_by_its_identity(self, trial: Trial) -> None:
        """With the number that it has here."""
        arrived = trial.script.root(BILL)
        root = arrived.roots[0]
        arrived.roots = (NewProcess(root.process, None, None, 5, "other-store-77", ELSEWHERE),)
        assert await trial.put(arrived) == [None]
        reader = trial.store.reader
        assert (await reader.doors((ELSEWHERE,)))[ELSEWHERE][0] == root.process
        view = await reader.process(root.process)
        assert view is not None
        assert view.wire_id == "other-store-77"

    @played
    async def test_receipts_that_are_large_together_are_several_bundles(self, trial: Trial) -> None:
        """Each fits into a message of a broker; their numbers are as dense as those of one."""
        script = trial.script
        root = script.root()
        large = [script.joining(root.process) for _ in range(60)]
        for commit in large:
            (receipt,) = commit.receipts
            commit.receipts = (msgspec.structs.replace(receipt, error="x" * 8_000),)
        await trial.put(root, *large)
        bundles = await trial.store.reader.receipts()
        assert len(bundles) > 2
        assert sum(len(bundle.receipts) for bundle in bundles) == 61
        assert [bundle.seq for bundle in bundles[1:]] == [one.seq + len(one.receipts) for one in bundles[:-1]]

    # Parts of a ledger.

    @played
    async def test_a_part_of_a_process_is_over_only_when_the_digest_is_zero_too(self, trial: Trial) -> None:
        """Nothing open here says nothing about elsewhere; the receipt that closes the digest says when it ended."""
        await trial.begin_again(PARTIAL)
        script = trial.script
        root = script.root(BILL)
        await trial.put(root, script.step(root, BILL))
        elsewhere = int.from_bytes(b"somewhere else..", "big")
        await trial.put(*receipts(trial, root, [(elsewhere, 7_000)]))
        assert await trial.digest_and_open(root.process) == (elsewhere, 0)
        view = await trial.store.reader.process(root.process)
        assert view is not None
        assert view.ended is None
        seen = len(trial.closed())
        await trial.put(*receipts(trial, root, [(elsewhere, 8_000)]))
        closed = trial.closed()[seen:]
        assert [(each.process, each.ended, each.balanced) for each in closed] == [(root.process, 8_000, True)]

    @played
    async def test_parts_of_one_process_have_one_shard_in_all_stores(self, trial: Trial) -> None:
        """That of its root's number, whatever number it has here."""
        await trial.begin_again(PARTIAL)
        arrived = trial.script.root(BILL)
        root = arrived.roots[0]
        arrived.roots = (NewProcess(root.process, None, None, 5, "other-store-77", ELSEWHERE),)
        await trial.put(arrived)
        assert [bundle.shard for bundle in await trial.store.reader.receipts()] == [77 % 64]

    # Keyed state.

    @played
    async def test_a_state_is_written_with_its_version(self, trial: Trial) -> None:
        """It replaces the earlier value; a cleared one keeps its row, and its version goes on."""
        root = trial.script.root(BILL, key="k")
        await trial.put(root)
        first = _keeping(
            trial, root, StateWrite("s.cart", "k", 0, 1, 7, b"one"), StateWrite("s.cart", "j", 0, 1, 7, b"")
        )
        await trial.put(first)
        reader = trial.store.reader
        assert await reader.state("s.cart", "k") == StateView("s.cart", "k", 1, 7, b"one", first.execution, 2_000)
        await trial.put(_keeping(trial, root, StateWrite("s.cart", "k", 1, 3, 8, None)))
        cleared = await reader.state("s.cart", "k")
        assert cleared is not None
        assert (cleared.version, cleared.data) == (3, None)
        assert await reader.state("s.cart", "nobody") is None

    @played
    async def test_another_version_refuses_the_whole_commit(self, trial: Trial) -> None:
        """Also one that was written earlier in the same batch; and what follows from it falls."""
        roots = [trial.script.root(BILL, key="k") for _ in range(3)]
        await trial.put(*roots)
        write = StateWrite("s.cart", "k", 0, 1, 7, b"mine")
        commits = [_keeping(trial, root, write, entries=(Slept("a#0"),)) for root in roots[:2]]
        positions = [trial.store.append(commit) for commit in commits]
        follower = _keeping(trial, roots[2], after=(positions[1],))
        assert await trial.why(follower) == [RefusedBecause.FELLED]
        settled = [getattr(await trial.settled(at), "because", None) for at in positions]
        assert settled == [None, RefusedBecause.CONFLICT]
        assert await trial.why(_keeping(trial, roots[1], write)) == [RefusedBecause.CONFLICT]
        stored = await trial.store.reader.execution(commits[1].execution)
        assert stored is not None
        assert stored.entries == ()
        again = _keeping(trial, roots[1], msgspec.structs.replace(write, expected=1, version=2))
        assert await trial.why(again) == [None]

    @played
    async def test_states_are_read_page_by_page(self, trial: Trial) -> None:
        """In the order of name and key; of one name, of one key."""
        root = trial.script.root(BILL, key="k")
        places = [("b", "2"), ("a", "2"), ("b", "1"), ("c", "1")]
        await trial.put(root, _keeping(trial, root, *(StateWrite(*place, 0, 1, 0, b"") for place in places)))
        read = trial.store.reader.states
        assert [(view.state, view.key) for view in await read()] == sorted(places)
        assert [(view.state, view.key) for view in await read(after=("a", "2"), limit=2)] == [("b", "1"), ("b", "2")]
        assert [view.key for view in await read(state="b")] == ["1", "2"]
        assert [view.state for view in await read(key="1")] == ["b", "c"]
        assert [view.state for view in await read(key="1", after=("b", "1"))] == ["c"]

    @played
    async def test_states_survive_a_crash_with_their_versions(self, trial: Trial) -> None:
        """As everything durable does."""
        root = trial.script.root(BILL, key="k")
        await trial.put(root, _keeping(trial, root, StateWrite("s", "k", 0, 1, 0, b"kept")))
        await trial.crash()
        view = await trial.store.reader.state("s", "k")
        assert view is not None
        assert (view.version, view.data) == (1, b"kept")


def _keeping(trial: Trial, root: Commit, *states: StateWrite, **options: Any) -> Commit:
    """The first handler goes on, and keeps state."""
    commit = trial.script.step(root, BILL, status=int(Status.WAITING), **options)
    commit.states = states
    return commit


def noting(trial: Trial, kept: Sequence[Note], dropped: Sequence[tuple[str, int, int]] = ()) -> Commit:
    """A commit of notes alone."""
    return Commit(epoch=trial.opened.epoch, notes=Notes(kept, dropped))


def receipts(trial: Trial, root: Commit, found: Sequence[tuple[int, int]]) -> list[Commit]:
    """Receipts that arrive from elsewhere: what each changes of the digest, and when it ended."""
    process, n = root.process, root.events[0].n
    status = int(Status.CONSUMED)
    return [
        Commit(
            epoch=trial.opened.epoch,
            receipts=(Receipt(process, n, 1, 0, status, 1, delta.to_bytes(16, "big"), ended=ended),),
        )
        for delta, ended in found
    ]
