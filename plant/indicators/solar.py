"""Performance of PV fields, and the quality of the supply."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = ()
