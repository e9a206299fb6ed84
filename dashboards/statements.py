"""InfluxQL of the panels, in the portable subset: bounded time, mean, sum, count, one database each. Pure.

Grafana puts in ``$timeFilter`` and ``$__interval``. Nothing here carries a value over a gap: no ``fill(previous)``, no
``last()``; where nothing was measured the panel is empty. Ratios are ratios of sums, so that they hold at every zoom, and
count only intervals in which numerator and denominator are both known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plant.quality import Quality
from plant.series import MINUTE, QUARTER, RAW

DATABASE_SUFFIX = {RAW: "_raw", MINUTE: "_1m", QUARTER: "_15m"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One query: ``resolution`` names the database (raw, 1m, 15m), ``alias`` the legend (``$tag_...`` a tag's value)."""

    resolution: str
    text: str
    alias: str


def data_source_uid(plant: str, resolution: str) -> str:
    """Uid of the Grafana data source of a database."""
    return f"potwatt-{plant}-{resolution}"


def derived_mean(plant: str, resolution: str, field: str, nodes: Sequence[str], alias: str) -> Statement:
    """Mean of a field for each of some nodes over time."""
    text = _select(f'mean("{field}")', "derived", _valid(plant, nodes), _BY_TIME_AND_NODE)
    return Statement(resolution, text, alias)


def derived_ratio(plant: str, node: str, of: tuple[str, str], scale: float, alias: str, *, over_time: bool) -> Statement:
    """``scale`` times the sum of the first field over the sum of the second, over time or for the whole span as one number."""
    part, whole = of
    known = f'{_valid(plant, [node])} AND "{part}" >= 0 AND "{whole}" > 0'
    text = _select(f'{scale:g} * sum("{part}") / sum("{whole}")', "derived", known, _BY_TIME if over_time else "")
    return Statement(QUARTER, text, alias)


def derived_sum(plant: str, node: str, field: str, alias: str) -> Statement:
    """Sum of an energy of a node in each step of time."""
    return Statement(QUARTER, _select(f'sum("{field}")', "derived", _valid(plant, [node]), _BY_TIME), alias)


def reading_mean(plant: str, quantity: str, meters: Sequence[str], alias: str) -> Statement:
    """Mean of what each meter says over time, the meter's own arrow, invalid readings left out; empty while it is silent."""
    return _readings(plant, "mean", quantity, meters, alias)


def reading_count(plant: str, quantity: str, meters: Sequence[str], alias: str) -> Statement:
    """Number of valid readings of each meter in each step of time; empty while a meter is silent."""
    return _readings(plant, "count", quantity, meters, alias)


_BY_TIME = "GROUP BY time($__interval) fill(null)"
_BY_TIME_AND_NODE = 'GROUP BY time($__interval), "node" fill(null)'
_BY_TIME_AND_METER = 'GROUP BY time($__interval), "meter" fill(null)'


def _readings(plant: str, function: str, quantity: str, meters: Sequence[str], alias: str) -> Statement:
    # a good reading has no quality field, and comparing an absent field gives false: so only what is marked invalid is left out
    valid = f'(("{quantity}_q" & {int(Quality.INVALID)}) = {int(Quality.INVALID)}) = false'
    where = f'"plant" = {_text(plant)} AND {_one_of("meter", meters)} AND {valid}'
    return Statement(RAW, _select(f'{function}("{quantity}")', "reading", where, _BY_TIME_AND_METER), alias)


def _select(what: str, measurement: str, where: str, group: str) -> str:
    return " ".join(("SELECT", what, "FROM", f'"{measurement}"', "WHERE", where, "AND $timeFilter", group)).rstrip()


def _valid(plant: str, nodes: Sequence[str]) -> str:
    return f'"plant" = {_text(plant)} AND {_one_of("node", nodes)} AND "valid" = 1'


def _one_of(tag: str, values: Sequence[str]) -> str:
    return "(" + " OR ".join(f'"{tag}" = {_text(value)}' for value in values) + ")"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
