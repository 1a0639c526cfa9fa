"""`lab.json`: what is known about a lab from outside, written by its first process only.

A lab may have been killed with its file left behind, and its pid may belong to somebody else by now. So a pid counts
only together with the start time of its process and the boot it was seen in.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Phase(StrEnum):
    """Where a lab is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class ServiceState(StrEnum):
    """Where a service of the lab is in its life. `done` is a step that has ended well."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that can be recognised later. `start_ticks` are clock ticks since boot (proc(5), starttime)."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Of a living process, else None."""
        ticks = start_ticks(pid)
        return None if ticks is None else cls(pid, ticks, boot_id())

    def alive(self) -> bool:
        return self.boot_id == boot_id() and start_ticks(self.pid) == self.start_ticks


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service. `took_s`: seconds from launch to readiness; `tail`: end of its log if it died."""

    name: str
    state: ServiceState
    took_s: float | None = None
    exit_code: int | None = None
    log: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class LabState:
    """A lab as its first process last described it."""

    name: str
    first_process: Identity
    user_namespace: bool
    time_scale: float
    started: str
    phase: Phase
    services: tuple[ServiceStatus, ...]

    def dead_services(self) -> list[ServiceStatus]:
        return [service for service in self.services if service.state is ServiceState.DEAD]


def boot_id() -> str:
    """The kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Start time of a process, or None if there is none or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def write(path: Path, state: LabState) -> None:
    """Replace the file at once, so that a reader sees the old or the new one."""
    # `pid` at the top as well: it is what a person or a script wants to find.
    document = {"pid": state.first_process.pid, **asdict(state)}
    scratch = path.with_suffix(".json.new")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(scratch, path)


def read(path: Path) -> LabState | None:
    """The state of a lab whose first process lives; None for no lab, a stale or an unreadable file."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        state = LabState(
            name=document["name"],
            first_process=Identity(**document["first_process"]),
            user_namespace=document["user_namespace"],
            time_scale=document["time_scale"],
            started=document["started"],
            phase=Phase(document["phase"]),
            services=tuple(
                ServiceStatus(**{**entry, "state": ServiceState(entry["state"])})
                for entry in document["services"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.first_process.alive() else None
