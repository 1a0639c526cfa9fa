"""Small pieces of HAProxy's configuration language."""

from __future__ import annotations

import re
from collections.abc import Iterable


def quoted(text: str) -> str:
    """The text as one word that HAProxy takes literally. Raises ValueError for what it cannot hold."""
    if any(character < " " for character in text):
        raise ValueError(f"HAProxy's configuration cannot hold a control character: {text!r}")
    return "'" + text.replace("'", "'\\''") + "'"


def pattern(wildcards: str) -> str:
    """AWS's ``*`` (any characters) and ``?`` (one character) as an anchored regular expression."""
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(character) or re.escape(character) for character in wildcards) + "$"


def anonymous(sample: str, values: Iterable[str], *, ignore_case: bool = False) -> str:
    """An anonymous ACL: the sample matches any of the values, which may hold wildcards."""
    values = list(values)
    flag = "-i " if ignore_case else ""
    if not any("*" in value or "?" in value for value in values):
        return f"{{ {sample} -m str {flag}-- {' '.join(quoted(value) for value in values)} }}"
    return f"{{ {sample} -m reg {flag}-- {' '.join(quoted(pattern(value)) for value in values)} }}"
