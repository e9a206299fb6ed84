"""The link of the self-test: whole it carries, cut it refuses, swallowing it keeps the connection and loses the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from real_servers import free_port

from potwatt.selftest.link import Link, LinkMode


@pytest.fixture
async def link() -> AsyncIterator[tuple[Link, int]]:
    """A link before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    port, far = free_port(), free_port()
    server = await asyncio.start_server(echo, "127.0.0.1", far)
    link = Link(port, "127.0.0.1", far)
    await link.start()
    yield link, port
    await link.stop()
    server.close()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, within_s: float) -> bytes:
    writer.write(b"hello")
    return await asyncio.wait_for(reader.read(100), within_s)


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


async def test_whole_it_carries_both_ways(link: tuple[Link, int]) -> None:
    assert await echoed(*await asyncio.open_connection("127.0.0.1", link[1]), 5) == b"hello"


async def test_cut_it_ends_connections_and_refuses_new_ones_until_mended(link: tuple[Link, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link[1])
    assert await echoed(reader, writer, 5) == b"hello"
    await link[0].set_mode(LinkMode.CUT)
    assert await ended(reader)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", link[1])
    await link[0].set_mode(LinkMode.WHOLE)
    assert await echoed(*await asyncio.open_connection("127.0.0.1", link[1]), 5) == b"hello"


async def test_swallowing_loses_bytes_in_silence_and_ends_the_stream_when_mended(link: tuple[Link, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link[1])
    assert await echoed(reader, writer, 5) == b"hello"
    await link[0].set_mode(LinkMode.SWALLOWING)
    with pytest.raises(TimeoutError):
        await echoed(reader, writer, 0.3)
    await link[0].set_mode(LinkMode.WHOLE)
    assert await ended(reader), "a stream with a hole in it must not go on"
