"""Durations and numbers: how they are read, and how they are written for people and for files."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0  # seconds

_UNITS = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
PATTERN = r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h)\s*)+$"  # of a duration in a file


def seconds(text: object) -> float:
    """Reads ``1m30s``, ``500ms``, ``2m`` or a bare number of seconds. Raises ``ValueError`` with the fix."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    else:
        written = "".join(text.split()) if isinstance(text, str) else ""
        amounts = written.removeprefix("-")
        if not amounts or _AMOUNT.sub("", amounts):
            raise ValueError("it is not a duration: write 2m, 90s, 500ms or 1m30s")
        value = sum(float(amount) * _UNITS[unit] for amount, unit in _AMOUNT.findall(amounts))
        value = -value if written.startswith("-") else value
    if not 0 <= value < float("inf"):
        raise ValueError("it is negative or endless: a duration is 0 or more")
    return value


def written(seconds: float) -> str:
    """For a file: ``7200`` as ``2h``, ``120`` as ``2m``, ``90`` as ``90s``, ``0.5`` as ``500ms``; anything else as plain seconds, which are exact."""
    if seconds and seconds % HOUR == 0:
        return f"{seconds / HOUR:.0f}h"
    if seconds and seconds % MINUTE == 0:
        return f"{seconds / MINUTE:.0f}m"
    if seconds == int(seconds):
        return f"{seconds:.0f}s"
    if seconds * 1000 == int(seconds * 1000) and int(seconds * 1000) * 0.001 == seconds:
        return f"{seconds * 1000:.0f}ms"
    return exact(seconds)


def duration(seconds: float) -> str:
    """For people, not negative: ``150`` as ``2 min 30 s``, ``0.5`` as ``500 ms``, ``7200`` as ``2 h``."""
    if 0 < seconds < 1:
        return f"{number(seconds * 1000)} ms"
    hours, rest = divmod(round(seconds, 3), HOUR)
    minutes, rest = divmod(rest, MINUTE)
    parts = ((hours, "h"), (minutes, "min"), (round(rest, 3), "s"))
    return " ".join(f"{number(value)} {unit}" for value, unit in parts if value) or "0 s"


def clock(seconds: float, *, tenths: bool = False) -> str:
    """A time since the start: ``62.44`` as ``1:02``, with ``tenths`` as ``1:02.4``."""
    whole = round(abs(seconds) * 10) if tenths else round(abs(seconds)) * 10
    sign = "-" if seconds < 0 and whole else ""
    return f"{sign}{whole // 600}:{whole // 10 % 60:02d}" + (f".{whole % 10}" if tenths else "")


def number(value: float, digits: int = 6) -> str:
    """So many significant digits, never as ``1e+04``: ``10000``, ``0.00005``, ``2.5``."""
    if not isfinite(value):
        return str(value)
    if value == int(value):
        return f"{value:.0f}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.0f}" if rounded == int(rounded) else exact(rounded)


def exact(value: float) -> str:
    """The shortest plain decimal that is read back as the same number."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
