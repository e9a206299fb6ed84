"""`potwatt explain`: what a figure rests on, as a tree, without a running service or from one."""

from __future__ import annotations

import asyncio
import sys
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

_FACTS = (  # what a line shows of a cause, by kind, in this order
    "side",
    "rank",
    "energy_import_kwh",
    "energy_export_kwh",
    "energy_kwh",
    "value_percent",
    "half_width_percent",
    "origin",
    "class_percent",
    "ct_ratio",
    "vt_ratio",
    "direction",
    "register_step_kwh",
    "serial",
    "valid_from",
    "valid_to",
    "start",
    "end",
    "before_kwh",
    "after_kwh",
    "why",
    "count",
    "entries",
    "amount",
    "edition",
    "sure",
    "document",
    "missing",
    "author",
    "cause",
    "who",
    "completeness",
    "measured_share",
    "flags",
)


def explain(
    indicator: Annotated[str, typer.Argument(help="A figure, such as specific_energy_e1.")],
    period: Annotated[str, typer.Argument(help="2026-11-20, 2026-11, 2026, or a running window such as last_24h.")],
    site: Annotated[Path, typer.Option("--site", help="The site file.")],
    node: Annotated[str, typer.Option(help="plant, line:line-1, bus:bus-1, branch:pv-1.")] = "plant",
    json: Annotated[bool, typer.Option("--json", help="The whole tree as JSON.")] = False,
) -> None:
    """Show what a figure rests on: formula, intervals, meters, gaps, verdicts, documents, rules, settings."""
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415  (help stays quick)

    loaded = load_site(site)
    document = asyncio.run(_asked(loaded, secrets_of(loaded.site), indicator, period, node))
    if json:
        import orjson  # noqa: PLC0415

        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(document, option=options).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    missing = f", {document['slots_missing']} intervals without a row" if document["slots_missing"] else ""
    console.print(f"{document['start']} to {document['end']}, {document['status']}{missing}")
    console.print(f"intervals {document['interval_hash'][:12]}, editions {', '.join(document['editions'])}")
    console.print(drawn(document["tree"]))


async def _asked(loaded: Any, secrets: Mapping[str, str], indicator: str, period: str, node: str) -> Any:
    """A program that holds the files is asked; else what is open is computed first."""
    from api.routes_explain import explained_json, indicator_named  # noqa: PLC0415
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.running import fetch, holds_files  # noqa: PLC0415

    if holds_files(loaded):
        which = "period" if period[:1].isdigit() else "span"
        query = urllib.parse.urlencode({"indicator": indicator, "node": node, which: period})
        return await asyncio.to_thread(fetch, loaded, f"/api/v1/plants/{loaded.site.id}/explain?{query}")
    async with opened(loaded, secrets) as at:
        while await at.analytics.step():
            pass
        found = await at.analytics.explain(node, indicator_named(indicator), period)
        return explained_json(loaded.site.id, period, found, "en")


def drawn(cause: Mapping[str, Any], tree: Tree | None = None) -> Tree:
    """A tree of an explanation for a terminal."""
    label = escape(line_of(cause))
    here = Tree(label) if tree is None else tree.add(label)
    for below in cause["causes"]:
        drawn(below, here)
    return here


def line_of(cause: Mapping[str, Any]) -> str:
    """One line about a cause: what it is, its value, and the facts that say how far to trust it."""
    name = f"{cause['kind']} {cause['name']}" + (f" of {cause['node']}" if cause.get("node", "plant") != "plant" else "")
    words = [name]
    if "value" in cause:
        words.append(f"= {_number(cause['value'])} {cause.get('unit', '')}".rstrip())
    if cause.get("low") is not None and cause.get("high") is not None:
        words.append(f"[{_number(cause['low'])}, {_number(cause['high'])}]")
    if cause.get("formula"):
        words.append(f"<- {cause['formula']}")
    if cause.get("checked"):
        words.append("(worked out again: agrees)" if cause["checked"]["agrees"] else "(worked out again: DIFFERS)")
    if cause.get("reason") and cause["kind"] == "figure":
        words.append(f"({cause['reason']})")
    if cause.get("placeholder"):
        words.append("PLACEHOLDER")
    if cause.get("intervals"):
        words.append(f"intervals {_plain(cause['intervals'])}")
    words += [f"{key}={_plain(cause[key])}" for key in _FACTS if cause.get(key) not in (None, "", [], ())]
    return "  ".join(words) + ("  (see above)" if cause.get("repeated") else "")


def _number(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else "not known" if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_plain, value))
    return _number(value)
