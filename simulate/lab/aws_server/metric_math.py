"""The part of CloudWatch's metric math that alarms and dashboards of this project use.

Arithmetic, comparisons, ``AND``/``OR``, and the functions FILL, IF, MIN, MAX, SUM, AVG, ABS, DIFF, RATE. An operand is a
number or a time series (values by period start). Where only one of two series has a datapoint, the other's counts as 0, as in
"Using metric math" of the CloudWatch User Guide. Anything else is an error that names what was not understood, so that an
alarm is never silently misread.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from itertools import pairwise

Series = dict[int, float]
Operand = float | Series

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class BadExpression(ValueError):
    """The expression uses an unsupported part of metric math; the message names it."""


def evaluate(expression: str, series: Mapping[str, Series], periods: list[int]) -> Series:
    """The expression's datapoints. ``periods`` are the starts of the periods that FILL fills and a constant covers."""
    try:
        # AND and OR are case-insensitive in CloudWatch, lower case in Python's grammar.
        source = re.sub(r"\b(AND|OR)\b|&&|\|\|", _boolean, expression)
        tree = ast.parse(source.strip(), mode="eval")
    except SyntaxError as error:
        raise BadExpression(f"expression {expression!r}: {error.msg}") from None
    result = _Evaluator(expression, series, periods).visit(tree.body)
    return result if isinstance(result, dict) else dict.fromkeys(periods, result)


def _boolean(match: re.Match[str]) -> str:
    return " and " if match.group(0) in ("AND", "&&") else " or "


class _Evaluator:
    def __init__(self, expression: str, series: Mapping[str, Series], periods: list[int]) -> None:
        self.expression = expression
        self.series = series
        self.periods = periods

    def fail(self, what: str) -> BadExpression:
        return BadExpression(
            f"expression {self.expression!r}: {what} is not supported by the lab's metric math"
        )

    def visit(self, node: ast.expr) -> Operand:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name not in self.series:
                    raise BadExpression(f"expression {self.expression!r}: no metric has the id {name!r}")
                return self.series[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.pointwise(operator.sub, 0.0, self.visit(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self.pointwise(_BINARY[type(op)], self.visit(left), self.visit(right))
            case ast.Compare(left=left, ops=[comparison], comparators=[right]) if (
                type(comparison) in _COMPARE
            ):
                compare = _COMPARE[type(comparison)]
                return self.pointwise(lambda a, b: float(compare(a, b)), self.visit(left), self.visit(right))
            case ast.BoolOp(op=junction, values=[first, *rest]):
                both = isinstance(junction, ast.And)
                result = self.visit(first)
                for operand in rest:
                    result = self.pointwise(
                        lambda a, b: float(bool(a and b) if both else bool(a or b)),
                        result,
                        self.visit(operand),
                    )
                return result
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(name.upper(), args)
        raise self.fail(ast.unparse(node))

    def call(self, name: str, args: list[ast.expr]) -> Operand:
        match name, args:
            case "FILL", [metric, ast.Name(id="REPEAT")]:
                return self.repeat(self.visit(metric))
            case "FILL", [metric, filler]:
                known, fill = self.visit(metric), self.visit(filler)
                if not isinstance(known, dict) or isinstance(fill, dict):
                    raise self.fail("FILL of anything but a metric by a number or REPEAT")
                return dict.fromkeys(self.periods, fill) | known
            case "IF", [condition, then]:
                return self.choose(self.visit(condition), self.visit(then), None)
            case "IF", [condition, then, otherwise]:
                return self.choose(self.visit(condition), self.visit(then), self.visit(otherwise))
            case (("MIN" | "MAX" | "SUM" | "AVG"), _) if args:
                return self.aggregate(name, args)
            case "ABS", [metric]:
                return self.pointwise(lambda a, _: abs(a), self.visit(metric), 0.0)
            case (("DIFF" | "RATE"), [metric]):
                return self.change(name, self.visit(metric))
        raise self.fail(f"{name} with {len(args)} argument(s)")

    def repeat(self, known: Operand) -> Operand:
        if not isinstance(known, dict):
            raise self.fail("FILL of a number")
        filled: Series = {}
        last: float | None = None
        for period in self.periods:
            last = known.get(period, last)
            if last is not None:
                filled[period] = last
        return filled

    def change(self, name: str, known: Operand) -> Operand:
        """Of each datapoint from the one before it; RATE is per second."""
        if not isinstance(known, dict):
            raise self.fail(f"{name} of a number")
        times = sorted(known)
        return {
            later: (known[later] - known[earlier]) / (later - earlier if name == "RATE" else 1)
            for earlier, later in pairwise(times)
        }

    def choose(self, condition: Operand, then: Operand, otherwise: Operand | None) -> Operand:
        result: Series = {}
        for period in self.periods if not isinstance(condition, dict) else sorted(condition):
            holds = condition[period] if isinstance(condition, dict) else condition
            branch = then if holds else otherwise
            value = branch.get(period, 0.0 if holds else None) if isinstance(branch, dict) else branch
            if value is not None:
                result[period] = value
        return result

    def aggregate(self, name: str, args: list[ast.expr]) -> Operand:
        """Of several series: pointwise over those that have a datapoint, except that AVG counts a missing one as 0. Of one:
        over time, a constant."""
        items = args[0].elts if len(args) == 1 and isinstance(args[0], ast.List) else args
        operands = [self.visit(item) for item in items]
        total: dict[str, Callable[[list[float]], float]] = {
            "MIN": min,
            "MAX": max,
            "SUM": sum,
            "AVG": lambda values: sum(values) / len(operands),
        }
        if len(operands) == 1 and isinstance(operands[0], dict):
            values = list(operands[0].values())
            return (sum(values) / len(values) if name == "AVG" else total[name](values)) if values else {}
        result: Series = {}
        for period in sorted({p for o in operands if isinstance(o, dict) for p in o}):
            result[period] = total[name](
                [
                    o[period] if isinstance(o, dict) else o
                    for o in operands
                    if not isinstance(o, dict) or period in o
                ]
            )
        return result

    def pointwise(self, apply: Callable[[float, float], float], left: Operand, right: Operand) -> Operand:
        """A division by zero has no datapoint, as in CloudWatch."""
        if not isinstance(left, dict) and not isinstance(right, dict):
            return apply(left, right)
        result: Series = {}
        periods = {period for operand in (left, right) if isinstance(operand, dict) for period in operand}
        for period in sorted(periods):
            a = left.get(period, 0.0) if isinstance(left, dict) else left
            b = right.get(period, 0.0) if isinstance(right, dict) else right
            try:
                result[period] = apply(a, b)
            except ZeroDivisionError:
                continue
        return result
