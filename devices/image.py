"""What a device of a profile has to serve: its identity, the SunSpec chain around its model, and the words of its plan.

Whoever plays a device (the simulators, the tests) puts ``fixed_words`` in place once and then writes each row of
``devices.codec.encode`` to ``plan_addresses``.
"""

from __future__ import annotations

import struct

from devices.maps import ModbusMap, Profile, Table
from devices.plan import plan_reads
from devices.sunspec import COMMON_LENGTH, COMMON_MODEL, END_MODEL, MARKER, STARTS

_CHAIN_START = STARTS[0]


def base_address(profile: Profile) -> int:
    """Where the map of a device made by this module starts: 0, or behind the common model of a SunSpec chain."""
    map_ = _map(profile)
    return 0 if map_.sunspec is None else _CHAIN_START + len(MARKER) + 2 + COMMON_LENGTH


def plan_addresses(profile: Profile) -> tuple[tuple[Table, int], ...]:
    """Table and address of each word of an encoded row, in its order."""
    requests = plan_reads(_map(profile), base_address(profile))
    return tuple((r.table, address) for r in requests for address in range(r.address, r.end))


def fixed_words(profile: Profile, *, maker: str = "potwatt", model: str = "", serial: str = "") -> dict[tuple[Table, int], int]:
    """Words that never change: identity, SunSpec marker, common model (texts cut to its fields) and headers."""
    map_ = _map(profile)
    words: dict[tuple[Table, int], int] = {}
    if map_.identity is not None:
        for i, word in enumerate(map_.identity.words):
            words[map_.identity.table, base_address(profile) + map_.identity.address + i] = word
    if map_.sunspec is None:
        return words
    body = [0] * map_.sunspec.length
    chain = [*MARKER, COMMON_MODEL, COMMON_LENGTH, *_common(maker, model or profile.id, serial)]
    chain += [map_.sunspec.id, map_.sunspec.length, *body, END_MODEL, 0]
    table = map_.points[0].table
    return words | {(table, _CHAIN_START + i): word for i, word in enumerate(chain)}


def _common(maker: str, model: str, serial: str) -> tuple[int, ...]:
    """Body of model 1: maker 16 words, model 16, options 8, version 8, serial number 16, device address, pad."""
    texts = struct.pack(">32s32s16s16s32s", maker.encode()[:32], model.encode()[:32], b"", b"1", serial.encode()[:32])
    words = struct.unpack(f">{len(texts) // 2}H", texts)
    return (*words, 1, 0)


def _map(profile: Profile) -> ModbusMap:
    if profile.modbus is None:
        raise ValueError(f"{profile.id} is read over MQTT and has no registers")
    return profile.modbus
