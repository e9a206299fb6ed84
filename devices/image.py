"""What a device of a profile has to serve: its identity, the SunSpec chain around its models, and the words of its plan.

Whoever plays a device (the simulators, the tests) puts ``fixed_words`` in place once and then writes each row of
``devices.codec.encode`` to ``plan_addresses``.
"""

from __future__ import annotations

import struct

from devices.description import text_of_words, words_of_text
from devices.layout import modbus_map
from devices.maps import Profile, Table
from devices.plan import plan_reads
from devices.sunspec import COMMON_LENGTH, COMMON_MODEL, END_MODEL, MARKER, STARTS

_CHAIN_START = STARTS[0]


def base_address(profile: Profile) -> int:
    """Where the map of a device made by this module starts: 0, or behind the common model of a SunSpec chain."""
    return bases(profile)[0]


def bases(profile: Profile) -> tuple[int, ...]:
    """Where each section of the map starts; a map without sections starts at 0."""
    sections = modbus_map(profile).sections
    found = [_CHAIN_START + len(MARKER) + 2 + COMMON_LENGTH]
    for section in sections[:-1]:
        found.append(found[-1] + 2 + section.length)
    return tuple(found) if sections else (0,)


def plan_addresses(profile: Profile) -> tuple[tuple[Table, int], ...]:
    """Table and address of each word of an encoded row, in its order."""
    requests = [r.located(bases(profile)) for r in plan_reads(modbus_map(profile))]
    return tuple((r.table, address) for r in requests for address in range(r.address, r.end))


def fixed_words(profile: Profile, *, maker: str = "potwatt", model: str = "", serial: str = "") -> dict[tuple[Table, int], int]:
    """Words that never change: identity, descriptions, SunSpec marker, common model (texts cut to its fields) and headers."""
    map_ = modbus_map(profile)
    words: dict[tuple[Table, int], int] = {}
    texts = {"maker": maker, "model": model or profile.id, "serial": serial}
    for said in map_.describe:
        if said.type == "string":
            row = words_of_text(texts.get(said.name, ""), said.count, said.word_order)
            words |= {(said.table, said.address + i): word for i, word in enumerate(row)}
    if map_.identity is not None:
        keys = [(map_.identity.table, base_address(profile) + map_.identity.address + i) for i in range(map_.identity.count)]
        if not map_.identity.text or not text_of_words([words.get(key, 0) for key in keys]).startswith(map_.identity.text):
            row = map_.identity.words or words_of_text(map_.identity.text, map_.identity.count)
            words |= dict(zip(keys, row, strict=True))
    if not map_.sections:
        return words
    chain = [*MARKER, COMMON_MODEL, COMMON_LENGTH, *_common(maker, model or profile.id, serial)]
    for section in map_.sections:
        chain += [section.models[0], section.length, *[0] * section.length]
    table = map_.points[0].table
    return words | {(table, _CHAIN_START + i): word for i, word in enumerate([*chain, END_MODEL, 0])}


def _common(maker: str, model: str, serial: str) -> tuple[int, ...]:
    """Body of model 1: maker 16 words, model 16, options 8, version 8, serial number 16, device address, pad."""
    texts = struct.pack(">32s32s16s16s32s", maker.encode()[:32], model.encode()[:32], b"", b"1", serial.encode()[:32])
    words = struct.unpack(f">{len(texts) // 2}H", texts)
    return (*words, 1, 0)
