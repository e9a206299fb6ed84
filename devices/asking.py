"""The words in which meters are asked: requests go out of a generator, answers come into it. No input or output.

Silence, a lost line and answers of a wrong length are exceptions that whoever drives a generator raises, or throws into it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from devices.plan import ReadRequest
from plant.errors import DeviceError, DeviceRefused, DeviceSilent

EXCEPTIONS = {  # Modbus Application Protocol V1.1b3, section 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
NOT_THERE = (2, 3)  # the registers, not the device, are refused
PERHAPS_NOT_THERE = (*NOT_THERE, 4)  # some devices fail, or say nothing at all, where they have no register
NOT_AT_ALL = 1  # halving does not help against an unknown function
_NOT_NOW = (5, 6)  # the device has the request or is at something else: asking later helps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception answer."""

    code: int

    @property
    def name(self) -> str:
        """The code in words."""
        return f"exception {self.code} ({EXCEPTIONS.get(self.code, 'not in the standard')})"


Answer = Sequence[int] | Refused


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """How messages name a meter: its id and where it is, such as ``127.0.0.1:502 unit 3``; its serial number, if known."""

    meter: str
    where: str
    serial: str = ""


Asking = Generator[ReadRequest, Answer, T]


def ask(request: ReadRequest) -> Asking[Answer | DeviceSilent]:
    """An answer, or the silence that the driver met."""
    try:
        return (yield request)
    except DeviceSilent as silence:
        return silence


def refusal(meter: MeterAddress, request: ReadRequest, answer: Refused) -> DeviceError:
    """The error that a refused request is."""
    if answer.code in _NOT_NOW:
        return DeviceSilent(
            meter.meter,
            meter.where,
            expected=f"{request.count} words from {request.table} {request.address}",
            got=answer.name,
            next_step="it is asked again with growing pauses",
        )
    return DeviceRefused(
        meter.meter,
        meter.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=answer.name,
        next_step="check the unit number, the profile and the access rights in the device",
    )
