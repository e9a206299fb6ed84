"""Two DC meters behind a Modbus TCP server, in a process of their own: ``kill_devices.py PORT``."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from kill_site import POLLED, PROFILES
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.codec import encode
from devices.image import fixed_words, plan_addresses

VALUES = {"dc_current": 350.25, "dc_voltage": 812.5, "dc_power": 284_578.125, "dc_energy": 1234.5, "dc_charge": 89.5}


def device(unit: int) -> SimDevice:
    """A unit that always serves the same values."""
    profile = PROFILES[POLLED]
    row = encode(profile, np.array([[VALUES[q] for q in profile.quantities]]))[0]
    words = {address: word for (_, address), word in fixed_words(profile).items()}
    words |= {address: int(word) for (_, address), word in zip(plan_addresses(profile), row, strict=True)}
    return SimDevice(unit, [SimData(a, values=[w], datatype=DataType.REGISTERS) for a, w in sorted(words.items())])


async def main(port: int) -> None:
    server = ModbusTcpServer([device(1), device(2)], address=("127.0.0.1", port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
