"""The page in a real browser, served by a real server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from api_sample import NOW_NS, Sample, make_sample
from real_servers import program
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys as Key

from api.app import close_streams
from api.auth import Keys, add_key, parse_keys
from plant.errors import StoreUnavailable
from plant.series import QUARTER_NS, dense_block

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1280,800",
)  # fmt: skip
GREEN = '[data-figure="plant.green_share_physical.now"]'
LOOKS = 200  # a tenth of a second apart
VALUE_OF = "return document.querySelector(arguments[0])?.dataset.value || ''"


@asynccontextmanager
async def served(folder: Path, auth: Keys | None = None) -> AsyncIterator[tuple[Sample, str]]:
    """The sample plant behind uvicorn on a free port."""
    sample = await make_sample(folder, auth)
    server = uvicorn.Server(uvicorn.Config(sample.app, log_level="error", timeout_graceful_shutdown=2))
    sock = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield sample, f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        close_streams(sample.app)
        server.should_exit = True
        await running
        await sample.ledger.close()


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = await asyncio.to_thread(webdriver.Chrome, options=options, service=Service(program("chromedriver")))
    yield driver
    await asyncio.to_thread(driver.quit)


async def ask(browser: webdriver.Chrome, script: str, *arguments: Any) -> Any:
    return await asyncio.to_thread(browser.execute_script, script, *arguments)


async def until(found: Callable[[], Awaitable[Any]], what: str) -> None:
    """Return when the answer is true; fails by naming ``what`` was waited for."""
    for _ in range(LOOKS):
        if await found():
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"waited in vain for {what}")


async def opened(browser: webdriver.Chrome, url: str) -> None:
    await asyncio.to_thread(browser.get, url)
    await until(lambda: ask(browser, VALUE_OF, GREEN), "the first live figure")


async def api_green_share(url: str) -> float:
    async with httpx.AsyncClient(base_url=url) as http:
        live = (await http.get("/api/v1/plants/demo/live")).json()
    value: float = live["periods"]["now"]["figures"]["plant"]["green_share_physical_percent"]["value"]
    return value


async def test_a_live_figure_equals_the_apis_and_follows_it(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        first = await api_green_share(url)
        assert float(await ask(browser, VALUE_OF, GREEN)) == first
        assert await ask(browser, "return document.querySelector(arguments[0]).innerText", GREEN) == "41.6 %"
        sample.analytics.scale = 0.75
        sample.clock.t_ns += 10**9
        second = await api_green_share(url)
        assert second != first
        await until(
            lambda: ask(browser, f"return {VALUE_OF[7:]} === String(arguments[1])", GREEN, second), "the figure to follow"
        )


async def test_both_languages_and_nothing_from_outside(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url):
        await opened(browser, f"{url}/?lang=zh")
        words = await ask(browser, "return document.body.innerText")
        for term in ("当前绿电占比", "铝液交流电耗", "标杆 达标", "自备1号机组", "储能", "数据完整率", "二电解"):
            assert term in words, term
        assert await ask(browser, "return document.documentElement.lang") == "zh-CN"
        await asyncio.to_thread(browser.find_element(By.ID, "language").click)
        words = await ask(browser, "return document.body.innerText")
        for term in ("Green share now", "Potline 2", "benchmark exceeded", "completeness"):
            assert term in words, term
        loaded = await ask(browser, "return performance.getEntriesByType('resource').map((e) => e.name)")
        assert len(loaded) > 8
        assert [name for name in loaded if not name.startswith(f"{url}/")] == []
        log = await asyncio.to_thread(browser.get_log, "browser")
        assert [row for row in log if row["level"] == "SEVERE"] == [], json.dumps(log)[:2000]


async def test_a_chosen_language_is_kept(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url):
        await opened(browser, f"{url}/?lang=en")
        await asyncio.to_thread(browser.find_element(By.ID, "language").click)
        await opened(browser, url)
        assert await ask(browser, "return document.documentElement.lang") == "zh-CN"


@pytest.mark.parametrize(("lang", "said"), [("en", "What this figure rests on"), ("zh", "数值的依据")])
async def test_a_click_on_a_figure_opens_what_it_rests_on(
    browser: webdriver.Chrome, tmp_path: Path, lang: str, said: str
) -> None:
    async with served(tmp_path) as (_, url):
        await opened(browser, f"{url}/?lang={lang}")
        e1 = browser.find_element(By.CSS_SELECTOR, '[data-figure="plant.specific_energy_e1.last_24h"]')
        await asyncio.to_thread(e1.click)
        text = "return document.querySelector('#explain-dialog[open]')?.innerText || ''"
        await until(
            lambda: ask(browser, f"{text.replace('return ', 'return (')}).includes('benchmark@')"), "the limits of the figure"
        )
        shown = await ask(browser, text)
        for term in (said, "rectifier_energy / metal_produced", "13,012.4"):
            assert term in shown, shown
        log = await asyncio.to_thread(browser.get_log, "browser")
        assert [row for row in log if row["level"] == "SEVERE"] == [], json.dumps(log)[:2000]


async def test_a_silent_meter_shows_a_dash(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        sample.analytics.silent = {"unit-1"}
        await opened(browser, f"{url}/?lang=en")
        node = "document.querySelector('[data-node=\"unit-1\"]')"
        assert await ask(browser, f"return {node}.dataset.kw") == ""
        assert await ask(browser, f"return {node}.querySelector('.value').textContent") == "–"
        assert "silent for 10 min" in await ask(browser, "return document.querySelector('[data-meter=\"weather\"]').innerText")


async def test_a_stream_that_stops_is_said_aloud(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        assert await ask(browser, "return document.getElementById('banner').hidden") is True
        close_streams(sample.app)
        banner = "return document.getElementById('banner').innerText"
        await until(lambda: ask(browser, banner), "the stale banner")
        assert "not current" in await ask(browser, banner)


async def test_a_fault_does_not_make_old_figures_fresh(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        sample.analytics.error = StoreUnavailable("influxdb is away")
        sample.clock.t_ns += 10**9
        stale = "return document.body.classList.contains('stale')"
        await until(lambda: ask(browser, stale), "the figures to be called stale")
        banner = await ask(browser, "return document.getElementById('banner').innerText")
        assert "influxdb is away" in banner
        assert "not current" in banner


async def test_power_is_on_the_side_of_its_sign_and_in_the_colour_of_its_source(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    async with served(tmp_path) as (sample, url):
        sample.analytics.power_kw |= {"pv-1": 85.0, "tie-1": -2_000.0}
        await opened(browser, f"{url}/?lang=en")
        shown = """return Object.fromEntries([...document.querySelectorAll('[data-node]')].map(
            (e) => [e.dataset.node, [e.dataset.side, Number(e.dataset.kw), e.classList[1]]]))"""
        nodes = await ask(browser, shown)
        assert nodes["pv-1"] == ["sink", 85, "pv"]
        assert nodes["pv-2"][0] == "source"
        assert nodes["tie-1"] == ["sink", 2_000, "grid"]
        assert nodes["unit-1"][0::2] == ["source", "captive"]


async def test_a_source_that_is_not_known_breaks_the_stack(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        fields = ("load_energy", "captive_generation", "grid_import", "renewable_generation", "storage_discharge")
        start = np.array([NOW_NS - NOW_NS % QUARTER_NS - 96 * QUARTER_NS])
        values = np.array([[[106_000.0, 32_800.0, np.nan, 20_000.0, 0.0]]])
        await sample.store.write_derived(dense_block(sample.site.id, "15m", fields, ("plant",), start, values, 2))
        await opened(browser, f"{url}/?lang=en")
        pieces = """return Object.fromEntries([...document.querySelectorAll('#mix-chart path.layer')].map(
            (e) => [e.classList[1], e.getAttribute('d').split('M').length - 1]))"""
        await until(lambda: ask(browser, f"return Object.keys((() => {{ {pieces} }})()).length > 0"), "the chart")
        assert await ask(browser, pieces) == {"captive": 1, "grid": 2, "pv": 2, "battery": 2}


async def test_an_alert_is_acknowledged_from_the_page(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        await asyncio.to_thread(browser.find_element(By.CSS_SELECTOR, '[data-acknowledge="e1/line-2"]').click)
        sample.clock.t_ns += 10**9
        text = "return document.getElementById('alerts').innerText"
        await until(lambda: ask(browser, f"{text}.includes('acknowledged by local')"), "the acknowledgement")


async def test_the_month_and_the_year_show_bands_placeholders_and_open_by_key(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url):
        await opened(browser, f"{url}/?lang=en")
        shown = "return document.getElementById('overview').innerText"
        await until(lambda: ask(browser, shown), "the month and the year")
        words = await ask(browser, shown)
        for term in ("0 to 4", "9.0 to 44.0 %", "64.2 million yuan", "placeholder", "cannot be reached", "1.587 tCO2e/t"):
            assert term in words, term
        row = '[data-fact="month.plant.specific_energy_e1_kwh_per_t"]'
        summary = await asyncio.to_thread(browser.find_element, By.CSS_SELECTOR, f"{row} summary")
        assert "completeness" in summary.get_attribute("title")
        await asyncio.to_thread(summary.send_keys, Key.ENTER)
        opened_text = await ask(browser, "return document.querySelector(arguments[0]).innerText", row)
        assert "benchmark 13,000 kWh/t" in opened_text
        assert "NDRC etc. 2021 No. 1609" in opened_text
        await asyncio.to_thread(browser.find_element(By.ID, "language").click)
        words = await ask(browser, shown)
        for term in ("绿电占比", "阶梯电价档数", "占位值", "64.2 百万元"):
            assert term in words, term
        assert await ask(browser, "return document.querySelector(arguments[0]).open", row) is True


async def test_a_handler_that_fails_is_said_aloud(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        await ask(browser, "document.getElementById('plant-clock').remove()")
        sample.clock.t_ns += 10**9
        banner = "return document.getElementById('banner').innerText"
        await until(lambda: ask(browser, f"{banner}.includes('null')"), "the defect in the banner")


async def test_the_plant_is_loaded_again_on_another_day(browser: webdriver.Chrome, tmp_path: Path) -> None:
    async with served(tmp_path) as (sample, url):
        await opened(browser, f"{url}/?lang=en")
        loads = "return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/plants/demo')).length"
        assert await ask(browser, loads) == 1
        sample.clock.t_ns += 86_400 * 10**9
        await until(lambda: ask(browser, f"{loads} === 2"), "the plant to be loaded again")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_nothing_overflows(browser: webdriver.Chrome, tmp_path: Path, width: int, language: str) -> None:
    async with served(tmp_path) as (_, url):
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        await asyncio.to_thread(browser.execute_cdp_cmd, "Emulation.setDeviceMetricsOverride", screen)
        await opened(browser, f"{url}/?lang={language}")
        scrolled, shown = await ask(browser, "const d = document.documentElement; return [d.scrollWidth, d.clientWidth]")
        assert scrolled <= shown <= width
        outside = """const wide = innerWidth + 0.5;
            return [...document.querySelectorAll('main *')].filter((e) => {
              const box = e.getBoundingClientRect();
              return box.width > 0 && (box.right > wide || box.left < -0.5);
            }).map((e) => e.outerHTML.slice(0, 120))"""
        assert await ask(browser, outside) == []


async def test_a_plant_with_keys_asks_for_one(browser: webdriver.Chrome, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    key = add_key(file, "control-room", "viewer")
    async with served(tmp_path, parse_keys(file.read_text(), str(file))) as (_, url):
        await asyncio.to_thread(browser.get, f"{url}/?lang=en")
        await until(lambda: ask(browser, "return document.getElementById('key-dialog').open"), "the question for a key")
        await asyncio.to_thread(browser.find_element(By.ID, "key-input").send_keys, key)
        await asyncio.to_thread(browser.find_element(By.CSS_SELECTOR, "#key-form button").click)
        await until(lambda: ask(browser, VALUE_OF, GREEN), "the first live figure")
        await asyncio.to_thread(browser.find_element(By.CSS_SELECTOR, "#reports a").click)
        await until(lambda: windows(browser, 2), "the report in a window of its own")
        await asyncio.to_thread(browser.switch_to.window, browser.window_handles[1])
        await until(
            lambda: ask(browser, "return document.querySelector('h1')?.innerText.includes('Energy report')"), "the report"
        )
        assert await ask(browser, "return [...document.styleSheets].every((s) => s.cssRules.length > 0)") is True


async def windows(browser: webdriver.Chrome, wanted: int) -> bool:
    return len(await asyncio.to_thread(lambda: browser.window_handles)) == wanted
