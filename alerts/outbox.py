"""Messages that still have to reach their addresses: bounded, kept apart by address, with growing pauses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

MESSAGES_MAX = 1_000
PAUSE_FIRST_S = 5.0
PAUSE_MAX_S = 900.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address. ``address`` is its place in the list and its scheme (``2:mailto``), never the address
    itself, since that holds secrets. ``kind`` is that of the notice."""

    id: str
    address: str
    kind: str
    title: str
    body: str
    due_ns: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """Messages in the order they were posted; ``lost`` counts those that had to give way when it was full."""

    messages: tuple[Message, ...] = ()
    lost: int = 0

    def post(self, messages: Iterable[Message]) -> Outbox:
        """With more messages at the end; beyond the bound the oldest give way and are counted."""
        every = (*self.messages, *messages)
        over = max(len(every) - MESSAGES_MAX, 0)
        return Outbox(every[over:], self.lost + over)

    def due(self, now_ns: int) -> tuple[Message, ...]:
        """The oldest message of each address, where its time has come: order is kept and one address never holds up another."""
        heads = {message.address: message for message in reversed(self.messages)}
        return tuple(m for m in self.messages if heads[m.address] is m and m.due_ns <= now_ns)

    def delivered(self, message: Message) -> Outbox:
        """Without the message."""
        return replace(self, messages=tuple(m for m in self.messages if not _same(m, message)))

    def failed(self, message: Message, now_ns: int) -> Outbox:
        """With the message due again after a pause that doubles each time."""
        pause_s = min(PAUSE_FIRST_S * 2.0 ** min(message.attempts, 20), PAUSE_MAX_S)
        later = replace(message, due_ns=now_ns + round(pause_s * 1e9), attempts=message.attempts + 1)
        return replace(self, messages=tuple(later if _same(m, message) else m for m in self.messages))

    def only(self, addresses: Sequence[str]) -> Outbox:
        """Without messages to addresses that are no longer configured; those are counted as lost."""
        kept = tuple(m for m in self.messages if m.address in addresses)
        return Outbox(kept, self.lost + len(self.messages) - len(kept))


def outbox_to_state(outbox: Outbox) -> dict[str, Any]:
    """A JSON-friendly form."""
    return {"lost": outbox.lost, "messages": [asdict(m) for m in outbox.messages]}


def outbox_from_state(state: dict[str, Any]) -> Outbox:
    """What ``outbox_to_state`` gave; an empty state is an empty outbox."""
    return Outbox(tuple(Message(**m) for m in state.get("messages", [])), state.get("lost", 0))


def _same(a: Message, b: Message) -> bool:
    return (a.id, a.address) == (b.id, b.address)
