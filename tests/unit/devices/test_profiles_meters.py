"""Shipped profiles of power meters and scales: recorded bytes mean what their source says, and a simulated device reads back."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest

from devices.catalog import shipped_profiles
from devices.codec import Words, decode, encode, place_of, width
from devices.image import fixed_words, plan_addresses
from devices.layout import modbus_map
from devices.maps import ModbusPoint, Profile, Table, WordOrder
from devices.plan import plan_reads, span_max

DIRECTORY = Path(__file__).parents[3] / "devices" / "profiles"
METERS = (
    *(
        "abb_a43",
        "abb_b23",
        "accuenergy_acudc_240",
        "accuenergy_acuvim_ii",
        "acrel_adw300",
        "carlo_gavazzi_em340",
        "chint_dtsu666",
    ),
    *(
        "circutor_cvm_c10",
        "eagle_ei4000",
        "eastron_sdm630",
        "janitza_umg604",
        "janitza_umg96rm",
        "lovato_dmg",
        "schneider_iem3000",
    ),
    *("schneider_pm5300", "schneider_pm5500", "siemens_pac2200", "siemens_pac3200", "siemens_pac4200", "socomec_countis_e44"),
)
PROVEN = (
    *("abb_a43", "accuenergy_acudc_240", "accuenergy_acuvim_ii"),
    *("eastron_sdm630", "lovato_dmg", "schneider_pm5300", "siemens_pac3200"),
)
PROFILES = shipped_profiles()
UNPACK = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}

# Whole answers, with what the source says they mean: profile, address, bytes, quantity, value, and half a step of the print.
RTU_ANSWERS = (
    ("lovato_dmg", 0x15, "01 04 04 00 01 FB 00 E9 74", "active_power_l2", 1.29792, 1e-9),  # kW, protocol I317 p. 4
    ("accuenergy_acudc_240", 0x200, "01 03 04 40 28 51 D8 52 31", "dc_voltage", 2.6299953, 1e-7),  # V, manual p. 68
)
TCP_ANSWERS = (
    # libmodbus issue 423; by hand 0x1561A9EDDE6E39 / 2**21 Wh
    (
        "siemens_pac3200",
        801,
        "29 E8 00 00 00 0B FF 03 08 41 E5 61 A9 ED DE 6E 39",
        "energy_import",
        0x1561A9EDDE6E39 / 2**21 / 1000,
        1e-6,
    ),
)
# Parts of an answer as their source prints them: profile, address, bytes, what they mean.
EXCERPTS: tuple[tuple[str, int, str, dict[str, float]], ...] = (
    # Eastron SDM630, solaredge_meterproxy issues 16 and 33
    ("eastron_sdm630", 0, "43 6F 30 E8 43 6F C2 3A", {"voltage_l1_n": 239.191, "voltage_l2_n": 239.759}),
    (
        *("eastron_sdm630", 74, "46 6D C9 3D 45 03 F9 6C 45 C9 B6 60"),
        {"energy_export": 15218.31, "reactive_energy_import": 2111.589, "reactive_energy_export": 6454.797},
    ),
    # ABB A43/A44 manual, 9.11.1 and 9.11
    ("abb_a43", 0x5000, "00 00 00 00 00 0D 12 90 00 00 00 00 00 03 12 09", {"energy_import": 8567.20, "energy_export": 2012.25}),
    (
        *("abb_a43", 0x500C, "00 00 00 00 00 04 17 05 00 00 00 00 00 01 2B 18"),
        {"reactive_energy_import": 2680.37, "reactive_energy_export": 765.68},
    ),
    ("abb_a43", 0x5B0C, "00 00 00 65 00 00 00 C9 00 00 01 2E", {"current_l1": 1.01, "current_l2": 2.01, "current_l3": 3.02}),
    ("abb_a43", 0x5B14, "00 01 E8 E4 00 00 5A E2", {"active_power": 1.25156, "active_power_l1": 0.23266}),
    ("abb_a43", 0x5B20, "FF FF D0 4A 00 00 A4 DB", {"reactive_power_l2": -0.12214, "reactive_power_l3": 0.42203}),
    ("abb_a43", 0x5B2C, "13 83", {"frequency": 49.95}),
    ("abb_a43", 0x5B3A, "03 CC", {"power_factor": 0.972}),
    # Accuenergy Acuvim II manual, 5.3.15 and table 5-31
    (
        "accuenergy_acuvim_ii",
        0x4000,
        "42 48 00 00 42 C7 CC CD 42 C8 33 33",
        {"frequency": 50, "voltage_l1_n": 99.9, "voltage_l2_n": 100.1},
    ),
    ("accuenergy_acuvim_ii", 0x4048, "0A 9D 40 89", {"energy_import": 17807783.3}),
    # Circutor CVM-C10 manual p. 73: 0A 04 04 00 00 08 4D 86 21, whose printed checksum does not fit (86 B1 would)
    ("circutor_cvm_c10", 0, "00 00 08 4D", {"voltage_l1_n": 212.5}),
    # Schneider PM5350, j2mod issue 26: register 3110, counted from 1
    ("schneider_pm5300", 3109, "42 6F FC 67", {"frequency": 59.9965}),
)


def crc_of(frame: bytes) -> bytes:
    """CRC-16/MODBUS by its definition, independent of the collector's."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def table_of(profile: Profile) -> Table:
    """The one table that all points of a meter's profile are in."""
    tables = {p.table for p in modbus_map(profile).points}
    assert len(tables) == 1
    return tables.pop()


