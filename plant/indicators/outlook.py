"""What a period is expected to come to."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = ()
