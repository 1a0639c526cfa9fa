"""Defects planted in the source of the compiled data plane: the comparison with the oracle must notice each.

The mutated sources are run as plain Python (numba switched off), all in one process, so that none has to be compiled.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MUTANTS = {
    "nothing": ("layout.py", "", ""),
    "a pool one connection too large": ("backend.py", "x.IN_USE] >= usable(s, c)", "x.IN_USE] > usable(s, c)"),
    "a random stream used twice": ("backend.py", "int(Stream.WORK)", "int(Stream.QUERY)"),
    "a timeout counted as success": ("edge.py", "end(s, a, x.TIMED_OUT)", "end(s, a, x.OK)"),
    "a client that gives up frees its slot": ("edge.py", "if phase == x.IN_BACKLOG:", "if phase >= x.IN_BACKLOG:"),
    "last come, first served": ("backend.py", "a = head(s, x.BACKLOG_QUEUE + c)", "a = s.i[x.QUEUE + 3 * c + 1]"),
    "a query that the hang does not stop": ("incidents.py", "s.rf[a, x.FINISH] -= s.f[x.NOW]", "pass"),
    "a rate limit that never forgets": ("kernel.py", "x.C_BINS + oldest] = 0", "x.C_BINS + oldest] += 0"),
    "a retry budget without end": ("clients.py", "s.f[x.TOKENS] -= 1.0", "pass"),
    "stickiness that is not renewed": (
        "edge.py",
        "        s.stuck_until[client] = now + sticky",
        "        s.stuck_until[client] = max(s.stuck_until[client], sticky)",
    ),
    "a percentile one too low": ("kernel.py", "math.ceil(share * n) - 1", "math.ceil(share * n) - 2"),
    "the later child chosen": ("queues.py", "np.uint64(right < left)", "np.uint64(left < right)"),
    "memory that a restart does not free": ("incidents.py", "x.R_MEMORY] = s.cf[c, x.MB_BASE]", "x.R_MEMORY] += 0.0"),
    "an error that is not counted": ("backend.py", "x.DB_CONNECTION_ERRORS] += 1", "x.DB_CONNECTION_ERRORS] += 0"),
    "a surge that forgets the pending request": ("kernel.py", "s.f[x.UNIT] - spent", "s.f[x.UNIT]"),
}  # fmt: skip

_RUN = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
found = {}
for name, path in json.loads(sys.argv[1]).items():
    for module in [m for m in sys.modules if m.split(".")[0] == "simulate"]:
        del sys.modules[module]
    sys.path.insert(0, path)
    try:
        found[name] = importlib.import_module("simulate.studies.validation.agreement").disagreements(1, nights=1)
    except Exception as error:  # a mutant may also fall over
        found[name] = repr(error)
    sys.path.remove(path)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = Path(__file__).parents[3] / "simulate"
    paths = {}
    for n, (name, (file, old, new)) in enumerate(MUTANTS.items()):
        path = tmp_path_factory.mktemp(f"mutant{n}")
        for part, sources in (("dataplane", "*.py"), ("studies/validation", "agreement.py")):
            (path / "simulate" / part).mkdir(parents=True)
            for source in (root / part).glob(sources):
                shutil.copy(source, path / "simulate" / part)
        for package in ("studies", "studies/validation"):  # the rest of them needs the lab
            (path / "simulate" / package / "__init__.py").touch()
        shutil.copy(root / "__init__.py", path / "simulate")
        mutated = path / "simulate" / "dataplane" / file
        text = mutated.read_text()
        assert not old or text.count(old) == 1, f"{name}: '{old}' is not once in {file}"
        mutated.write_text(text.replace(old, new) if old else text)
        paths[name] = str(path)
    answer = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(paths)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path_factory.mktemp("empty"),
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, object] = json.loads(answer.stdout)
    return result


@pytest.mark.parametrize("name", [name for name in MUTANTS if name != "nothing"])
def test_mutant_is_noticed(found: dict[str, object], name: str) -> None:
    assert found["nothing"] == 0  # numba off changes nothing
    assert found[name] != 0
