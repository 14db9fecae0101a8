"""Messages of the local door: there and back, and one error for what cannot be read or sent."""

import asyncio
from typing import Any

import msgspec
import pytest

from onstage.errors import OperationError, UsageError
from onstage.events.codec import DecodeFailed
from onstage.runtime.door_messages import (
    FRAME_BYTES_MAX,
    OTHER_VERSION,
    PROTOCOL,
    Answers,
    AskVerdict,
    Emit,
    EmitAll,
    MakeWay,
    Manage,
    Operate,
    Ping,
    Pong,
    Reply,
    Request,
    answer_as,
    frame,
    receive,
    reply_in,
    request_in,
    request_number,
)

EVENT = {"type": "a", "data": b"{}", "id": "1", "source": None}
REQUESTS: list[Request] = [
    Ping(at=1),
    MakeWay(at=2),
    Emit(at=3, event=Emit.of(**EVENT).event),
    EmitAll(at=6, events=EmitAll.of([EVENT, {**EVENT, "process": "p"}], go_on=True).events, go_on=True),
    AskVerdict(at=4, process="p", timeout_s=None),
    Operate(at=5, action="retry", execution=(1 << 63) - 1),
    Manage(at=7, action="replay", handler="shop.bill", options={"after": 0}),
]
RUBBISH = [
    b"",
    b"\xc1",
    b"\xc0",
    b"\x90",
    b"\x80",
    b"\x81\xa2at\xff",
    b"\x81\xa2at\xa1x",
    b"\x81\xa2at\x91" + b"\x91" * 99_999,
]


async def received(data: bytes) -> bytes | None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await receive(reader)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    body = asyncio.run(received(frame(request_)))
    assert body is not None
    assert (request_number(body), request_in(body)) == (request_.at, request_)


@pytest.mark.parametrize(
    "reply", [Reply(1, "p-1"), Reply(2, [7, True]), Reply(3), Reply(4, error=("UsageError", "no"))]
)
def test_a_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    body = asyncio.run(received(frame(reply)))
    assert body is not None
    assert reply_in(body) == reply


def test_an_older_version_reads_what_it_always_read() -> None:
    assert msgspec.msgpack.decode(frame(Emit.of(**EVENT))[4:]) == {
        "do": "emit",
        "at": 0,
        "with": {**EVENT, "process": None, "extra": None},
    }
    assert msgspec.msgpack.decode(frame(EmitAll.of([EVENT], go_on=False))[4:]) == {
        "do": "emit all",
        "at": 0,
        "with": [{**EVENT, "process": None, "extra": None}],
        "go_on": False,
    }
    assert msgspec.msgpack.decode(frame(Reply(1, Pong(7, True, PROTOCOL)))[4:]) == {"at": 1, "value": [7, True, 1]}
    assert msgspec.msgpack.decode(frame(Reply(1, "x"))[4:]) == {"at": 1, "value": "x"}


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\x05abcd"])
def test_half_a_frame_is_the_end(data: bytes) -> None:
    assert asyncio.run(received(data)) is None


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    longest = FRAME_BYTES_MAX.to_bytes(4, "big") + bytes(FRAME_BYTES_MAX)
    assert asyncio.run(received(longest)) == bytes(FRAME_BYTES_MAX)
    with pytest.raises(DecodeFailed, match="of at most"):
        asyncio.run(received((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))


@pytest.mark.parametrize("body", RUBBISH)
def test_what_is_no_message_is_refused_with_one_error_each(body: bytes) -> None:
    with pytest.raises(DecodeFailed, match="no request"):
        request_number(body)
    with pytest.raises(DecodeFailed, match="no reply"):
        reply_in(body)
    with pytest.raises(OperationError, match="client and node are of different versions"):
        request_in(body)


@pytest.mark.parametrize(
    "message", [Reply(1, "\ud800"), Reply(1 << 70), Reply(1, object()), Reply(1, bytes(FRAME_BYTES_MAX))]
)
def test_what_cannot_be_sent_is_refused(message: Reply) -> None:
    with pytest.raises(UsageError, match="cannot be sent between client and node"):
        frame(message)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"do": "dance"}, "the node does not know the request 'dance'"),
        ({"do": "x\n" * 99}, f"the node does not know the request {('x' + chr(10)) * 20!r}"),
        ({"do": 5}, "the node does not know the request ''"),
        ({"do": "ping", "at": "x"}, "the node cannot read the request 'ping': Expected `int`, got `str` - at `$.at`"),
    ],
)
def test_a_request_of_another_version_is_refused_in_three_lines(body: object, what: str) -> None:
    with pytest.raises(OperationError) as refused:
        request_in(msgspec.msgpack.encode(body))
    assert str(refused.value) == f"{what}\n{OTHER_VERSION}"
    assert len(OTHER_VERSION.splitlines()) == 2


@pytest.mark.parametrize(
    ("type_", "value", "answer"),
    [
        (str, "p", "p"),
        (Pong, [7, True, PROTOCOL], Pong(7, True, PROTOCOL)),
        (Answers, ["p", ["DuplicateId", "no"]], ["p", ("DuplicateId", "no")]),
    ],
)
def test_an_answer_of_another_kind_is_the_operators_business(type_: Any, value: Any, answer: Any) -> None:
    assert answer_as(type_, value) == answer
    for other in (5, None, [5], [7, True], [7, True, PROTOCOL + 1], ["p", ["DuplicateId"]]):
        with pytest.raises(OperationError, match="the node's answer cannot be read"):
            answer_as(type_, other)
