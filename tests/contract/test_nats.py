"""What only a real NATS server shows: lines that break or fall silent, lost answers, other people's hands."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import nats
import pytest

from onstage.brokers.nats.broker import NatsBroker
from onstage.errors import BrokerUnavailable, UsageError
from onstage.events.subject import partition_of
from onstage.ports.broker import CursorLost, Message
from onstage.testing.nats_server import NatsServer
from onstage.testing.tcp_proxy import TcpProxy

LIMIT_S = 60
names = (f"real-{n}" for n in count())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(Path(tmp_path_factory.mktemp("nats")) / "store") as server:
        yield server


@asynccontextmanager
async def opened(url: str, namespace: str = "", **options: Any) -> AsyncIterator[NatsBroker]:
    broker = NatsBroker(f"{url}?namespace={namespace or next(names)}", environ={}, **options)
    async with asyncio.timeout(LIMIT_S):
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()


@asynccontextmanager
async def proxied(server: NatsServer) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(server.port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


async def api(server: NatsServer, subject: str, body: object = None) -> dict[str, Any]:
    """As an operator asks."""
    connection = await nats.connect(server.url)
    data = b"" if body is None else json.dumps(body).encode()
    reply = await connection.request(f"$JS.API.{subject}", data, timeout=5)
    await connection.close()
    answer: dict[str, Any] = json.loads(reply.data)
    assert "error" not in answer, answer
    return answer


def events(namespace: str, numbers: range) -> list[Message]:
    return [Message(f"evt.{namespace}.{n % 3}.placed", b"%d" % n, {"ce-id": str(n)}, f"id-{n}") for n in numbers]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; the limit of the test is the limit."""
    while not await holds():  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(0.02)


def connected_again(broker: NatsBroker) -> asyncio.Event:
    again = asyncio.Event()
    broker.on_connected = again.set
    return again


# --- lines --------------------------------------------------------------------------------------------------


def test_a_cursor_is_lost_when_the_server_falls_silent(server: NatsServer) -> None:
    """The connection stands, no byte comes: only the missing heartbeat tells."""

    async def scene() -> None:
        async with opened(server.url, "silent", idle_s=0.2) as broker:
            await broker.publish(events("silent", range(2)))
            cursor = await broker.cursor("c", ["evt.silent.>"], after=0)
            assert len(await cursor.next()) == 2
            waiting = asyncio.ensure_future(cursor.next())
            await asyncio.wait([waiting], timeout=1)
            assert not waiting.done(), "heartbeats keep it waiting"
            server.pause()
            try:
                with pytest.raises(CursorLost, match="said nothing"):
                    await waiting
            finally:
                server.resume()
            cursor = await broker.cursor("c", ["evt.silent.>"], after=1)
            assert [logged.seq for logged in await cursor.next()] == [2]

    asyncio.run(scene())


def test_a_cursor_that_nobody_asks_for_long_is_not_lost(server: NatsServer) -> None:
    """Silence counts only while something was asked for."""

    async def scene() -> None:
        async with opened(server.url, "slow", idle_s=0.1) as broker:
            cursor = await broker.cursor("c", ["evt.slow.>"], after=0)
            await broker.publish(events("slow", range(1200)))
            assert [logged.seq for logged in await cursor.next(limit=1)] == [1]
            await asyncio.sleep(0.6)
            found = 1
            while found < 1200:
                found += len(await cursor.next())
            await broker.publish(events("slow", range(1200, 1201)))
            assert [logged.seq for logged in await cursor.next()] == [1201]

    asyncio.run(scene())


def test_a_line_that_is_half_open_is_given_up(server: NatsServer) -> None:
    """Whoever waits for an answer hears that it is unknown, and another connection is made."""

    async def scene() -> None:
        async with proxied(server) as proxy, opened(f"nats://127.0.0.1:{proxy.port}", "half", idle_s=0.3) as broker:
            cursor = await broker.cursor("c", ["evt.half.>"], after=0)
            again = connected_again(broker)
            proxy.hold()
            with pytest.raises(CursorLost):
                await cursor.next()
            with pytest.raises(BrokerUnavailable):
                await broker.publish(events("half", range(1)))

            async def is_seen() -> bool:
                return broker.trouble is not None

            await until(is_seen)
            proxy.reset()
            proxy.release()
            await again.wait()
            assert await broker.publish(events("half", range(1))) == [1]

    asyncio.run(scene())


