"""What outlives the collector of a broker's session: that there was one, and when we last had it. One small file a broker.

A broker that has forgotten a session says so to everybody who connects anew, to a new client too; only who remembers that
there was a session can tell a first start from messages that nobody kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector.disk import OS_DISK, Disk, replace_durably
from collector.mqtt_link import Session
from plant.series import Span


class _File(msgspec.Struct):
    client_id: str
    seen_ns: int
    lost_from_ns: int | None = None
    lost_until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """``seen_ns`` is when the session was last known to be ours; ``lost`` is the span of its last loss."""

    client_id: str
    seen_ns: int
    lost: Span | None = None

    def after(self, session: Session, now_ns: int) -> Remembered:
        """Connected and subscribed at ``now_ns``, and this is what the broker knew of us."""
        lost = Span(self.seen_ns, now_ns) if session is Session.NEW and now_ns > self.seen_ns else self.lost
        return Remembered(self.client_id, now_ns, lost)


def load(path: Path, disk: Disk = OS_DISK) -> Remembered | None:
    """What was kept, None where nothing was or it cannot be read. Raises OSError."""
    try:
        found = msgspec.json.decode(disk.read(path), type=_File)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    lost = None
    if found.lost_from_ns is not None and found.lost_until_ns is not None:
        lost = Span(found.lost_from_ns, found.lost_until_ns)
    return Remembered(found.client_id, found.seen_ns, lost)


def save(path: Path, kept: Remembered, disk: Disk = OS_DISK) -> None:
    """Replace the file in one step that a power cut cannot halve. Raises OSError."""
    lost = kept.lost
    text = _File(kept.client_id, kept.seen_ns, lost.start_ns if lost else None, lost.end_ns if lost else None)
    disk.make_directory(path.parent)
    replace_durably(disk, path, msgspec.json.encode(text))
