import copy
import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import openpyxl
import pytest
from api_sample import Sample

from api.render.csv import to_csv
from api.render.html import to_html
from api.render.table import Table, figure_rows, note, whole_period
from api.render.xlsx import to_xlsx
from plant.indicators import INDICATORS, Figure, Indicator
from plant.ports import ReportVersion
from plant.rulebook import Rulebook

ROOT = "/api/v1/plants/demo/reports"
HOSTILE = Table("=1+1", (("Cause", "<script>alert(1)</script>"),), ("a", "b", "c", "d"), (("@cmd", '<b>"x"', "", -1.5),))
PLANT = {"en": "Whole plant", "zh": "全厂"}


async def test_a_report_says_its_version_its_bounds_and_its_figures(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"{ROOT}/day/2026-05-01")).json()
    assert (body["kind"], body["period"], body["version"], body["status"]) == ("day", "2026-05-01", 2, "closed")
    assert (body["start"], body["end"]) == (
        "2026-05-01T00:00:00.000Z",
        "2026-05-02T00:00:00.000Z",
    )  # the production day starts at 08:00
    assert body["figures"]["plant"]["green_share_physical_percent"]["value"] == 41.6
    assert [row["value"] for row in body["limits"]["specific_energy_e1"] if row["id"] == "benchmark"] == [13_000]


async def test_a_day_has_its_shifts_below_the_whole(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"{ROOT}/day/2026-05-01")).json()
    assert [row["label"] for row in body["rows"]] == ["2026-05-01 shift 2", "2026-05-01 shift 3", "2026-05-02 shift 1"]
    energies = [row["figures"]["plant"]["load_energy_kwh"]["value"] for row in body["rows"]]
    assert sum(energies) == pytest.approx(body["figures"]["plant"]["load_energy_kwh"]["value"])
    page = (await client.get(f"{ROOT}/day/2026-05-01", params={"format": "html"})).text
    assert "2026-05-02 shift 1" in page


@pytest.mark.parametrize(("lang", "name"), [("en", "Data until"), ("zh", "数据截至")])
async def test_a_running_report_says_until_when_it_has_data(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch, lang: str, name: str
) -> None:
    running = await sample.analytics.report("month", "2026-05")
    running.body["span"]["end_ns"] -= 86_400 * 10**9
    until = sample.site.calendar.local(running.body["span"]["end_ns"]).isoformat()

    async def kept(*_: object) -> ReportVersion:
        return running

    monkeypatch.setattr(sample.analytics, "report", kept)
    url = f"{ROOT}/month/2026-05"
    body = (await client.get(url)).json()
    assert datetime.fromisoformat(body["end"]) - datetime.fromisoformat(body["data_until"]) == timedelta(days=1)
    plain = await client.get(url, params={"format": "csv", "lang": lang})
    assert [name, until] in list(csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))))
    sheet = await client.get(url, params={"format": "xlsx", "lang": lang})
    assert (name, until) in [row[:2] for row in openpyxl.load_workbook(io.BytesIO(sheet.content)).active.values]
    page = await client.get(url, params={"format": "html", "lang": lang})
    assert f"<dt>{name}</dt><dd>{until}</dd>" in page.text


@pytest.mark.parametrize(("lang", "name"), [("en", "Corrections due"), ("zh", "待更正")])
async def test_what_came_too_late_for_a_report_is_said_in_every_form(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch, lang: str, name: str
) -> None:
    found = await sample.analytics.report("month", "2026-05")
    late = [{"node": "point:mill", "first_slot_ns": 0, "last_slot_ns": 0, "slots": 3}]
    noted = replace(found, body=found.body | {"corrections": late})

    async def kept(*_: object) -> ReportVersion:
        return noted

    url = f"{ROOT}/month/2026-05"
    before = await client.get(url, params={"format": "csv", "lang": lang})
    assert name not in before.content.decode("utf-8-sig")
    assert (await client.get(url)).json()["corrections"] == []
    monkeypatch.setattr(sample.analytics, "report", kept)
    assert (await client.get(url)).json()["corrections"] == late
    plain = await client.get(url, params={"format": "csv", "lang": lang})
    [line] = [row for row in csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))) if row[:1] == [name]]
    assert "point:mill" in line[1]
    sheet = await client.get(url, params={"format": "xlsx", "lang": lang})
    assert name in [row[0] for row in openpyxl.load_workbook(io.BytesIO(sheet.content)).active.values]
    page = await client.get(url, params={"format": "html", "lang": lang})
    assert f"<dt>{name}</dt>" in page.text


