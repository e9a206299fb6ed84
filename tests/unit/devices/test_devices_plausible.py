"""The ranking of types and orders, held against maps that a generator of its own made (``tests/random_maps.py``)."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from random_maps import RandomMap, bits_of, random_map, to_words

from devices.plausible import Registers, margin_bits, rank

MAPS, SEED = 400, 20_261_120
ORDER_NAMES = {
    "AB": "high_first",
    "BA": "high_first_bytes_swapped",
    "ABCD": "high_first",
    "CDAB": "low_first",
    "BADC": "high_first_bytes_swapped",
    "DCBA": "low_first_bytes_swapped",
    "ABCDEFGH": "high_first",
    "GHEFCDAB": "low_first",
    "BADCFEHG": "high_first_bytes_swapped",
    "HGFEDCBA": "low_first_bytes_swapped",
    "EFGHABCD": "halves_low_first",
    "CDABGHEF": "halves_high_first_words_low_first",
}


def registers(made: RandomMap) -> Registers:
    return Registers(np.arange(made.first, made.first + made.words.shape[1]), made.words, np.array(made.seconds))


def wanted(made: RandomMap) -> tuple[str, str]:
    """Signed and unsigned count as one: two's complement tells them apart only where a value is negative."""
    family = "float" if made.type.startswith("float") else "int"
    return f"{family}{bits_of(made.type)}", ORDER_NAMES[made.order]


def test_right_type_and_order_come_first_on_random_maps() -> None:
    rng = random.Random(SEED)
    right: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for _ in range(MAPS):
        one = random_map(rng)
        best = rank(registers(one))[0]
        hit = (best.type, best.order.value) == wanted(one)
        for kind in ("all", f"{bits_of(one.type)} bit", one.layout):
            made[kind] += 1
            right[kind] += hit
    shares = {kind: right[kind] / made[kind] for kind in sorted(made)}
    print(f"right type and order first, {MAPS} maps, seed {SEED}:", {k: f"{s:.1%} of {made[k]}" for k, s in shares.items()})
    assert shares["all"] >= 0.9
    assert all(share > 0.75 for share in shares.values()), shares


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_an_ordinary_float_map_is_told_with_a_wide_margin(order: str) -> None:
    first = [230.1, 231.4, 229.7, 12.31, 11.9, 13.02, 2650.4, 2590.1, 2811.7, 8052.2, 50.01]
    second = [230.4, 231.2, 229.9, 12.36, 11.7, 13.11, 2660.1, 2571.9, 2835.4, 8067.4, 49.99]
    words = [[w for v in row for w in to_words("float32", order, v)] for row in (first, second)]
    ranked = rank(Registers(np.arange(100, 122), np.array(words, np.uint16), np.array([0.0, 5.0])))
    assert (ranked[0].type, ranked[0].order.value) == ("float32", ORDER_NAMES[order])
    assert ranked[0].address.tolist() == list(range(100, 122, 2))
    np.testing.assert_allclose(ranked[0].value[1], second, rtol=1e-6)
    assert margin_bits(ranked) > 15


def test_no_number_reaches_over_a_gap_between_blocks() -> None:
    words = np.array([to_words("float32", "ABCD", 230.5)] * 2, np.uint16)
    words[1] = to_words("float32", "ABCD", 231.5)
    apart = rank(Registers(np.array([10, 12]), words, np.array([0.0, 1.0])))
    assert all(not len(h.address) for h in apart if h.words > 1)


def test_what_never_moves_is_no_evidence() -> None:
    words = np.array([[0x4366, 0x8000, 7, 9]] * 2, np.uint16)
    assert all(not len(h.address) for h in rank(Registers(np.arange(4), words, np.array([0.0, 1.0]))))


def test_mis_sized_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="uint16"):
        rank(Registers(np.arange(3), np.zeros((2, 4), np.uint16), np.zeros(2)))