def test_what_was_stored_while_its_answer_got_lost_is_found_again(server: NatsServer) -> None:
    """The outcome is unknown; the same messages again, in another cut and with others behind them, are not doubled."""

    async def scene() -> None:
        async with proxied(server) as proxy, opened(f"nats://127.0.0.1:{proxy.port}", "unknown") as broker:
            await broker.publish(events("unknown", range(3)))
            again = connected_again(broker)
            proxy.hold_answers()
            publishing = asyncio.ensure_future(broker.publish(events("unknown", range(3, 200))))
            async with opened(server.url, "unknown") as other:

                async def is_stored() -> bool:
                    return (await other.state()).last == 200

                await until(is_stored)
            proxy.reset()
            with pytest.raises(BrokerUnavailable):
                await publishing
            proxy.release()
            await again.wait()
            assert await broker.publish(events("unknown", range(100, 300))) == list(range(101, 301))
            assert await broker.publish(events("unknown", range(300))) == list(range(1, 301))
            assert (await broker.state()).last == 300

    asyncio.run(scene())


# --- what the server has ------------------------------------------------------------------------------------


def test_a_server_that_is_set_back_shows_its_older_state(tmp_path: Path) -> None:
    """The identity stays, the tail is gone, and publishing it again puts it back."""

    async def scene(server: NatsServer) -> None:
        async with opened(server.url, "old") as broker:
            await broker.publish(events("old", range(5)))
            identity = (await broker.state()).identity
            server.stop()
            server.snapshot(tmp_path / "copy")
            again = connected_again(broker)
            server.start()
            await again.wait()
            await broker.publish(events("old", range(5, 9)))
            server.kill()
            server.restore(tmp_path / "copy")
            again = connected_again(broker)
            server.start()
            await again.wait()
            state = await broker.state()
            assert (state.identity, state.last) == (identity, 5)
            assert await broker.message(9) is None
            assert await broker.publish(events("old", range(3, 9))) == [4, 5, 6, 7, 8, 9]

    with NatsServer(tmp_path / "store", sync="always") as server:
        asyncio.run(scene(server))


def test_a_stream_that_somebody_deleted_is_made_anew(server: NatsServer) -> None:
    """It is another log then, and says so; the cursor of the old one is lost."""

    async def scene() -> None:
        async with opened(server.url, "gone") as broker:
            await broker.publish(events("gone", range(3)))
            before = await broker.state()
            cursor = await broker.cursor("c", ["evt.gone.>"], after=3)
            waiting = asyncio.ensure_future(cursor.next())
            await asyncio.sleep(0.1)
            again = connected_again(broker)
            await api(server, "STREAM.DELETE.ONSTAGE_gone")
            with pytest.raises(CursorLost):
                await waiting
            with pytest.raises(BrokerUnavailable):
                await broker.publish(events("gone", range(3, 5)))
            await again.wait()
            after = await broker.state()
            assert after.last == 0
            assert after.identity != before.identity
            assert await broker.publish(events("gone", range(5))) == [1, 2, 3, 4, 5]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"storage": "memory"}, "only in memory"),
        ({"retention": "workqueue"}, "once it was read"),
        ({"allow_atomic": False}, "as a whole"),
        ({"subjects": ["evt.NAME.>", "rcpt.NAME.>"]}, "all subjects"),
        ({"duplicate_window": 10**9}, "shorter time"),
        ({"no_ack": True, "allow_atomic": False}, "what it has stored"),
    ],
)
def test_a_stream_that_breaks_a_promise_is_refused(server: NatsServer, change: dict[str, Any], why: str) -> None:
    name = next(names)
    config = {"name": f"ONSTAGE_{name}", "subjects": [f"{kind}.NAME.>" for kind in ("evt", "rcpt", "ctl")]}
    config |= {"storage": "file", "retention": "limits", "allow_atomic": True} | change
    config["subjects"] = [subject.replace("NAME", name) for subject in config["subjects"]]

    async def scene() -> None:
        await api(server, f"STREAM.CREATE.ONSTAGE_{name}", config)
        with pytest.raises(UsageError) as caught:
            async with opened(server.url, name):
                pass
        assert why in str(caught.value)
        assert str(caught.value).count("\n") == 2

    asyncio.run(scene())


def test_more_replicas_than_there_are_servers_are_refused(server: NatsServer) -> None:
    async def scene() -> None:
        broker = NatsBroker(f"{server.url}?namespace=many&replicas=3", environ={})
        with pytest.raises(UsageError, match="replicas"):
            await broker.open()

    asyncio.run(scene())


def test_a_message_that_is_too_large_is_refused_and_the_rest_with_it(server: NatsServer) -> None:
    async def scene() -> None:
        async with opened(server.url, "large") as broker:
            small, large = Message("evt.large.1.a", b""), Message("evt.large.1.a", b"x" * (4 << 20))
            with pytest.raises(UsageError, match="max_payload"):
                await broker.publish([small, large])
            assert (await broker.state()).last == 0
            assert await broker.publish([Message("evt.large.1.a", b"x" * (3 << 20))] * 3) == [1, 2, 3]

    asyncio.run(scene())


