"""Messages that are plain text: one value a topic, or lines of columns. Pure."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial

from devices.payload import SAMPLES_MAX, Message, Sample, number_text, parse_json, raw_of, sample, samples
from devices.payload_map import PayloadMap
from devices.payload_scalar import instant_text, number, sequence_number, shown
from plant.errors import PayloadError


def frames(map_: PayloadMap, payload: bytes, suffix: str = "") -> list[Sample]:
    """The Frames of a message in JSON, as plain value or as CSV, at least one. ``suffix`` is what follows the meter's topic.

    Raises PayloadError, and nothing else, for a message that can never be read.
    """
    if map_.format == "value":
        return value_samples(map_, payload, suffix)
    if map_.format == "csv":
        return csv_samples(map_, payload)
    return samples(map_, parse_json(payload))


def value_samples(map_: PayloadMap, payload: bytes, suffix: str) -> list[Sample]:
    """One Frame with the one quantity whose topic it is; the others were not due. Raises PayloadError."""
    column = next((i for i, point in enumerate(map_.points) if suffix == f"/{point.path}"), None)
    if column is None:
        raise PayloadError(f"{suffix or 'the topic'}: found no quantity of this topic in the profile")
    return [Sample((number(_text(payload), map_.points[column], map_),), None, columns=(column,))]


def csv_samples(map_: PayloadMap, payload: bytes) -> list[Sample]:
    """A Frame for each line; an empty cell is a missing value. Raises PayloadError."""
    try:
        rows = [row for row in csv.reader(_text(payload).splitlines(), delimiter=map_.separator, strict=True) if row]
    except csv.Error as error:
        raise PayloadError(f"no CSV: {error}; the message begins {payload[:40]!r}") from error
    names = _columns(map_, rows)
    most = 1 if map_.time is None else SAMPLES_MAX  # several without a time would all be of the receipt
    if not 0 < len(rows) <= most:
        raise PayloadError(
            f"found {len(rows)} lines of values, expected {f'1 to {most}' if most > 1 else '1, as it has no time'}"
        )
    found: list[Sample] = []
    for row in rows:
        if len(row) != len(names):
            raise PayloadError(f"a line of {len(row)} cells where {len(names)} were expected: {shown(map_.separator.join(row))}")
        find = partial(_cell, {name: cell.strip() for name, cell in zip(names, row, strict=True)})
        sequence = sequence_number(find(map_.sequence), map_) if map_.sequence else None
        found += sample(map_, find, sequence)
    return found


def _columns(map_: PayloadMap, rows: list[list[str]]) -> list[str]:
    """The columns' names; a header is taken off the rows. A named column that is not there would be missing for ever."""
    if map_.header == "first_line" and rows:
        names = [cell.strip() for cell in rows.pop(0)]
    else:
        names = [str(i) for i in range(len(rows[0]) if rows else 0)]
    lacking = [place for place in map_.places if place not in names]
    twice = [place for place in map_.places if names.count(place) > 1]
    if rows and (lacking or twice):
        what = f"no column {', '.join(lacking)}" if lacking else f"column {', '.join(twice)} more than once"
        raise PayloadError(f"found {what} among {shown(map_.separator.join(names))}")
    return names


def _cell(cells: dict[str, str], place: str) -> str | None:
    return cells.get(place)


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PayloadError(f"no text: {error}; the message begins {payload[:40]!r}") from error


def write_values(map_: PayloadMap, message: Message) -> list[tuple[str, str]]:
    """What the device publishes under each quantity's topic, as (what follows the meter's topic, text)."""
    return [
        (f"/{point.path}", number_text(map_, point, raw_of(point, value)))
        for point, value in zip(map_.points, message.values, strict=True)
    ]


def write_csv(map_: PayloadMap, messages: Sequence[Message]) -> str:
    """Lines as the device writes them, with the header where there is one; cells that the profile does not name are empty."""
    cells = [_cells(map_, message) for message in messages]
    if map_.header == "first_line":
        names = list(cells[0])
        return "\n".join(map_.separator.join(line) for line in [names, *([c[name] for name in names] for c in cells)])
    width = 1 + max(int(place) for place in cells[0])
    return "\n".join(map_.separator.join(c.get(str(i), "") for i in range(width)) for c in cells)


def _cells(map_: PayloadMap, message: Message) -> dict[str, str]:
    found = {p.path: number_text(map_, p, raw_of(p, v)) for p, v in zip(map_.points, message.values, strict=True)}
    if map_.time is not None and message.t_ns is not None:
        found[map_.time.path] = str(instant_text(message.t_ns, map_.time))
    if map_.event_id:
        found[map_.event_id] = message.event_id
    if map_.sequence and message.sequence is not None:
        found[map_.sequence] = str(message.sequence)
    if map_.quality is not None and map_.quality.path:
        found[map_.quality.path] = map_.quality.good[0]
    wrong = [cell for cell in found.values() if map_.separator in cell]
    if wrong:
        raise ValueError(f"{shown(wrong[0])} holds the separator {map_.separator!r}")
    return found
