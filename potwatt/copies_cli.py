"""Commands that copy what is stored: backup, restore, export. A running program is asked; else the files are opened here."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from plant.errors import InputError

console = Console(highlight=False)
SiteOption = Annotated[Path, typer.Option("--site", help="The site file.")]


def backup(folder: Annotated[Path, typer.Argument(help="Folder to make.")], site: SiteOption) -> None:
    """Copy readings, figures, ledger and spool as they are at one instant, while the program runs or not."""
    from potwatt.backup import back_up  # noqa: PLC0415  (help stays quick)
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.running import ask, is_running  # noqa: PLC0415

    loaded = load_site(site)
    _refuse_existing(folder)

    async def here() -> tuple[int, tuple[str, ...]]:
        async with opened(loaded, secrets_of(loaded.site)) as at:
            done = await back_up(loaded, at.store, folder.resolve(), at.clock.now_ns())
            return done.byte_count, done.left_out

    if is_running(loaded):
        answer = ask(loaded, f"/api/v1/plants/{loaded.site.id}/backups", {})
        _move(answer["path"], folder)
        byte_count, left_out = int(answer["bytes"]), tuple(answer["left_out"])
    else:
        byte_count, left_out = asyncio.run(here())
    console.print(f"{folder}: {byte_count / 2**20:.1f} MiB. Restore it with: potwatt restore {folder} --site SITE")
    for what in left_out:
        console.print(f"Not in it: {what}.")


def restore(folder: Annotated[Path, typer.Argument(help="Folder that `potwatt backup` made.")], site: SiteOption) -> None:
    """Fill the empty data folder of a site from a backup."""
    from potwatt.backup import restore as fill  # noqa: PLC0415
    from potwatt.load import load_site  # noqa: PLC0415

    loaded = load_site(site)
    files = fill(loaded, folder)
    console.print(f"{loaded.data_dir}: {files} files restored. Go on with: potwatt run {site}")


def export(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    site: SiteOption,
    start: Annotated[str, typer.Option(help="RFC 3339 time, or -24h, -7d before now.")],
    end: Annotated[str, typer.Option(help="The same; not included.")] = "now",
    what: Annotated[
        Literal["raw", "intervals", "1m", "15m"], typer.Option(help="Readings, interval amounts, or computed figures.")
    ] = "raw",
    kind: Annotated[Literal["parquet", "csv"], typer.Option("--format", help="Kind of file.")] = "parquet",
) -> None:
    """Write any span of what is stored as Parquet or CSV, a row a value."""
    from api.problem import Problem  # noqa: PLC0415
    from api.routes_copies import EVER_S  # noqa: PLC0415
    from api.times import parse_span  # noqa: PLC0415
    from potwatt.export import export as write  # noqa: PLC0415
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.running import ask, is_running  # noqa: PLC0415

    loaded = load_site(site)
    _refuse_existing(file)

    async def here() -> int:
        async with opened(loaded, secrets_of(loaded.site)) as at:
            try:
                span = parse_span(start, end, at.clock.now_ns(), EVER_S)
            except Problem as problem:
                raise InputError(problem.detail) from None
            return await write(loaded, at, what, span, file.resolve(), kind)

    if loaded.site.store.kind == "embedded" and is_running(loaded):
        body = {"what": what, "start": start, "end": end, "format": kind}
        answer = ask(loaded, f"/api/v1/plants/{loaded.site.id}/exports", body)
        _move(answer["path"], file)
        rows = int(answer["rows"])
    else:
        rows = asyncio.run(here())
    console.print(f"{file}: {rows} rows")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path} exists; name one that does not")


def _move(staged: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.move(staged, target)
    except OSError as error:
        raise InputError(
            f"{staged} is complete but could not be moved to {target} ({error.strerror}); move it by hand"
        ) from error
