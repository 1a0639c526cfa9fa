"""Where a run's time goes, by looking at it every half millisecond: unlike a tracing profiler it slows nothing down.

A look falls between two steps of Python, so compiled code is seen at the line that called it.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType

EVERY_S = 0.0005
_OWN = ("simulate", "rollout")  # packages of this project
_ROOT = Path(__file__).resolve().parents[1]
_HERE = str(Path(__file__).resolve().relative_to(_ROOT))
_SIMPY = "simpy"


def sampled(run: Callable[[], object]) -> Counter[str]:
    """Looks by the function they fell into, as ``simulate/dataplane/plane.py:_run``. In the main thread only.

    What a library does counts for the function of this project that called it, save SimPy, which counts for itself.
    """
    found: Counter[str] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        place = _place(frame)
        if not place.startswith(_HERE):  # a look that falls into the last one
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
