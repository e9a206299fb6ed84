"""`potwatt verify`: what the spool still keeps beside what is stored."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from plant.errors import InputError

console = Console(highlight=False)
_BACK = re.compile(r"[0-9]+[smhdw]")
COLUMNS = ("spooled", "stored", "waiting", "missing", "conflicting", "extra")


def verify(
    span: Annotated[str, typer.Argument(help="The last 24h, 7d, ...; or START/END, both as 2026-11-20T00:00:00+08:00.")],
    site: Annotated[Path, typer.Option("--site", help="The site file.")],
    mirror: Annotated[str, typer.Option(help="Compare with this mirror instead of the store.")] = "",
) -> None:
    """Compare the readings that the spool still keeps with the store, meter by meter; status 1 where any is missing or other,
    or the spool cannot be read in full. Qualities are not compared."""
    from api.problem import Problem  # noqa: PLC0415  (help stays quick)
    from potwatt.load import load_site  # noqa: PLC0415
    from potwatt.running import ask, holds_files  # noqa: PLC0415

    start, end = bounds(span)
    loaded = load_site(site)
    if not mirror and holds_files(loaded):
        body = {"start": start, "end": end}
        found = ask(loaded, f"/api/v1/plants/{loaded.site.id}/verifications", body)
    else:
        try:
            found = asyncio.run(_mirrored(site, start, end, mirror) if mirror else _here(site, start, end))
        except Problem as error:
            raise InputError(str(error)) from None
    if not show(found, f"mirror {mirror}" if mirror else "store"):
        raise typer.Exit(1)


def bounds(span: str) -> tuple[str, str]:
    """Start and end as the API takes them. Raises InputError."""
    if _BACK.fullmatch(span):
        return f"-{span}", "now"
    start, slash, end = span.partition("/")
    if not slash:
        raise InputError(f"found {span!r}; give a length before now as 24h or 7d, or START/END")
    return start, end


async def _here(site: Path, start: str, end: str) -> dict[str, Any]:
    from api.routes_upkeep import SPAN_MAX_S  # noqa: PLC0415
    from api.times import parse_span  # noqa: PLC0415
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.verify import SpoolVerifier  # noqa: PLC0415

    loaded = load_site(site)
    async with opened(loaded, secrets_of(loaded.site)) as at:
        span = parse_span(start, end, at.clock.now_ns(), SPAN_MAX_S)
        return await SpoolVerifier(loaded.data_dir / "spool", at.store).verify(span)


async def _mirrored(site: Path, start: str, end: str, name: str) -> dict[str, Any]:
    """A mirror is a server, and the spool's files may be read beside a running program. Raises InputError, StoreError."""
    from api.routes_upkeep import SPAN_MAX_S  # noqa: PLC0415
    from api.times import parse_span  # noqa: PLC0415
    from potwatt.clock import SystemClock  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.verify import verify as compare  # noqa: PLC0415
    from storage.influx import InfluxStore  # noqa: PLC0415

    loaded = load_site(site)
    mirrors = {mirror.id: mirror for mirror in loaded.site.mirrors}
    if name not in mirrors:
        raise InputError(f"found mirror {name!r}; {loaded.name} has {', '.join(sorted(mirrors)) or 'none'}")
    store = InfluxStore(mirrors[name].store, loaded.site.id, secrets_of(loaded.site))
    try:
        span = parse_span(start, end, SystemClock().now_ns(), SPAN_MAX_S)
        return asdict(await compare(loaded.data_dir / "spool", store, span, mirrors[name].sink))
    finally:
        await store.close()


def show(found: dict[str, Any], sink: str = "store") -> bool:
    """One row for each meter that the spool has readings of, then the verdict: whether nothing is missing, other or unread."""
    meters: dict[str, dict[str, int]] = found["meters"]
    table = Table("meter", *COLUMNS)
    for meter, count in meters.items():
        table.add_row(meter, *(str(count[name]) for name in COLUMNS))
    if meters:
        console.print(table)
    total = {name: sum(count[name] for count in meters.values()) for name in COLUMNS}
    for place in found["unread"]:
        frames = "an unknown number of" if place["frames"] is None else place["frames"]
        where = f"segment {place['segment']} bytes {place['start']} to {place['end']}"
        console.print(f"- unread: {where}, {frames} Frames: {place['reason']}", markup=False, soft_wrap=True)
    for words in found["lost"]:
        console.print(f"- told lost: {words}", markup=False, soft_wrap=True)
    if found["unread"] or found["lost"]:
        told = f"{len(found['unread'])} places of the spool cannot be read, {len(found['lost'])} spans were told lost."
        console.print(told, style="bold", soft_wrap=True)
    if not meters and not found["unread"]:
        console.print("The spool keeps no reading of that span: all of it was let go of once it was stored.")
    elif total["missing"] or total["conflicting"]:
        console.print(f"{total['missing']} values are missing from the {sink}, {total['conflicting']} differ.", style="bold")
    else:
        console.print(f"All {total['stored']} values that the {sink} should have are there; {total['waiting']} still wait.")
    console.print("Instants and values were compared; qualities were not.")
    return not (total["missing"] or total["conflicting"] or found["unread"] or found["lost"])
