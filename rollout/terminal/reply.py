"""How a command ended, for scripts: one JSON object on stdout, and what people read on stderr."""

from __future__ import annotations

import json
from typing import Any

import typer

from rollout import program
from rollout.control.exits import Exit


class Reply:
    """What a command says. Until one begins a reply in JSON, it is printed and no more."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] | None = None
        self._messages: list[str] = []

    @property
    def begun(self) -> bool:
        return self._fields is not None

    def begin(self, command: str, env: str) -> None:
        self._fields, self._messages = {"command": command, "env": env}, []

    def add(self, **fields: str) -> None:
        """What this command alone has to say; without a reply in JSON nothing is said."""
        if self._fields is not None:
            self._fields |= fields

    def say(self, text: str, *, err: bool = False, whole: bool = False) -> None:
        """Prints a text, ``whole`` lines unbroken even at a narrow terminal, so that they can be pasted."""
        if self.begun:
            self._messages.append(text)
            err = True
        if whole:
            program.echo(text, err=err)
        else:
            program.say(text, err=err)

    def end(self, code: int | None) -> None:
        """Prints the object; ``None``: there is none, because of a bug."""
        if self._fields is not None and code is not None:
            ended = {"exit": code, "result": Exit(code).name.lower(), "messages": self._messages}
            typer.echo(json.dumps(self._fields | ended))
        self._fields = None
