"""Runs the Pulumi engine so that it can be stopped: a rollback does not wait for an increase that hangs.

:class:`EndableCommand` is the Automation API's command runner with one difference: each engine is the leader of a
session of its own, so ending it ends its language host, program and providers too. The CLI is run through it directly
and not through ``Stack.up``, which starts the CLI three more times to read outputs and history back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi.automation import CommandError, CommandResult, InvalidVersionError, PulumiCommand
from pulumi.automation.errors import create_command_error

from rollout.control.text import one_line

VERSION_LIMIT = 10.0  # seconds for `pulumi version`
GRACE = 1.0  # seconds between asking an engine to end, which saves its state and lock, and killing it
_MARKUP = re.compile(r"<\{%.*?%\}>")  # of colours
_OBJECT = re.compile(r"^\{", re.MULTILINE)  # where the JSON begins in what a command printed
_NOTE = "engine.{}.json"
_ENV = {
    "PULUMI_AUTOMATION_API": "true",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DEBUG_COMMANDS": "true",
}


class EngineMissing(Exception):
    """Pulumi is missing or cannot be used; the message says how to install it."""


class EndableCommand(PulumiCommand):
    """One engine, started and waited for in a thread, ended from another."""

    def start(self, args: list[str], cwd: Path, *, given: bool = False) -> subprocess.Popen[str]:
        """``given``: something will be written to its stdin."""
        return subprocess.Popen(
            [self.command, "--non-interactive", "--color", "never", *args],
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **_ENV},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )


def end(process: subprocess.Popen[Any], *, gently: bool = True) -> bool:
    """Ends an engine and all it started. True when it had to be killed: its lock and state are as they were."""
    if gently and process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    killed = process.poll() is None
    _kill_session(process.pid)
    process.wait()
    return killed


def _kill_session(leader: int) -> None:
    """Kills the engine and its plugins, each of which has a process group of its own, but the engine's session."""
    members = {leader}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(status.read_text().rpartition(")")[2].split()[3]) == leader:
                members.add(int(status.parent.name))
    for pid in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


class Engine:
    """The engine of one project directory."""

    def __init__(self, project_dir: Path, running: Path | None = None) -> None:
        """``running`` is a directory for notes of the updates under way, which a controller after a crash reads.

        Raises :class:`EngineMissing`.
        """
        self.project_dir, self._running = project_dir, running
        self._killed: set[str] = set()
        try:
            _answers()
            self._command = EndableCommand()
        except TimeoutError as error:
            raise EngineMissing(f"the pulumi on PATH cannot be used: {error}") from None
        except FileNotFoundError:
            raise EngineMissing(
                "pulumi is not on PATH: run `make setup` and `. .venv/bin/activate`, or install it from pulumi.com"
            ) from None
        except (InvalidVersionError, OSError, subprocess.CalledProcessError, ValueError) as error:
            raise EngineMissing(f"the pulumi on PATH cannot be used: {error}") from None

    async def run(self, stack: str, *args: str, given: str = "") -> CommandResult:
        """Runs a command on a stack. Raises the Automation API's ``CommandError``; cancelled, it ends the engine.

        ``given`` is written to its stdin."""
        process = self._command.start([*args, "--stack", stack], self.project_dir, given=bool(given))
        note = self._remember(process, stack) if args[0] == "up" else None
        waiting = asyncio.ensure_future(asyncio.to_thread(process.communicate, given or None))
        try:
            stdout, stderr = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # Only an update holds a lock and has state to save.
            updates = args[0] == "up"
            killed = await asyncio.shield(asyncio.to_thread(end, process, gently=updates))
            if updates and killed:
                self._killed.add(stack)
            await waiting
            raise
        finally:
            if note:
                note.unlink(missing_ok=True)
        result = CommandResult(stdout, stderr, process.returncode)
        if result.code:
            raise create_command_error(result)
        return result

    async def json(self, stack: str, *args: str) -> Any:
        """Runs a command that prints an object in JSON, whatever lines it prints around that. Raises ``CommandError``."""
        result = await self.run(stack, *args)
        start = _OBJECT.search(result.stdout)
        try:
            if start:
                return json.JSONDecoder().raw_decode(result.stdout, start.start())[0]
        except ValueError:
            pass
        # What was printed may have secrets in it, so it is not shown.
        answer = f"error: `pulumi {args[0]}` printed no JSON object. {result.stderr}"
        raise create_command_error(CommandResult("", answer, result.code))

    async def outputs(self, stack: str) -> Mapping[str, Any]:
        """A stack's outputs with its secrets in the clear: not for logs."""
        outputs: Mapping[str, Any] = await self.json(stack, "stack", "output", "--json", "--show-secrets")
        return outputs

    async def unlock(self, stack: str) -> bool:
        """Removes the lock of an engine that was killed here. False if none was: then the lock belongs to another update."""
        if stack not in self._killed:
            return False
        self._killed.discard(stack)
        await self.run(stack, "cancel", "--yes")
        return True

    def end_left_over(self) -> list[str]:
        """Ends the updates that a crashed controller left running. Returns the stacks that they were updating."""
        stacks = []
        for note in self._running.glob(_NOTE.format("*")) if self._running else ():
            with contextlib.suppress(OSError, ValueError, KeyError):  # of a torn note nobody knows the engine
                stacks.append(self._end_noted(json.loads(note.read_text())))
                note.unlink()
        return stacks

    def _end_noted(self, left: Mapping[str, Any]) -> str:
        if _started(left["pid"]) == left["started"]:
            _kill_session(left["pid"])
            deadline = time.monotonic() + GRACE
            while _started(left["pid"]) == left["started"] and time.monotonic() < deadline:
                time.sleep(0.01)  # until it has ended it may still write
        self._killed.add(left["stack"])
        return str(left["stack"])

    def _remember(self, process: subprocess.Popen[str], stack: str) -> Path | None:
        if not self._running:
            return None
        note = self._running / _NOTE.format(stack)
        scratch = note.with_suffix(".new")
        try:
            scratch.write_text(
                json.dumps({"pid": process.pid, "started": _started(process.pid), "stack": stack})
            )
            scratch.replace(note)
        except OSError:
            return None  # a full disk stops no rollback
        return note


def _answers() -> None:
    """Raises ``TimeoutError`` when Pulumi does not even say its version, which the Automation API would wait for for ever."""
    command = ["pulumi", "version"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        process.wait(VERSION_LIMIT)
    except subprocess.TimeoutExpired:
        end(process, gently=False)
        raise TimeoutError(f"`pulumi version` did not answer within {VERSION_LIMIT:g} s") from None


def _started(pid: int) -> str | None:
    """When a living process started, in the kernel's ticks: with its number it names a process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None


def engine_problem(error: CommandError) -> str:
    """What an engine complains of, as one line of plain text; the end of its output when it names no error."""
    text = str(error)
    found = _diagnostics(text) or [
        line.partition("error:")[2] for line in text.splitlines() if "error:" in line
    ]
    problems = dict.fromkeys(one_line(_MARKUP.sub("", problem)) for problem in found)
    return one_line("; ".join(filter(None, problems)) or text[-500:])


def _diagnostics(text: str) -> list[str]:
    """The errors in what a command with ``--json`` printed."""
    start = text.find("stdout: {")
    try:
        printed = json.JSONDecoder().raw_decode(text, start + len("stdout: "))[0] if start >= 0 else {}
    except ValueError:
        return []
    return [d["message"] for d in printed.get("diagnostics") or () if d.get("severity") == "error"]
