"""The figures of the bench, without a lab."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulate.lab.rehearsal.bench import summarize, summarize_undos
from simulate.lab.rehearsal.bench_inside import split

LOG = [
    (0.10, "newPlugin(): Launching plugin 'python' from '/bin/pulumi-language-python' with args: 1"),
    (0.40, "langhost[python].GetPluginInfo() executing"),
    (0.50, "newPlugin(): Launching plugin 'python' from '/bin/pulumi-language-python' with args: 2"),
    (0.70, "langhost[python].GetPluginInfo() executing"),
    (0.71, "langhost[python].Run(pwd=/project)"),
    (1.00, "newPlugin(): Launching plugin 'aws (resource)' from '/bin/pulumi-resource-aws' with args: 2"),
    (1.25, "Provider[0x1].GetPluginInfo() executing"),
    (1.55, "killing plugin /bin/pulumi-resource-aws\n"),
]
BEGAN = 1_795_559_481.0  # 2026-11-24 22:31:21 UTC


def update(total: float, *, increase: bool) -> dict[str, Any]:
    return {
        "kind": "update",
        "increase": increase,
        "total_s": total,
        "modify_rule_s": 0.02,
        "read_back_s": 0.01,
    }


def test_the_figures_of_ten_updates() -> None:
    lines = [update(1 + n / 10, increase=n % 5 != 4) for n in range(10)]
    figures = summarize([*lines, {"kind": "phases", "engine_s": 0.2}])
    assert figures["stack_update_s"] == {"median": 1.45, "max": 1.9}
    assert figures["modify_rule_s"] == {"median": 0.02, "max": 0.02}
    assert figures["ratio_of_medians"] == 72.5
    assert figures["decrease_s"]["max"] == 1.9
    assert figures["one_update_by_phase_s"] == {"engine_s": 0.2}


def test_the_figures_of_undos_by_either_way() -> None:
    lines = [{"kind": "undo", "break_glass": n % 2 == 1, "took_s": 1.0 + n} for n in range(4)]
    figures = summarize_undos(lines, [(100, 0), (10, 1), (120, 2), (12, 0)])
    assert figures["stack_update"] == {
        "undos": 2,
        "seconds": {"median": 2.0, "max": 3.0},
        "requests": 220,
        "failed": 2,
    }
    assert figures["break_glass"] == {
        "undos": 2,
        "seconds": {"median": 3.0, "max": 4.0},
        "requests": 22,
        "failed": 1,
    }


def test_an_engines_log_says_where_the_time_went() -> None:
    log = "\n".join(
        json.dumps({"time": f"2026-11-24T22:31:{21 + at:.9f}Z", "level": "INFO", "msg": said})
        for at, said in LOG
    )
    spent = split("not a line of the log\n" + log, BEGAN, BEGAN + 1.6)
    assert spent == {
        "engine_s": pytest.approx(0.21, abs=1e-4),
        "language_host_s": pytest.approx(0.5, abs=1e-4),
        "program_s": pytest.approx(0.29, abs=1e-4),
        "provider_start_s": pytest.approx(0.25, abs=1e-4),
        "provider_work_s": pytest.approx(0.3, abs=1e-4),
        "engine_end_s": pytest.approx(0.05, abs=1e-4),
    }
    assert sum(spent.values()) == pytest.approx(1.6, abs=1e-3)
