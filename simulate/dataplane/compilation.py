"""Whether the data plane is compiled, and compiling it in one place rather than in each worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simulate.dataplane._compiled import FOLDER
from simulate.dataplane.model import CANDIDATE, Model
from simulate.dataplane.plane import DataPlane
from simulate.dataplane.switches import SWITCHES

_MARK = Path(FOLDER) / "complete"


def compile_once(announce: Callable[[], None] = lambda: None) -> None:
    """Compiles what every run needs, about a minute, unless the cache on disk holds it; ``announce`` is called before."""
    if _MARK.exists():
        return
    announce()
    plane = DataPlane(Model(), 0)
    plane.advance(1.0)
    plane.failed_probes(CANDIDATE)
    plane.set_traffic(1.0)
    plane.set_max_connections(plane.model.database.max_connections)
    plane.kill(CANDIDATE, 1)
    for name in SWITCHES:
        plane.switch(CANDIDATE, **{name: 1})
    plane.switch(CANDIDATE, hung=0)
    _MARK.parent.mkdir(parents=True, exist_ok=True)
    _MARK.touch()
