"""How numbers are written wherever the simulator reports them: plain digits, never an exponent."""

from __future__ import annotations

import math

_ABSURD = 1e15  # input like this is shown as it was given


def plain(value: float, digits: int = 3) -> str:
    """At least so many significant digits, no trailing zeros: ``12,345``, ``123``, ``12.3``, ``0.00012``, ``0``."""
    if not abs(value) < _ABSURD:
        return str(value)
    size = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:,.{max(digits - 1 - size, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval as ``1.2 to 3.4``; nothing where there is none, as for a single value."""
    return "" if low is None or high is None else f"{plain(low, digits)} to {plain(high, digits)}"
