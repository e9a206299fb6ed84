"""What the three default rules look at, and what their texts say."""

from __future__ import annotations

from datetime import date

import pytest

from alerts import texts
from alerts.engine import Condition, Notice
from alerts.rules import DROPPED, E1, GREEN_SHARE, SILENT, STORE, Heard, Trouble, hear, watches
from plant.config import parse_site
from plant.indicators import Figure
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts

S = 1_000_000_000
NOW = 1_766_000_000 * S
RULEBOOK = parse_rules(shipped_rule_texts())
SITE_TEXT = """
[plant]
id = "p1"
name = { en = "North smelter", zh = "北厂" }
[accounting]
green_share_target_percent = 30
[[bus]]
id = "b1"
[[potline]]
id = "line-1"
name = { en = "Potline 1", zh = "一系列" }
pots = [{ valid_from = 2025-01-01T00:00:00+08:00, running = 300 }]
scale_meter = "scale"
[[endpoint]]
id = "gw"
protocol = "modbus_tcp"
host = "127.0.0.1"
port = 502
[[endpoint]]
id = "files"
protocol = "import"
[[meter]]
id = "m1"
profile = "meter"
endpoint = "gw"
silent_after_s = 30
[[meter]]
id = "scale"
profile = "scale"
endpoint = "gw"
unit = 2
[[meter]]
id = "old"
profile = "imported"
endpoint = "files"
"""
SITE = parse_site(SITE_TEXT, "site.toml")


def figure(indicator, value, low, high):
    return Figure(indicator, value, low, high, 0.987, 0.9)


def look(figures=None, heard=None, *, site=SITE, rulebook=RULEBOOK, now_ns=NOW):
    found, inactive = watches(site, rulebook, figures or {}, heard or {}, now_ns)
    return {w.rule: w for w in found}, {i.rule: i for i in inactive}


def e1_look(value, low, high, **more):
    return look({"line:line-1": {"specific_energy_e1": figure("specific_energy_e1", value, low, high)}}, **more)[0][E1]


def benchmark():
    return float(RULEBOOK.in_force("benchmark", date(2025, 12, 18)).value)


def test_e1_is_held_against_the_benchmark_in_force_by_the_near_edge_of_its_band():
    limit = benchmark()
    assert e1_look(limit + 150, limit + 1, limit + 300).condition is Condition.BREACHED
    assert e1_look(limit + 150, limit, limit + 300).condition is Condition.BETWEEN
    watch = e1_look(limit - SITE.alerts.e1_clear_margin_kwh_per_t, limit - 100, limit + 60)
    assert watch.condition is Condition.CLEAR
    assert (watch.limit, watch.unit, watch.key) == (limit, "kWh/t", "e1-over-benchmark/line:line-1")
    assert "benchmark@2022-01-01" in watch.document


def test_a_figure_that_is_absent_or_null_is_unknown():
    assert look()[0][E1].condition is Condition.UNKNOWN
    assert e1_look(None, 13_100.0, 13_200.0).condition is Condition.UNKNOWN


def test_before_the_benchmark_was_in_force_the_rule_is_inactive_and_says_so():
    found, inactive = look(now_ns=1_500_000_000 * S)
    assert E1 not in found
    assert "2017-07-14" in inactive[E1].reason_en


def test_a_benchmark_that_names_another_indicator_watches_nothing_and_silence_is_judged_all_the_same():
    other = RULEBOOK.in_force("benchmark", date(2025, 12, 18)).model_copy(update={"indicator": "specific_energy_e2"})
    figures = {"line:line-1": {"specific_energy_e1": figure("specific_energy_e1", 13_100.0, 13_050.0, 13_200.0)}}
    found, inactive = look(figures, hear({}, SITE, {"m1": NOW - 60 * S}, NOW), rulebook=Rulebook((other,), "x"))
    assert E1 not in found
    assert "specific_energy_e2" in inactive[E1].reason_en
    assert found[SILENT].condition is Condition.BREACHED


def test_green_share_is_held_against_the_plants_own_target_by_the_upper_edge():
    def at(value, low, high):
        return look({"plant": {"green_share_physical": figure("green_share_physical", value, low, high)}})[0][GREEN_SHARE]

    assert at(29, 28, 29.9).condition is Condition.BREACHED
    assert at(29, 28, 30).condition is Condition.BETWEEN
    assert at(30.5, 28, 33).condition is Condition.CLEAR


def test_without_a_target_the_green_share_rule_is_inactive_and_says_so():
    site = parse_site(SITE_TEXT.replace("green_share_target_percent = 30", ""), "site.toml")
    found, inactive = look(site=site)
    assert GREEN_SHARE not in found
    assert "green_share_target_percent" in inactive[GREEN_SHARE].reason_en
    assert "green_share_target_percent" in inactive[GREEN_SHARE].reason_zh


