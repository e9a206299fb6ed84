"""What an explanation is made of: a tree from a figure down to meters, documents, rules and settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class CauseKind(StrEnum):
    """What a node of the tree is about."""

    FIGURE = "figure"
    EFFICIENCY = "efficiency"  # what the metal of a line rests on
    BRANCH = "branch"
    POINT = "point"
    METER = "meter"  # a meter read for its gauges or counts, not for energy
    MOUNTING = "mounting"
    GAP = "gap"
    INCIDENT = "incident"
    ANNOTATION = "annotation"
    LEDGER = "ledger"  # entries of one kind
    ENTRY = "entry"
    RULE = "rule"
    SETTING = "setting"


# where a path down the tree may end; a figure, a branch or a point without anything below it explains nothing
GROUNDS = (CauseKind.EFFICIENCY, CauseKind.METER, CauseKind.MOUNTING, CauseKind.LEDGER, CauseKind.RULE, CauseKind.SETTING)


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that a figure rests on. ``facts`` are plain values with the units in their names; ``repeated`` says that the
    same stands, with what is below it, at another place of the tree."""

    kind: CauseKind
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    repeated: bool = False

    def walk(self) -> Iterator[Cause]:
        """Itself and everything below it."""
        yield self
        for cause in self.causes:
            yield from cause.walk()

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        head: dict[str, Any] = {"kind": self.kind.value, "name": self.name, **self.facts}
        if self.repeated:
            head["repeated"] = True
        return head | {"causes": [cause.plain() for cause in self.causes]}


def dangling(tree: Cause) -> list[str]:
    """Names of what ends nowhere: neither in a meter nor in a document, a rule or a setting."""
    inner = (CauseKind.FIGURE, CauseKind.BRANCH, CauseKind.POINT)
    return [c.name for c in tree.walk() if c.kind in inner and not c.causes and not c.repeated]
