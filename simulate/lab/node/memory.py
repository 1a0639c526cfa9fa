"""Memory of a container's processes, read from /proc; a container is one session."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def session_members(leader: int) -> dict[int, int]:
    """Pids of the session that `leader` leads, each with its resident bytes (proc(5), stat fields 6 and 24)."""
    members = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        if int(fields[3]) == leader:
            members[int(entry.name)] = int(fields[21]) * _PAGE
    return members


def session_resident(leader: int) -> int:
    """Resident bytes of all of a container's processes; pages that they share count for each."""
    return sum(session_members(leader).values())