def silence(heard, now_ns):
    return look(heard=heard, now_ns=now_ns)[0][SILENT].condition


def test_silence_counts_from_the_last_reading_that_came():
    heard = hear({}, SITE, {"m1": NOW}, NOW + 5 * S)
    assert set(heard) == {"m1"}, "a ladle scale and imported history owe no readings"
    assert silence(heard, NOW + 30 * S) is Condition.CLEAR
    assert silence(heard, NOW + 31 * S) is Condition.BREACHED
    assert silence(hear(heard, SITE, {"m1": NOW + 31 * S}, NOW + 32 * S), NOW + 32 * S) is Condition.CLEAR


def test_a_meter_never_heard_is_neither_alive_nor_silent_until_its_time_has_passed():
    heard = hear(hear({}, SITE, {}, NOW), SITE, {}, NOW + 31 * S)
    assert heard == {"m1": Heard(None, NOW)}
    assert silence(heard, NOW + 30 * S) is Condition.BETWEEN
    assert silence(heard, NOW + 31 * S) is Condition.BREACHED


def test_texts_in_both_languages_carry_value_band_limit_document_since_and_completeness():
    watch = e1_look(13_120.4, 13_050.2, 13_190.6)
    notice = Notice("raised", NOW, NOW - 900 * S)
    english = texts.body(watch, notice, SITE.calendar, "en")
    assert texts.title(watch, notice, "en") == "ALERT: Potline 1: AC energy per tonne (e1, last 24 h) over the benchmark"
    assert english.splitlines() == [
        "value: 13120 kWh/t",
        "band: 13050 kWh/t to 13191 kWh/t",
        f"limit: {benchmark():.0f} kWh/t",
        f"after: {watch.document}",
        "since: 2025-12-18 03:18:20+08:00",
        "completeness: 98.7 %",
    ]
    chinese = texts.body(watch, notice, SITE.calendar, "zh")
    assert texts.title(watch, notice, "zh") == "报警: 一系列: 近24小时铝液交流电耗(e1)高于标杆值"
    assert chinese.splitlines()[:2] == ["当前值: 13120 kWh/t", "区间: 13050 kWh/t 至 13191 kWh/t"]
    assert "数据完整率: 98.7 %" in chinese


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_unknown_figure_is_put_in_words_not_in_numbers(language):
    watch = look()[0][E1]
    text = texts.body(watch, Notice("unknown", NOW, NOW), SITE.calendar, language)
    assert "nan" not in text.lower()
    assert "None" not in text


def test_a_benchmark_of_a_year_is_not_held_against_a_day():
    yearly = RULEBOOK.in_force("benchmark", date(2025, 12, 18)).model_copy(update={"period": "year"})
    found, inactive = look(rulebook=Rulebook((yearly,), "x"))
    assert E1 not in found
    assert "limits a year" in inactive[E1].reason_en


def test_a_forgotten_session_is_breached_until_its_broker_is_told_to_be_well():
    def look_at(lost_s):
        return {w.key: w for w in watches(SITE, RULEBOOK, {}, {}, NOW, lost_s)[0]}

    assert look_at({"main": 90.0})["session-lost/main"].condition is Condition.BREACHED
    assert look_at({"main": 0.0})["session-lost/main"].condition is Condition.CLEAR
    assert "session-lost/main" not in look_at({}), "a process that reads no broker says nothing of one"


def test_a_store_that_fails_and_a_broker_that_drops_are_watched_with_their_own_words():
    def look_at(*troubles):
        return {w.key: w for w in watches(SITE, RULEBOOK, {}, {}, NOW, None, troubles)[0]}

    failing = look_at(Trouble(STORE, "store", 1.0, "503 the disk is full"))["store-failing/store"]
    assert (failing.condition, failing.timing.raise_for_s) == (Condition.BREACHED, 300.0)
    told = texts.body(failing, Notice("raised", NOW, NOW), SITE.calendar, "en")
    assert told.splitlines()[0] == "it says: 503 the disk is full"
    assert "limit" not in told
    assert look_at(Trouble(STORE, "store", 0.0, "writes"))["store-failing/store"].condition is Condition.CLEAR
    assert look_at(Trouble(STORE, "store", None, ""))["store-failing/store"].condition is Condition.BETWEEN
    dropping = look_at(Trouble(DROPPED, "main", 25.0, "queues are full"))["broker-dropped/main"]
    assert (dropping.condition, dropping.timing.raise_for_s) == (Condition.BREACHED, 0.0)
    assert "丢弃的消息数: 25\n原文: queues are full" in texts.body(dropping, Notice("raised", NOW, NOW), SITE.calendar, "zh")
