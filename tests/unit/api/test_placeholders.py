"""What rests on a placeholder says so, in every form of a report and in both languages."""

from __future__ import annotations

import csv
import io

import httpx
import pytest
from api_sample import RULES, Sample

from api.render.placeholders import marked
from api.render.table import Lang, figure_rows
from plant.indicators import Figure

REPORT = "/api/v1/plants/demo/reports/month/2026-05"
PLACEHOLDER = next(r for r in RULES.rules if r.placeholder and r.kind == "factor")
FIRM = next(r for r in RULES.rules if not r.placeholder and r.kind == "factor")


def noted(edition: str, lang: Lang) -> str:
    figure = Figure("direct_emissions", 1.0, 1.0, 1.0, 1.0, 1.0, "", {}, (edition,))
    figures = marked({"plant": {"direct_emissions": figure}}, [PLACEHOLDER.edition])
    ((*_, note),) = figure_rows({}, "2026", figures, lang)
    return str(note)


def test_a_figure_on_a_placeholder_says_so_and_no_other() -> None:
    assert noted(PLACEHOLDER.edition, "en") == f"placeholder: {PLACEHOLDER.edition}"
    assert noted(PLACEHOLDER.edition, "zh") == f"占位值:{PLACEHOLDER.edition}"
    assert noted(FIRM.edition, "en") == ""


@pytest.mark.parametrize(("lang", "word"), [("en", "placeholder: "), ("zh", "占位值:")])
async def test_every_form_of_a_report_prints_them(client: httpx.AsyncClient, sample: Sample, lang: str, word: str) -> None:
    body = (await client.get(REPORT)).json()
    assert PLACEHOLDER.edition in body["placeholders"]
    assert FIRM.edition not in body["placeholders"]
    report = await sample.analytics.report("month", "2026-05")
    used = {e for by in report.body["figures"].values() for f in by.values() for e in f["editions"]}
    assert used & set(body["placeholders"]), "the sample has no figure on a placeholder"
    plain = (await client.get(REPORT, params={"format": "csv", "lang": lang})).content.decode("utf-8-sig")
    assert [row for row in csv.reader(io.StringIO(plain)) if row and word in row[-1]]
    page = (await client.get(REPORT, params={"format": "html", "lang": lang})).text
    assert word in page