async def test_limits_are_those_of_the_reported_time(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"{ROOT}/year/2024")).json()
    assert [row["value"] for row in body["limits"]["specific_energy_e2_tariff"] if row["id"] == "tariff-threshold"] == [13_450]


async def test_a_closed_report_keeps_the_limits_and_names_of_its_closing(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await sample.analytics.report("year", "2024")
    before = copy.deepcopy(closed.body)

    async def kept(*_: object) -> ReportVersion:
        return closed

    monkeypatch.setattr(sample.analytics, "report", kept)
    renamed = replace(sample.site, title_en="Renamed", potlines={})
    sample.app.state.context = replace(sample.app.state.context, rulebook=Rulebook((), ""), site=renamed)
    body = (await client.get(f"{ROOT}/year/2024")).json()
    assert body["limits"] == before["limits"]
    assert [row["value"] for row in body["limits"]["specific_energy_e2_tariff"] if row["id"] == "tariff-threshold"] == [13_450]
    page = (await client.get(f"{ROOT}/year/2024", params={"format": "html"})).text
    assert "Renamed" not in page
    assert "Potline 2" in page


async def test_a_chinese_report_has_no_english_boundary_or_note(client: httpx.AsyncClient) -> None:
    plain = await client.get(f"{ROOT}/day/2026-05-01", params={"format": "csv", "lang": "zh"})
    rows = [row for row in csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))) if len(row) == 12][1:]
    assert {row[10] for row in rows} & {i.boundary for i in INDICATORS.values() if i.boundary} == set()
    assert "整流机组网侧,产铝量" in {row[10] for row in rows}
    assert note("measured share 61.0% is below 80%", "zh") == "实测占比 61.0% 低于 80%"
    assert note("3 of 96 intervals are estimated", "zh") == "96 个时段中 3 个为估算值"
    assert note("no interval was measured whole", "zh") == "无完整实测时段"
    both = "3 of 96 intervals are estimated; no certificate cancelled for 2026 is in the ledger"
    assert note(both, "zh") == "96 个时段中 3 个为估算值;台账中没有 2026 年度已核销的绿证"


@pytest.mark.parametrize("indicator", INDICATORS.values(), ids=lambda i: i.name)
def test_every_indicator_has_a_chinese_boundary(indicator: Indicator) -> None:
    rows = figure_rows({}, "", {"plant": {indicator.name: Figure(indicator.name, 1.0, 1.0, 1.0, 1.0, 1.0)}}, "zh")
    assert rows[0][10] == "" or rows[0][10] != indicator.boundary


@pytest.mark.parametrize(
    ("lang", "title", "figure"), [("en", "Energy report, day 2026-05-01", "Load energy"), ("zh", "能源日报 2026-05-01", "用电量")]
)
async def test_csv_and_xlsx_hold_the_figures_of_the_json(client: httpx.AsyncClient, lang: str, title: str, figure: str) -> None:
    url = f"{ROOT}/day/2026-05-01"
    expected = (await client.get(url)).json()["figures"]["plant"]["load_energy_kwh"]["value"]
    plain = await client.get(url, params={"format": "csv", "lang": lang})
    assert plain.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))))
    assert rows[0] == [title]
    assert [float(row[3]) for row in rows if len(row) > 3 and row[:3] == ["2026-05-01", PLANT[lang], figure]] == [expected]
    sheet = await client.get(url, params={"format": "xlsx", "lang": lang})
    assert 'filename="demo-day-2026-05-01-v2.xlsx"' in sheet.headers["content-disposition"]
    cells = list(openpyxl.load_workbook(io.BytesIO(sheet.content)).active.values)
    assert cells[0][0] == title
    assert [row[3] for row in cells if row[:3] == ("2026-05-01", PLANT[lang], figure)] == [pytest.approx(expected)]


