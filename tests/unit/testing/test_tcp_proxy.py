"""The proxy: lines that carry, dawdle, hold what they have, and break."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from onstage.testing.tcp_proxy import TcpProxy

LIMIT_S = 20
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
opened: list[asyncio.StreamWriter] = []


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[TcpProxy, list[bytes]]]:
    """A proxy in front of a server that says what it heard, and what it heard."""
    heard: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while data := await reader.read(100):
            heard.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = TcpProxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    yield proxy, heard
    await proxy.stop()
    server.close()
    for writer in [*writers, *opened]:
        writer.transport.abort()
    opened.clear()
    await asyncio.sleep(0)


async def line(proxy: TcpProxy) -> Line:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    opened.append(writer)
    return reader, writer


async def said(to: Line, data: bytes) -> bytes:
    to[1].write(data)
    return await to[0].readexactly(len(data))


def played(scene: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scene()

    asyncio.run(limited())


def test_a_line_carries_both_ways() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, heard):
            lines = [await line(proxy), await line(proxy)]
            assert [await said(each, b"hello") for each in lines] == [b"hello", b"hello"]
            assert heard == [b"hello", b"hello"]

    played(scene)


def test_a_slow_line_takes_its_time_in_each_direction() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, _):
            to = await line(proxy)
            proxy.delay_s = 0.05
            began_s = asyncio.get_running_loop().time()
            await said(to, b"hello")
            assert asyncio.get_running_loop().time() - began_s >= 0.1

    played(scene)


def test_a_line_that_is_held_says_nothing_and_goes_on_where_it_was() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, heard):
            to = await line(proxy)
            await said(to, b"a")
            proxy.hold()
            answer = asyncio.ensure_future(said(to, b"b"))
            await asyncio.wait([answer], timeout=0.1)
            assert not answer.done()
            assert heard == [b"a"]
            proxy.release()
            assert await answer == b"b"

    played(scene)


def test_answers_alone_may_be_held() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, heard):
            to = await line(proxy)
            proxy.hold_answers()
            answer = asyncio.ensure_future(said(to, b"b"))
            await asyncio.wait([answer], timeout=0.1)
            assert not answer.done()
            assert heard == [b"b"]
            proxy.reset()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await answer

    played(scene)


def test_after_a_reset_the_next_line_is_healthy() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, _):
            to = await line(proxy)
            await said(to, b"a")
            proxy.reset()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await said(to, b"b")
            assert await said(await line(proxy), b"c") == b"c"

    played(scene)


def test_a_stopped_proxy_refuses_and_comes_back_on_its_port() -> None:
    async def scene() -> None:
        async with echoing() as (proxy, _):
            port = proxy.port
            await proxy.stop()
            with pytest.raises(ConnectionError):
                await line(proxy)
            await proxy.start()
            assert proxy.port == port
            assert await said(await line(proxy), b"a") == b"a"

    played(scene)


def test_a_server_that_is_not_there_is_a_line_that_breaks() -> None:
    async def scene() -> None:
        proxy = TcpProxy(1)
        await proxy.start()
        to = await line(proxy)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await said(to, b"a")
        to[1].transport.abort()
        await proxy.stop()

    played(scene)
