"""Large payloads apart: what is counted is what is named, whatever is written, replaced, refused or lost in a crash."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.stores.sqlite.blob_accounts import check_counts, rows

from onstage.core.commit import Commit, RefusedBecause, StateWrite
from onstage.core.journal import PAYLOAD_FIELDS, Entry, Stepped, WaitEnded
from onstage.errors import StoreUnavailable
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.events.receipt import Status
from onstage.ports.clock import SystemClock
from onstage.ports.store import PAYLOAD_BYTES_MAX, Refused
from onstage.stores.sqlite.offload import COLLECTED_MAX
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.commit_script import DECLARATION, CommitScript
from onstage.testing.inline_workers import InlineWorkers

ABOVE = 40
BILL = "shop.bill"
PAYLOADS = (b"small", bytes([0xC1]) * ABOVE, *(bytes([letter]) * (ABOVE + 1) for letter in b"abc\xc1"))
LARGE = PAYLOADS[2]


@dataclass
class Told:
    """What a store was given and did not refuse."""

    events: dict[int, bytes] = field(default_factory=dict)
    entries: dict[int, list[Entry]] = field(default_factory=dict)
    states: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)


class Shelf:
    """A store in a folder, played with until `close`."""

    def __init__(self, folder: Path, above: int | None = ABOVE) -> None:
        self.path = folder / "store.db"
        self.told = Told()
        self.calls: list[tuple[int, int]] = []
        self.above = above

    async def open(self) -> None:
        clock, workers = SystemClock(), InlineWorkers()
        self.store = SqliteStore(
            self.path, clock=clock, workers=workers, lock_wait_s=0, synchronous="OFF", offload_above=self.above
        )
        self.script = CommitScript(await self.store.open(DECLARATION))

    async def crash(self) -> None:
        self.store.abandon()
        await self.open()

    async def put(self, *made: tuple[Commit, Callable[[], None]]) -> list[str | None]:
        """Write the commits as one batch; what is not refused is told."""
        positions = [self.store.append(commit) for commit, _ in made]
        self.store.flush()
        answers: list[str | None] = []
        for position, (_, tell) in zip(positions, made, strict=True):
            try:
                await self.store.durable(position)
            except Refused as refused:
                answers.append(refused.refusal.because)
                continue
            tell()
            answers.append(None)
        return answers

    def event(self, data: bytes) -> tuple[Commit, Callable[[], None]]:
        commit = self.script.root(BILL)
        commit.events[0].data = data
        n = commit.process

        def tell() -> None:
            self.told.events[n] = data
            self.calls.append((n, n << 16 | self.script.opened.handlers[BILL]))

        return commit, tell

    def step(self, data: bytes, *, stale: bool = False) -> tuple[Commit, Callable[[], None]]:
        process, execution = self.calls[-1]
        earlier = self.told.entries.setdefault(execution, [])
        new = (Stepped(f"s#{len(earlier)}", 1, data, 2, 1, 3, "undo", data[::-1]), WaitEnded("w#0", 1, "t", data))
        expected = len(earlier) + stale
        commit = self.script.go_on(
            execution, process, status=int(Status.RETRYING), due=9, entries=new, expected=expected
        )
        return commit, lambda: earlier.extend(new)

    def keep(self, key: str, data: bytes | None, *, stale: bool = False) -> tuple[Commit, Callable[[], None]]:
        process, execution = self.calls[-1]
        version = self.told.states.get(key, (0, None))[0]
        write = StateWrite("s.cart", key, version + stale, version + 1, 0, data)
        length = len(self.told.entries.get(execution, ()))
        commit = self.script.go_on(
            execution, process, status=int(Status.RETRYING), due=9, states=(write,), expected=length
        )

        def tell() -> None:
            self.told.states[key] = (version + 1, data)

        return commit, tell

    def rows(self, sql: str) -> list[Any]:
        return rows(self.path, sql)

    async def check_reads(self) -> None:
        """What was told is read."""
        reader = self.store.reader
        assert {view.n: view.data for view in await reader.events(limit=1000)} == self.told.events
        for execution, entries in self.told.entries.items():
            stored = await reader.execution(execution)
            assert stored is not None
            assert list(stored.entries) == entries
        assert {v.key: (v.version, v.data) for v in await reader.states(limit=1000)} == self.told.states

    def close(self) -> None:
        self.store.abandon()


def played(story: Callable[[Shelf], Any], folder: Path, above: int | None = ABOVE) -> Shelf:
    async def play() -> Shelf:
        shelf = Shelf(folder, above)
        await shelf.open()
        try:
            await story(shelf)
        finally:
            shelf.close()
        return shelf

    return asyncio.run(play())


Act = tuple[str, bytes, str, bool]
ACTS = st.tuples(
    st.sampled_from(["event", "step", "keep", "keep", "clear", "crash"]),
    st.sampled_from(PAYLOADS),
    st.sampled_from("kl"),
    st.booleans(),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(ACTS, st.booleans()), max_size=25))
def test_what_is_named_is_kept_and_counted_whatever_happens(acts: list[tuple[Act, bool]]) -> None:
    """Also when a commit is refused, when it and others make one batch, and when the node dies with some unwritten."""

    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(LARGE))
        for (act, data, key, stale), alone in acts:
            if act == "crash":
                shelf.store.append(shelf.event(data)[0])
                await shelf.crash()
                continue
            made = {
                "event": lambda: shelf.event(data),  # noqa: B023  called here
                "step": lambda: shelf.step(data, stale=stale),  # noqa: B023
                "keep": lambda: shelf.keep(key, data, stale=stale),  # noqa: B023
                "clear": lambda: shelf.keep(key, None, stale=stale),  # noqa: B023
            }[act]()
            batch = (made,) if alone else (shelf.event(data), made, shelf.event(data[::-1]))
            refused = RefusedBecause.CONFLICT if stale and act != "event" else None
            assert refused in await shelf.put(*batch)
            check_counts(shelf.path)
            await shelf.check_reads()
        for _ in range(1 + len(acts) // COLLECTED_MAX):
            await shelf.put(shelf.event(b"{}"))
        check_counts(shelf.path)
        await shelf.check_reads()
        assert shelf.rows("SELECT count(*) FROM onstage_blob WHERE refs = 0") == [(0,)]

    with TemporaryDirectory() as folder:
        played(story, Path(folder))


def test_what_one_row_alone_names_is_kept_while_it_does(tmp_path: Path) -> None:
    """Each kind of row: an event, a journal entry in each field, a keyed state."""

    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(PAYLOADS[2]))
        await shelf.put(shelf.step(PAYLOADS[3] + b"1"))
        await shelf.put(shelf.keep("k", PAYLOADS[4]), shelf.event(b"small"))
        await shelf.check_reads()
        assert shelf.rows("SELECT count(*) FROM onstage_blob WHERE refs > 0") == [(4,)]
        await shelf.put(shelf.keep("k", None), shelf.event(b"small"))
        await shelf.check_reads()
        assert shelf.rows("SELECT count(*) FROM onstage_blob_body") == [(3,)]

    played(story, tmp_path)


def test_same_content_is_stored_once(tmp_path: Path) -> None:
    """An event, a result, what a wait took and a state; and what is small stays in its row."""

    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(LARGE))
        await shelf.put(shelf.step(LARGE))
        await shelf.put(shelf.keep("k", LARGE), shelf.event(b"small"))

    shelf = played(story, tmp_path)
    assert shelf.rows("SELECT size, refs FROM onstage_blob") == [(ABOVE + 1, 5)]  # `call` is a palindrome
    assert shelf.rows("SELECT typeof(data) FROM onstage_event ORDER BY n") == [("text",), ("blob",)]
    assert max(size for (size,) in shelf.rows("SELECT length(body) FROM onstage_entry")) > ABOVE


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(b"small"))
        assert await shelf.put(shelf.step(LARGE, stale=True)) == [RefusedBecause.CONFLICT]
        assert await shelf.put(shelf.keep("k", LARGE, stale=True)) == [RefusedBecause.CONFLICT]

    assert played(story, tmp_path).rows("SELECT count(*) FROM onstage_blob") == [(0,)]


def test_garbage_goes_a_few_at_a_time(tmp_path: Path) -> None:
    """So no commit waits long for it."""
    many = 3 * COLLECTED_MAX

    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(b"small"))
        for number in range(many):
            await shelf.put(shelf.keep(str(number), number.to_bytes(2, "big") * ABOVE))
        left = [many]
        await shelf.put(*clearing(shelf, range(many)))
        while left[-1]:
            check_counts(shelf.path)
            left.append(shelf.rows("SELECT count(*) FROM onstage_blob")[0][0])
            await shelf.put(shelf.event(b"small"))
        assert left == [many, many - COLLECTED_MAX, many - 2 * COLLECTED_MAX, 0]

    played(story, tmp_path)


def clearing(shelf: Shelf, keys: Iterable[int]) -> list[tuple[Commit, Callable[[], None]]]:
    return [shelf.keep(str(key), None) for key in keys]


def test_without_offloading_no_more_is_offloaded_and_the_rest_is_read_counted_and_removed(tmp_path: Path) -> None:
    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(LARGE))
        await shelf.put(shelf.step(LARGE), shelf.event(b"small"))
        await shelf.put(shelf.keep("k", PAYLOADS[3]))
        shelf.above = None
        await shelf.crash()
        assert shelf.store.features.payload_bytes_max == EVENT_BYTES_MAX
        await shelf.put(shelf.keep("k", PAYLOADS[4]))
        await shelf.check_reads()
        check_counts(shelf.path)

    shelf = played(story, tmp_path)
    assert shelf.rows("SELECT hash FROM onstage_blob") == [(blake2b(LARGE, digest_size=32).hexdigest(),)]


def test_a_store_that_never_offloaded_does_nothing_of_it(tmp_path: Path) -> None:
    async def story(shelf: Shelf) -> None:
        assert shelf.store._writer is not None  # noqa: SLF001
        assert shelf.store._writer.offload is None  # noqa: SLF001
        await shelf.put(shelf.event(LARGE))
        await shelf.put(shelf.step(LARGE))
        await shelf.check_reads()

    assert played(story, tmp_path, None).rows("SELECT typeof(data) FROM onstage_event") == [("blob",)]


def test_a_body_that_is_gone_is_named(tmp_path: Path) -> None:
    async def story(shelf: Shelf) -> None:
        await shelf.put(shelf.event(b"small"))
        await shelf.put(shelf.step(LARGE))
        connection = apsw.Connection(str(shelf.path))
        connection.execute("DELETE FROM onstage_blob_body")
        connection.close()
        with pytest.raises(StoreUnavailable, match=r"(?s)is gone.*restore a backup") as raised:
            await shelf.store.reader.execution(shelf.calls[-1][1])
        assert re.search("[0-9a-f]{64}", str(raised.value))

    played(story, tmp_path)


def test_an_event_may_be_larger_then(tmp_path: Path) -> None:
    async def story(shelf: Shelf) -> None:
        assert shelf.store.features.payload_bytes_max == PAYLOAD_BYTES_MAX > EVENT_BYTES_MAX

    played(story, tmp_path)


def test_every_field_that_holds_a_payload_is_known() -> None:
    """A new entry with another field of bytes has to say whether that is a payload."""
    fields = {
        name.name
        for kind in Entry.__args__
        for name in msgspec.structs.fields(kind)
        if name.type in (bytes, bytes | None)
    }
    assert fields - {"secret"} == set(PAYLOAD_FIELDS)


@pytest.mark.parametrize("place", ["stores/sqlite/queries.sql", "reading/store_file.sql"])
def test_no_query_answers_a_reference(place: str) -> None:
    """Each one that answers an event's data answers what it names."""
    text = (files("onstage") / place).read_text(encoding="utf-8")
    resolving = re.compile(r"CASE typeof\(e\.data\).*? END|ifnull\(eb\.body, e\.data\)|eb\.hash = e\.data")
    assert len(resolving.findall(text)) >= 1
    assert not re.search(r"\be\.data", resolving.sub("", text))