async def test_html_names_its_language_and_loads_nothing_from_outside(client: httpx.AsyncClient) -> None:
    page = await client.get(f"{ROOT}/month/2026-05", params={"format": "html", "lang": "zh"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="zh-CN">' in page.text
    assert "http" not in page.text
    assert "铝液交流电耗" in page.text


async def test_a_period_that_has_not_begun_has_no_report(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{ROOT}/month/2026-07")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not begun")


def test_no_text_acts_as_a_formula_or_as_markup() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(HOSTILE).decode("utf-8-sig"))))
    assert rows[0] == ["'=1+1"]
    assert rows[-1] == ["'@cmd", '<b>"x"', "", "-1.5"]
    html = to_html(HOSTILE, "en").decode()
    assert "<script>" not in html
    assert "<b>" not in html
    sheet = openpyxl.load_workbook(io.BytesIO(to_xlsx(HOSTILE))).active
    assert (sheet["A1"].value, sheet["A1"].data_type) == ("=1+1", "s")


def test_a_control_character_does_not_stop_a_sheet() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(to_xlsx(Table("a\x00b\x1f", (), ("c",), ())))).active
    assert sheet["A1"].value == "a�b�"


def test_what_is_not_known_is_empty_in_csv_and_a_dash_in_html() -> None:
    table = Table("t", (), ("a", "b", "c", "d"), (("x", "y", "z", None), ("x", "y", "z", float("nan"))))
    rows = list(csv.reader(io.StringIO(to_csv(table).decode("utf-8-sig"))))
    assert [row[3] for row in rows[-2:]] == ["", ""]
    assert to_html(table, "en").decode().count('<td class="number">–</td>') == 2


def _made(*names: str) -> dict[str, Figure]:
    return {name: Figure(name, 1.0, 1.0, 1.0, 1.0, 1.0) for name in names}


def test_an_inspector_finds_energy_per_tonne_shares_price_and_carbon_first() -> None:
    plant = _made("frequency_deviation", "load_energy", "direct_emissions", "green_share_physical", "metal_produced")
    plant |= _made("certificate_ratio", "specific_energy_e2", "specific_energy_e1")
    parts = [{"line:line-1": _made("specific_energy_e1"), "plant": plant}, {"plant": _made("tariff_steps")}]
    rows, sections = whole_period({}, "2026-05", parts, "en")
    names = [INDICATORS[n].en for n in ("specific_energy_e1", "specific_energy_e1", "specific_energy_e2", "metal_produced")]
    assert [row[2] for row in rows][:4] == names
    assert [row[1] for row in rows][:2] == ["Whole plant", "line:line-1"]
    assert list(sections.values()) == [
        "Energy per tonne and efficiency",
        "Green shares",
        "Certificates",
        "Tiered price",
        "Carbon",
        "Electricity by source",
        "Quality of the supply",
    ]
    assert [rows[at][2] for at in sections][3] == INDICATORS["tariff_steps"].en


@pytest.mark.parametrize("form", ["html", "xlsx"])
async def test_sections_stand_as_titles_above_their_rows(client: httpx.AsyncClient, form: str) -> None:
    answer = await client.get(f"{ROOT}/month/2026-05", params={"format": form, "lang": "zh"})
    if form == "html":
        assert answer.text.index("吨铝能耗与能效") < answer.text.index("铝液交流电耗") < answer.text.index("分来源电量")
    else:
        first = [row[0] for row in openpyxl.load_workbook(io.BytesIO(answer.content)).active.values]
        assert first.index("吨铝能耗与能效") < first.index("绿电占比") < first.index("分来源电量") < first.index("2026-05-01")


async def test_a_report_names_the_meter_that_was_measured_least(
    client: httpx.AsyncClient, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await sample.analytics.report("month", "2026-05")
    report.body["data_quality"] = {"slots_missing": 3, "completeness": {"a": 0.91, "b": 1.0}, "measured_share": {"b": 0.5}}

    async def kept(*_: object) -> ReportVersion:
        return report

    monkeypatch.setattr(sample.analytics, "report", kept)
    text = (await client.get(f"{ROOT}/month/2026-05", params={"format": "csv"})).text
    assert "Least complete meter,91.0 % (a)" in text
    assert "Least measured meter,50.0 % (b)" in text
    assert "Intervals without data,3" in text
