"""What the InfluxDB store says and does when the server refuses, is another one or is away: real servers throughout."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from conftest import SecureServer, influxd
from real_servers import free_port

from plant.errors import StoreMisconfigured, StoreRejected, StoreUnavailable
from plant.frame import FrameBlock
from plant.series import MINUTE, MINUTE_NS, QUARTER, DerivedBlock, Span
from plant.site import StoreSettings
from storage.influx import InfluxStore
from storage.influx_http import InfluxHttp, Table

NOW_NS = 1_790_000_100_000_000_000 // MINUTE_NS * MINUTE_NS
KEEP = {"raw_days": 36_500, "minute_days": 36_500, "quarter_days": 36_500}


def settings(url: str, **more: object) -> StoreSettings:
    return StoreSettings(**({"kind": "influxdb", "url": url, "database": f"t{uuid.uuid4().hex}", **KEEP} | more))


@asynccontextmanager
async def opened(setting: StoreSettings, secrets: dict[str, str] | None = None) -> AsyncIterator[InfluxStore]:
    store = InfluxStore(setting, "p", secrets or {})
    try:
        yield store
    finally:
        await store.close()


def block(n: int = 1, t_ns: int = NOW_NS) -> FrameBlock:
    t = t_ns + np.arange(n, dtype=np.int64) * 1_000_000_000
    return FrameBlock(
        "p",
        "x",
        ("active_power",),
        ("m1",),
        np.zeros(n, np.int32),
        t,
        np.arange(n, dtype=np.float64)[:, None],
        np.zeros((n, 1), np.int16),
    )


async def stored(store: InfluxStore) -> int:
    return len(await store.read("m1", "active_power", Span(0, NOW_NS * 2)))


async def test_password_and_tls_with_its_own_certificate_and_gzip(influxdb_secure: SecureServer) -> None:
    s = influxdb_secure
    setting = settings(s.url, username=s.username, password_env="PW", ca_file=s.ca_file, gzip=True)
    async with opened(setting, {"PW": s.password}) as store:
        await store.setup()
        await store.write([block(2000)])
        assert await stored(store) == 2000


async def test_a_wrong_password_is_named_without_being_shown(influxdb_secure: SecureServer) -> None:
    s = influxdb_secure
    setting = settings(s.url, username=s.username, password_env="PW", ca_file=s.ca_file)
    async with opened(setting, {"PW": "guess-4711"}) as store:
        for act in (store.setup(), store.write([block()]), store.extent()):
            with pytest.raises(StoreMisconfigured, match=r"authorization failed.*store\.username") as caught:
                await act
            assert "guess-4711" not in str(caught.value)
    async with opened(settings(s.url, ca_file=s.ca_file)) as store:
        with pytest.raises(StoreMisconfigured, match=r"401.*store\.username"):
            await store.write([block()])


async def test_an_unknown_certificate_is_refused(influxdb_secure: SecureServer) -> None:
    async with opened(settings(influxdb_secure.url)) as store:
        with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
            await store.setup()


async def test_a_certificate_file_that_is_not_there_is_named() -> None:
    async with opened(settings("https://127.0.0.1:1", ca_file="/nowhere/ca.pem")) as store:
        with pytest.raises(StoreMisconfigured, match=r"store\.ca_file '/nowhere/ca.pem'"):
            await store.setup()


@pytest.mark.parametrize(("key", "name"), [("password_env", "INFLUX_PW"), ("token_env", "INFLUX_TOKEN")])
def test_a_secret_that_is_not_set_is_named(key: str, name: str) -> None:
    with pytest.raises(StoreMisconfigured, match=rf"store\.{key} names the environment variable {name}"):
        InfluxStore(settings("http://127.0.0.1:1", **{key: name}), "p", {})


async def test_a_user_without_rights_to_create_works_where_the_databases_are_there(influxdb_secure: SecureServer) -> None:
    s = influxdb_secure
    admin = settings(s.url, username=s.username, password_env="PW", ca_file=s.ca_file)
    name = f"u{uuid.uuid4().hex}"
    plain = replace(admin, username=name)
    async with opened(plain, {"PW": "its"}) as store, opened(admin, {"PW": s.password}) as root:
        http = InfluxHttp(admin, {"PW": s.password})
        await http.manage(f"CREATE USER {name} WITH PASSWORD 'its'")
        with pytest.raises(StoreMisconfigured, match=r"CREATE DATABASE .*_raw.*RETENTION POLICY .* DURATION 36500d"):
            await store.setup()
        await root.setup()
        for part in ("raw", "1m", "15m"):
            await http.manage(f'GRANT ALL ON "{plain.database}_{part}" TO {name}')
        await http.close()
        await store.setup()
        await store.write([block()])
        assert await stored(store) == 1


async def test_a_missing_database_is_named(influxdb: str) -> None:
    async with opened(settings(influxdb)) as store:
        for act in (store.write([block()]), store.read("m1", "active_power", Span(0, 1))):
            with pytest.raises(StoreMisconfigured, match=r"database not found.*store\.database"):
                await act


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("influxdb-2", "influx bucket create --name {0}_raw --retention 36500d; influx v1 dbrp create --db {0}_raw"),
        ("influxdb-3", "influxdb3 create database --retention-period 36500d {0}_raw"),
        ("opengemini", "ts-cli -execute 'CREATE DATABASE \"{0}_raw\" WITH DURATION 36500d REPLICATION 1'"),
    ],
)
async def test_where_we_do_not_create_the_command_is_given(influxdb: str, server: str, words: str) -> None:
    setting = settings(influxdb, server=server)
    async with opened(setting) as store:
        with pytest.raises(StoreMisconfigured) as caught:
            await store.setup()
        assert words.format(setting.database) in str(caught.value)
        async with opened(replace(setting, server="influxdb-1")) as creator:
            await creator.setup()
        await store.setup()


async def test_setup_sets_the_retention_and_may_be_repeated_with_another(influxdb: str) -> None:
    setting = settings(influxdb, raw_days=90, minute_days=1, quarter_days=3660)
    http = InfluxHttp(setting, {})
    for raw_days, expected in ((90, "2160h0m0s"), (7, "168h0m0s")):
        async with opened(replace(setting, raw_days=raw_days)) as store:
            await store.setup()
        [policies] = await http.select("", f'SHOW RETENTION POLICIES ON "{setting.database}_raw"')
        [autogen] = [dict(zip(policies.columns, row, strict=True)) for row in policies.rows]
        assert (autogen["duration"], autogen["shardGroupDuration"], autogen["default"]) == (expected, "24h0m0s", True)
    await http.close()


async def test_points_beyond_retention_are_named_and_the_others_stored(influxdb: str) -> None:
    async with opened(settings(influxdb, raw_days=3650)) as store:
        await store.setup()
        old, new = block(700, 86_400_000_000_000), block(300)
        with pytest.raises(
            StoreRejected, match=r"beyond retention policy.*700 of 1000 points.*first refused: 'reading,plant=p"
        ) as caught:
            await store.write([old, new])
        assert len(caught.value.lines) == 700
        assert await stored(store) == 300


async def test_points_beyond_retention_among_others_are_told_apart_without_more_requests(
    influxdb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings(influxdb, raw_days=3650)) as store:
        await store.setup()
        mixed = block(1000)
        old = np.arange(1000) % 3 == 0
        mixed.t_ns[old] = 86_400_000_000_000 + np.flatnonzero(old) * 1_000_000_000
        requests: list[int] = []
        write = InfluxHttp.write

        async def counting(self: InfluxHttp, database: str, lines: Sequence[str]) -> None:
            requests.append(len(lines))
            await write(self, database, lines)

        monkeypatch.setattr(InfluxHttp, "write", counting)
        with pytest.raises(StoreRejected, match="334 of 1000 points") as caught:
            await store.write([mixed])
        assert requests == [1000]
        assert {line.partition("active_power=")[2].split(".")[0] for line in caught.value.lines} == set(
            map(str, range(0, 1000, 3))
        )
        assert await stored(store) == 666


async def test_a_field_of_another_type_never_blocks_the_good_points(influxdb: str) -> None:
    setting = settings(influxdb)
    async with opened(setting) as store:
        await store.setup()
        http = InfluxHttp(setting, {})
        await http.write(f"{setting.database}_raw", [f"reading,plant=p,meter=m1 frequency=50i {NOW_NS // 1_000_000 - 1}"])
        await http.close()
        bad = FrameBlock(
            "p",
            "x",
            ("frequency",),
            ("m1",),
            np.zeros(3, np.int32),
            block(3).t_ns,
            np.array([[50.0], [math.nan], [50.1]]),
            np.zeros((3, 1), np.int16),
        )
        with pytest.raises(StoreRejected, match="field type conflict") as caught:
            await store.write([bad, block(10)])
        assert len(caught.value.lines) == 2
        assert await stored(store) == 10


async def test_writing_a_second_value_takes_the_place_of_the_first(influxdb: str) -> None:
    async with opened(settings(influxdb)) as store:
        await store.setup()
        await store.write([block()])
        second = block()
        second.value[0, 0] = 9.0
        assert (await store.write([second])).conflicting == 0
        assert (await store.read("m1", "active_power", Span(0, NOW_NS * 2))).value.tolist() == [9.0]


async def test_a_reading_that_is_mended_loses_the_quality_of_what_it_replaces(influxdb: str) -> None:
    setting = settings(influxdb)
    async with opened(setting) as store:
        await store.setup()
        bad = block(3)
        bad.quality[:] = 6
        await store.write([bad])
        await store.write([block(1)])  # this process wrote what lies there
    async with opened(setting) as store:
        await store.write([block(2, NOW_NS + 1_000_000_000)])  # an earlier one did
        found = await store.read("m1", "active_power", Span(0, NOW_NS * 2))
        assert found.quality.tolist() == [0, 0, 0]


async def test_a_server_that_cuts_its_replies_is_asked_for_less_at_once(tmp_path: Path) -> None:
    with influxd(tmp_path, "max-row-limit = 1000") as port:
        async with opened(settings(f"http://127.0.0.1:{port}")) as store:
            await store.setup()
            await store.write([block(3000)])
            assert await stored(store) == 3000
            start_ns = NOW_NS + np.arange(3000) * MINUTE_NS
            figures = DerivedBlock(
                "p",
                MINUTE,
                ("a",),
                ("plant",),
                np.zeros(3000, np.int32),
                start_ns,
                np.arange(3000.0)[:, None],
                np.ones(3000, np.int64),
                np.ones(3000, bool),
            )
            await store.write_derived(figures)
            again = replace(figures, version=np.full(3000, 2), value=np.full((3000, 1), np.nan))
            await store.write_derived(again)  # what is stored is asked for, or the old fields would stay
            kept = await store.read_derived(MINUTE, ["plant"], ["a"], Span(NOW_NS, int(start_ns[-1]) + MINUTE_NS))
            assert (len(kept), kept.version.min(), np.isnan(kept.value).all()) == (3000, 2, True)


async def test_a_server_that_gives_next_to_nothing_is_named_with_its_setting(tmp_path: Path) -> None:
    with influxd(tmp_path, "max-row-limit = 1") as port:
        async with opened(settings(f"http://127.0.0.1:{port}")) as store:
            await store.setup()
            now = block(3)
            now.t_ns[:] = NOW_NS + np.arange(3) * 1_000_000
            await store.write([now])
            with pytest.raises(StoreMisconfigured, match="max-row-limit = 0"):
                await stored(store)


async def test_a_neighbour_may_be_looked_for_in_a_century_without_asking_day_by_day(
    influxdb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    select = InfluxHttp.select

    async def counted(self: InfluxHttp, database: str, statement: str) -> list[Table]:
        asked.append(statement)
        return await select(self, database, statement)

    monkeypatch.setattr(InfluxHttp, "select", counted)
    century_s = 100 * 365.25 * 86_400
    async with opened(settings(influxdb)) as store:
        await store.setup()
        await store.write([block(3)])
        pairs = [("m1", "active_power"), ("m1", "energy_import"), ("m2", "active_power")]
        asked.clear()
        first = await store.first_from(pairs, NOW_NS - 20 * 365 * 86_400 * 10**9, century_s)
        last = await store.last_before(pairs, NOW_NS + 20 * 365 * 86_400 * 10**9, century_s)
        assert len(asked) < 50
    assert [first[pair].value.tolist() for pair in pairs] == [[0.0], [], []]
    assert [last[pair].value.tolist() for pair in pairs] == [[2.0], [], []]


async def test_a_server_that_is_away_is_unavailable_and_back_when_it_is_back(tmp_path: Path) -> None:
    async with opened(settings(f"http://127.0.0.1:{free_port()}")) as store:
        for act in (store.setup(), store.write([block()]), store.extent()):
            with pytest.raises(StoreUnavailable, match=r"InfluxDB http://127\.0\.0\.1:\d+: .*trying again"):
                await act
    with influxd(tmp_path) as port:
        setting = settings(f"http://127.0.0.1:{port}")
        store = InfluxStore(setting, "p", {})
        await store.setup()
        await store.write([block()])
    with pytest.raises(StoreUnavailable):
        await store.write([block(2)])
    await store.close()
    with influxd(tmp_path) as port:
        async with opened(replace(setting, url=f"http://127.0.0.1:{port}")) as store:
            assert await stored(store) == 1


async def test_a_server_that_is_no_influxdb_is_told(influxdb: str) -> None:
    async with opened(settings(influxdb + "/health-of-something-else")) as store:
        with pytest.raises(StoreMisconfigured, match=r"404 .*check store\.url"):
            await store.setup()


async def test_a_body_too_large_for_the_server_is_halved_until_it_fits(tmp_path: Path) -> None:
    with influxd(tmp_path, "max-body-size = 10000") as port:
        async with opened(settings(f"http://127.0.0.1:{port}")) as store:
            await store.setup()
            await store.write([block(3000)])
            assert await stored(store) == 3000


@asynccontextmanager
async def answering(status: int, delay_s: float = 0.0) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A web server that answers every request alike; its URL and the (headers, body) it was sent."""
    requests: list[tuple[dict[str, str], bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append((dict(request.headers), await request.read()))
        await asyncio.sleep(delay_s)
        trouble = '{"error": "engine: cache maximum memory size exceeded"}'
        return web.Response(status=status, text=trouble if status >= 300 else '{"results": []}')

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_is_tried_again(status: int) -> None:
    async with answering(status) as (url, _), opened(settings(url)) as store:
        with pytest.raises(StoreUnavailable, match=rf"{status} engine: cache maximum memory size exceeded; trying again"):
            await store.write([block()])


async def test_a_server_that_does_not_answer_in_time_is_unavailable() -> None:
    async with answering(204, delay_s=5.0) as (url, _), opened(settings(url, timeout_s=0.2)) as store:
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.2 s"):
            await store.write([block()])


async def test_a_token_goes_into_the_header_and_gzip_into_the_body() -> None:
    async with answering(200) as (url, requests), opened(settings(url, token_env="TOK", gzip=True), {"TOK": "secret"}) as store:
        await store.write([block(2)])
        assert {headers["Authorization"] for headers, _ in requests} == {"Token secret"}
        headers, body = requests[-1]
        assert len(body.splitlines()) == 2  # the server has undone what Content-Encoding says
        assert headers["Content-Encoding"] == "gzip"


async def test_selecting_valid_rows_shows_the_current_figures_alone(influxdb: str) -> None:
    """What a dashboard asks: no stale value of a field that became null, no retired row, the right 15 min."""
    setting = settings(influxdb)
    async with opened(setting) as store:
        await store.setup()
        for version, share in enumerate([30.0, math.nan, math.nan, 50.0], start=1):
            await store.write_derived(
                DerivedBlock(
                    "p",
                    QUARTER,
                    ("green_share_physical", "load_energy"),
                    ("plant",),
                    np.zeros(1, np.int32),
                    np.array([NOW_NS // (15 * MINUTE_NS) * 15 * MINUTE_NS]),
                    np.array([[share, float(version)]]),
                    np.array([version]),
                    np.ones(1, bool),
                )
            )
            http = InfluxHttp(setting, {})
            statement = (
                'SELECT mean("green_share_physical"), sum("load_energy"), count("load_energy") FROM "derived" '
                f'WHERE "node" = \'plant\' AND "valid" = 1 AND time >= {NOW_NS // 1_000_000 - 3_600_000}ms '
                f"AND time < {NOW_NS // 1_000_000 + 3_600_000}ms GROUP BY time(15m) fill(none)"
            )
            [table] = await http.select(f"{setting.database}_15m", statement)
            await http.close()
            start_ms = NOW_NS // (15 * MINUTE_NS) * 15 * 60_000
            assert table.rows == [[start_ms, None if math.isnan(share) else share, version, 1]]


async def test_figures_of_a_day_are_rewritten_in_bulk(influxdb: str) -> None:
    async with opened(settings(influxdb)) as store:
        await store.setup()
        starts = NOW_NS + np.arange(1440, dtype=np.int64) * MINUTE_NS
        for version, hole in ((1, 0), (2, 700), (3, 0)):
            value = np.full((1440, 1), float(version))
            value[:hole] = np.nan
            await store.write_derived(
                DerivedBlock(
                    "p",
                    MINUTE,
                    ("f",),
                    ("plant",),
                    np.zeros(1440, np.int32),
                    starts,
                    value,
                    np.full(1440, version),
                    np.ones(1440, bool),
                )
            )
            found = await store.read_derived(MINUTE, ["plant"], ["f"], Span(NOW_NS, NOW_NS + 1440 * MINUTE_NS))
            assert found.start_ns.tolist() == starts.tolist()
            assert np.array_equal(found.value, value, equal_nan=True)


async def test_series_are_as_many_as_meters_and_nodes_whatever_is_written(influxdb: str) -> None:
    """Late, mended, missing and repeated readings, other quantities and figures of many versions make no further series."""
    setting = settings(influxdb)
    async with opened(setting) as store:
        await store.setup()
        for repeat in range(3):
            for at in range(5):
                one = block(20, NOW_NS + at * 3_600_000_000_000)
                one.quality[repeat::4] = 64
                one.value[repeat::5] = np.nan
                await store.write([replace(one, meters=(f"m{at}",)), replace(one, quantities=("frequency",))])
            node, start = np.zeros(1, np.int32), np.array([NOW_NS])
            value = np.full((1, 2), np.nan if repeat == 1 else 1.0)
            version, valid = np.array([repeat + 1]), np.ones(1, bool)
            await store.write_derived(DerivedBlock("p", MINUTE, ("f", "g"), ("plant",), node, start, value, version, valid))
        http = InfluxHttp(setting, {})
        for part, wanted in (("raw", 5), ("1m", 1), ("15m", 0)):
            tables = await http.select(f"{setting.database}_{part}", "SHOW SERIES")
            assert sum(len(table.rows) for table in tables) == wanted, part
        await http.close()
