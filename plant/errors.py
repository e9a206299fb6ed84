"""Every error potwatt raises on purpose, in one tree.

PotwattError
├── ConfigError            the site file or a rule, profile or mapping file is wrong (the user mends the file)
├── InputError             a file or request handed in is wrong (the user mends the input)
├── DeviceError            a meter did not do what its profile says
│   ├── DeviceSilent       no answer in time (transient)
│   ├── DeviceRefused      the meter answered with an exception code
│   └── DeviceNonsense     the answer does not fit the question
├── TransportError         a line, socket or broker failed (transient)
├── PayloadError           a message can never be decoded: to quarantine
├── StoreError             the series store or ledger failed
│   ├── StoreUnavailable   no answer, 429 or 5xx (transient)
│   ├── StoreRejected      the store refuses these very points for ever
│   └── StoreMisconfigured wrong password, missing database: retry and alarm
├── SpoolError             the spool cannot take or give records
│   ├── SpoolFull          bound reached, policy `hold` (transient)
│   └── SpoolRotten        a span of a segment cannot be read
└── IncomparableError      a limit was held against an indicator or period it does not name (a bug in potwatt)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class PotwattError(Exception):
    """Base of the tree. ``fault`` says who can mend it, ``transient`` whether trying again can help."""

    fault: ClassVar[str] = "potwatt"
    transient: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file: where it stands, what was found, what is allowed."""

    file: str
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: found {self.found}; {self.allowed}"


class ConfigError(PotwattError):
    """All faults of a set of files at once, so that one run of ``potwatt check`` shows everything."""

    fault = "user"

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


class InputError(PotwattError):
    """A file or a request is wrong; nothing of it was taken unless the text says so."""

    fault = "user"


class DeviceError(PotwattError):
    """A meter did not do what its profile says."""

    fault = "device"

    def __init__(self, device: str, address: str, *, expected: str, got: str, next_step: str) -> None:
        self.device, self.address, self.expected, self.got, self.next_step = device, address, expected, got, next_step
        super().__init__(f"{device} at {address}: expected {expected}, got {got}; {next_step}")


class DeviceSilent(DeviceError):
    """No answer in time."""

    transient = True


class DeviceRefused(DeviceError):
    """The meter answered with an exception code."""


class DeviceNonsense(DeviceError):
    """The answer does not fit the question."""


class TransportError(PotwattError):
    """A line, socket or broker failed; the message says which and why."""

    fault = "network"
    transient = True


class PayloadError(PotwattError):
    """A message can never be decoded; it goes to quarantine with this reason."""

    fault = "device"


class StoreError(PotwattError):
    """The series store or the ledger failed."""

    fault = "store"


class StoreUnavailable(StoreError):
    """The store does not answer or asks to come back later."""

    transient = True


class StoreRejected(StoreError):
    """The store refuses these very points for ever; ``lines`` are the points, everything else of the batch is stored."""

    def __init__(self, message: str, lines: tuple[str, ...] = ()) -> None:
        self.lines = lines
        super().__init__(message)


class StoreMisconfigured(StoreError):
    """Wrong password, missing right or missing database: someone has to act, we keep trying."""

    fault = "user"
    transient = True


class SpoolError(PotwattError):
    """The spool cannot take or give records."""

    fault = "host"


class SpoolFull(SpoolError):
    """The bound is reached and the policy is to hold: the source has to wait."""

    transient = True


class SpoolRotten(SpoolError):
    """A span of a segment cannot be read; it is stepped over and reported."""


class IncomparableError(PotwattError):
    """A limit was held against an indicator or a period that it does not name."""
