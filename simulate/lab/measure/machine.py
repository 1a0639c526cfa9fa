"""Where and with what a measurement was made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from simulate.lab.layout import POSTGRES_BIN, program_path

_PROGRAMS = {
    "haproxy": ("haproxy", "-v"),
    "pgbouncer": ("pgbouncer", "--version"),
    "postgresql": (str(POSTGRES_BIN / "postgres"), "--version"),
    "pulumi": ("pulumi", "version"),
    "kubernetes": ("kube-apiserver", "--version"),
}


def machine() -> dict[str, Any]:
    """Processor, memory and kernel. No name of the machine."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processors": os.cpu_count(),
        "processor": model.group(1) if model else "unknown",
        "memory_gib": round(int(memory.group(1)) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """Versions of the real parts that were measured, as their programs print them."""
    found = {"python": platform.python_version()}
    for name, command in _PROGRAMS.items():
        printed = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": program_path()}
        )
        number = re.search(r"\d+\.\d+(\.\d+)?", printed.stdout)
        found[name] = number.group() if number else "unknown"
    return found
