"""Requests to InfluxDB, two at a time: how many at once, which wait for which, and what a failing one leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from real_servers import free_port

from plant.errors import StoreUnavailable
from plant.site import StoreSettings
from storage.influx_http import InfluxHttp
from storage.influx_posts import LINES_FIRST, LINES_MAX, POSTS_MAX, Posts

Answer = Callable[[list[str]], Awaitable[web.Response]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[InfluxHttp]:
    """A server that answers every body of lines as told."""

    async def body_of(request: web.Request) -> web.Response:
        return await answer((await request.text()).split("\n"))

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/write", body_of)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    http = InfluxHttp(StoreSettings(kind="influxdb", url=f"http://127.0.0.1:{port}"), {})
    try:
        yield http
    finally:
        await http.close()
        await runner.cleanup()


class Seen:
    """What came, and how many bodies were under way at once; each waits until its neighbours had time to come."""

    def __init__(self) -> None:
        self.bodies: list[list[str]] = []
        self.now = self.most = 0
        self.beside: list[int] = []  # of each body, how many were under way when it came

    async def __call__(self, lines: list[str]) -> web.Response:
        self.beside.append(self.now)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.05)
        self.now -= 1
        self.bodies.append(lines)
        return web.Response(status=204)


async def write(http: InfluxHttp, sent: list[str]) -> None:
    async with Posts(http, "d") as posts:
        await posts.add(sent)
        await posts.finish()


def lines(count: int, first: int = 0) -> list[str]:
    return [f"reading,plant=p,meter=m v={n} {n}" for n in range(first, first + count)]


async def test_every_line_once_and_never_more_than_two_requests_at_once() -> None:
    seen, sent = Seen(), lines(4 * LINES_MAX)
    async with server(seen) as http, Posts(http, "d") as posts:
        await posts.add(sent[:3])
        await posts.add(sent[3:])
        assert await posts.finish() == []
        assert posts.count == len(sent)
    assert sorted(line for body in seen.bodies for line in body) == sorted(sent)
    assert seen.most == POSTS_MAX
    assert {len(body) for body in seen.bodies} == {LINES_FIRST, LINES_MAX, LINES_MAX - LINES_FIRST}


async def test_lines_behind_others_wait_until_those_are_stored() -> None:
    seen = Seen()
    async with server(seen) as http, Posts(http, "d") as posts:
        await posts.add(lines(LINES_FIRST + LINES_MAX))
        await posts.add(lines(LINES_MAX, 100_000), "behind")
        await posts.finish()
    assert seen.beside == [0, 1, 0]
    assert seen.bodies[-1][0].endswith(" 100000")


async def test_a_failing_request_ends_the_write_when_the_other_has_ended() -> None:
    ended: list[int] = []

    async def answer(body: list[str]) -> web.Response:
        if len(body) == LINES_FIRST:
            return web.Response(status=503)
        await asyncio.sleep(0.2)
        ended.append(len(body))
        return web.Response(status=204)

    async with server(answer) as http:
        with pytest.raises(StoreUnavailable, match="503"):
            await write(http, lines(LINES_FIRST + LINES_MAX))
    assert ended == [LINES_MAX]


async def test_refused_lines_of_several_requests_are_all_named() -> None:
    async def answer(body: list[str]) -> web.Response:
        refused = any(line.endswith(("07", "93")) for line in body)
        return web.Response(status=400, text='{"error":"partial write"}') if refused else web.Response(status=204)

    sent = lines(300)
    async with server(answer) as http, Posts(http, "d") as posts:
        await posts.add(sent)
        refused = await posts.finish()
    assert {line for line, _ in refused} == {line for line in sent if line.endswith(("07", "93"))}


async def test_a_write_given_up_leaves_no_request_behind() -> None:
    reached, over = asyncio.Event(), asyncio.Event()

    async def answer(_body: list[str]) -> web.Response:
        reached.set()
        await over.wait()
        return web.Response(status=204)

    async with server(answer) as http:
        before = asyncio.all_tasks()
        writing = asyncio.create_task(write(http, lines(LINES_FIRST)))
        await reached.wait()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        alive = {task for task in asyncio.all_tasks() - before if "_bisect" in repr(task)}
        over.set()
    assert writing.cancelled() and not alive
