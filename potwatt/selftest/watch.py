"""What can be seen of the program from outside, over its API."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from potwatt.selftest.plant import NUMBER_PUBLISHED, PLANT
from potwatt.selftest.publisher import Publisher
from potwatt.selftest.stand import Stand

_TIMEOUT_S = 2.0
_CONNECTED = 'potwatt_part_state{part="broker:broker",potwatt_part_state="ok"} 1'


@dataclass(slots=True)
class Delay:
    """Longest time from a reading's making until it was seen in the store, watched on one meter."""

    meter: str
    longest_s: float = 0.0
    _seen: int = -1

    def look(self, api: str, publisher: Publisher) -> None:
        """One look; blocking. Raises OSError where the program does not answer."""
        if not publisher.sent:
            return
        since_ms = publisher.sent[max(self._seen, 0)].t_ms if self._seen >= 0 else publisher.sent[0].t_ms
        numbers = [n for n in stored_numbers(api, self.meter, since_ms) if n > self._seen]
        now_s = time.monotonic()
        mine = [n for n in range(self._seen + 1, max(numbers, default=self._seen) + 1) if publisher.sent[n].meter == self.meter]
        if mine:
            self.longest_s = max(self.longest_s, now_s - publisher.sent[mine[0]].due_s)
            self._seen = mine[-1]


def stored_numbers(api: str, meter: str, since_ms: int) -> list[int]:
    """Numbers of a meter's stored readings from an instant on. Raises OSError."""
    start = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    query = {"meter": meter, "quantity": NUMBER_PUBLISHED, "start": start, "end": "now", "max_points": "20000"}
    body = json.loads(_get(f"{api}/api/v1/plants/{PLANT}/series?{urllib.parse.urlencode(query)}"))
    values: list[Any] = body.get("value") or body.get("max", [])
    return [round(v) for v in values if v is not None]


def all_stored(at: Stand) -> bool:
    """Whether the newest reading of each meter is in the store: what came before it is too, since order is kept. Blocking."""
    newest = {sent.meter: number for number, sent in enumerate(at.publisher.sent)}
    try:
        return all(n in stored_numbers(at.api, meter, at.publisher.sent[n].t_ms) for meter, n in newest.items())
    except OSError:
        return False


def is_subscribed(api: str) -> bool:
    """Whether the program has its session at the broker. Blocking."""
    try:
        return _CONNECTED in _get(f"{api}/metrics").decode()
    except OSError:
        return False


def answers(api: str) -> bool:
    """Whether the program is up. Blocking."""
    try:
        return bool(_get(f"{api}/healthz"))
    except OSError:
        return False


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  (our own address)
        body: bytes = answer.read()
        return body
