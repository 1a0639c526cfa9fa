"""A short measurement on real parts, and the simulator held against it: the machinery, not the aims."""

from __future__ import annotations

import json
import os
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from simulate.lab.layout import LabPaths
from simulate.lab.measure import run
from simulate.lab.measure.points import SHORT
from simulate.studies.validation import compare, read

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(300)]


def test_a_short_measurement_is_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"test-{os.getpid()}-measure"
    monkeypatch.setattr(run, "LAB", name)
    out = tmp_path / "lab.json"
    console = Console(file=StringIO())
    try:
        assert run.measure(run.MeasureOptions.checked(out, ("points",), (), short=True), console) == 0
    finally:
        shutil.rmtree(LabPaths.of(name).root, ignore_errors=True)
        LabPaths.of(name).lock.unlink(missing_ok=True)
    document = json.loads(out.read_text())
    assert document["machine"]["processors"] == os.cpu_count()
    assert "unknown" not in document["versions"].values()
    found = {point["name"]: point for point in document["points"]["points"]}
    assert list(found) == [point.name for point in SHORT]
    for point in SHORT:
        assert found[point.name]["sent"] == round(point.rate * point.window_s)
        assert found[point.name]["latency_s"][0] > point.sleep_s, "no answer before its query's sleep is over"
    alone, pooled = found["30/s"], found["pool 2, 60 % busy"]
    assert pooled["p95_s"] > 1.4 * alone["p95_s"], "the smaller pool is in force, and has a queue"
    lines = {(line.where, line.what): line for line in compare(read(out), runs=20)}
    for point in SHORT:
        throughput, p50 = lines[point.name, "throughput"], lines[point.name, "p50"]
        assert throughput.measured == pytest.approx(point.rate, rel=0.01)
        assert abs(throughput.error) < 5 and abs(p50.error) < 30
