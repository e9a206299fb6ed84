"""`potwatt verify`: what the spool still keeps beside what is stored."""

from __future__ import annotations

import asyncio
import re
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
) -> None:
    """Compare the readings that the spool still keeps with the store, meter by meter; status 1 where any is missing or other,
    or the spool cannot be read in full. Qualities and mirrors are not compared."""
    from api.problem import Problem  # noqa: PLC0415  (help stays quick)
    from potwatt.load import load_site  # noqa: PLC0415
    from potwatt.running import ask, holds_files  # noqa: PLC0415

    start, end = bounds(span)
    loaded = load_site(site)
    if holds_files(loaded):
        body = {"start": start, "end": end}
        found = ask(loaded, f"/api/v1/plants/{loaded.site.id}/verifications", body)
    else:
        try:
            found = asyncio.run(_here(site, start, end))
        except Problem as error:
            raise InputError(str(error)) from None
    if not show(found):
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


def show(found: dict[str, Any]) -> bool:
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
        console.print(f"{total['missing']} values are missing from the store, {total['conflicting']} differ.", style="bold")
    else:
        console.print(f"All {total['stored']} values that the store should have are there; {total['waiting']} still wait.")
    console.print("Instants and values were compared; qualities were not, and mirrors were not looked at.")
    return not (total["missing"] or total["conflicting"] or found["unread"] or found["lost"])
