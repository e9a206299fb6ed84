"""The alert loop on a real ledger: what it raises, remembers over a restart, and tells."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from alerts.engine import Condition
from plant.config import parse_site
from plant.errors import StoreUnavailable

E1_KEY, SILENT_KEY, GREEN_KEY = "e1-over-benchmark/line:line-1", "meter-silent/m1", "green-share-under-target/plant"


async def test_a_line_proven_over_the_benchmark_is_raised_and_listed(plant):
    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    (active,) = [a for a in plant.service.active() if a["state"] == "raised"]
    assert (active["key"], active["value"], active["low"], active["limit"]) == (E1_KEY, 13_120.0, 13_050.0, 13_000.0)
    assert active["since"] == "2025-12-17T19:33:20.000+00:00"
    assert active["title_zh"].startswith("报警: 一系列")
    assert "98.7 %" in active["text_en"]
    assert ("raised", E1_KEY) in await plant.history()


async def test_a_restart_neither_fires_again_nor_forgets(plant):
    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    plant.start()
    await plant.look(8)
    raised = [event for event in await plant.history() if event == ("raised", E1_KEY)]
    assert len(raised) == 1
    plant.set_e1(12_950.0, 12_900.0, 12_990.0)
    await plant.look(5)
    assert ("cleared", E1_KEY) in await plant.history()
    assert not [a for a in plant.service.active() if a["key"] == E1_KEY]


async def test_analytics_that_do_not_answer_clear_nothing_and_are_named(plant):
    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    plant.analytics.figures = None
    await plant.look(8)
    assert ("unknown", E1_KEY) in await plant.history()
    assert [a["condition"] for a in plant.service.active() if a["key"] == E1_KEY] == [Condition.UNKNOWN]
    (health,) = [h for h in plant.board.all() if h.part == "alerts"]
    assert health.state == "degraded"
    assert "does not answer" in health.detail


async def test_a_meter_that_falls_silent_is_raised_and_cleared_by_its_next_reading(plant):
    await plant.look(3)
    await plant.look(7, heard="")
    assert [e for e in await plant.history() if e[1] == SILENT_KEY] == [("raised", SILENT_KEY)]
    await plant.look(1)
    assert [e for e in await plant.history() if e[1] == SILENT_KEY][-1] == ("cleared", SILENT_KEY)


async def test_a_restart_sends_no_all_clear_for_a_meter_that_stays_dead(plant):
    await plant.look(1)
    await plant.look(7, heard="")
    plant.start()
    await plant.look(12, heard="")
    assert [e for e in await plant.history() if e[1] == SILENT_KEY] == [("raised", SILENT_KEY)]
    assert SILENT_KEY in [a["key"] for a in plant.service.active()]
    await plant.look(2)
    assert [e for e in await plant.history() if e[1] == SILENT_KEY][-1] == ("cleared", SILENT_KEY)


async def test_a_restart_raises_nothing_for_a_meter_that_speaks(plant):
    await plant.look(3)
    plant.clock.t_ns += 600_000_000_000
    plant.start()
    await plant.look(2, heard="")
    await plant.look(5)
    assert [e for e in await plant.history() if e[1] == SILENT_KEY] == []


async def test_figures_that_fail_by_a_defect_are_unknown_and_silence_is_judged(plant, monkeypatch):
    async def broken():
        raise ZeroDivisionError("a defect")

    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    monkeypatch.setattr(plant.analytics, "live", broken)
    await plant.look(8, heard="")
    assert [a["condition"] for a in plant.service.active() if a["key"] == E1_KEY] == [Condition.UNKNOWN]
    assert ("raised", SILENT_KEY) in await plant.history()
    (health,) = [h for h in plant.board.all() if h.part == "alerts"]
    assert "ZeroDivisionError" in health.detail


async def test_a_look_that_fails_by_a_defect_is_told_and_the_next_one_is_taken(plant, monkeypatch):
    looks, third = [], asyncio.Event()

    async def look():
        looks.append(1)
        if len(looks) == 3:
            third.set()
        raise ZeroDivisionError("a defect")

    class GivingClock(type(plant.clock)):
        async def sleep(self, seconds):
            await asyncio.sleep(0)

    plant.clock = GivingClock()
    plant.start()
    monkeypatch.setattr(plant.service, "look", look)
    running = asyncio.create_task(plant.service.run())
    await asyncio.wait_for(third.wait(), 30)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert [h.state for h in plant.board.all() if h.part == "alerts"] == ["down"]


async def test_without_a_target_the_health_board_says_that_nothing_watches_the_green_share(plant):
    plant.text = plant.text.replace("green_share_target_percent = 30", "")
    plant.start()
    await plant.look(1)
    (health,) = [h for h in plant.board.all() if h.part == "alerts"]
    assert "green-share-under-target watches nothing" in health.detail


async def test_events_reach_the_listeners_of_the_bus(plant):
    async def first_alert():
        async for topic, body in plant.bus.listen():
            if topic == "alert":
                return body
        return None

    listening = asyncio.create_task(first_alert())
    await asyncio.sleep(0)
    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    body = await asyncio.wait_for(listening, 5)
    assert (body["kind"], body["key"], body["unit"]) == ("raised", E1_KEY, "kWh/t")


async def test_acknowledging_stops_the_reminders(plant):
    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(8)
    assert await plant.service.acknowledge(E1_KEY, "li.wei")
    assert not await plant.service.acknowledge("e1-over-benchmark/line:none", "li.wei")
    await plant.look(80)
    kinds = [kind for kind, key in await plant.history() if key == E1_KEY]
    assert kinds == ["raised", "acknowledged"]
    plant.start()
    await plant.look(1)
    assert [a["acknowledged_by"] for a in plant.service.active() if a["key"] == E1_KEY] == ["li.wei"]


async def test_a_raised_alert_of_a_meter_taken_out_of_the_site_does_not_vanish_without_a_word(plant):
    await plant.look(8, heard="")
    plant.text = plant.text.replace('id = "m1"', 'id = "m2"')
    plant.start()
    await plant.look(1, heard="m2")
    assert ("withdrawn", SILENT_KEY) in await plant.history()
    assert not [a for a in plant.service.active() if a["key"] == SILENT_KEY]


async def test_while_the_ledger_is_away_the_alert_stands_and_is_saved_later(plant, monkeypatch):
    put_state = type(plant.ledger).put_state

    async def refuse(*_):
        raise StoreUnavailable("ledger is locked")

    plant.set_e1(13_120.0, 13_050.0, 13_190.0)
    await plant.look(6)
    monkeypatch.setattr(type(plant.ledger), "put_state", refuse)
    for _ in range(3):
        plant.hear()
        with contextlib.suppress(StoreUnavailable):
            await plant.service.look()
        plant.clock.t_ns += 10_000_000_000
    assert [a["key"] for a in plant.service.active() if a["state"] == "raised"] == [E1_KEY]
    monkeypatch.setattr(type(plant.ledger), "put_state", put_state)
    await plant.look(1)
    plant.start()
    await plant.look(1)
    assert [a["key"] for a in plant.service.active() if a["state"] == "raised"] == [E1_KEY]
    assert [kind for kind, key in await plant.history() if key == E1_KEY] == ["raised"]


async def test_a_session_that_the_broker_forgot_is_raised_at_once_and_ends_by_itself(plant):
    broker = next(iter(parse_site(plant.text, "site.toml").endpoints))
    key = f"session-lost/{broker}"
    plant.board.set(f"broker:{broker}", "degraded", "forgotten", session_lost_s=95.0)
    await plant.look(2)
    (active,) = [a for a in plant.service.active() if a["key"] == key]
    assert "messages may be missing for: 95 s" in active["text_en"]
    assert "丢失会话" in active["title_zh"]
    plant.board.set(f"broker:{broker}", "ok", "connected")
    await plant.look(2)
    assert [e for e in await plant.history() if e[1] == key] == [("raised", key), ("cleared", key)]


async def test_a_store_that_fails_on_is_raised_with_its_words_and_ends_when_it_writes(plant):
    key = "store-failing/store"
    plant.board.set("store", "down", "ledger: something nobody has seen before")
    await plant.look(20)
    assert key not in [a["key"] for a in plant.service.active()], "a restart of the store is no alert"
    plant.clock.t_ns += 301 * 1_000_000_000
    await plant.look(70)
    (active,) = [a for a in plant.service.active() if a["key"] == key]
    assert "it says: ledger: something nobody has seen before" in active["text_en"]
    plant.board.set("store", "ok", "writes")
    await plant.look(2)
    kinds = [kind for kind, at in await plant.history() if at == key]
    assert (kinds[0], kinds[-1]) == ("raised", "cleared")


async def test_lost_files_of_closed_days_are_raised_until_it_was_noted(plant):
    plant.board.set("store-files", "degraded", "reading-2026-11-01-1.lost", lost=1.0)
    await plant.look(2)
    (active,) = [a for a in plant.service.active() if a["key"] == "readings-lost/store-files"]
    assert "it says: reading-2026-11-01-1.lost" in active["text_en"]
    assert "within a day" not in active["text_en"], "it stands as long as the file lies there"
    assert "历史日数据文件" in active["title_zh"]
    plant.board.set("store-files", "ok", "every closed day can be read", lost=0.0)
    await plant.look(2)
    assert not [a for a in plant.service.active() if a["key"] == "readings-lost/store-files"]


@pytest.mark.parametrize("need", ["required", "best_effort"])
async def test_a_mirror_that_fails_on_is_raised_as_the_store_is(plant, need):
    plant.text += f'\n[[mirror]]\nid = "head"\nneed = "{need}"\nurl = "http://127.0.0.1:8086"\n'
    plant.start()
    plant.board.set("mirror-head", "down", "503 away")
    await plant.look(20)
    plant.clock.t_ns += 301 * 1_000_000_000
    await plant.look(70)
    (active,) = [a for a in plant.service.active() if a["rule"] == "store-failing"]
    assert active["key"] == "store-failing/mirror-head"
    assert "it says: 503 away" in active["text_en"]
    assert "mirror head" in active["title_en"]
    assert "镜像数据库 head" in active["title_zh"]
    plant.board.set("mirror-head", "ok", "writes")
    await plant.look(2)
    assert not [a for a in plant.service.active() if a["rule"] == "store-failing"]


async def test_readings_that_the_spool_lost_are_raised_at_once_in_both_languages_and_end_a_day_later(plant):
    key = "readings-lost/spool"
    plant.board.set("spool", "ok", "empty")
    await plant.look(2)
    assert await keys(plant) == [], "nothing was lost"
    words = "7 Frames at most were lost in 1 spans; drop_oldest"
    plant.board.set("spool:lost", "degraded", words, recent_frames=7.0, recent_spans=1.0)
    await plant.look(1)
    (active,) = [a for a in plant.service.active() if a["key"] == key]
    assert active["text_en"].startswith(f"losses within a day: 1\nit says: {words}\nsince: ")
    assert active["title_en"] == "ALERT: spool: readings lost: not every store has them"
    assert active["title_zh"] == "报警: 本地缓冲: 读数丢失:并非所有数据库都保有"
    plant.start()
    await plant.look(1)
    plant.board.set("spool:lost", "ok", words, recent_frames=0.0, recent_spans=0.0)
    await plant.look(1)
    assert await keys(plant) == ["raised", "cleared"]


async def test_a_loss_of_unknown_size_and_rot_that_cannot_be_written_down_are_raised_too(plant):
    plant.board.set("spool", "ok", "empty")
    plant.board.set("spool:lost", "degraded", "unknown", recent_frames=0.0, recent_spans=1.0)
    await plant.look(1)
    plant.board.set("spool:lost", "ok", "long ago", recent_frames=0.0, recent_spans=0.0)
    await plant.look(1)
    plant.board.set("spool:rot", "degraded", "segment 7 bytes 0 to 9: checksum", untold=1.0)
    await plant.look(1)
    (active,) = [a for a in plant.service.active() if a["key"] == "readings-lost/spool"]
    assert "it says: segment 7 bytes 0 to 9: checksum" in active["text_zh"].replace("原文", "it says")
    plant.board.set("spool:rot", "degraded", "segment 7 bytes 0 to 9: checksum", untold=0.0)
    await plant.look(1)
    assert await keys(plant) == ["raised", "cleared", "raised", "cleared"]


async def test_what_came_after_retention_is_raised_for_a_week_and_is_no_lost_reading(plant):
    key = "corrections-due/plant"
    await plant.look(2)
    assert key not in [at for _, at in await plant.history()], "nobody has told of any"
    noted_s = plant.clock.t_ns / 1e9
    plant.board.set("corrections", "degraded", "96 settled slots got readings", slots=96.0, noted_s=noted_s)
    await plant.look(1)
    (active,) = [a for a in plant.service.active() if a["key"] == key]
    assert active["text_en"].startswith("15-min slots: 96\nit says: 96 settled slots got readings\nsince: ")
    assert "手工更正" in active["title_zh"]
    plant.start()
    await plant.look(1)
    plant.clock.t_ns += 8 * 86_400 * 1_000_000_000
    await plant.look(1)
    assert [kind for kind, at in await plant.history() if at == key] == ["raised", "cleared"]


async def keys(plant):
    """What was told of the spool's losses."""
    return [kind for kind, key in await plant.history() if key == "readings-lost/spool"]
