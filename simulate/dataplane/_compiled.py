"""``compiled`` and ``inlined``: numba's ``njit`` with a cache on disk that notices a change in any file of this package.

numba's own cache looks at one file at a time, so a function compiled into a caller in another file would stay stale.
Here the cache's folder is named after all sources of the package together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., object])
_HERE = Path(__file__).parent


def _cache_folder() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_HERE.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    beside = _HERE / "__pycache__"
    if os.access(beside if beside.exists() else _HERE, os.W_OK):
        return str(beside / name)
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "simple378" / name)


FOLDER = _cache_folder()  # where compiled code is kept


def compiled(function: _F) -> _F:
    """A function compiled once and called by others."""
    return _compile(function)


def inlined(function: _F) -> _F:
    """A function compiled into each of its callers: for the way of every request."""
    return _compile(function, forceinline=True)


def _compile(function: _F, **options: bool) -> _F:
    config: Any = numba.config
    # Nothing here allocates, so without _nrt arrays are passed without counting who refers to them.
    options |= {"cache": True, "_nrt": False}
    before, config.CACHE_DIR = config.CACHE_DIR, FOLDER
    try:
        compiler: Any = numba.njit(error_model="numpy", **options)  # type: ignore[call-overload]
        return cast("_F", compiler(function))
    finally:
        config.CACHE_DIR = before
