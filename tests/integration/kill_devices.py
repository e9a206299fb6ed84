"""Two DC meters behind a Modbus TCP server, in a process of their own: ``kill_devices.py PORT``. Their counters grow with
every answer, so that a poll stored under two instants would show."""

from __future__ import annotations

import asyncio
import sys

from potwatt.selftest.devices import CountingMeters


async def main(port: int) -> None:
    await CountingMeters(port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
