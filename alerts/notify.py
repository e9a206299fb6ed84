"""Delivery of messages through apprise, the one place that knows it. Addresses hold secrets and are never shown."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import apprise

from alerts.outbox import Message
from plant.errors import ConfigError, Fault

# apprise writes hosts and server answers to its log; what went wrong is said here, without the address
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

_TYPE = {
    "raised": apprise.NotifyType.FAILURE,
    "reminder": apprise.NotifyType.FAILURE,
    "cleared": apprise.NotifyType.SUCCESS,
    "withdrawn": apprise.NotifyType.SUCCESS,
    "unknown": apprise.NotifyType.WARNING,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where messages go: ``name`` is the place in the list and the scheme, such as ``1:json``."""

    name: str
    plugin: Any


def parse_addresses(text: str, variable: str) -> tuple[Address, ...]:
    """Addresses of apprise (https://github.com/caronc/apprise), separated by white space.

    Raises ConfigError naming the environment variable and the place in its list, never the address.
    """
    asset = apprise.AppriseAsset(app_id="potwatt", app_desc="potwatt alerts", async_mode=False)
    addresses: list[Address] = []
    faults: list[Fault] = []
    for number, url in enumerate(text.split(), start=1):
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if plugin is None:
            allowed = "addresses such as json://host/path or mailtos://user:password@host?to=name, separated by spaces"
            faults.append(Fault(f"environment variable {variable}", f"address {number}", "one that apprise cannot read", allowed))
        else:
            addresses.append(Address(f"{number}:{url.partition(':')[0]}", plugin))
    if faults:
        raise ConfigError(faults)
    return tuple(addresses)


async def send(address: Address, message: Message) -> bool:
    """Hand a message over in a thread of its own; True when the other side took it. Never raises."""
    return await asyncio.to_thread(_send, address, message)


def _send(address: Address, message: Message) -> bool:
    try:
        taken = address.plugin.notify(
            title=message.title, body=message.body, notify_type=_TYPE.get(message.kind, apprise.NotifyType.INFO)
        )
    except Exception:  # a plugin of a third party may raise anything, and its words may hold the address
        return False
    return bool(taken)
