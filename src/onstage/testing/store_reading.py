"""The contract of a store's reading half: what is durable, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from onstage.core.commit import execution_id
from onstage.core.journal import Begun, Slept, Valued, WaitEnded
from onstage.events.receipt import Status
from onstage.testing.commit_script import DECLARATION
from onstage.testing.store_trial import StoreMaker, played

if TYPE_CHECKING:
    from onstage.core.commit import Commit
    from onstage.events.receipt import Receipt
    from onstage.testing.store_trial import Trial

__all__ = ["StoreReading"]

WAITING, PARKED, DIVERGED = int(Status.WAITING), int(Status.PARKED), int(Status.DIVERGED)
BILL, PACK, MAIL = "shop.bill", "shop.pack", "shop.mail"


class StoreReading(StoreMaker):
    """Everything written can be read, in order, in pages bounded by `limit`."""

    @played
    async def test_what_does_not_exist_is_none_or_empty(self, trial: Trial) -> None:
        """An empty store answers every question."""
        reader = trial.store.reader
        assert (await reader.event(1), await reader.execution(1), await reader.process(1)) == (None, None, None)
        assert await reader.doors((b"x" * 16,)) == {}
        assert await reader.notes("x") == []
        lists = (reader.events(), reader.executions(), reader.processes(), reader.receipts(), reader.unread())
        assert [await answer for answer in lists] == [[], [], [], [], []]

    @played
    async def test_an_event_is_read_as_it_was_written(self, trial: Trial) -> None:
        """With the name and version of its type."""
        root = trial.script.root(BILL, key="o-1")
        await trial.put(root)
        written, view = root.events[0], await trial.store.reader.event(root.process)
        assert view is not None
        assert (view.type, view.version, view.key, view.cause) == ("shop.placed", 1, "o-1", 0)
        assert (view.n, view.hlc, view.topology, view.data) == (written.n, written.hlc, written.topology, b"{}")
        assert view.extra is None

    @played
    async def test_events_come_in_the_order_of_their_numbers(self, trial: Trial) -> None:
        """Even if a later number was committed first; by page, by process and by type."""
        script, reader = trial.script, trial.store.reader
        first, second, third = script.root(BILL), script.root(BILL), script.root()
        paid = script.step(first, BILL, ("shop.paid", ()))
        await trial.put(third, second, first)
        await trial.put(paid)
        numbers = [commit.events[0].n for commit in (first, second, third, paid)]
        assert [event.n for event in await reader.events()] == numbers
        assert [event.n for event in await reader.events(limit=2)] == numbers[:2]
        assert [event.n for event in await reader.events(after=numbers[1], limit=2)] == numbers[2:]
        assert [event.n for event in await reader.events(process=first.process)] == [numbers[0], numbers[3]]
        assert [event.n for event in await reader.events(process=first.process, after=numbers[0])] == [numbers[3]]
        assert [event.n for event in await reader.events(type="shop.paid")] == [numbers[3]]
        assert await reader.events(process=first.process, type="shop.lost") == []

    @played
    async def test_an_execution_is_read_with_its_event_and_journal(self, trial: Trial) -> None:
        """Entries in the order in which they were written; `length` counts them all."""
        script = trial.script
        root = script.root(BILL)
        part = (Begun("a#0", 1, "undo", b""), Valued("b#0", b"2"))
        waits = script.step(root, BILL, status=WAITING, entries=part, waits="shop.paid shop.lost", due=9)
        await trial.put(root, waits)
        await trial.put(script.step(root, BILL, status=WAITING, expected=2, entries=(Slept("a#0"),), attempts=3))
        stored = await trial.store.reader.execution(waits.execution)
        assert stored is not None
        assert stored.event == await trial.store.reader.event(root.process)
        assert stored.entries == (*part, Slept("a#0"))
        view = stored.execution
        assert (view.handler, view.length, view.attempts, view.gating) == (BILL, 3, 3, True)
        assert (view.waits, view.due, view.error) == ((), None, None)

    @played
    async def test_an_open_obligation_is_ready_with_its_due_time(self, trial: Trial) -> None:
        """Nobody has touched it yet."""
        root = trial.script.root(BILL)
        root.opened[0].due = 99
        await trial.put(root)
        view = (await trial.store.reader.executions())[0]
        assert (view.status, view.due, view.length, view.epoch) == (0, 99, 0, trial.opened.epoch)

    @played
    async def test_an_obligation_opened_and_settled_in_one_batch_is_one_row(self, trial: Trial) -> None:
        """In its final state; nothing of the state in between can be read."""
        script = trial.script
        root = script.root(BILL)
        steps = [script.step(root, BILL, status=WAITING, waits="shop.paid"), script.step(root, BILL, code=5)]
        await trial.put(root, *steps)
        rows = await trial.store.reader.executions(process=root.process)
        assert [(row.status, row.code, row.waits) for row in rows] == [(Status.DONE, 5, ())]
        assert await trial.store.reader.executions() == []

    @played
    async def test_executions_are_found_by_process_status_and_handler(self, trial: Trial) -> None:
        """Without a process only the open ones."""
        script, reader = trial.script, trial.store.reader
        roots = [script.root(BILL, PACK) for _ in range(3)]
        await trial.put(*roots, script.step(roots[0], BILL), script.step(roots[1], PACK, status=PARKED, error="no"))
        everything = await reader.executions()
        assert [x.id for x in everything] == sorted(x.id for x in everything)
        assert len(everything) == 5
        parked = await reader.executions(statuses=iter([PARKED]))
        assert [(x.process, x.handler, x.error) for x in parked] == [(roots[1].process, PACK, "no")]
        assert await reader.executions(statuses=()) == []
        assert len(await reader.executions(handler=BILL)) == 2
        of_first = await reader.executions(process=roots[0].process)
        assert [x.status for x in of_first] == [Status.DONE, Status.READY]
        assert len(await reader.executions(process=roots[0].process, statuses=[Status.DONE], handler=BILL)) == 1
        assert await reader.executions(process=roots[0].process, after=of_first[0].id) == of_first[1:]
        assert await reader.executions(after=everything[1].id, limit=2) == everything[2:4]

    @played
    async def test_what_was_set_aside_ahead_in_the_same_lane_is_found(self, trial: Trial) -> None:
        """Of the same handler and key, earlier, with such a status; the first of them."""
        script, ahead = trial.script, trial.store.reader.ahead
        roots = [script.root(BILL, PACK, key=key) for key in ("o-1", "o-2", "o-1", "o-1")]
        aside = [script.step(root, BILL, status=PARKED) for root in roots[:2]]
        aside.append(script.step(roots[2], BILL, status=DIVERGED))
        await trial.put(*roots, *aside, script.step(roots[3], PACK, status=PARKED))
        last = execution_id(roots[3].process, trial.opened.handlers[BILL])
        found = [await ahead(last, statuses=wanted) for wanted in ((PARKED, DIVERGED), (DIVERGED,), ())]
        assert [view and view.id for view in found] == [aside[0].execution, aside[2].execution, None]
        for execution in (aside[0].execution, aside[1].execution, 99 << 16):
            assert await ahead(execution, statuses=(PARKED, DIVERGED)) is None

    @played
    async def test_a_lane_may_be_a_field_of_the_payload_and_a_payload_may_be_anything(self, trial: Trial) -> None:
        """What has no such field has no lane."""
        script, ahead = trial.script, trial.store.reader.ahead
        payloads = (b'{"to":"x"}', b"no JSON", b'{"to":"y"}', b"[]", b'{"to":"y"}', b"{}")
        roots = [script.root(BILL, key="same") for _ in payloads]
        for root, payload in zip(roots, payloads, strict=True):
            root.events[0].data = payload
        await trial.put(*roots, *(script.step(root, BILL, status=PARKED) for root in roots[:4]))
        numbers = [execution_id(root.process, trial.opened.handlers[BILL]) for root in roots]
        found = [await ahead(number, statuses=(PARKED,), field="to") for number in numbers]
        assert [view and view.id for view in found] == [None, None, None, None, numbers[2], None]
        by_key = await ahead(numbers[5], statuses=(PARKED,))
        assert by_key is not None
        assert by_key.id == numbers[0]

    @played
    async def test_the_newest_manifest_is_read_as_it_was_declared(self, trial: Trial) -> None:
        """Also after a restart with another."""
        assert await trial.store.reader.manifest() == DECLARATION.manifest
        await trial.restart(msgspec.structs.replace(DECLARATION, manifest=b"shop 2"))
        reader = trial.store.reader
        assert await reader.manifest() == b"shop 2"
        assert await reader.manifest(trial.opened.topology - 1) == DECLARATION.manifest
        assert await reader.manifest(trial.opened.topology + 1) == b""

    @played
    async def test_executions_of_a_process_span_its_events(self, trial: Trial) -> None:
        """A chain of handlers belongs to one process, page by page."""
        script, reader = trial.script, trial.store.reader
        commit = script.root(BILL)
        await trial.put(commit, script.root(BILL))
        for _ in range(4):
            step = script.step(commit, BILL, ("shop.paid", (BILL,)))
            await trial.put(step)
            commit = step
        chain = await reader.executions(process=commit.process)
        assert len(chain) == 5
        paged = [(await reader.executions(process=commit.process, after=x.id, limit=1))[:1] for x in chain]
        assert paged == [[x] for x in chain[1:]] + [[]]

    @played
    async def test_processes_are_found_by_key_name_and_openness(self, trial: Trial) -> None:
        """The newest first, page by page."""
        script, reader = trial.script, trial.store.reader
        roots = [
            script.root(BILL, key="a", declared="order"),
            script.root(key="a"),
            script.root(BILL, key="b", declared="order"),
            script.root(BILL),
        ]
        await trial.put(*roots)
        ids = [root.process for root in reversed(roots)]
        assert await _ids(reader.processes()) == ids
        assert await _ids(reader.processes(limit=2)) == ids[:2]
        assert await _ids(reader.processes(before=ids[1], limit=2)) == ids[2:]
        assert await _ids(reader.processes(key="a")) == [ids[2], ids[3]]
        assert await _ids(reader.processes(key="a", open_only=True)) == [ids[3]]
        assert await _ids(reader.processes(key="a", declared="order")) == [ids[3]]
        assert await _ids(reader.processes(declared="order")) == [ids[1], ids[3]]
        assert await _ids(reader.processes(open_only=True, before=ids[0])) == [ids[1], ids[3]]
        view = await reader.process(ids[3])
        assert view is not None
        assert (view.wire_id, view.declared, view.key) == (f"wire-{view.id}", "order", "a")

    @played
    async def test_receipts_come_in_commit_order_and_dense(self, trial: Trial) -> None:
        """`seq` counts from 1 in each shard, without a gap where a commit was refused."""
        script, reader = trial.script, trial.store.reader
        roots = [script.root(BILL) for _ in range(130)]
        bad = script.step(roots[0], BILL, expected=3)
        settled = [script.step(root, BILL) for root in roots]
        await trial.put(*roots[:70], bad, *settled[:50])
        await trial.put(*roots[70:], *settled[50:])
        bundles = await reader.receipts()
        shards: dict[int, list[Receipt]] = {}
        for bundle in bundles:
            found = shards.setdefault(bundle.shard, [])
            assert bundle.seq == len(found) + 1
            found += bundle.receipts
        written = [receipt for commit in _order(roots, settled) for receipt in commit.receipts]
        assert shards == {shard: [r for r in written if r.process % 64 == shard] for shard in shards}
        assert sum(map(len, shards.values())) == len(written)
        positions = [bundle.position for bundle in bundles]
        assert positions == sorted(set(positions))
        assert await reader.receipts(after=positions[9], limit=7) == bundles[10:17]

    @played
    async def test_receipts_are_dense_anew_in_each_epoch(self, trial: Trial) -> None:
        """An observer that knows (epoch, shard, seq) sees every gap."""
        await trial.put(trial.script.root())
        await trial.restart()
        extra = trial.script.joining(1)
        await trial.put(extra)
        bundles = await trial.store.reader.receipts()
        assert [(bundle.epoch, bundle.shard, bundle.seq) for bundle in bundles] == [(1, 1, 1), (2, 1, 1)]

    @played
    async def test_mail_is_read_in_order_by_handler_and_process(self, trial: Trial) -> None:
        """Whether or not somebody waits for it already."""
        script, reader = trial.script, trial.store.reader
        root, other = script.root(BILL), script.root(BILL)
        letters = []
        for _ in range(3):
            letter = script.letter(BILL, root.process)
            letters.append(letter.n)
            await trial.put(*([root, other] if len(letters) == 1 else []), script.joining(root.process, mail=(letter,)))
        number = trial.opened.handlers[BILL]
        mail = await reader.mail(number, root.process)
        assert [view.n for view in mail] == letters
        assert mail[0] == await reader.event(letters[0])
        assert await reader.mail(number, root.process, after=letters[0], limit=1) == mail[1:2]
        assert await reader.mail(number, other.process) == []
        assert await reader.mail(trial.opened.handlers[PACK], root.process) == []

    @played
    async def test_an_answer_is_found_by_what_it_is_about_and_is_no_other_mail(self, trial: Trial) -> None:
        """The first one if there are several, in whichever mailbox; and who waits has it unread."""
        script, reader = trial.script, trial.store.reader
        root, other = script.root(BILL), script.root(BILL)
        await trial.put(root, other, script.step(root, BILL, status=WAITING))
        for process, about in ((root.process, other.process), (root.process, other.process), (other.process, 77)):
            letter = msgspec.structs.replace(script.letter(BILL, process), about=about)
            outside = msgspec.structs.replace(letter, handler=0)
            await trial.put(script.joining(process, mail=(outside, letter)))
        first, second, third = (view.n for view in await reader.events(after=other.process))
        found, last = await reader.answer(other.process), await reader.answer(77)
        assert (found, last) == (await reader.event(first), await reader.event(third))
        assert (await reader.answer(root.process), await reader.answer(0)) == (None, None)
        assert second > first
        assert await reader.mail(trial.opened.handlers[BILL], root.process) == []
        assert await reader.unread() == [execution_id(root.process, trial.opened.handlers[BILL])]

    @played
    async def test_unread_lists_those_who_wait_and_have_mail(self, trial: Trial) -> None:
        """Not those without mail, not those who do not wait, not those who ended."""
        script, reader = trial.script, trial.store.reader
        roots = [script.root(BILL) for _ in range(5)]
        waiting = [script.step(root, BILL, status=WAITING) for root in roots]
        await trial.put(*roots, *waiting[:4])
        for root in (roots[0], roots[1], roots[2], roots[4]):
            letter = script.letter(BILL, root.process)
            await trial.put(script.joining(root.process, mail=(letter,)))
        await trial.put(script.step(roots[2], BILL))
        expected = [waiting[0].execution, waiting[1].execution]
        assert await reader.unread() == expected
        assert await reader.unread(limit=1) == expected[:1]
        assert await reader.unread(after=expected[0]) == expected[1:]
        taken = WaitEnded("wait#0", 2, "shop.placed", b"{}")
        await trial.put(script.step(roots[0], BILL, status=WAITING, entries=(taken,)))
        assert await reader.unread() == expected  # what was taken is known to the journal only

    @played
    async def test_what_is_not_durable_cannot_be_read(self, trial: Trial) -> None:
        """Reading never runs ahead of the disk."""
        trial.store.append(trial.script.root(BILL))
        assert await trial.store.reader.events() == []


async def _ids(answer: object) -> list[int]:
    return [view.id for view in await answer]  # type: ignore[misc]


def _order(roots: list[Commit], settled: list[Commit]) -> list[Commit]:
    return [*roots[:70], *settled[:50], *roots[70:], *settled[50:]]
