"""Deploys the stacks in a lab with the Pulumi command line, as a user in the lab's shell would."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rollout.stacks.stackfile import NAMESPACE
from simulate.lab.errors import LabError
from simulate.lab.lab import Lab

#: The layers of an environment in the order of their first deployment: a colour reads from the traffic stack whether it serves.
LAYERS = ("limits", "", "traffic", "blue")

Await = Callable[["subprocess.Popen[str]", str, Path], None]


@dataclass(frozen=True, slots=True)
class Stacks:
    """The stacks of ``environment`` in a lab. ``logs``: where each command's output is appended, a file a stack.

    ``wait`` waits for a process and raises :class:`LabError` when it or something else of the lab fails.
    """

    lab: Lab
    environment: str
    logs: Path
    wait: Await

    def name(self, layer: str) -> str:
        """``local`` for the foundation, ``local-blue`` for a layer."""
        return f"{self.environment}-{layer}" if layer else self.environment

    def configure(self, layer: str, settings: Mapping[str, Any]) -> None:
        """Sets keys of a stack's settings file, as an editor would; ``None`` removes one."""
        path = self._settings(layer)
        document = yaml.safe_load(path.read_text())
        for key, value in settings.items():
            name = key if ":" in key else f"{NAMESPACE}:{key}"
            if value is None:
                document["config"].pop(name, None)
            else:
                document["config"][name] = value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def setting(self, layer: str, key: str) -> Any:
        """A value of a stack's settings file. Raises :class:`LabError` when it is not set."""
        config = yaml.safe_load(self._settings(layer).read_text())["config"]
        name = f"{NAMESPACE}:{key}"
        if name not in config:
            raise LabError(f"{self._settings(layer).name} does not set {name}", "set it")
        return config[name]

    def deploy(self, layer: str) -> None:
        """``pulumi up``, the stack created if there is none. Raises :class:`LabError` with the end of the engine's output."""
        name = self.name(layer)
        if not self._exists(name):
            self._pulumi(name, "stack", "init", name)
        self._pulumi(name, "up", "--yes", "--skip-preview", "--stack", name)

    def outputs(self, layer: str) -> dict[str, Any]:
        """The stack's outputs, secrets included: the lab's are of no use outside it."""
        found = self.lab.run(
            ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", self.name(layer)],
            timeout_s=60,
        )
        outputs: dict[str, Any] = json.loads(found.stdout)
        return outputs

    def deployed(self) -> tuple[str, ...]:
        """The stacks that exist."""
        found = self.lab.paths.pulumi_state.glob(f".pulumi/stacks/{NAMESPACE}/*.json")
        return tuple(sorted(path.stem for path in found))

    def export(self, directory: Path) -> None:
        """Writes the state of every stack as ``<stack>.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in self.deployed():
            self._pulumi(name, "stack", "export", "--stack", name, "--file", str(directory / f"{name}.json"))

    def _exists(self, name: str) -> bool:
        return name in self.deployed()

    def _settings(self, layer: str) -> Path:
        return self.lab.paths.project / f"Pulumi.{self.name(layer)}.yaml"

    def _pulumi(self, stack: str, *arguments: str) -> None:
        log = self.logs / f"pulumi-{stack}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        with log.open("a") as output:
            print(f"$ {' '.join(command)}", file=output, flush=True)
            process = self.lab.popen(command, output=output, errors=subprocess.STDOUT)
        self.wait(process, f"pulumi {arguments[0]} of stack {stack}", log)


def last_words(log: Path, lines: int = 12) -> str:
    """The end of a log, and of the engine's diagnostics where there are some."""
    text = log.read_text(errors="replace") if log.exists() else ""
    text = text[text.rfind("\n$ ") + 1 :]
    diagnostics = re.search(r"^Diagnostics:\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    words = (diagnostics.group(1) if diagnostics else text).rstrip().splitlines()
    return "\n".join(words[-lines:])
