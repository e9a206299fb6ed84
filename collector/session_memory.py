"""What outlives the collector of a broker's session: whose it was, and when we last had it. One small file a broker.

A broker that has forgotten a session says so to everybody who connects anew, to a new client too; only who remembers that
there was a session can tell a first start from messages that nobody kept. What was subscribed to is remembered too: a session
keeps filters until somebody withdraws them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from collector.disk import OS_DISK, Disk, replace_durably
from collector.mqtt_link import BrokerSettings, Session
from plant.series import Span


class _File(msgspec.Struct):
    client_id: str
    seen_ns: int
    lost_from_ns: int | None = None
    lost_until_ns: int | None = None
    address: str = ""
    filters: tuple[str, ...] = ()
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """``seen_ns`` is when the session was last known to be ours; ``lost`` is the span of its last loss. ``moved_from`` is not
    empty where we left a session behind ourselves, by another client id, host or port: then it names that one.
    ``address`` is empty in files of earlier versions."""

    client_id: str
    seen_ns: int
    lost: Span | None = None
    address: str = ""
    filters: tuple[str, ...] = ()
    moved_from: str = ""

    def is_of(self, settings: BrokerSettings) -> bool:
        """Whether the session is the one that these settings lead to."""
        return self.client_id == settings.client_id and self.address in ("", _address(settings))

    def withdrawn(self, settings: BrokerSettings) -> tuple[str, ...]:
        """Filters that the session may still have and that the settings do not."""
        return tuple(f for f in self.filters if f not in settings.filters) if self.is_of(settings) else ()

    def after(self, session: Session, now_ns: int) -> Remembered:
        """Connected and subscribed at ``now_ns``, and this is what the broker knew of us."""
        if session is Session.NEW and now_ns > self.seen_ns:
            return replace(self, seen_ns=now_ns, lost=Span(self.seen_ns, now_ns), moved_from="")
        return replace(self, seen_ns=now_ns)


def connected(kept: Remembered | None, settings: BrokerSettings, session: Session, now_ns: int) -> Remembered:
    """What to remember from now on; with the filters that the settings withdraw, until a later note shows that they are gone."""
    now = Remembered(settings.client_id, now_ns, address=_address(settings), filters=(*settings.filters, *settings.withdrawn))
    if kept is None:
        return now
    if kept.is_of(settings):
        return replace(kept.after(session, now_ns), address=now.address, filters=now.filters)
    if session is Session.RESUMED or now_ns <= kept.seen_ns:
        return replace(now, lost=kept.lost, moved_from=kept.moved_from)
    lost = Span(kept.seen_ns, now_ns)
    return replace(now, lost=lost, moved_from=f"{kept.client_id} at {kept.address}".removesuffix(" at "))


def _address(settings: BrokerSettings) -> str:
    return f"{settings.host}:{settings.port}"


def load(path: Path, disk: Disk = OS_DISK) -> Remembered | None:
    """What was kept, None where nothing was or it cannot be read. Raises OSError."""
    try:
        found = msgspec.json.decode(disk.read(path), type=_File)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    lost = None
    if found.lost_from_ns is not None and found.lost_until_ns is not None:
        lost = Span(found.lost_from_ns, found.lost_until_ns)
    return Remembered(found.client_id, found.seen_ns, lost, found.address, found.filters, found.moved_from)


def save(path: Path, kept: Remembered, disk: Disk = OS_DISK) -> None:
    """Replace the file in one step that a power cut cannot halve. Raises OSError."""
    lost = kept.lost
    from_ns, until_ns = (lost.start_ns, lost.end_ns) if lost else (None, None)
    text = _File(kept.client_id, kept.seen_ns, from_ns, until_ns, kept.address, kept.filters, kept.moved_from)
    disk.make_directory(path.parent)
    replace_durably(disk, path, msgspec.json.encode(text))
