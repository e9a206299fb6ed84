"""`potwatt province`: the figures of many plants together, from the reports they hand in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer

from plant.errors import ConfigError, Fault, InputError


def province(
    period: Annotated[str, typer.Argument(help="2026-11-20, 2026-11 or 2026")],
    reports: Annotated[list[Path] | None, typer.Argument(help="Reports as JSON, or folders of them.")] = None,
    recompute: Annotated[
        Path | None,
        typer.Option(help="Instead of reports: a folder a plant with site.toml, readings/2026-10.parquet, ledger.csv."),
    ] = None,
    companies_min: Annotated[int, typer.Option("--min-companies", help="Withhold what is of fewer enterprises.", min=1)] = 3,
    workers: Annotated[int, typer.Option(help="Processes; the answer is the same for any number.", min=1)] = 1,
    expect: Annotated[Path | None, typer.Option(help="File with the ids of plants that ought to report, one a line.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Folder of rule files beside the package's own.")] = None,
    verify: Annotated[Path | None, typer.Option(help="An earlier answer (JSON): say whether these reports give it.")] = None,
    form: Annotated[Literal["json", "csv", "html"], typer.Option("--format", help="What to print.")] = "json",
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of csv and html.")] = "en",
) -> None:
    """Put reports of plants together to those of provinces: ratios of sums, capacity at the benchmark, sources by hash."""
    from analytics.report import kind_of  # noqa: PLC0415  (help stays quick)
    from plant.rulebook import parse_rules, shipped_rule_texts  # noqa: PLC0415
    from potwatt.province import province_answer, recomputed_answer  # noqa: PLC0415

    kind_of(period)
    texts = shipped_rule_texts()
    if rules is not None:
        texts |= {file.name: file.read_text("utf-8") for file in sorted(rules.glob("*.toml"))}
    expected = [] if expect is None else _ids(expect)
    if (reports is None) == (recompute is None):
        raise InputError("give the plants' reports, or --recompute with a folder of their readings")
    rulebook = parse_rules(texts)
    if recompute is not None:
        answer = recomputed_answer(recompute, period, rulebook, workers=workers, companies_min=companies_min, expected=expected)
    else:
        answer = province_answer(reports or [], period, rulebook, workers=workers, companies_min=companies_min, expected=expected)
    if verify is not None:
        _verify(verify, answer)
        return
    sys.stdout.buffer.write(_rendered(answer, form, lang))


def _ids(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), "file", str(error), "ids of plants, one a line")]) from error


def _verify(path: Path, answer: dict[str, Any]) -> None:
    from potwatt.province import differences, digest  # noqa: PLC0415

    try:
        told = orjson.loads(path.read_bytes())
        told_hash = told["sha256"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: {error}; an answer of `potwatt province` as JSON is wanted") from error
    if told_hash != digest(told):
        raise InputError(f"{path}: its sha256 is not that of what it says; it was changed after it was made")
    found = differences(told, orjson.loads(orjson.dumps(answer)))
    if found:
        raise InputError(f"{path}: these reports give another answer: " + "; ".join(found[:20]))
    print(f"identical: {len(answer['reports'])} reports give {told_hash}")


def _rendered(answer: dict[str, Any], form: str, lang: Literal["en", "zh"]) -> bytes:
    if form == "json":
        return orjson.dumps(answer, option=orjson.OPT_INDENT_2) + b"\n"
    from api.render.csv import to_csv  # noqa: PLC0415
    from api.render.html import to_html  # noqa: PLC0415
    from potwatt.province_table import province_table  # noqa: PLC0415

    table = province_table(answer, lang)
    return to_csv(table) if form == "csv" else to_html(table, lang)
