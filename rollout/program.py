"""What the console commands share: the form of an error, `NAME: sentence`, also for what was typed wrongly."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup


def say(text: str, *, err: bool = False) -> None:
    """Prints plain text; at a terminal without breaking words."""
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.split("\n"))
    typer.echo(text, err=err)


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
        if message:  # without, only help was asked for and has been printed
            command = context.command_path if context else self._name
            complain(self._name, f"{message[0].lower()}{message[1:]}; see `{command} -h`")
        sys.exit(error.exit_code)
