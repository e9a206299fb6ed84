"""`potwatt devices`: the profiles there are, what one of them reads, and a new one from a register list."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

import typer
from rich.console import Console

from devices.catalog import shipped_profiles
from devices.dlt645 import Dlt645Point
from devices.draft import DraftHead, draft_of_list
from devices.maps import DeviceKind, ModbusMap, ModbusPoint, Profile, WordOrder
from devices.payload_map import PayloadPoint
from devices.plan import label_of, plan_reads
from devices.profile import parse_profile
from devices.register_list import ListWords, Numbering, RegisterList, read_list
from plant.errors import InputError
from plant.quantities import QUANTITIES
from potwatt.load import load_site

ROWS_MAX = 20_000
_PLACES = {"json": "path", "value": "topic", "csv": "column", "sparkplug": "metric"}
console = Console(highlight=False, soft_wrap=True)
devices_app = typer.Typer(
    help="Device profiles: list them, show one, make one from a register list.", invoke_without_command=True
)

SiteProfiles = Annotated[Path | None, typer.Option("--site", help="A site file, for its own profiles too.")]


@devices_app.callback()
def devices(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    long: Annotated[bool, typer.Option("--long", help="With the sources of map and golden values.")] = False,
    site: SiteProfiles = None,
) -> None:
    """List the device profiles."""
    if context.invoked_subcommand is not None:
        return
    profiles = _profiles(site)
    if as_json:
        print(json.dumps([_row(p) for p in profiles.values()], ensure_ascii=False, indent=1))
        return
    for line in list_in_words(profiles, "long" if long else "short"):
        console.print(line, markup=False)


@devices_app.command()
def show(
    profile: Annotated[str, typer.Argument(help="Id of a profile.")],
    site: SiteProfiles = None,
) -> None:
    """What a profile reads: registers or payload paths, units, the requests that are sent, what one has to know."""
    profiles = _profiles(site)
    if profile not in profiles:
        near = ", ".join(p for p in profiles if p.startswith(profile[:3])) or "see `potwatt devices`"
        raise InputError(f"there is no profile {profile!r}; {near}")
    found = profiles[profile]
    console.print(f"{found.id}: {found.title}", style="bold")
    console.print(f"kind {found.kind}, {found.protocol}, verified: {'yes' if found.verified else 'no'}")
    console.print(f"proven by a recording or the maker's example: {proven_in_words(found)}; {', '.join(found.proven) or 'none'}")
    console.print(f"source: {found.source}\ngolden values: {found.golden_origin}")
    for caveat in found.caveats:
        console.print(f"- {caveat}")
    for line in points_in_words(found):
        console.print(line, markup=False)
    if found.modbus is not None:
        start = " (model/register, counted from the model's ID)" if found.modbus.sections else ""
        requests = [f"{r.table} {span_in_words(found.modbus, r.address, r.end)}" for r in plan_reads(found.modbus)]
        console.print(f"{len(requests)} request{'s' if len(requests) != 1 else ''} a reading{start}: {', '.join(requests)}")


@devices_app.command()
def add(
    file: Annotated[Path, typer.Argument(help="The maker's register list, CSV or XLSX; headers in English or Chinese.")],
    id: Annotated[str, typer.Option(help="Id of the new profile: small letters, digits, _.")],  # noqa: A002 (the option's name)
    kind: Annotated[DeviceKind, typer.Option(help="What the device is.")] = "meter",
    title: Annotated[str, typer.Option(help="Maker and model.")] = "",
    source: Annotated[str, typer.Option(help="The document: title, edition, page.")] = "",
    table: Annotated[Literal["holding", "input"], typer.Option(help="Where the list does not say.")] = "holding",
    word_order: Annotated[WordOrder, typer.Option(help="Of values of two or four registers.")] = WordOrder.HIGH_FIRST,
    numbering: Annotated[
        Numbering | None, typer.Option(help="How addresses count; guessed, with the reason told, if left out.")
    ] = None,
    radix: Annotated[Literal["10", "16"] | None, typer.Option(help="Base of addresses without 0x; guessed if left out.")] = None,
    sheet: Annotated[str, typer.Option(help="Sheet of an XLSX file; the first if left out.")] = "",
    site: Annotated[Path | None, typer.Option(help="Site file: the profile goes into its profiles_dir.")] = None,
    into: Annotated[Path, typer.Option(help="Folder to write to, without --site.")] = Path(),
) -> None:
    """Make a profile draft from a register list. It never overwrites; no meter may use it until a real reading proves it."""
    if id in shipped_profiles():
        raise InputError(
            f"{id!r} is a profile of the package, see `potwatt devices show {id}`; give the new one an id of its own"
        )
    listed = read_list(_rows(file, sheet), list_words(), numbering, None if radix is None else int(radix))
    head = DraftHead(
        id, title or id, kind, source or f"{file.name}: name the maker's document, edition and page", table, word_order.value
    )
    text = draft_of_list(head, listed)
    target = _folder(site, into) / f"{id}.toml"
    parse_profile(text, str(target), proof="waived")
    try:
        with target.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise InputError(f"{target} exists; it was left as it is. Choose another --id, or move that one away") from None
    _tell(listed, target)


def _tell(listed: RegisterList, target: Path) -> None:
    for remark in listed.remarks:
        console.print(f"- {remark}", markup=False)
    console.print(
        f"Wrote {target}: {len(listed.points)} quantities; {len(listed.left)} rows are left as comments, with the reason."
    )
    console.print(f"Next: potwatt read {target} --host HOST --unit N        (compare with the display)")
    console.print(f"      potwatt read {target} --host HOST --unit N --golden --write        (the reading becomes its proof)")


def list_words() -> ListWords:
    """The word table of the package."""
    return ListWords.of(tomllib.loads((resources.files("potwatt") / "register_words.toml").read_text("utf-8")))


def list_in_words(profiles: dict[str, Profile], how: Literal["short", "long"]) -> list[str]:
    """One line a profile; the long form adds where its map and its golden values come from."""
    width = max(len(name) for name in profiles)
    kinds = max(len(p.kind) for p in profiles.values())
    lines = [f"{'profile':<{width}}  {'protocol':<8}  {'kind':<{kinds}}  {'proven':<8}  title"]
    for p in profiles.values():
        lines.append(f"{p.id:<{width}}  {p.protocol:<8}  {p.kind:<{kinds}}  {proven_in_words(p):<8}  {p.title}")
        if how == "long":
            lines += [f"    map: {p.source}", f"    golden values: {p.golden_origin}"]
    return lines


def proven_in_words(profile: Profile) -> str:
    """How many of its quantities a recording of a real device or an example of the maker proves."""
    return f"{len(profile.proven)} of {len(profile.quantities)}"


def points_in_words(profile: Profile) -> list[str]:
    """One line a point, columns aligned."""
    rows = [("quantity", "unit", "where", "type", "scale", "limits")]
    for point in profile.points:
        limits = profile.limits.get(point.name)
        span = "" if limits is None else f"{limits.low:.8g} to {limits.high:.8g}"
        rows.append((point.name, QUANTITIES[point.name].unit, *_where(profile, point), span))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _where(profile: Profile, point: ModbusPoint | PayloadPoint | Dlt645Point) -> tuple[str, str, str]:
    """Place, type and scale to the canonical unit of a point of any protocol."""
    if isinstance(point, ModbusPoint):
        assert profile.modbus is not None
        place = span_in_words(profile.modbus, point.address, point.address + point.words)
        order = "" if point.words == 1 else f" {point.word_order.value}"
        moving = "" if point.sf_at is None else f" x 10^[{label_of(profile.modbus, point.sf_at)}]"
        return f"{point.table} {place}", f"{point.type}{order}", f"{float(point.scale):g}{moving}"
    scale = f"{float(point.scale):g}"
    if isinstance(point, Dlt645Point):
        place = f"data {point.di}" + (f", value {point.at + 1}" if "FF" in (point.di[4:6], point.di[6:8]) else "")
        return place, f"{point.digits} digits{', signed' if point.signed else ''}", scale
    assert profile.mqtt is not None
    return f"{_PLACES[profile.mqtt.format]} {point.path}", "", scale


def span_in_words(map_: ModbusMap, address: int, end: int) -> str:
    """Addresses up to ``end``, as ``4-7``, in a SunSpec model as ``103/4-7``."""
    last = label_of(map_, end - 1).rpartition("/")[2]
    return label_of(map_, address) + ("" if end == address + 1 else f"-{last}")


def table_of(profiles: dict[str, Profile]) -> str:
    """The profiles as a table in Markdown, for the documents."""
    lines = ["| profile | device | protocol | kind | proven | golden values from |", "|---|---|---|---|---|---|"]
    for p in profiles.values():
        cells = [f"`{p.id}`", p.title, p.protocol, p.kind, proven_in_words(p), p.golden_origin]
        lines.append("| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _row(p: Profile) -> dict[str, Any]:
    return {
        "id": p.id,
        "title": p.title,
        "kind": p.kind,
        "protocol": p.protocol,
        "quantities": list(p.quantities),
        "verified": p.verified,
        "proven": list(p.proven),
        "golden_origin": p.golden_origin,
        "source": p.source,
        "caveats": list(p.caveats),
    }


def _profiles(site: Path | None) -> dict[str, Profile]:
    return shipped_profiles() if site is None else load_site(site).profiles


def _folder(site: Path | None, into: Path) -> Path:
    """Where a new profile goes. Raises InputError where the site names no folder of profiles."""
    if site is None:
        folder = into
    else:
        loaded = load_site(site)
        if not loaded.site.profiles_dir:
            raise InputError(
                f'{site} names no folder of profiles; write profiles_dir = "profiles" under [plant] and make the folder'
            )
        folder = loaded.folder / loaded.site.profiles_dir
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; make it first")
    return folder


def _rows(file: Path, sheet: str) -> list[list[str]]:
    """The cells as text. Raises InputError where the file is neither CSV nor XLSX."""
    if file.suffix.lower() in (".xlsx", ".xlsm"):
        return _sheet_rows(file, sheet)
    raw = file.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):  # the second is what spreadsheets in China write
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError(f"{file} is no text in UTF-8 or GB 18030, and no .xlsx; save it as CSV")
    head = text[:4096]
    delimiter = max(",;\t", key=head.count)
    return [row for row, _ in zip(csv.reader(io.StringIO(text), delimiter=delimiter), range(ROWS_MAX), strict=False)]


def _sheet_rows(file: Path, sheet: str) -> list[list[str]]:
    import openpyxl  # noqa: PLC0415  (slow to load, and few lists need it)
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    try:
        book = openpyxl.load_workbook(file, data_only=True)  # not read-only: that does not know merged cells
    except (InvalidFileException, BadZipFile, KeyError, ValueError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise InputError(f"{file} cannot be read as XLSX ({error}); save it as .xlsx or CSV") from error
    if sheet and sheet not in book.sheetnames:
        raise InputError(f"{file} has no sheet {sheet!r}; it has {', '.join(book.sheetnames)}")
    page = book[sheet] if sheet else book[book.sheetnames[0]]
    rows = [["" if cell is None else str(cell) for cell in row] for row in page.iter_rows(values_only=True, max_row=ROWS_MAX)]
    for merged in page.merged_cells.ranges:  # one cell over several rows says the same of each
        column = merged.min_col - 1
        for row in rows[merged.min_row : merged.max_row]:
            row[column] = rows[merged.min_row - 1][column]
    book.close()
    return rows
