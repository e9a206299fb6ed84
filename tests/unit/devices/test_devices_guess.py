"""Guesses of quantities from numbers, against hand-made meters."""

from __future__ import annotations

import numpy as np
from random_maps import to_words

from devices.guess import guesses
from devices.plausible import Registers, rank

VOLTS, AMPS, SHARE = ((230.1, 231.4, 229.7), (230.4, 231.2, 229.9)), ((12.31, 11.9, 13.02), (12.36, 11.7, 13.11)), 0.9


def registers(rows: list[list[float]], type_: str, order: str, first: int) -> Registers:
    words = np.array([[w for v in row for w in to_words(type_, order, v)] for row in rows], np.uint16)
    return Registers(np.arange(first, first + words.shape[1]), words, np.array([0.0, 5.0]))


def load(reading: int) -> dict[str, list[float]]:
    volts, amps = list(VOLTS[reading]), list(AMPS[reading])
    watts = [u * i * SHARE for u, i in zip(volts, amps, strict=True)]
    total = sum(watts)
    reactive = total * (1 / SHARE**2 - 1) ** 0.5
    sums = {"pt": [total], "q": [reactive], "s": [total / SHARE]}
    return {"u": volts, "i": amps, "p": watts, **sums, "f": [50.01 - 0.02 * reading]}


def test_a_float_meter_is_named_whole() -> None:
    rows = [[v for group in load(r).values() for v in group] for r in (0, 1)]
    found = {g.name: g for g in guesses(rank(registers(rows, "float32", "CDAB", 200))[0])}
    assert {name: g.address for name, g in found.items()} == {
        "voltage_l1_n": 200,
        "voltage_l2_n": 202,
        "voltage_l3_n": 204,
        "current_l1": 206,
        "current_l2": 208,
        "current_l3": 210,
        "active_power_l1": 212,
        "active_power_l2": 214,
        "active_power_l3": 216,
        "active_power": 218,
        "reactive_power": 220,
        "apparent_power": 222,
        "frequency": 224,
    }
    assert {(g.type, g.word_order, g.scale) for g in found.values()} == {("float32", "low_first", 1.0)}


def test_whole_numbers_get_the_scale_that_makes_a_usual_voltage_and_the_mains_frequency() -> None:
    rows = [[round(v * 10) for v in load(r)["u"]] + [round(v * 100) for v in load(r)["i"] + load(r)["f"]] for r in (0, 1)]
    found = {g.name: g for g in guesses(rank(registers([[*map(float, row)] for row in rows], "uint16", "AB", 0))[0])}
    assert (found["voltage_l1_n"].scale, found["voltage_l1_n"].type) == (0.1, "uint16")
    assert found["frequency"].scale == 0.01
    assert found["current_l1"].address == 3


def test_line_and_phase_voltages_are_told_apart_by_the_root_of_three() -> None:
    rows = [[v * 3**0.5 for v in VOLTS[r]] + list(VOLTS[r]) for r in (0, 1)]
    found = {g.name: g.address for g in guesses(rank(registers(rows, "float32", "ABCD", 10))[0])}
    assert found["voltage_l1_l2"] == 10
    assert found["voltage_l1_n"] == 16


def test_noise_is_given_no_name() -> None:
    rng = np.random.default_rng(5)
    words = rng.integers(0, 65_536, (2, 60)).astype(np.uint16)
    assert len(guesses(rank(Registers(np.arange(60), words, np.array([0.0, 5.0])))[0])) <= 3
