"""Numbered messages at QoS 1, in a process of its own: ``kill_publisher.py PORT ACKNOWLEDGED``.

Writes each number to the file once the broker has acknowledged it, until it is told to end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import aiomqtt
import orjson
from kill_site import FEEDER, FEEDER_TOPIC, PROFILES, SCALE, SCALE_TOPIC, T0_NS, TAP_EVERY

from devices.payload import message, write

AT_ONCE, PAUSE_S = 8, 0.02


def feeder(number: int) -> bytes:
    map_ = PROFILES[FEEDER].mqtt
    assert map_ is not None
    values = {"active_power": 800.0, "energy_import": float(number), "energy_export": 0.0}
    return orjson.dumps(write(map_, message(map_, values, T0_NS + number * 1_000_000, sequence=number)))


def tap(number: int) -> bytes:
    map_ = PROFILES[SCALE].mqtt
    assert map_ is not None
    values = {"metal_tapped": 2000.0 + number % 500, "pot_number": 1.0 + number % 200}
    return orjson.dumps(write(map_, message(map_, values, T0_NS + number * 1_000_000, event_id=f"tap-{number}")))


async def main(port: int, acknowledged: str) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    file = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    number = 0
    async with aiomqtt.Client("127.0.0.1", port, identifier="publisher") as client:
        while not over.is_set():
            batch = range(number, number + AT_ONCE)
            await asyncio.gather(*[client.publish(FEEDER_TOPIC, feeder(n), qos=1) for n in batch])
            for n in batch:
                if n % TAP_EVERY == 0:
                    await client.publish(SCALE_TOPIC, tap(n), qos=1)
            os.write(file, "".join(f"{n}\n" for n in batch).encode())
            number += AT_ONCE
            await asyncio.sleep(PAUSE_S)
    os.close(file)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
