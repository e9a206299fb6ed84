"""A maker's register list, as rows of text, read as points of a profile.

What is not certain is left to the engineer, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Any

from devices.maps import REGISTER_TYPES, Table
from plant.errors import InputError
from plant.quantities import QUANTITIES, factor_to_canonical

HEADER_ROWS = 40
_REQUIRED = ("address", "name")
_PHASED = {
    "voltage": "{}_n",
    "current": "{}",
    "active_power": "{}",
    "reactive_power": "{}",
    "apparent_power": "{}",
    "power_factor": "{}",
}


class Numbering(Enum):
    """How a list counts addresses."""

    ZERO = "zero"  # as on the wire
    ONE = "one"  # the first register is 1
    MODICON = "modicon"  # 40001 and 400001 are holding 0, 30001 and 300001 input 0


@dataclass(frozen=True, slots=True)
class ListedPoint:
    """A row that is understood; ``scale`` as written, ``row`` counts from 1."""

    row: int
    text: str
    name: str
    address: int
    table: Table | None
    type: str
    unit: str
    scale: str


@dataclass(frozen=True, slots=True)
class LeftRow:
    """A row that is not, and why."""

    row: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class RegisterList:
    """What a list says. ``remarks`` tell how it was read, for the engineer to check."""

    points: tuple[ListedPoint, ...]
    left: tuple[LeftRow, ...]
    remarks: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ListWords:
    """The word table: for columns, types, units, stems, symbols and places the texts that mean them; of the
    stems those that are ``undirected``."""

    columns: Mapping[str, Sequence[str]]
    types: Mapping[str, Sequence[str]]
    units: Mapping[str, Sequence[str]]
    stems: Mapping[str, Sequence[str]]
    symbols: Mapping[str, Sequence[str]]
    places: Mapping[str, Sequence[str]]
    undirected: Mapping[str, Sequence[str]]

    @staticmethod
    def of(raw: Mapping[str, Any]) -> ListWords:
        """From the parsed file."""
        return ListWords(*(raw[key] for key in ("columns", "types", "units", "stems", "symbols", "places", "undirected")))


def read_list(
    rows: Sequence[Sequence[str]], words: ListWords, numbering: Numbering | None = None, radix: int | None = None
) -> RegisterList:
    """Points and rows left over of a list given as rows of cells. ``numbering`` and ``radix`` are guessed where None, and a
    remark says from what. Raises InputError where no header with an address and a name is found."""
    header, column = _header(rows, words)
    body = [(number, row) for number, row in enumerate(rows[header + 1 :], start=header + 2) if any(c.strip() for c in row)]
    cells = [_cell(row, column, "address") for _, row in body]
    remarks: list[str] = [f"header in row {header + 1}: " + ", ".join(f"{k} = {rows[header][i]!r}" for k, i in column.items())]
    radix = _radix(cells, remarks) if radix is None else radix
    numbers = [_number(cell, radix) for cell in cells]
    plain = [n for n, cell in zip(numbers, cells, strict=True) if n is not None and not _marked(cell)]
    numbering = numbering or _numbering(plain or [n for n in numbers if n is not None], remarks)
    points: list[ListedPoint] = []
    left: list[LeftRow] = []
    for (number, row), listed, cell in zip(body, numbers, cells, strict=True):
        how = Numbering.ZERO if _marked(cell) and numbering is Numbering.MODICON else numbering
        read = _row(number, row, listed, column, words, how)
        if isinstance(read, ListedPoint):
            read = _unless_taken(read, points)
        if isinstance(read, ListedPoint):
            points.append(read)
        else:
            left.append(read)
    remarks += _large_scales(points, dict(body), column) + _undirected(points, words)
    return RegisterList(tuple(points), tuple(left), tuple(remarks))


def _large_scales(points: Sequence[ListedPoint], rows: Mapping[int, Sequence[str]], column: Mapping[str, int]) -> list[str]:
    """A remark where a bare scale above 1 may be a divisor: some makers list the 10 that a value was multiplied with."""
    cells = [(point.row, _cell(rows[point.row], column, "scale").strip()) for point in points]
    large = [(row, cell) for row, cell in cells if cell[:1].isdigit() and "/" not in cell and (_scale(cell) or 0) > 1]
    if not large:
        return []
    row, cell = large[0]
    return [
        f"scale {cell} in row {row} ({len(large)} such rows) is taken as a factor; where the maker means a divisor, as under "
        f"Gain, write 1/{cell} in the list and make the draft again"
    ]


def _undirected(points: Sequence[ListedPoint], words: ListWords) -> list[str]:
    """A remark for each energy whose name leaves open whether it counts export too."""
    texts = {_plain(text) for stems in words.undirected.values() for text in stems}
    return [
        f"row {p.row}, {p.text!r}, names no direction and is taken as {p.name}; where the meter adds or subtracts export there, "
        f"take the point out"
        for p in points
        if _stem(_plain(p.text), words)[1] in texts
    ]


def _unless_taken(read: ListedPoint, points: Sequence[ListedPoint]) -> ListedPoint | LeftRow:
    """The point, unless an earlier row has its name or one of its registers."""
    mine = range(read.address, read.address + REGISTER_TYPES[read.type].words)
    if mine.stop > 65_536:
        return LeftRow(read.row, read.text, f"{read.name} reaches beyond address 65535")
    for other in points:
        if other.name == read.name:
            return LeftRow(read.row, read.text, f"{read.name} stands in row {other.row} already")
        theirs = range(other.address, other.address + REGISTER_TYPES[other.type].words)
        if other.table == read.table and mine.start < theirs.stop and theirs.start < mine.stop:
            return LeftRow(read.row, read.text, f"{read.name} shares a register with row {other.row}: one of the types is wrong")
    return read


def _header(rows: Sequence[Sequence[str]], words: ListWords) -> tuple[int, dict[str, int]]:
    """The first row that names an address and a name, and the place of each column."""
    for number, row in enumerate(rows[:HEADER_ROWS]):
        plain = [_plain(cell) for cell in row]
        column = {
            meaning: min(found)
            for meaning, texts in words.columns.items()
            if (found := [i for i, cell in enumerate(plain) if cell in map(_plain, texts) or _without_brackets(row[i]) in texts])
        }
        if all(name in column for name in _REQUIRED):
            return number, column
    wanted = " and ".join(f"{name} ({', '.join(list(words.columns[name])[:3])}, ...)" for name in _REQUIRED)
    raise InputError(f"no row of the first {HEADER_ROWS} names columns for {wanted}; add such a header row to the list")


def _row(
    number: int, row: Sequence[str], listed: int | None, column: Mapping[str, int], words: ListWords, numbering: Numbering
) -> ListedPoint | LeftRow:
    text = _cell(row, column, "name").strip()
    said = " | ".join(cell.strip() for cell in row if cell.strip())
    if listed is None:
        return LeftRow(number, said, "no address")
    place = _place(listed, numbering)
    if place is None:
        return LeftRow(number, said, f"{listed} is no address when counted as {numbering.value}")
    access = _plain(_cell(row, column, "access"))
    if access in ("w", "wo", "write", "write only", "只写"):
        return LeftRow(number, said, "write only")
    name = quantity_of(text, words)
    if name is None:
        return LeftRow(number, said, "no quantity is known by that name")
    type_ = _type(_cell(row, column, "type"), _cell(row, column, "words"), words)
    if type_ is None:
        return LeftRow(number, said, f"no type (is {name})")
    unit, factor = _unit(_cell(row, column, "unit"), name, words)
    if unit is None:
        return LeftRow(number, said, f"unit {_cell(row, column, 'unit')!r} does not fit {name}")
    scale = _scale(_cell(row, column, "scale"))
    if scale is None:
        return LeftRow(number, said, f"scale {_cell(row, column, 'scale')!r} is no number (is {name})")
    return ListedPoint(number, text, name, place[1], place[0], type_, unit, _decimal(scale * factor))


def quantity_of(text: str, words: ListWords) -> str | None:
    """The quantity that a name in a list means, None where it is none or not the plain one.

    Every word counts: beside the quantity and its place in the circuit a name may have words that change nothing (total,
    instantaneous); any other (nominal, peak, angle) makes it something else.
    """
    plain = _plain(text)
    for name, texts in words.symbols.items():
        if plain in map(_plain, texts):
            return name
    stem, found = _stem(plain, words)
    if not stem:
        return None
    where = _where(_plain(_without_unit(text, stem, words)).replace(found, " ", 1), words)
    if where is None or (stem == "voltage" and not where):
        return None
    suffix = where if "_" in where or not where else _PHASED.get(stem, "").format(where)
    name = f"{stem}_{suffix}" if suffix else stem
    return name if name in QUANTITIES and bool(suffix) == bool(where) else None


def _stem(plain: str, words: ListWords) -> tuple[str, str]:
    """The longest stem that a name contains, and its text; empty where it contains none."""
    stems = [
        (len(_plain(t)), name, _plain(t)) for name, texts in words.stems.items() for t in texts if _contains(plain, _plain(t))
    ]
    return max(stems)[1:] if stems else ("", "")


def _where(rest: str, words: ListWords) -> str | None:
    """Phase or pair of phases that is left of a name, empty where nothing is, None where it is anything else."""
    for text in sorted(map(_plain, words.places["harmless"]), key=len, reverse=True):
        rest = re.sub(_pattern(text), " ", rest)
    left = " ".join(rest.split())
    if not left:
        return ""
    return next((place for place, texts in words.places.items() if place != "harmless" and left in map(_plain, texts)), None)


def _without_unit(text: str, stem: str, words: ListWords) -> str:
    """A name without a unit in brackets that fits it, as in Current L1 (A)."""
    like = next(name for name in QUANTITIES if name.startswith(stem))

    def fits(found: re.Match[str]) -> str:
        return found[0] if not found[1].strip() or _unit(found[1].strip(), like, words)[0] is None else " "

    return re.sub(r"[(（\[【]([^)）\]】]*)[)）\]】]", fits, text)


def _contains(text: str, part: str) -> bool:
    """Whole words for letters, anywhere for Chinese."""
    return re.search(_pattern(part), text) is not None


def _pattern(part: str) -> str:
    return rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9])" if part.isascii() else re.escape(part)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\s_\-/.,:;()（）【】\[\]、：]+", " ", text.lower()).split())


def _without_brackets(text: str) -> str:
    return _plain(re.sub(r"[(（\[【].*?[)）\]】]", " ", text))


def _cell(row: Sequence[str], column: Mapping[str, int], name: str) -> str:
    place = column.get(name)
    return row[place] if place is not None and place < len(row) else ""


def _radix(cells: Sequence[str], remarks: list[str]) -> int:
    """Hexadecimal where a cell without a mark has a letter in it."""
    letters = [c.strip() for c in cells if re.fullmatch(r"\s*(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{2,4}\s*", c)]
    if letters:
        remarks.append(f"addresses are hexadecimal, since {letters[0]!r} is one of them (--radix 10 reads them as decimal)")
    return 16 if letters else 10


def _number(cell: str, radix: int) -> int | None:
    """The first number of a cell: 12, 0x0C, 0CH, 4x0001, and of a range its start."""
    text = re.split(r"\s*(?:-|~|–|至|,)\s*", cell.strip())[0].strip().lower()
    if found := re.fullmatch(r"([34])x(\d{4,5})", text):
        return int(found[1] + found[2].zfill(4))
    if found := re.fullmatch(r"0x([0-9a-f]{1,4})|([0-9a-f]{1,5})h", text):
        return int(found[1] or found[2], 16)
    if re.fullmatch(r"\d+\.0", text):
        text = text[:-2]  # a spreadsheet's whole number
    if radix == 16 and re.fullmatch(r"[0-9a-f]{1,4}", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"\d{1,6}", text) else None


def _marked(cell: str) -> bool:
    """Whether an address is written as hexadecimal, which no number that names a table is."""
    return re.match(r"\s*(0x[0-9a-f]|[0-9a-f]+h\b)", cell, re.IGNORECASE) is not None


def _numbering(numbers: Sequence[int], remarks: list[str]) -> Numbering:
    if numbers and all(_place(n, Numbering.MODICON) for n in numbers):
        remarks.append(
            f"addresses such as {numbers[0]} name the table and count from 1 (--numbering zero takes them as they are)"
        )
        return Numbering.MODICON
    named = [n for n in numbers if _place(n, Numbering.MODICON)]
    if 2 * len(named) > len(numbers):
        other = next(n for n in numbers if n not in named)
        remarks.append(f"{named[0]} may name a table, but {other} does not; --numbering modicon takes {named[0]} and its like so")
    if numbers and min(numbers) == 1:
        remarks.append("addresses are taken to count from 1, since the lowest is 1 and none is 0 (--numbering zero if not)")
        return Numbering.ONE
    remarks.append("addresses are taken as on the wire, from 0 (--numbering one if every value appears one register off)")
    return Numbering.ZERO


def _place(listed: int, numbering: Numbering) -> tuple[Table | None, int] | None:
    """Table, where the number says it, and zero-based address."""
    if numbering is Numbering.ZERO:
        return (None, listed) if listed <= 65_535 else None
    if numbering is Numbering.ONE:
        return (None, listed - 1) if 1 <= listed <= 65_536 else None
    for first, table, many in (
        (40_001, "holding", 9_999),
        (30_001, "input", 9_999),
        (400_001, "holding", 65_536),
        (300_001, "input", 65_536),
    ):
        if first <= listed < first + many:
            return ("holding" if table == "holding" else "input"), listed - first
    return None


def _type(text: str, words_cell: str, words: ListWords) -> str | None:
    plain = _plain(text)
    found: str | None = next((name for name, texts in words.types.items() if plain in map(_plain, texts)), None)
    count = words_cell.strip().removesuffix(".0")
    if (
        found is not None
        and found in ("int16", "uint16")
        and plain in ("int", "uint", "有符号整数", "无符号整数")
        and count in ("2", "4")
    ):
        return found.replace("16", "32" if count == "2" else "64")
    return found


def _unit(text: str, name: str, words: ListWords) -> tuple[str | None, Fraction]:
    """A unit of ours that fits the quantity, and a factor where the cell has one, as in 0.1V; the canonical one where empty."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)?\s*(.*)", " ".join(text.split()))
    assert found is not None, "every text of one line"
    factor, unit = Fraction(found[1] or "1"), found[2]
    if not unit:
        return (QUANTITIES[name].unit if not found[1] or QUANTITIES[name].unit == "1" else None), factor
    matches = [ours for ours, texts in words.units.items() if unit == ours or unit.lower().replace("*", "·") in texts]
    for ours in sorted(matches, key=lambda u: u != unit):
        try:
            factor_to_canonical(name, ours)
        except ValueError:
            continue
        return ours, factor
    return None, factor


def _scale(text: str) -> Fraction | None:
    """0.1, x0.1, *0.1, /10, 1/10, 10^-1; 1 where empty."""
    plain = text.strip().lower().replace("×", "x").lstrip("x*").strip()
    if plain in ("", "-"):
        return Fraction(1)
    if found := re.fullmatch(r"10\s*(?:\^|\*\*|e)\s*([-+]?\d{1,2})", plain):
        return Fraction(10) ** int(found[1])
    if found := re.fullmatch(r"(\d*)\s*[/÷]\s*(\d+)", plain):
        return Fraction(int(found[1] or 1), int(found[2])) if int(found[2]) else None
    try:
        scale = Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None
    return scale if scale > 0 else None


def _decimal(scale: Fraction) -> str:
    number = float(scale)
    return f"{number:.10f}".rstrip("0").rstrip(".") if abs(number) < 1e6 and number >= 1e-9 else repr(number)
