"""Where the roles of one process put their state, and the API and metrics read it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import structlog

from plant.ports import Health

log = structlog.get_logger()
COUNTERS_MAX = 10_000


def _words(detail: str) -> str:
    return re.sub(r"[\d.]+", "#", detail)


class Board:
    """Implements ``plant.ports.HealthBoard``; a change of state is logged once, not every time it is repeated."""

    def __init__(self) -> None:
        self._parts: dict[str, Health] = {}
        self._counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        """Replace the state of a part."""
        known = self._parts.get(part)
        since = datetime.now(UTC) if known is None or known.state != state else known.since
        # numbers in a detail move all the time; other words are another trouble and worth a line
        told = known is not None and known.state == state and (state == "ok" or _words(known.detail) == _words(detail))
        if not told:
            (log.info if state in {"ok", "unknown"} else log.warning)("state", part=part, state=state, detail=detail)
        self._parts[part] = Health(part, state, since, detail, numbers)

    def all(self) -> list[Health]:
        """Every part."""
        return list(self._parts.values())

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        """Raise a counter; the number of counters is bounded, since labels may come from the wire."""
        key = (name, tuple(sorted(labels.items())))
        if key in self._counters or len(self._counters) < COUNTERS_MAX:
            self._counters[key] = self._counters.get(key, 0.0) + by

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All counters."""
        return dict(self._counters)
