"""Publishing in batches: what goes out, and which answers are believed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.brokers.nats.fake_link import FakeLink

from onstage.brokers.nats.publishing import ATOMIC_MESSAGES_MIN, BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Publisher
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import Message

REFUSED = {"error": {"code": 400, "err_code": 10201, "description": "duplicate message id"}}


class Server:
    """A stream: batches, the ids that it remembers, and what it lost without forgetting the id."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes, Mapping[str, str]] | None] = []
        self.known: dict[str, int] = {}
        self.link = FakeLink(self)
        self.read = 0
        self.takes_batches = True

    def __call__(self, subject: str, data: bytes, headers: Mapping[str, str]) -> object:
        if ".MSG.GET." in subject:
            return self.get(msgspec.json.decode(data)["seq"])
        if "Nats-Batch-Id" in headers:
            return self.take_batch(headers["Nats-Batch-Id"])
        return self.take(subject, data, headers)

    def get(self, seq: int) -> object:
        found = self.log[seq - 1] if seq <= len(self.log) else None
        if found is None:
            return {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in found[2].items())
        raw = f"NATS/1.0\r\n{lines}\r\n".encode()
        return {"message": {"subject": found[0], "seq": seq, "data": found[1], "hdrs": raw}}

    def take_batch(self, batch: str) -> object:
        members = [sent for sent in self.link.sent[self.read :] if sent[2].get("Nats-Batch-Id") == batch]
        self.read = len(self.link.sent)
        assert [int(sent[2]["Nats-Batch-Sequence"]) for sent in members] == list(range(1, len(members) + 1))
        ids = [sent[2]["Nats-Msg-Id"] for sent in members if "Nats-Msg-Id" in sent[2]]
        if not self.takes_batches or len({*ids}) < len(ids) or not self.known.keys().isdisjoint(ids):
            return REFUSED
        for sent in members:
            self.store(*sent)
        return {"seq": len(self.log), "count": len(members), "batch": batch}

    def take(self, subject: str, data: bytes, headers: Mapping[str, str]) -> object:
        known = self.known.get(headers.get("Nats-Msg-Id", ""))
        if known:
            return {"seq": known, "duplicate": True}
        return {"seq": self.store(subject, data, headers)}

    def store(self, subject: str, data: bytes, headers: Mapping[str, str]) -> int:
        self.log.append((subject, data, headers))
        if "Nats-Msg-Id" in headers:
            self.known[headers["Nats-Msg-Id"]] = len(self.log)
        return len(self.log)

    def publish(self, messages: list[Message]) -> list[int]:
        return asyncio.run(Publisher(self.link).publish(messages))  # type: ignore[arg-type]


def event(n: int, size: int = 1) -> Message:
    return Message(f"evt.shop.{n % 3}.a", b"%d" % n + b" " * size, {"ce-id": str(n)}, f"id-{n}")


def batches(link: FakeLink) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for _, _, headers in link.sent:
        if "Nats-Batch-Id" in headers:
            found.setdefault(headers["Nats-Batch-Id"], []).append(headers["ce-id"])
    return list(found.items())


def test_messages_go_out_in_batches_that_follow_from_them_alone() -> None:
    messages = [event(n) for n in range(2 * BATCH_MESSAGES_MAX + 9)]
    first, second = Server(), Server()
    assert first.publish(messages) == second.publish(messages) == list(range(1, len(messages) + 1))
    assert batches(first.link) == batches(second.link)
    assert [len(members) for _, members in batches(first.link)] == [BATCH_MESSAGES_MAX, BATCH_MESSAGES_MAX, 9]
    assert all(len(batch) <= 64 for batch, _ in batches(first.link))


def test_other_members_are_another_batch() -> None:
    ids = set()
    many = [event(n) for n in range(10, 10 + ATOMIC_MESSAGES_MIN)]
    for few in ([event(1), event(2)], [event(1), event(3)], [event(2), event(1)], [event(1), event(2), event(3)]):
        server = Server()
        server.publish(few + many)
        ids.add(batches(server.link)[0][0])
    assert len(ids) == 4


