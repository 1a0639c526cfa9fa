"""Rules of composite alarms: ``ALARM("name") AND NOT (OK(other) OR FALSE)``, as PutCompositeAlarm takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rule = Callable[[Mapping[str, str]], bool]

_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
_TOKEN = re.compile(
    r"""\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|(?P<bare>[^\s()"]+))\s*\)"""
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<mark>[()]))"
)


class BadRule(ValueError):
    """The rule is not in the grammar of composite alarms; the message names the place."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str  # a word, a bracket, or one of the states
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """``holds`` is asked with the states of the alarms by name; ``names`` are those that the rule refers to."""

    holds: Rule
    names: frozenset[str]


def parse(text: str) -> AlarmRule:
    """Raises BadRule. AND binds closer than OR, NOT closest."""
    parser = _Parser(text)
    holds = parser.either()
    if parser.tokens:
        raise BadRule(f"alarm rule {text!r}: {parser.tokens[0].text} was not expected")
    return AlarmRule(holds, frozenset(parser.names))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.tokens: list[_Token] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise BadRule(f"alarm rule {text!r}: cannot be read from {text[at:].strip()[:30]!r} on")
            at = match.end()
            if state := match["state"]:
                # An alarm is named by its name or its ARN.
                name = (match["quoted"] or match["bare"]).rpartition(":alarm:")[2]
                self.tokens.append(_Token(state, name))
            else:
                self.tokens.append(_Token(match["word"] or match["mark"]))

    def _take(self, *texts: str) -> _Token | None:
        if self.tokens and self.tokens[0].text in texts:
            return self.tokens.pop(0)
        return None

    def either(self) -> Rule:
        parts = [self.both()]
        while self._take("OR"):
            parts.append(self.both())
        return lambda states: any(part(states) for part in parts)

    def both(self) -> Rule:
        parts = [self.one()]
        while self._take("AND"):
            parts.append(self.one())
        return lambda states: all(part(states) for part in parts)

    def one(self) -> Rule:
        if self._take("NOT"):
            denied = self.one()
            return lambda states: not denied(states)
        if self._take("("):
            inner = self.either()
            if not self._take(")"):
                raise BadRule(f"alarm rule {self.text!r}: a closing bracket is missing")
            return inner
        if constant := self._take("TRUE", "FALSE"):
            return lambda states: constant.text == "TRUE"
        if found := self._take(*_STATES):
            self.names.add(found.alarm)
            return lambda states: states.get(found.alarm) == found.text
        raise BadRule(f"alarm rule {self.text!r}: an alarm's state was expected")
