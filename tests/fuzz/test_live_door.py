"""The local door itself: whatever frames come, each request has one answer and no task fails."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from tests.fuzz.decoders import DOCUMENTS, REQUESTS, bodies
from tests.fuzz.hostile import json_values, packed_values
from tests.fuzz.mutation import JSON_TOKENS, PACKED_TOKENS, Mutator
from tests.fuzz.trial import CASES, ERROR_CHARS_MAX
from tests.unit.runtime.playhouse import Placed, playing

from onstage import Service
from onstage.errors import DuplicateId, InvalidEvent, OperationError, UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import Envelope, from_json, to_json
from onstage.observe.verdict import Verdict
from onstage.process_handle import ProcessHandle
from onstage.runtime.door_messages import reply_in, request_number
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.remote_door import RemoteDoor
from onstage.stage import Stage

SEED = 20_260_102
FRAMES = 3_000
EVENTS = 1_500


class Desk:
    """What is behind the door: everything succeeds."""

    runs = True

    async def emit(self, type: str, data: bytes, **options: Any) -> str:
        return f"{type} {len(data)} {options['id']}"

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]:
        return [DuplicateId(f"{go_on}") if event["id"] is None else await self.emit(**event) for event in events]

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        return Verdict("stuck", process, (str(timeout_s),))

    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str:
        return f"{action} {execution}"

    def make_way(self) -> None:
        """Nothing to give."""


class Ear(asyncio.StreamWriter):
    """A connection's writing half that keeps what is said."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.heard += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def __del__(self) -> None:
        """There is no transport to look after."""


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def replies_in(heard: bytes) -> list[Any]:
    found = []
    while heard:
        size = int.from_bytes(heard[:4], "big")
        found.append(reply_in(heard[4 : 4 + size]))
        heard = heard[4 + size :]
    return found


def number_of(body: bytes) -> int | None:
    try:
        return request_number(body)
    except DecodeFailed:
        return None


async def serve(door: LocalDoor, sent: Iterable[bytes]) -> tuple[list[Any], bool]:
    """What the door says to these frames, and whether it hung up by itself."""
    reader, ear = asyncio.StreamReader(), Ear()
    serving = asyncio.create_task(door._serve(reader, ear))  # noqa: SLF001
    for body in sent:
        reader.feed_data(framed(body))
    for _ in range(10):
        await asyncio.sleep(0)
    hung_up = ear.is_closed
    reader.feed_eof()
    await serving
    return replies_in(ear.heard), hung_up


def test_each_request_has_one_answer_and_what_is_none_ends_the_connection() -> None:
    mutator = Mutator(SEED, bodies(REQUESTS), PACKED_TOKENS)
    sent = [*packed_values(), *(mutator.next() for _ in range(FRAMES))]
    complaints: list[Any] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        door = LocalDoor(Path("shop.db"), Desk())
        for body in sent:
            CASES["live door"] += 1
            replies, hung_up = await serve(door, [body])
            number = number_of(body)
            assert [reply.at for reply in replies] == ([] if number is None else [number]), body[:200]
            assert hung_up == (number is None), body[:200]
            assert all(reply.error is None or len(reply.error[1]) < ERROR_CHARS_MAX for reply in replies)

    asyncio.run(story())
    assert complaints == []


def test_a_client_survives_whatever_a_node_answers() -> None:
    mutator = Mutator(SEED, [b"\x82\xa2at\x01\xa5value\xa1p", b"\x82\xa2at\x01\xa5error\x92\xa1a\xa1b"], PACKED_TOKENS)
    complaints: list[Any] = []
    ends: set[type[Any]] = set()

    async def once(body: bytes) -> None:
        remote, reader = RemoteDoor(Path("shop.db")), asyncio.StreamReader()
        remote._writer = Ear()  # noqa: SLF001
        remote._listening = asyncio.create_task(remote._listen(reader))  # noqa: SLF001
        asking = remote._request(lambda: REQUESTS[-1], str, repeat=False)  # noqa: SLF001
        asked = asyncio.create_task(asking)
        await asyncio.sleep(0)
        reader.feed_data(framed(body))
        reader.feed_eof()
        try:
            ends.add(type(await asked))
        except (OperationError, UsageError, LookupError) as error:
            ends.add(type(error))
        await remote.close()

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        for _ in range(FRAMES):
            CASES["live client"] += 1
            await once(mutator.next())

    asyncio.run(story())
    assert complaints == []
    assert len(ends) > 2, "all answers ended in the same way"


def test_what_a_node_admits_from_strangers_it_can_show() -> None:
    """Through the door into a real node: refused with one error, or stored so that everybody can read it."""
    shop, random = Service("shop"), Random(SEED)

    @shop.on(Placed)
    async def take(e: Placed) -> None: ...

    documents = [document.replace(b'"type":"placed"', b'"type":"shop.placed"') for document in DOCUMENTS]
    mutator = Mutator(SEED, [documents[0], documents[2]], JSON_TOKENS)
    payloads = [value for value in json_values() if len(value) < 100_000]

    def drawn() -> Envelope | bytes:
        if random.random() < 0.5:
            return mutator.next()
        data = random.choice([random.choice(payloads), b'{"id":"%d"}' % random.randrange(99)])
        texts = ["1", "", "a\0b", "\ud800", "x" * 300, str(random.random())]
        return Envelope(
            id=random.choice(texts),
            source=random.choice(["//s", *texts]),
            type="shop.placed",
            data=data,
            extensions=random.choice([{}, {}, {"a": random.choice(texts)}, {"data": "x"}]),
        )

    async def emit(stage: Stage, event: Envelope | bytes) -> None:
        if isinstance(event, Envelope) and random.random() < 0.5:
            (answer,) = await stage.emit_envelopes([event])
            assert isinstance(answer, ProcessHandle | InvalidEvent | DuplicateId)
        else:
            await stage.emit_envelope(event)

    async def story() -> int:
        async with playing(shop) as house:
            for _ in range(EVENTS):
                CASES["live node"] += 1
                with suppress(InvalidEvent, DuplicateId):
                    await emit(house.stage, drawn())
            stored = await house.events()
            for event in stored:
                envelope = house.node.envelope(event)
                assert from_json(to_json(envelope)) == envelope
            return len(stored)

    assert EVENTS // 40 < asyncio.run(story()) < EVENTS


def test_a_door_that_leaves_a_request_without_an_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: LocalDoor, at: int, body: bytes, writer: Any) -> None:
        request = msgspec.msgpack.decode(body)
        assert await self._do(request["do"]) is not None

    monkeypatch.setattr(LocalDoor, "_answer", silent)
    with pytest.raises(AssertionError):
        test_each_request_has_one_answer_and_what_is_none_ends_the_connection()