def placed(profile: Profile, address: int, data: bytes) -> Words:
    """A reading of the plan, blank but for ``data`` from ``address`` on."""
    words = np.zeros((1, width(profile)), np.uint16)
    for i, (word,) in enumerate(struct.iter_unpack(">H", data)):
        words[0, place_of(profile, table_of(profile), address + i)] = word
    return words


def meaning(profile: Profile, words: Words) -> dict[str, float]:
    """The present values of one reading by name."""
    value, _ = decode(profile, words)
    return {name: float(x) for name, x in zip(profile.quantities, value[0], strict=True) if not np.isnan(x)}


def by_hand(point: ModbusPoint, memory: dict[tuple[Table, int], int]) -> float:
    """The number in a point's registers before it is scaled, unpacked with nothing but ``struct``."""
    words = [memory[point.table, point.address + i] for i in range(point.words)]
    ordered = words[::-1] if point.word_order is WordOrder.LOW_FIRST else words
    return float(struct.unpack(UNPACK[point.type], struct.pack(f">{len(words)}H", *ordered))[0])


def readings(profile: Profile) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Two readings in canonical units that every register of these maps holds: import, and export with negative power."""
    by_stem = {
        "frequency": 50.0,
        "power_factor": 0.75,
        "current": 1.5,
        "voltage": 230.5,
        "energy": 4096.0,
        "reactive_energy": 2048.0,
    }
    row = [next((v for stem, v in by_stem.items() if name.startswith(stem)), 16.5) for name in profile.quantities]
    row = [80.0 if "power" in name and "factor" not in name else x for name, x in zip(profile.quantities, row, strict=True)]
    signed = [name.startswith(("active_power", "reactive_power")) for name in profile.quantities]
    return np.array([row, np.where(signed, -np.array(row), row)])


@pytest.mark.parametrize(("name", "address", "frame", "quantity", "value", "within"), RTU_ANSWERS)
def test_a_makers_example_on_a_line_means_what_the_maker_says(
    name: str, address: int, frame: str, quantity: str, value: float, within: float
) -> None:
    data = bytes.fromhex(frame)
    assert crc_of(data[:-2]) == data[-2:]
    assert data[1] == {"holding": 3, "input": 4}[table_of(PROFILES[name])]
    body = data[3:-2]
    assert len(body) == data[2]
    assert meaning(PROFILES[name], placed(PROFILES[name], address, body))[quantity] == pytest.approx(value, abs=within)


@pytest.mark.parametrize(("name", "address", "frame", "quantity", "value", "within"), TCP_ANSWERS)
def test_a_recorded_answer_over_tcp_means_what_its_source_says(
    name: str, address: int, frame: str, quantity: str, value: float, within: float
) -> None:
    data = bytes.fromhex(frame)
    assert int.from_bytes(data[4:6], "big") == len(data) - 6
    assert data[7] == {"holding": 3, "input": 4}[table_of(PROFILES[name])]
    body = data[9:]
    assert len(body) == data[8]
    assert meaning(PROFILES[name], placed(PROFILES[name], address, body))[quantity] == pytest.approx(value, abs=within)


@pytest.mark.parametrize(("name", "address", "data", "expected"), EXCERPTS)
def test_recorded_registers_mean_what_their_source_says(name: str, address: int, data: str, expected: dict[str, float]) -> None:
    got = meaning(PROFILES[name], placed(PROFILES[name], address, bytes.fromhex(data)))
    assert {key: got[key] for key in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", METERS)
def test_a_simulated_meter_is_read_back(name: str) -> None:
    profile = PROFILES[name]
    sent = readings(profile)
    for row, served in zip(sent, encode(profile, sent), strict=True):
        memory = {**fixed_words(profile), **dict(zip(plan_addresses(profile), map(int, served), strict=True))}
        read = [memory[r.table, a] for r in plan_reads(modbus_map(profile)) for a in range(r.address, r.end)]
        value, quality = decode(profile, np.array([read], np.uint16))
        assert not quality.any()
        for point, column, wanted in zip(modbus_map(profile).points, value[0], row, strict=True):
            step = float(point.scale)  # of the last digit
            near = step / 2 + 1e-9 if not point.type.startswith("float") else abs(wanted) * 2**-23
            assert column == pytest.approx(wanted, abs=near), point.name
            assert by_hand(point, memory) * step == pytest.approx(column, rel=1e-12), point.name


@pytest.mark.parametrize("name", METERS)
def test_no_request_is_longer_than_the_meter_answers(name: str) -> None:
    map_ = modbus_map(PROFILES[name])
    assert all(r.count <= span_max(map_, r.table) <= 125 for r in plan_reads(map_))


@pytest.mark.parametrize("name", ["abb_a43", "abb_b23"])
def test_what_an_abb_meter_does_not_measure_is_missing(name: str) -> None:
    profile = PROFILES[name]
    blank = placed(profile, 0x5B12, b"\xff" * 4) | placed(profile, 0x5B14, b"\x7f" + b"\xff" * 3)
    blank |= placed(profile, 0x5B3A, b"\x7f\xff") | placed(profile, 0x5004, b"\xff" * 8)
    left = set(profile.quantities) - set(meaning(profile, blank))
    assert left == {"current_n", "active_power", "power_factor", "energy_export"}


def test_a_carlo_gavazzi_meter_sends_the_low_word_first() -> None:
    profile = PROFILES["carlo_gavazzi_em340"]
    assert meaning(profile, placed(profile, 40, bytes.fromhex("FF F6 FF FF")))["active_power"] == pytest.approx(-0.001)


def test_a_chint_meter_has_its_line_voltages_before_its_phase_voltages() -> None:
    """Uab at 8192, Ubc at 8194, Uca at 8196, Ua at 8198, Ub at 8200, Uc at 8202, in tenths of a volt (sources in the profile)."""
    profile = PROFILES["chint_dtsu666"]
    data = struct.pack(">6f", 3985, 3990, 3980, 2301, 2303, 2299)
    got = meaning(profile, placed(profile, 8192, data))
    assert [got[f"voltage_{which}"] for which in ("l1_l2", "l2_l3", "l3_l1")] == pytest.approx([398.5, 399.0, 398.0])
    assert [got[f"voltage_l{phase}_n"] for phase in (1, 2, 3)] == pytest.approx([230.1, 230.3, 229.9])


def test_the_proven_meters_name_a_recording_or_a_makers_example_and_no_other_claims_to_be() -> None:
    assert (
        {name for name in METERS if PROFILES[name].verified} == {name for name in METERS if PROFILES[name].proven} == set(PROVEN)
    )
    for name in METERS:
        for block in tomllib.loads((DIRECTORY / f"{name}.toml").read_text("utf-8"))["golden"]:
            seen = not block["origin"].startswith("worked out from the table") and name != "circutor_cvm_c10"
            assert (block["evidence"] != "derived") == seen
            assert not seen or "p. " in block["origin"] or "issue" in block["origin"]


def test_an_example_whose_checksum_does_not_fit_proves_nothing() -> None:
    frame = bytes.fromhex("0A 04 04 00 00 08 4D 86 21")
    assert crc_of(frame[:-2]) != frame[-2:]
    assert PROFILES["circutor_cvm_c10"].proven == ()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_every_golden_block_says_what_it_is_and_nothing_worked_out_claims_to_be_seen(profile: Profile) -> None:
    blocks = tomllib.loads((DIRECTORY / f"{profile.id}.toml").read_text("utf-8"))["golden"]
    for block in blocks:
        made = any(word in block["origin"] for word in ("worked out from", "worked out by hand from", "derived", "worked back"))
        assert block["evidence"] in (("derived",) if made else ("recorded", "example", "derived"))
    assert profile.verified == bool(profile.proven)
