"""What was sent beside what is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KILLED_UNDURABLE_MAX_S = 1.0  # an answer older than this at a kill must have been durable: gathered and synced
ENDED_UNSTORED_MAX_S = 5.0  # at the orderly end what is younger may be in the spool alone, where nobody looks for it
KILLED_SHARE_MAX = 0.2  # of all answers; more than that under way at kills would leave little that was proven
STAMP_OFF_MAX_S = 5.0  # between a meter's answer and the instant it is stored under


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored readings of one meter: (number, instant in ms) of each row, in any order."""

    rows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Count:
    """One kind of source. ``unfinished`` readings were asked for and never acknowledged: under way when the program was
    killed (``killed`` of them) or ended, which the promise does not cover."""

    sent: int
    acknowledged: int
    stored: int
    duplicates: int
    missing: int
    unfinished: int = 0
    killed: int = 0
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Something was sent, everything acknowledged is there once, and that is most of it."""
        whole = self.duplicates == 0 and self.missing == 0
        return self.acknowledged > 0 and whole and self.killed <= KILLED_SHARE_MAX * self.sent


@dataclass(slots=True)
class _Findings:
    duplicates: int = 0
    missing: int = 0
    unfinished: int = 0
    killed: int = 0
    examples: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        if len(self.examples) < 5:
            self.examples.append(text)


def count_published(sent: Sequence[tuple[str, int]], acknowledged: set[int], stored: Mapping[str, Stored]) -> Count:
    """``sent[n]`` is (meter, ms) of reading n. A stored row that was never sent, or under another instant, is a duplicate."""
    found = _Findings()
    rows = Counter((meter, number, t_ms) for meter, of in stored.items() for number, t_ms in of.rows)
    kept = 0
    for number, (meter, t_ms) in enumerate(sent):
        times = rows.pop((meter, number, t_ms), 0)
        kept += times > 0
        if times == 0 and number in acknowledged:
            found.missing += 1
            found.say(f"reading {number} of {meter} is missing")
        elif times > 1:
            found.duplicates += times - 1
            found.say(f"reading {number} of {meter} is stored {times} times")
    for meter, number, t_ms in list(rows)[:5]:
        found.say(f"{meter} has reading {number} at {t_ms} ms, which was not sent so")
    found.duplicates += sum(rows.values())
    return Count(len(sent), len(acknowledged), kept, found.duplicates, found.missing, examples=tuple(found.examples))


def count_polled(
    answered: Mapping[str, Sequence[float]], stored: Mapping[str, Stored], ends_s: Sequence[float], epoch_s: float
) -> Count:
    """Numbers 1, 2, ... of each meter with the instant of their answer; ``ends_s`` are the ends of the program's lives, the
    last one orderly, and ``epoch_s`` is the time of day (UTC s) at 0 of these instants.

    Polls are durable in order, so that of each life only the last ones may be absent, and only those answered just
    before its end: anything else is missing. A row under an instant far from its answer's is a duplicate.
    """
    found = _Findings()
    kept = 0
    for meter, instants in answered.items():
        times = Counter(number for number, _ in stored[meter].rows) if meter in stored else Counter()
        kept += sum(1 for number in range(1, len(instants) + 1) if times[number])
        repeated = sum(n - 1 for n in times.values() if n > 1) + sum(n for k, n in times.items() if not 1 <= k <= len(instants))
        if repeated:
            found.duplicates += repeated
            found.say(f"{meter}: {repeated} rows more than answers")
        for number, t_ms in stored[meter].rows if meter in stored else ():
            if 1 <= number <= len(instants) and abs(t_ms / 1e3 - epoch_s - instants[number - 1]) > STAMP_OFF_MAX_S:
                found.duplicates += 1
                found.say(f"poll {number} of {meter} is stored at {t_ms} ms, which is not when it was answered")
        for number in _holes(instants, times, ends_s, found):
            found.missing += 1
            found.say(f"poll {number} of {meter} is missing")
    sent = sum(map(len, answered.values()))
    acknowledged = sent - found.unfinished
    examples = tuple(found.examples)
    return Count(sent, acknowledged, kept, found.duplicates, found.missing, found.unfinished, found.killed, examples)


def _holes(instants: Sequence[float], times: Counter[int], ends_s: Sequence[float], found: _Findings) -> list[int]:
    """Numbers that are absent and may not be; those that may are added to ``unfinished``."""
    holes: list[int] = []
    first = 1
    for end_s in sorted(ends_s):
        is_kill = end_s < max(ends_s)
        young_s = KILLED_UNDURABLE_MAX_S if is_kill else ENDED_UNSTORED_MAX_S
        last = first
        while last <= len(instants) and instants[last - 1] <= end_s:
            last += 1
        kept = [n for n in range(first, last) if times[n]]
        newest = max(kept, default=first - 1)
        for number in range(first, last):
            if times[number]:
                continue
            if number > newest and end_s - instants[number - 1] <= young_s:
                found.unfinished += 1
                found.killed += is_kill
            else:
                holes.append(number)
        first = last
    return [*holes, *range(first, len(instants) + 1)]
