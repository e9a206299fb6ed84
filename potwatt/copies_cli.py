"""Commands that copy what is stored: backup, restore, export. A running program is asked; else the files are opened here."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.console import Console

from plant.errors import InputError

console = Console(highlight=False)
Kind = Literal["parquet", "csv"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SiteOption = Annotated[Path, typer.Option("--site", help="The site file.")]


def backup(folder: Annotated[Path, typer.Argument(help="Folder to make.")], site: SiteOption) -> None:
    """Copy readings, figures, ledger and spool as they are at one instant, while the program runs or not."""
    from potwatt.backup import back_up, refuse_within  # noqa: PLC0415  (help stays quick)
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.running import ask, is_running  # noqa: PLC0415

    loaded = load_site(site)
    refuse_within(loaded.data_dir, folder)
    _prepare(folder)

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
    kind: Annotated[Kind | None, typer.Option("--format", help="Kind of file; else by its ending.", show_default=False)] = None,
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
    chosen = kind_of(file, kind)
    _prepare(file)

    async def here() -> int:
        async with opened(loaded, secrets_of(loaded.site)) as at:
            try:
                span = parse_span(start, end, at.clock.now_ns(), EVER_S)
            except Problem as problem:
                raise InputError(problem.detail) from None
            return await write(loaded, at, what, span, file.resolve(), chosen)

    if loaded.site.store.kind == "embedded" and is_running(loaded):
        body = {"what": what, "start": start, "end": end, "format": chosen}
        answer = ask(loaded, f"/api/v1/plants/{loaded.site.id}/exports", body)
        _move(answer["path"], file)
        rows = int(answer["rows"])
    else:
        rows = asyncio.run(here())
    console.print(f"{file}: {rows} rows")


def kind_of(file: Path, kind: Kind | None) -> Kind:
    """The kind of file asked for, else what its ending says, else Parquet. Raises InputError where the two disagree."""
    ending = next((known for known in KINDS if file.suffix.lower() == f".{known}"), None)
    if kind and ending and kind != ending:
        raise InputError(f"{file} ends in .{ending} and --format says {kind}; let them agree")
    return kind or ending or "parquet"


def _prepare(path: Path) -> None:
    """Refuse what exists, and make the folder it is to be in, before a running program works for hours on what has no place."""
    if path.exists():
        raise InputError(f"{path} exists; name one that does not")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: {error.strerror or error}; name a folder that can be written to") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path.parent} may not be written to; name another folder or mend its rights")


def _move(staged: str, target: Path) -> None:
    try:
        shutil.move(staged, target)
    except OSError as error:
        raise InputError(
            f"{staged} is complete but could not be moved to {target} ({error.strerror}); move it by hand"
        ) from error
