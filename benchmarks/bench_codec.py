"""The register codec in points per second (types, orders, scales, missing values), beside `struct` that unpacks as many 16-bit
words of the same readings, one call each, and does nothing else with them.

Run: python benchmarks/bench_codec.py
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import numpy as np

from devices.catalog import shipped_profiles
from devices.codec import decode, encode
from devices.maps import Profile

READINGS = 1_000
REPEATS = 7


def main() -> None:
    print(f"{'profile':28} {'points':>6} {'Mpoints/s':>10} {'of struct':>10}")
    for profile in shipped_profiles().values():
        if profile.modbus is not None:
            measure(profile)


def measure(profile: Profile) -> None:
    value = np.full((READINGS, len(profile.points)), 1.0)
    words = encode(profile, value)
    ours_s = best_s(lambda: decode(profile, words))
    one = words[0].astype(">u2").tobytes()
    form = struct.Struct(f">{len(profile.points)}h" if 2 * len(profile.points) <= len(one) else f">{len(one) // 2}h")
    raw = [row.astype(">u2").tobytes()[: form.size] for row in words]
    struct_s = best_s(lambda: [form.unpack(row) for row in raw])
    points = READINGS * len(profile.points)
    struct_points = READINGS * (form.size // 2)
    ratio = (points / ours_s) / (struct_points / struct_s)
    print(f"{profile.id:28} {len(profile.points):6} {points / ours_s / 1e6:10.1f} {ratio:9.2f}x")


def best_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begun_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun_s)
    return min(times)


if __name__ == "__main__":
    main()
