"""Formulas of the table of indicators, worked out from named values where they are plain arithmetic.

What a formula says in words (sums over intervals, attributions) is no arithmetic of the figures below it and is not worked out.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max, "ceil": math.ceil}


def worked_out(formula: str, values: Mapping[str, float]) -> float | None:
    """Value of a formula over names, + - * / (x for times between spaces), numbers, parentheses, abs, min, max and ceil.

    None where it is anything else, names what ``values`` has not, or divides by 0.
    """
    text, names = formula.replace(" x ", " * "), {}
    for i, name in enumerate(sorted(values, key=len, reverse=True)):  # the longest first: a name may be the start of another
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", f"v{i}_", text)
        names[f"v{i}_"] = values[name]
    try:
        return _value(ast.parse(text, mode="eval").body, names)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    """Raises ValueError for whatever is not arithmetic."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, names)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords:
        return float(_FUNCTIONS[node.func.id](*(_value(a, names) for a in node.args)))
    raise ValueError(ast.dump(node))
