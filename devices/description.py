"""What devices say of themselves: texts in registers, two bytes a word, and numbers that name something."""

from __future__ import annotations

from collections.abc import Sequence

from devices.maps import REGISTER_TYPES, Description, WordOrder

COMMON_FIELDS = {"maker": (0, 16), "model": (16, 32), "firmware": (40, 48), "serial": (48, 64)}  # words of SunSpec model 1
COMMON_WORDS = 64


def text_of_words(words: Sequence[int], order: WordOrder = WordOrder.HIGH_FIRST) -> str:
    """The text of a run of registers: up to the first NUL, without blanks around it or anything that cannot be printed."""
    raw = b"".join(word.to_bytes(2, "little" if order.swaps_bytes else "big") for word in words)
    text = raw.split(b"\0")[0].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable() and c != "\ufffd").strip()


def words_of_text(text: str, count: int, order: WordOrder = WordOrder.HIGH_FIRST) -> tuple[int, ...]:
    """``count`` registers that hold a text, cut to fit and filled up with NUL."""
    raw = text.encode()[: 2 * count].ljust(2 * count, b"\0")
    return tuple(int.from_bytes(raw[i : i + 2], "little" if order.swaps_bytes else "big") for i in range(0, 2 * count, 2))


def described(said: Description, words: Sequence[int]) -> str:
    """What the words of a description say, empty where they say nothing."""
    if said.type == "string":
        return text_of_words(words, said.word_order)
    kind = REGISTER_TYPES[said.type]
    swapped = [int.from_bytes(w.to_bytes(2, "little"), "big") if said.word_order.swaps_bytes else w for w in words]
    number = sum(swapped[place] << (16 * i) for i, place in enumerate(said.word_order.positions(kind.words)))
    if number in (0, (1 << kind.bits) - 1):
        return ""
    if kind.coding == "bcd":
        return f"{number:x}"
    return str(number - (1 << kind.bits) if kind.numpy_kind == "i" and number >> (kind.bits - 1) else number)


def described_by_common_model(words: Sequence[int]) -> dict[str, str]:
    """Maker, model, firmware and serial number from the first ``COMMON_WORDS`` words of the body of SunSpec model 1."""
    texts = {name: text_of_words(words[first:end]) for name, (first, end) in COMMON_FIELDS.items()}
    return {name: text for name, text in texts.items() if text}