def test_a_few_messages_go_one_after_the_other() -> None:
    server = Server()
    messages = [event(n) for n in range(ATOMIC_MESSAGES_MIN - 1)]
    assert server.publish(messages) == list(range(1, len(messages) + 1))
    assert batches(server.link) == []


def test_a_batch_has_a_limit_in_bytes() -> None:
    server = Server()
    assert server.publish([event(n, 300_000) for n in range(40)]) == list(range(1, 41))
    assert len(batches(server.link)) > 2
    assert all(len(members) * 300_000 < BATCH_BYTES_MAX for _, members in batches(server.link))


def test_one_message_is_no_batch() -> None:
    server = Server()
    assert server.publish([event(1)]) == [1]
    assert batches(server.link) == []


def test_a_batch_that_is_there_already_is_found_by_looking() -> None:
    server = Server()
    messages = [event(n) for n in range(300)]
    assert server.publish(messages) == server.publish(messages) == list(range(1, 301))
    alone = [
        headers for subject, _, headers in server.link.sent if subject[0] == "e" and "Nats-Batch-Id" not in headers
    ]
    assert len(alone) == 1, "one message told where they all are"


def test_what_the_server_calls_a_duplicate_is_looked_at() -> None:
    """Nothing is there, or another message: it is stored, in its order, and found the next time."""
    server = Server()
    server.publish([event(n) for n in range(4)])
    server.log[1] = None
    server.log[2] = ("evt.shop.2.a", b"another", {"Nats-Msg-Id": "another"})
    seqs = server.publish([event(n) for n in range(4)])
    assert seqs == [1, 5, 6, 4]
    assert server.publish([event(n) for n in range(4)]) == seqs
    stored = server.log[4]
    assert stored is not None
    assert stored[1] == event(1).data


@given(st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=6), st.sets(st.integers(1, 20), max_size=4))
def test_whatever_the_server_has_each_number_holds_its_message(calls: list[list[int]], lost: set[int]) -> None:
    server = Server()
    for numbers in calls:
        seqs = server.publish([event(n) for n in numbers])
        for n, seq in zip(numbers, seqs, strict=True):
            stored = server.log[seq - 1]
            assert stored is not None
            assert stored[1] == event(n).data
        for seq in lost & {*range(1, len(server.log) + 1)}:
            server.log[seq - 1] = None


@given(st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=6))
def test_nothing_is_doubled_and_new_ones_keep_their_order(calls: list[list[int]]) -> None:
    server = Server()
    for numbers in calls:
        server.publish([event(n) for n in numbers])
    there = [int(stored[1]) for stored in server.log if stored]
    assert there == list(dict.fromkeys(n for numbers in calls for n in numbers))


def test_a_server_that_takes_no_batches_gets_one_message_after_the_other() -> None:
    server = Server()
    server.takes_batches = False
    assert server.publish([event(n) for n in range(20)]) == list(range(1, 21))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"error": {"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}}, "10077"),
        ({"seq": 3, "count": 1}, "another batch"),
        (["nonsense"], "none of JetStream"),
    ],
)
def test_an_answer_that_proves_nothing_is_none(answer: Any, why: str) -> None:
    link = FakeLink(lambda *_: answer)
    with pytest.raises(BrokerUnavailable, match=why):
        asyncio.run(Publisher(link).publish([event(n) for n in range(ATOMIC_MESSAGES_MIN)]))  # type: ignore[arg-type]


def test_a_message_that_is_too_large_stops_the_call_before_anything_is_sent() -> None:
    server = Server()
    with pytest.raises(UsageError, match="max_payload"):
        server.publish([event(1), event(2, 1 << 20)])
    assert server.link.sent == []


def test_a_header_that_would_be_another_stops_the_call_too() -> None:
    server = Server()
    with pytest.raises(UsageError, match="line break"):
        server.publish([event(1), Message("evt.shop.1.a", b"", {"a": "b\r\nc: d"})])
    assert server.link.sent == []
