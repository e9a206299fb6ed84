"""A row of the table of computed indicators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Indicator:
    """A computed figure: stored as ``name``, carried in code and API as ``name`` + ``_`` + ``suffix``.

    ``boundary`` says what is inside it. ``formula`` is written over the names in ``inputs``, which are indicators, ledger
    kinds or rule ids: what ``explain`` walks down.
    """

    name: str
    unit: str
    suffix: str
    en: str
    zh: str
    boundary: str = ""
    formula: str = ""
    inputs: tuple[str, ...] = ()
