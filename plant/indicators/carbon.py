"""Greenhouse gases of the metal and of the electricity."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = ()
