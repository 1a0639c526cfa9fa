"""What the console commands share: the form of an error, `NAME: sentence`, also for what was typed wrongly."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

_lost: list[OSError] = []  # why something could not be printed


def say(text: str, *, err: bool = False) -> None:
    """Prints plain text; at a terminal without breaking words."""
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.split("\n"))
    echo(text, err=err)


def echo(text: str, *, err: bool = False) -> None:
    """Prints a text as it is. Who cannot be told, because a disk is full or a reader has gone, is no reason to stop moving traffic."""
    try:
        typer.echo(text, err=err)
    except OSError as error:
        _lost.append(error)


def end_output(program: str) -> None:
    """Before the process ends: what can no longer be printed is dropped, with one line about it, and does not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _lost.append(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if _lost and not isinstance(_lost[0], BrokenPipeError):
        with suppress(OSError):
            typer.echo(f"{program}: not all of the output could be written: {_lost[0]}", err=True)
    _lost.clear()


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def complain(program: str, message: str) -> None:
    """Prints what is wrong, on stderr."""
    say(f"{program}: {message}", err=True)


class Program(TyperGroup):
    """A console command whose usage errors look like all its other errors."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Runs what was typed, and exits."""
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except typer.Abort:
            complain(self._name, "interrupted at a question")
            sys.exit(1)
        except typer.TyperException as error:
            self._misused(error)
        sys.exit(code if isinstance(code, int) else 0)

    @property
    def _name(self) -> str:
        return self.name or "rollout"

    def _misused(self, error: typer.TyperException) -> NoReturn:
        context = getattr(error, "ctx", None)
        message = " ".join(error.format_message().split()).removesuffix(".")
        message = re.sub(r"\. Did you mean (.*)\?$", r" (did you mean \1?)", message)
        if message:  # without, only help was asked for and has been printed
            command = context.command_path if context else self._name
            complain(self._name, f"{message[0].lower()}{message[1:]}; see `{command} -h`")
        sys.exit(error.exit_code)
