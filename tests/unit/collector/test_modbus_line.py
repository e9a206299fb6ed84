"""Every exception of pymodbus has a place in our own tree."""

from __future__ import annotations

import pytest
from pymodbus import exceptions

from collector.modbus_line import translated
from devices.dialogue import MeterAddress
from devices.plan import ReadRequest
from plant.errors import DeviceNonsense, PotwattError, TransportError

KNOWN: dict[str, type[PotwattError]] = {
    "ConnectionException": TransportError,
    "MessageRegisterException": DeviceNonsense,
    "ModbusIOException": DeviceNonsense,
    "NoSuchIdException": DeviceNonsense,
    "NotImplementedException": DeviceNonsense,
    "ParameterException": DeviceNonsense,
}


@pytest.mark.parametrize("name", sorted(exceptions.__all__))
def test_every_exception_is_translated(name: str) -> None:
    error = getattr(exceptions, name)("the cause")
    ours = translated(error, ReadRequest("input", 5, 2), MeterAddress("m", "10.0.0.1:502 unit 1"))
    assert type(ours) is KNOWN[name]
    assert "the cause" in str(ours) and "10.0.0.1:502" in str(ours)
