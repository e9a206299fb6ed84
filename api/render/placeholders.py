"""A placeholder is printed as one: figures on rules that are not proven yet say so in their note."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from plant.indicators import Figure


def marked(figures: Mapping[str, Mapping[str, Figure]], placeholders: Collection[str]) -> dict[str, dict[str, Figure]]:
    """The figures; one that rests on, or was held against, an edition among ``placeholders`` has them as one more reason."""
    return {node: {name: _marked(figure, placeholders) for name, figure in by.items()} for node, by in figures.items()}


def _marked(figure: Figure, placeholders: Collection[str]) -> Figure:
    used = [edition for edition in figure.editions if edition in placeholders]
    if not used:
        return figure
    return replace(figure, reason="; ".join(filter(None, (figure.reason, f"placeholder: {', '.join(used)}"))))
