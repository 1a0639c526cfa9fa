"""A sampling profiler: looks at a run every half millisecond and, unlike a tracing profiler, does not slow it down.

A sample is taken between two steps of Python, so compiled code is seen at the line that called it.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType

EVERY_S = 0.0005
_OWN = ("simulate", "rollout", "tools")  # packages of this project
_ROOT = Path(__file__).resolve().parents[2]
_HERE = str(Path(__file__).resolve().relative_to(_ROOT))
_SIMPY = "simpy"


def sampled(run: Callable[[], object]) -> Counter[str]:
    """Samples by function, such as ``simulate/dataplane/plane.py:_run``. Works in the main thread only.

    A library's time counts for the function of this project that called it; SimPy counts for itself.
    """
    found: Counter[str] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        place = _place(frame)
        if not place.startswith(_HERE):  # not the sampler itself
            found[place] += 1

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, EVERY_S, EVERY_S)
    try:
        run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return found


def _place(frame: FrameType | None) -> str:
    while frame is not None:
        file = _own(frame.f_code.co_filename)
        if file == _SIMPY:
            return file
        if file:
            return f"{file}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "start and end"


@cache
def _own(name: str) -> str:
    """The file from the project's root, ``simpy`` for one of SimPy's, else nothing."""
    file = Path(name)
    if _SIMPY in file.parts:
        return _SIMPY
    if file.is_relative_to(_ROOT) and file.relative_to(_ROOT).parts[0] in _OWN:
        return str(file.relative_to(_ROOT))
    return ""
