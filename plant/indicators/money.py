"""What the electricity costs beyond its base price, and what changes it."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = ()
