"""A row of the table of computed indicators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Indicator:
    """A computed figure: stored as ``name``, carried in code and API as ``name`` + ``_`` + ``suffix``.

    ``boundary`` says what is inside it. ``formula`` is written over the names in ``inputs``, which are indicators, ledger
    kinds, rule ids or settings below the site (``site.tariff.time_of_use``): what ``explain`` walks down. Where it is plain
    arithmetic over them, units included, ``explain`` works it out again. What has no inputs stands on branches or meters.
    """

    name: str
    unit: str
    suffix: str
    en: str
    zh: str
    boundary: str = ""
    formula: str = ""
    inputs: tuple[str, ...] = ()
