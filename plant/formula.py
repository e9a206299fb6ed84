"""Formulas of virtual metering points: signed sums of points with constant factors, and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![a-z0-9_-])|(?P<name>[a-z0-9][a-z0-9_-]*)|(?P<sign>[-+*/()]))"
)
_LENGTH_MAX = 1000
_DEPTH_MAX = 32  # parentheses within parentheses
Terms = dict[str, float]  # factor by metering point


@dataclass(frozen=True, slots=True)
class _Linear:
    """``constant`` + sum of factor x point; a formula may not keep a constant beside its points."""

    terms: Terms
    constant: float = 0.0

    def scaled(self, factor: float) -> _Linear:
        return _Linear({name: factor * c for name, c in self.terms.items()}, factor * self.constant)

    def plus(self, other: _Linear) -> _Linear:
        names = dict.fromkeys((*self.terms, *other.terms))
        terms = {name: self.terms.get(name, 0.0) + other.terms.get(name, 0.0) for name in names}
        return _Linear(terms, self.constant + other.constant)


def parse_formula(text: str) -> Terms:
    """Factor of each point named, as in ``tie-1 + tie-2 - 0.98 * (feeder-3 + feeder-4)``: names, + and -, factors and
    divisors that are numbers, parentheses. A - inside a name belongs to it: put spaces around a minus.

    Raises ValueError saying what was found where.
    """
    if len(text) > _LENGTH_MAX:
        raise ValueError(f"a formula of {len(text)} characters; at most {_LENGTH_MAX}")
    reader = _Reader(text)
    found = reader.sum_of_terms()
    reader.expect("")
    if not found.terms:
        raise ValueError("no metering point; name at least one")
    if not all(math.isfinite(factor) for factor in (*found.terms.values(), found.constant)):
        raise ValueError("a factor that is no finite number; factors are numbers like 0.98")
    if found.constant:
        raise ValueError(f"the constant {found.constant:g} beside metering points; constants may only be factors")
    if not any(found.terms.values()):
        raise ValueError(f"{', '.join(found.terms)} cancel out; at least one metering point with a factor that is not 0")
    return found.terms


def resolved(formulas: Mapping[str, str]) -> dict[str, Terms]:
    """Factors of points with a meter for each virtual point, formulas over virtual points put in; in file order.

    Raises ValueError for a formula that does not parse or that leads back to itself.
    """
    parsed = {name: parse_formula(text) for name, text in formulas.items()}
    found: dict[str, Terms] = {}

    def terms_of(name: str, path: tuple[str, ...]) -> Terms:
        if name in path:
            raise ValueError(f"a circle: {' > '.join((*path[path.index(name) :], name))}")
        if name not in found:
            whole = _Linear({})
            for part, factor in parsed[name].items():
                inner = terms_of(part, (*path, name)) if part in parsed else {part: 1.0}
                whole = whole.plus(_Linear(inner).scaled(factor))
            found[name] = whole.terms
        return found[name]

    return {name: terms_of(name, ()) for name in parsed}


class _Reader:
    """Recursive descent over the tokens of a formula."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("", "", len(text))]
        self._at = 0
        self._depth = 0

    def sum_of_terms(self) -> _Linear:
        sign = -1.0 if self._take("-") else 1.0
        whole = self._product().scaled(sign)
        while self._next in ("+", "-"):
            sign = -1.0 if self._take("-") else 1.0
            if sign > 0:
                self._take("+")
            whole = whole.plus(self._product().scaled(sign))
        return whole

    def _product(self) -> _Linear:
        whole = self._factor()
        while self._next in ("*", "/"):
            divided, place = self._next == "/", self._place
            self._at += 1
            other = self._factor()
            if divided and (other.terms or not other.constant):
                raise ValueError(f"at {place}: a division by something else than a number that is not 0")
            if other.terms and whole.terms:
                raise ValueError(f"at {place}: a product of two metering points; factors have to be numbers")
            if divided:
                whole = whole.scaled(1.0 / other.constant)
            else:
                whole = whole.scaled(other.constant) if whole.terms else other.scaled(whole.constant)
        return whole

    def _factor(self) -> _Linear:
        kind, text, place = self._tokens[self._at]
        if self._take("("):
            self._depth += 1
            if self._depth > _DEPTH_MAX:
                raise ValueError(f"at {place}: parentheses nested deeper than {_DEPTH_MAX}")
            inner = self.sum_of_terms()
            self.expect(")")
            self._depth -= 1
            return inner
        if kind not in ("number", "name"):
            raise ValueError(
                f"at {place}: found {text!r}, expected a metering point, a number or a parenthesis" if text else "ends early"
            )
        self._at += 1
        return _Linear({}, float(text)) if kind == "number" else _Linear({text: 1.0})

    @property
    def _next(self) -> str:
        return self._tokens[self._at][1] if self._tokens[self._at][0] == "sign" else ""

    @property
    def _place(self) -> int:
        return self._tokens[self._at][2]

    def _take(self, sign: str) -> bool:
        taken = self._next == sign
        self._at += taken
        return taken

    def expect(self, sign: str) -> None:
        kind, text, place = self._tokens[self._at]
        if text != sign or (sign and kind != "sign"):
            raise ValueError(f"at {place}: found {text or 'the end'!r}, expected {sign or 'an operator or the end'!r}")
        self._at += bool(sign)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(
                f"at {at}: found {text[at : at + 10].strip()!r}; allowed are names of points, numbers, + - * / and ( )"
            )
        kind = match.lastgroup or ""
        yield kind, match[kind], match.start(kind)
        at = match.end()
