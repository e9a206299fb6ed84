"""Commands that open the stores themselves for a moment: imports, a report on paper, dashboards."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from rich.console import Console

from analytics.report import plan
from analytics.service import Analytics
from api.routes_reports import report_json
from collector.import_mapping import ImportMapping
from collector.import_report import report_lines
from collector.import_store import import_file, read_plan
from collector.importer import ImportPlan
from plant.errors import ConfigError, Fault, InputError
from plant.ports import Ledger, LedgerEntry, SeriesStore, Written
from potwatt.backup import refuse_half_restored
from potwatt.board import Board
from potwatt.clock import SystemClock
from potwatt.history import computed, send_plan
from potwatt.ledger_csv import parse_entries
from potwatt.live_bus import LiveBus
from potwatt.load import Loaded
from potwatt.program import build_analytics, build_ledger, build_store
from potwatt.running import ask, fetch, holds_files

COMPUTED = "computed: reports and figures of that span are up to date"


@dataclass(frozen=True, slots=True)
class Opened:
    """Stores and analytics of a site, open for one command."""

    store: SeriesStore
    ledger: Ledger
    analytics: Analytics
    clock: SystemClock


@asynccontextmanager
async def opened(loaded: Loaded, secrets: Mapping[str, str]) -> AsyncIterator[Opened]:
    """Open what the site names, close it again. Raises StoreMisconfigured where a running program holds the files."""
    refuse_half_restored(loaded.data_dir)
    loaded.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = SystemClock()
    store, ledger = build_store(loaded, secrets, clock), build_ledger(loaded, clock)
    try:
        await ledger.setup()
        await store.setup()
        analytics = build_analytics(loaded, store=store, ledger=ledger, clock=clock, bus=LiveBus(), health=Board())
        yield Opened(store, ledger, analytics, clock)
    finally:
        await store.close()
        await ledger.close()


async def import_history(loaded: Loaded, secrets: Mapping[str, str], file: Path, mapping: Path, console: Console) -> None:
    """Take in a table by its mapping, compute what it touches, say what was found and what became of it. A program that holds
    the files does the storing and the computing."""
    if holds_files(loaded):
        await _import_there(loaded, file, mapping, console)
        return
    async with opened(loaded, secrets) as at:
        done, read_as = await import_file(file, mapping, loaded.site, store=at.store, ledger=at.ledger, now_ns=at.clock.now_ns())
        _say_found(done.plan, read_as, console)
        _say_written(done.written, console)
        if done.written.stored:
            with console.status("computing intervals..."):
                while await at.analytics.step():
                    pass
            console.print(COMPUTED)


async def _import_there(loaded: Loaded, file: Path, mapping: Path, console: Console) -> None:
    plan, read_as = await read_plan(file, mapping, loaded.site)
    with console.status("the running program stores...") as status:
        written = await send_plan(loaded, plan, file, lambda sent, of: status.update(f"{sent} of {of} rows"))
    _say_found(plan, read_as, console)
    _say_written(written, console)
    if written.stored and plan.report.span:
        with console.status("the running program computes intervals..."):
            done = await computed(loaded, plan.report.span)
        console.print(
            COMPUTED if done else "the running program still computes what this touches; reports change until it is done"
        )


def _say_found(plan: ImportPlan, read_as: ImportMapping, console: Console) -> None:
    for line in report_lines(plan.report, read_as.zone):
        console.print(line, markup=False, soft_wrap=True)


def _say_written(written: Written, console: Console) -> None:
    console.print(
        f"stored {written.stored} values; {written.repeated} were there already; "
        f"{written.conflicting} differ from what is stored and were not written"
    )


async def print_report(loaded: Loaded, secrets: Mapping[str, str], kind: str, period: str) -> None:
    """Write a report to standard output as JSON. A program that holds the files is asked; else what is open is computed first."""
    if holds_files(loaded):
        path = f"/api/v1/plants/{loaded.site.id}/reports/{kind}/{period}"
        document = await asyncio.to_thread(fetch, loaded, path)
    else:
        async with opened(loaded, secrets) as at:
            while await at.analytics.step():
                pass
            version = await at.analytics.report(kind, period)
        document = report_json(plan(loaded.site.calendar, kind, period).span, version)
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


@dataclass(frozen=True, slots=True)
class Closing:
    """Who closes a period and why; ``waiting`` says whether late documents get their days."""

    who: str
    cause: str
    waiting: Literal["kept", "waived"]


async def close_report(
    loaded: Loaded, secrets: Mapping[str, str], kind: str, period: str, closing: Closing, console: Console
) -> None:
    """Freeze the report of a period. A program that holds the files is asked; else what is open is computed first."""
    if holds_files(loaded):
        path = f"/api/v1/plants/{loaded.site.id}/reports/{kind}/{period}/versions"
        body = {"who": closing.who, "cause": closing.cause, "early": closing.waiting == "waived"}
        answer = await asyncio.to_thread(ask, loaded, path, body)
        version, interval_hash = answer["version"], answer["interval_hash"]
    else:
        async with opened(loaded, secrets) as at:
            while await at.analytics.step():
                pass
            closed = await at.analytics.close_period(kind, period, closing.cause, closing.who, closing.waiting)
            version, interval_hash = closed.version, closed.interval_hash
    console.print(f"{kind} {period} closed as version {version}, intervals {interval_hash[:12]}")


async def import_ledger(loaded: Loaded, file: Path, console: Console) -> None:
    """Add the entries of a CSV; a running program takes note through the dirty slots."""
    try:
        text = await asyncio.to_thread(file.read_text, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}; a readable CSV in UTF-8 is wanted") from error
    entries = parse_entries(text, str(file), loaded.site)
    loaded.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = build_ledger(loaded, SystemClock())
    try:
        await ledger.setup()
        _refuse_contradictions(file, await ledger.contradicted(entries))
        new = await ledger.add(entries)
        detail = {"file": file.name, "entries": len(entries), "new": len(new)}
        await ledger.audit(loaded.site.id, entries[0].who if entries else "", "ledger import", detail)
    finally:
        await ledger.close()
    console.print(f"{len(entries)} entries read, {len(new)} new, {len(entries) - len(new)} already recorded")


def _refuse_contradictions(file: Path, found: Sequence[LedgerEntry]) -> None:
    if found:
        listed = "; ".join(f"{e.kind} {e.key!r} of {e.source!r}, now {e.amount} {e.unit}" for e in found[:20])
        raise InputError(
            f"{file}: {len(found)} entries stand in the ledger with another subject, time or amount: {listed}; "
            "nothing was taken. To correct one, fill in the columns supersedes (its id in the ledger's listing) and reason"
        )


def publish_dashboards(loaded: Loaded, secrets: Mapping[str, str], url: str, token_env: str, console: Console) -> None:
    """Put dashboards and data sources into a Grafana."""
    from dashboards.publish import publish  # noqa: PLC0415  (the Grafana client is slow to import)

    token = os.environ.get(token_env, "")
    if not token:
        raise ConfigError([Fault("environment", token_env, "nothing", "a token of a Grafana service account that may edit")])
    for address in publish(loaded.site, loaded.rulebook, url=url, token=token, secrets=secrets):
        console.print(f"Published {address}")
