"""A profile as a draft: what is known is filled in, what proves it is not, so that no meter of a site may use it until a real
reading stands in its golden block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devices.guess import Guess
from devices.maps import DeviceKind, ModbusPoint, Profile, Table
from devices.plan import label_of, plan_reads
from devices.register_list import LeftRow, RegisterList
from plant.errors import InputError

PLACEHOLDER = "not proven yet"
ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class DraftHead:
    """What a list of registers does not say."""

    id: str
    title: str
    kind: DeviceKind
    source: str
    table: Table = "holding"
    word_order: str = "high_first"


def draft_of_list(head: DraftHead, listed: RegisterList) -> str:
    """The text of a profile file with the points of a register list. Raises InputError where it has none or the id is none."""
    if not ID_PATTERN.fullmatch(head.id):
        raise InputError(f"id {head.id!r}: small letters, digits and _ alone, for it is the name of the file too")
    if not listed.points:
        why = "; ".join(f"row {row.row}: {row.why}" for row in listed.left[:3])
        raise InputError(f"no row of the list is understood ({why}); check the names of its columns and quantities")
    lines = []
    for point in sorted(listed.points, key=lambda p: (p.table or head.table, p.address)):
        keys = [f'name = "{point.name}"', f"at = {point.address}", f'type = "{point.type}"', f'unit = "{point.unit}"']
        keys += [f"scale = {_float(point.scale)}"] if point.scale != "1" else []
        keys += [f'table = "{point.table}"'] if point.table not in (None, head.table) else []
        lines.append(f"  {{ {', '.join(keys)} }},  # row {point.row}: {_comment(point.text)}")
    return _text(head, lines, _left(listed.left))


def draft_of_guesses(id_: str, found: Sequence[Guess], table: Table) -> str:
    """The text of a profile file with what a probe guessed; every line says why. Raises InputError where nothing was guessed."""
    if not found:
        raise InputError("nothing was recognised, so there is no draft to write; use the maker's list with `potwatt devices add`")
    plain = re.sub(r"[^a-z0-9_]+", "_", id_.lower()).strip("_") or "draft"
    head = DraftHead(plain, "Device found by probing", "meter", "guessed from its registers: name the maker's document", table)
    head = DraftHead(head.id, head.title, head.kind, head.source, table, found[0].word_order)
    lines = []
    for guess in found:
        keys = [f'name = "{guess.name}"', f"at = {guess.address}", f'type = "{guess.type}"', f'unit = "{guess.unit}"']
        keys += [f"scale = {guess.scale!r}"] if guess.scale != 1.0 else []
        lines.append(f"  {{ {', '.join(keys)} }},  # {guess.why}")
    return _text(head, lines, [])


def _text(head: DraftHead, points: Sequence[str], left: Sequence[str]) -> str:
    return "\n".join(
        [
            "# A draft. Compare every value with the device's display before it is believed.",
            "[profile]",
            f"id = {_quoted(head.id)}",
            f"title = {_quoted(head.title)}",
            f'kind = "{head.kind}"',
            f"source = {_quoted(head.source)}",
            "verified = false   # true once its values were compared with the display",
            "caveats = []",
            "",
            "[modbus]",
            f'table = "{head.table}"',
            f'word_order = "{head.word_order}"',
            "read = { span_max = 50, gap_max = 4 }",
            "points = [",
            *points,
            "]",
            *left,
            "",
            "# `potwatt read THIS_FILE --host HOST --unit N --golden --write` puts a reading in place of this block.",
            *golden_lines(PLACEHOLDER, {}, {}, []),
            "",
        ]
    )


def golden_lines(
    origin: str,
    words: Mapping[str, int],
    expect: Mapping[str, float | str],
    missing: Sequence[str],
    frames: Sequence[str] = (),
) -> list[str]:
    """A ``[[golden]]`` block of a reading as lines of TOML, of words or of frames; without any a placeholder, which proves
    nothing."""
    told = ", ".join(f"{name} = {_quoted(value) if isinstance(value, str) else repr(value)}" for name, value in expect.items())
    lines = ["[[golden]]", f"origin = {_quoted(origin)}", *(['evidence = "recorded"'] if words or frames else [])]
    if frames:
        lines += ["frames = [", *(f"  {_quoted(frame)}," for frame in frames), "]"]
    else:
        lines.append(f"words = {{ {', '.join(f'{_key(label)} = {word}' for label, word in words.items())} }}")
    lines.append(f"expect = {{ {told} }}")
    return [*lines, f"missing = [{', '.join(map(_quoted, missing))}]"] if missing else lines


def with_golden(draft: str, block: Sequence[str]) -> str:
    """The draft with its placeholder replaced. Raises InputError where there is none: a proof is never overwritten."""
    placeholder = "\n".join(golden_lines(PLACEHOLDER, {}, {}, []))
    if placeholder not in draft:
        raise InputError("the file has no empty golden block to fill; a proof is not overwritten. Add the block by hand")
    return draft.replace(placeholder, "\n".join(block))


def words_by_address(profile: Profile, words: Sequence[int | None]) -> dict[tuple[Table, int], int]:
    """The words of a plan, in its order, that points need, by table and address; None are those that did not come."""
    assert profile.modbus is not None
    addresses = [(r.table, a) for r in plan_reads(profile.modbus) for a in range(r.address, r.end)]
    needed = {(p.table, a) for p in profile.modbus.points for a in _addresses(p)}
    came = zip(addresses, words, strict=True)
    return {place: int(word) for place, word in came if place in needed and word is not None}


def words_by_label(profile: Profile, words: Sequence[int | None], table: Table) -> dict[str, int]:
    """The same by the label that a golden block has for them. ``table`` needs no name."""
    assert profile.modbus is not None
    found = words_by_address(profile, words)
    labels = {(t, a): label_of(profile.modbus, a) for t, a in found}
    return {label if t == table or "/" in label else f"{t}/{label}": found[t, a] for (t, a), label in labels.items()}


def _addresses(point: ModbusPoint) -> list[int]:
    own = list(range(point.address, point.address + point.words))
    return own if point.sf_at is None else [*own, point.sf_at]


def _left(rows: Sequence[LeftRow]) -> list[str]:
    return (
        ["# Rows of the list that are not read:", *(f"#   row {r.row}: {_comment(r.text)}: {r.why}" for r in rows)]
        if rows
        else []
    )


def _float(text: str) -> str:
    return text if "." in text or "e" in text else f"{text}.0"


def _comment(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:100]


def _quoted(text: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _key(label: str) -> str:
    return label if label.isdigit() else _quoted(label)
