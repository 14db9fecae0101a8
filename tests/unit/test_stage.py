"""The stage: a node or a client of the one that runs; entered, left, entered again."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onstage import App, Envelope, Process, Reject, Service, connect, event, wait
from onstage.errors import DuplicateId, InvalidEvent, StoreUnavailable, UsageError
from onstage.process_handle import ProcessHandle
from onstage.runtime import remote_door
from onstage.stage import Stage


@event("stage.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str
    text: str = ""


@event("stage.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str


@event("stage.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop = Service("shop")
order = Process("order", starts=Placed, done=Paid, external=[Approved])


@shop.on(Placed)
async def take(e: Placed) -> Paid:
    if e.text == "wait":
        await wait(Approved)
    return Paid(e.id)


APP = App(shop, order)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(remote_door, "ATTEMPT_PAUSE_S", 0.01)
    return f"sqlite:///{tmp_path}/shop.db"


async def completed(stage: Stage, key: str) -> None:
    verdict = await (await stage.process(key)).verdict(timeout=10)
    assert str(verdict) == "completed (stage.paid)"


def test_a_stage_is_used_inside_its_context(url: str) -> None:
    async def story() -> None:
        stage = APP.run(url)
        for use in (stage.emit(Placed("o1")), stage.process("o1"), stage.operate("drop", 1)):
            with pytest.raises(RuntimeError, match=r"to do: use `async with stage:`"):
                await use
        with pytest.raises(RuntimeError, match="only a node counts"):
            stage.statistics()
        async with stage:
            await stage.emit(Placed("o1"))
            assert stage.is_node
            assert stage.statistics()["commits"] >= 1
        assert not stage.is_node
        async with stage.lifespan():  # again, on the same file
            await completed(stage, "o1")

    asyncio.run(story())


def test_a_second_stage_in_the_same_process_becomes_a_client(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as node, APP.run(url) as client:
            assert (node.is_node, client.is_node) == (True, False)
            process = await client.emit(Placed("o1", "wait"), id="place-1")
            assert repr(process) == f"Process[{process.id}]"
            assert (await node.emit(Placed("o1", "wait"), id="place-1")).id == process.id
            await client.emit(Approved("o1"))
            await completed(client, "o1")
            with pytest.raises(DuplicateId):
                await client.emit(Placed("o1"), id="place-1")
            with pytest.raises(InvalidEvent, match="the limit is"):
                await client.emit(Placed("x" * 6_000_000))
            with pytest.raises(UsageError, match="there is no execution 9"):
                await client.operate("drop", 9)
            with pytest.raises(LookupError):
                await client.emit(Approved("o1"), process="no-such-1")

    asyncio.run(story())


def test_what_a_client_emits_while_no_node_runs_is_handled_when_one_starts(url: str) -> None:
    async def story() -> None:
        async with connect(url, APP) as client:
            process = await client.emit(Placed("o1"), id="place-1")
            assert (await process.verdict()).status in ("running", "stuck")
            assert not client.is_node
        async with APP.run(url) as node:
            await completed(node, "o1")
            assert (await node.emit(Placed("o1"), id="place-1")).id == process.id

    asyncio.run(story())


def test_a_client_that_holds_the_store_makes_way_for_a_node_and_goes_on_through_it(url: str) -> None:
    async def story() -> None:
        async with connect(url, APP) as client:
            early = await client.emit(Placed("o1"))
            waiting = asyncio.create_task(early.verdict(timeout=10))
            await asyncio.sleep(0)
            async with APP.run(url) as node:
                assert node.is_node
                assert str(await waiting) == "completed (stage.paid)"
                assert str(await early.verdict(timeout=10)) == "completed (stage.paid)"
                late = await client.emit(Placed("o2"))
                assert str(await late.verdict(timeout=10)) == "completed (stage.paid)"
                assert (await client.process("o2")).id == late.id

    asyncio.run(story())


def test_a_client_of_a_client_is_a_client(url: str) -> None:
    async def story() -> None:
        async with connect(url, APP) as first, connect(url, APP) as second:
            process = await second.emit(Placed("o1"))
            assert (await first.process("o1")).id == process.id
            async with APP.run(url) as node:
                await completed(node, "o1")

    asyncio.run(story())


async def typed(stage: Stage) -> list[str]:
    async with stage.reading() as reader:
        return sorted(f"{event.type} {event.key}" for event in await reader.events())


def envelopes(*ids_and_keys: str) -> list[Envelope]:
    return [
        Envelope(id=name, source="//file", type="stage.placed", data=f'{{"id":"{key}"}}'.encode())
        for name, _, key in (each.partition(" ") for each in ids_and_keys)
    ]


@pytest.mark.parametrize("become", ["node", "client"])
def test_many_envelopes_stop_at_the_first_that_is_refused_unless_they_are_to_go_on(url: str, become: str) -> None:
    async def story() -> None:
        async with APP.run(url) as node, connect(url, APP) as client:
            stage = node if become == "node" else client
            sent = envelopes("1 a", "2 b", "1 c", "3 d")
            first, _, refused = await stage.emit_envelopes(sent)
            assert isinstance(first, ProcessHandle)
            assert str(await first.verdict(timeout=10)) == "completed (stage.paid)"
            assert isinstance(refused, DuplicateId)
            assert [each for each in await typed(node) if "placed" in each] == ["stage.placed a", "stage.placed b"]
            again, _, refused, last = await stage.emit_envelopes(sent, go_on=True)
            assert isinstance(again, ProcessHandle)
            assert again.id == first.id
            assert isinstance(refused, DuplicateId)
            assert isinstance(last, ProcessHandle)
            assert await stage.emit_envelopes([]) == []

    asyncio.run(story())


def test_envelopes_that_one_door_did_not_come_to_go_to_the_next(url: str) -> None:
    class Ways:
        def __init__(self) -> None:
            self.asked: list[list[str]] = []

        async def emit_all(self, events: list[dict[str, Any]], *, go_on: bool) -> list[str | Exception]:
            self.asked.append([event["id"] for event in events])
            return [f"p-{events[0]['id']}", *([StoreUnavailable("closed")] if len(events) > 1 else [])]

    async def story() -> None:
        stage, ways = APP.run(url), Ways()
        stage._ways = ways  # type: ignore[assignment]  # noqa: SLF001
        handles = await stage.emit_envelopes(envelopes("1 a", "2 b", "3 c"))
        assert [repr(handle) for handle in handles] == ["Process[p-1]", "Process[p-2]", "Process[p-3]"]
        assert ways.asked == [["1", "2", "3"], ["2", "3"], ["3"]]

    asyncio.run(story())


def test_a_process_is_found_by_key_and_by_id(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as stage:
            first, second = await stage.emit(Placed("o1")), await stage.emit(Placed("o1"))
            assert (await stage.process("o1")).id == second.id
            assert (await stage.process(first.id)).id == first.id
            for unknown in ("o2", "", first.id + "9", "x-1", "x-²", first.id + "9" * 20, "x-" + "1" * 5_000):
                with pytest.raises(LookupError, match="there is no process with key or id"):
                    await stage.process(unknown)

    asyncio.run(story())


def test_a_foreign_envelope_is_emitted_as_it_is(url: str) -> None:
    document = b'{"specversion":"1.0","id":"7","source":"//bank","type":"stage.placed","data":{"id":"o7"}}'

    async def story() -> None:
        async with APP.run(url) as stage:
            first = await stage.emit_envelope(document)
            assert (await stage.emit_envelope(document)).id == first.id
            await completed(stage, "o7")
            with pytest.raises(InvalidEvent):
                await stage.emit_envelope(b"{}")
            with pytest.raises(InvalidEvent):
                await stage.emit_envelope(Envelope(id="8", source="//bank", type="stage.placed"))

    asyncio.run(story())


def test_reading_shows_what_is_durable_from_a_node_and_from_a_client(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as node, connect(url, APP) as client:
            await (await node.emit(Placed("o1"))).verdict(timeout=10)
            for stage in (node, client):
                async with stage.reading() as reader:
                    assert [each.type for each in await reader.events()] == ["stage.placed", "stage.paid"]
        with pytest.raises(RuntimeError, match="not entered"):
            async with App(shop).run().reading():
                raise AssertionError

    asyncio.run(story())


def test_a_stage_that_cannot_be_entered_leaves_nothing_behind(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        with pytest.raises(StoreUnavailable, match="to do: check the path"):
            async with App(shop).run(f"sqlite:///{tmp_path}/no/such/folder.db"):
                raise AssertionError
        (tmp_path / "file").touch()
        with monkeypatch.context() as patched:  # no place for the door
            patched.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file" / "inside"))
            with pytest.raises(NotADirectoryError):
                async with APP.run(url):
                    raise AssertionError
        async with APP.run(url) as stage:  # the file is free
            assert stage.is_node

    asyncio.run(story())


def test_a_key_finds_the_declared_process_before_a_younger_stray_event(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as stage:
            process = await stage.emit(Placed("o1"))
            assert (await process.verdict(timeout=10)).is_final
            late = await stage.emit(Approved("o1"))
            assert late.id != process.id
            assert (await stage.process("o1")).id == process.id

    asyncio.run(story())


def test_a_dead_end_says_who_rejected_and_why(url: str) -> None:
    asking = Service("asking")

    @asking.on(Placed)
    async def refuse(e: Placed) -> None:
        raise Reject(f"not {e.id}")

    async def story() -> None:
        async with App(asking).run(url) as stage:
            verdict = await (await stage.emit(Placed("o1"))).verdict(timeout=10)
            assert str(verdict) == "dead end: stage.placed: asking.refuse rejected it: not o1"

    asyncio.run(story())


def test_a_handler_cannot_emit_a_key_that_no_door_would_take(url: str) -> None:
    naming = Service("naming")

    @naming.on(Placed)
    async def name_it(e: Placed) -> Paid:
        return Paid("x" * 600)

    async def story() -> None:
        async with App(naming).run(url) as stage:
            process = await stage.emit(Placed("o1"))
            verdict = await process.verdict(timeout=0)
            while verdict.status != "stuck":
                verdict = await process.verdict(timeout=0.05)
            assert "the key is longer than 512 bytes" in str(verdict)

    asyncio.run(story())