def test_a_message_that_the_server_delivers_again_is_passed_over(server: NatsServer) -> None:
    async def scene() -> None:
        async with opened(server.url, "again", idle_s=0.2) as broker:
            await broker.publish(events("again", range(3)))
            cursor = await broker.cursor("c", ["evt.again.>"], after=0)
            taken = [logged.seq for logged in await cursor.next()]
            while len(taken) < 3:
                taken += [logged.seq for logged in await cursor.next()]
            assert taken == [1, 2, 3]
            connection = await nats.connect(server.url)
            await connection.publish("$JS.ACK.ONSTAGE_again.c.1.2.2.0.0", b"-NAK")
            await connection.close()

            async def is_delivered() -> bool:
                return (await api(server, "CONSUMER.INFO.ONSTAGE_again.c"))["delivered"]["consumer_seq"] == 4

            await until(is_delivered)
            await broker.publish(events("again", range(3, 4)))
            assert [logged.seq for logged in await cursor.next()] == [4]

    asyncio.run(scene())


def test_what_is_acknowledged_is_seen_at_the_broker(server: NatsServer) -> None:
    async def scene() -> None:
        async with opened(server.url, "acked") as broker:
            await broker.publish(events("acked", range(10)))
            cursor = await broker.cursor("c", ["evt.acked.>"], after=2)
            await cursor.next()
            await cursor.ack(7)
            await broker.state()
            info = await api(server, "CONSUMER.INFO.ONSTAGE_acked.c")
            assert (info["ack_floor"]["stream_seq"], info["num_ack_pending"]) == (7, 3)

    asyncio.run(scene())


# --- other people -------------------------------------------------------------------------------------------


def test_other_tools_see_an_ordinary_bucket(server: NatsServer) -> None:
    """What they set is read, and what they delete may be set again."""

    async def scene() -> None:
        async with opened(server.url, "bucket") as broker:
            await broker.put("a.b", b"1", revision=0)
            connection = await nats.connect(server.url)
            bucket = await connection.jetstream().key_value("ONSTAGE_bucket")
            assert (await bucket.get("a.b")).value == b"1"
            await bucket.put("c", b"2")
            value = await broker.get("c")
            assert value is not None
            assert value.data == b"2"
            await bucket.delete("c")
            assert await broker.get("c") is None
            assert await broker.put("c", b"x", revision=value.revision) is None
            assert await broker.put("c", b"3", revision=0)
            assert await broker.put("c", b"4", revision=0) is None
            await connection.close()

    asyncio.run(scene())


def test_the_server_computes_the_same_partitions(server: NatsServer) -> None:
    keys = ["a", "order-1", "käse", "x" * 200, *(f"k{n}" for n in range(200))]

    async def scene() -> None:
        transform = {"src": "raw.*", "dest": "made.{{partition(64,1)}}.{{wildcard(1)}}"}
        await api(server, "STREAM.CREATE.P", {"name": "P", "subjects": ["raw.*"], "subject_transform": transform})
        connection = await nats.connect(server.url)
        for key in keys:
            await connection.request(f"raw.{key}", b"", timeout=5)
        await connection.close()
        for seq, key in enumerate(keys, 1):
            found = await api(server, "STREAM.MSG.GET.P", {"seq": seq})
            assert found["message"]["subject"] == f"made.{partition_of(key, 0)}.{key}"

    asyncio.run(scene())


# --- getting in ---------------------------------------------------------------------------------------------


def test_who_has_no_password_does_not_get_in(tmp_path: Path) -> None:
    async def scene(server: NatsServer) -> None:
        for login in ("", "ann:wrong@", "token@"):
            with pytest.raises(BrokerUnavailable) as caught:
                await NatsBroker(f"nats://{login}127.0.0.1:{server.port}", environ={}).open()
            assert "wrong" not in str(caught.value)
        async with opened(f"nats://ann:s%3Ae@127.0.0.1:{server.port}") as broker:
            assert (await broker.state()).last == 0

    config = 'authorization { users: [{ user: ann, password: "s:e" }] }\n'
    with NatsServer(tmp_path / "store", config=config) as server:
        asyncio.run(scene(server))


def test_a_secret_is_not_said_on_a_line_that_is_not_encrypted(tmp_path: Path) -> None:
    async def scene(server: NatsServer) -> None:
        with pytest.raises(UsageError, match="does not encrypt"):
            await NatsBroker(f"tls://ann:secret@127.0.0.1:{server.port}", environ={}).open()

    with NatsServer(tmp_path / "store", config='authorization { user: ann, password: "secret" }\n') as server:
        asyncio.run(scene(server))


def test_a_server_that_is_not_there_is_looked_for_at_each_of_its_places(server: NatsServer) -> None:
    async def scene() -> None:
        async with opened(f"nats://127.0.0.1:1,127.0.0.1:{server.port}") as broker:
            assert broker.trouble is None
        with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
            await NatsBroker("nats://127.0.0.1:1", environ={}).open()

    asyncio.run(scene())
