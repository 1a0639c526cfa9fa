"""Reads and changes single keys of a stack's configuration file, leaving every other line as it is.

`pulumi config set` would cost a start of the CLI for each key and writes the file anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "simple378"


class StackFileError(Exception):
    """The configuration file of a stack cannot be used; the message names it and the fix."""


def stack_file(project_dir: Path, stack: str) -> Path:
    return project_dir / f"Pulumi.{stack}.yaml"


def read_config(path: Path) -> dict[str, Any]:
    """The keys of the project's namespace, without it. Raises :class:`StackFileError`."""
    return _config(_read(path), path)


def changed(path: Path, values: Mapping[str, str | int]) -> str:
    """The text of the file with ``values`` set. Raises :class:`StackFileError`."""
    text = _read(path)
    for key, value in values.items():
        name = f"{NAMESPACE}:{key}"
        line = re.compile(rf"^(?P<indent>[ \t]+){re.escape(name)}:.*$", re.MULTILINE)
        if line.search(text):
            text = line.sub(rf"\g<indent>{name}: {value}", text, count=1)
        else:
            text = re.sub(
                r"^config:[ \t]*$", f"config:\n  {name}: {value}", text, count=1, flags=re.MULTILINE
            )
    config = _config(text, path)
    if wrong := [key for key, value in values.items() if config.get(key) != value]:
        raise StackFileError(
            f"{path}: cannot set {NAMESPACE}:{wrong[0]}; write it as one line below `config:`"
        )
    return text


def write(path: Path, text: str) -> None:
    """Replaces the file whole: a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise StackFileError(f"{path}: cannot read this stack's configuration ({error.strerror})") from None


def _config(text: str, path: Path) -> dict[str, Any]:
    try:
        config = (yaml.safe_load(text) or {}).get("config") or {}
    except (yaml.YAMLError, AttributeError) as error:
        raise StackFileError(f"{path}: not a stack's configuration: {' '.join(str(error).split())}") from None
    prefix = f"{NAMESPACE}:"
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
