"""The stream of a namespace: how it is made, which flaws are found, and how its messages are read."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.unit.brokers.nats.fake_link import FakeLink

from onstage.brokers.nats.stream import api, ensure_log, fetch, logged, read_state
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import Logged, LogState

UNKNOWN = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
TAKEN = {"error": {"code": 400, "err_code": 10058, "description": "name in use"}}


class Server:
    """Has a stream or not, and makes one that differs from what was asked by `changed`."""

    def __init__(self, has: Mapping[str, Any] | None = None, **changed: Any) -> None:
        self.has = has
        self.changed = changed
        self.made: dict[str, Any] = {}
        self.is_late = False

    def __call__(self, subject: str, data: bytes, _: object) -> object:
        if ".CREATE." in subject:
            self.made = msgspec.json.decode(data)
            self.has = self.made | self.changed
            return TAKEN if self.is_late else {"config": self.has}
        return UNKNOWN if self.has is None else {"config": self.has}


def ensured(server: Server, **options: Any) -> None:
    asyncio.run(ensure_log(FakeLink(server, **options)))  # type: ignore[arg-type]


def test_the_stream_is_made_as_the_log_needs_it() -> None:
    server = Server()
    ensured(server)
    assert server.made["name"] == "ONSTAGE_shop"
    assert server.made["subjects"] == ["evt.shop.>", "rcpt.shop.>", "ctl.shop.>"]
    assert (server.made["allow_atomic"], server.made["storage"]) == (True, "file")
    assert server.made["max_consumers"] > 1000


def test_whoever_makes_it_first_makes_it_for_all() -> None:
    server = Server()
    server.is_late = True
    ensured(server)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"storage": "memory"}, "only in memory"),
        ({"retention": "interest"}, "gone once it was read"),
        ({"allow_atomic": False}, "batch as a whole"),
        ({"no_ack": True}, "does not say"),
        ({"persist_mode": "async"}, "before it is written"),
        ({"sealed": True}, "closed"),
        ({"subject_transform": {"src": "a", "dest": "b"}}, "changes the subjects"),
        ({"num_replicas": 0}, "fewer than 1 replicas"),
        ({"duplicate_window": 1}, "shorter time"),
        ({"subjects": ["evt.shop.>"]}, "all subjects"),
    ],
)
def test_a_flaw_is_refused_by_name(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        ensured(Server(**changed))


def test_what_keeps_more_is_good_enough() -> None:
    ensured(Server(subjects=["evt.>", "rcpt.>", "ctl.>", "x"], num_replicas=3, duplicate_window=10**12, max_age=10**18))


@pytest.mark.parametrize(("version", "is_refused"), [((2, 12, 6), True), ((2, 12, 7), False), ((2, 15, 1), False)])
def test_an_old_server_is_refused(version: tuple[int, int, int], is_refused: bool) -> None:
    if not is_refused:
        return ensured(Server(), version=version)
    with pytest.raises(UsageError, match=r"2\.12\.7 or newer"):
        ensured(Server(), version=version)


def test_an_error_that_nobody_expects_is_no_answer() -> None:
    link: Any = FakeLink(lambda *_: UNKNOWN)
    with pytest.raises(BrokerUnavailable, match="10059"):
        asyncio.run(api(link, "STREAM.INFO.x"))
    assert asyncio.run(api(link, "STREAM.INFO.x", expected=(10059,))).refused == 10059


def test_an_empty_log_ends_before_it_begins() -> None:
    for state, expected in (((0, 0, 0), (1, 0)), ((0, 6, 5), (6, 5)), ((2, 4, 5), (4, 5)), ((2, 4, 9), (4, 9, 4))):
        numbers = dict(zip(("messages", "first_seq", "last_seq"), state, strict=True))
        link: Any = FakeLink(lambda *_, numbers=numbers: {"created": "now", "state": numbers})
        assert asyncio.run(read_state(link, "shop")) == LogState("now", *expected)


def test_a_message_is_read_with_its_own_headers() -> None:
    raw = b"NATS/1.0\r\nce-id: 5: x\r\nNats-Msg-Id: id-5\r\nNats-Batch-Id: b\r\n\r\n"
    message = {"subject": "evt.shop.1.a", "seq": 5, "data": b"\xff", "hdrs": b64encode(raw).decode()}
    link: Any = FakeLink(lambda *_: {"message": message})
    assert asyncio.run(fetch(link, "S", {"seq": 5})) == Logged(5, "evt.shop.1.a", b"\xff", {"ce-id": "5: x"}, "id-5")


def test_an_id_that_the_server_does_not_know_is_the_id() -> None:
    headers = {"Nats-Msg-Id": "id-5;not-3", "Onstage-Msg-Id": "id-5"}
    assert logged(1, "a", b"", headers) == Logged(1, "a", b"", {}, "id-5")
    assert logged(1, "a", b"", {"x": "y"}).id is None
