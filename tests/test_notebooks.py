"""The notebooks run, and say what they were committed with. Pictures are only looked for: their bytes depend on fonts."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST_PICTURE = 100_000  # bytes


def outputs(notebook: Any) -> list[list[Any]]:
    """What each cell shows: its texts, and the kinds of what is no text."""
    return [[_shown(output) for output in cell.get("outputs", [])] for cell in notebook.cells]


def _shown(output: Any) -> Any:
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return output.ename
    data = output.data
    return data.get("text/markdown") or ("a picture" if "image/png" in data else data["text/plain"])


@pytest.mark.timeout(600)  # the first may compile the simulator
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_it_was_committed_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    committed = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    again = deepcopy(committed)
    for cell in again.cells:
        cell["outputs"] = []
    NotebookClient(again, timeout=550, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert outputs(again) == outputs(committed)
    assert any("a picture" in shown for shown in outputs(committed))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_nobody(path: Path) -> None:
    text = path.read_text()
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(not cell.metadata for cell in notebook.cells)
    assert "/home/" not in text and "site-packages" not in text and str(ROOT) not in text
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png", "")
            assert len(picture) * 3 / 4 < LARGEST_PICTURE


def test_all_three_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["capacity", "risk_register", "thresholds"]
