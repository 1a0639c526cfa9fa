"""`simulate list` and `simulate rehearse`: what they print, and what they say about bad input."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from rollout.plan import plan_text
from simulate.cli import _plans, _scenarios
from simulate.commands.rehearse_text import row
from simulate.dataplane.compilation import compile_once
from simulate.scenarios import SCENARIOS
from simulate.studies.replication import Estimate, Interrupted, Job, Rows, measure
from tests.simulate.command import simulate


class Figure(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mean: float
    low: float | None
    high: float | None
    p95: float


class Outcomes(BaseModel):
    model_config = ConfigDict(extra="forbid")
    promoted: int
    held: int
    aborted: int


class RolledBack(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class Result(BaseModel):
    """What the JSON of `rehearse` is, key by key."""

    model_config = ConfigDict(extra="forbid")
    scenario: str
    plan: str
    seed: int
    replications: int
    outcomes: Outcomes
    rolled_back: RolledBack
    detection_s: Figure | None
    rollback_s: Figure | None
    failed_requests: Figure
    requests: Figure
    findings: dict[str, Figure]


Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Any:
    def call(*args: str) -> tuple[int, str, str]:
        code = simulate(*args, monkeypatch=monkeypatch)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_list_names_every_scenario(run: Any) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert all(name in out for name in SCENARIOS)
    assert "risk 4, 40 %" in out
    code, out, _ = run("list", "--json")
    assert [one["name"] for one in json.loads(out)] == [*SCENARIOS]


def test_list_tells_the_parameters_of_one(run: Any) -> None:
    code, out, _ = run("list", "slow-queries")
    assert code == 0
    assert "slow_percent" in out and "rate_per_minute" in out and "EXPLAIN" not in out
    assert json.loads(run("list", "slow-queries", "--json")[1])["risk"] == 8


def test_one_rehearsal_tells_its_timeline(run: Any) -> None:
    code, out, err = run("rehearse", "error-regression", "--set", "error_percent=20", "--seed", "4")
    assert (code, err) == (0, "")
    assert "seed 4" in out
    assert "20 % of the candidate's requests fail with 500" in out
    assert "T+0:00.0  decided: 0 % to the candidate" in out
    assert "the candidate's share of traffic falls from 5 % to 0 %" in out
    assert "the rollout ends: aborted" in out
    assert out == run("rehearse", "error-regression", "--set", "error_percent=20", "--seed", "4")[1]


def test_many_rehearsals_tell_shares_and_intervals(run: Any) -> None:
    code, out, _ = run("rehearse", "healthy", "--replications", "8", "--rate", "500")
    assert code == 0
    assert "Wilson" in out and "Student" in out
    for word in ("promoted", "held", "aborted", "rolled back", "detection, s", "error budget spent, %"):
        assert word in out


def test_no_interval_of_a_count_is_shown_below_zero() -> None:
    assert row(Estimate(5, 30, -32.79, 92.79, 150)) == ("30", "0 to 92.79", "150")
    assert row(Estimate(1, 30, None, None, 30)) == ("30", "", "30")


def test_a_mean_of_some_runs_says_of_how_many(run: Any) -> None:
    _, out, _ = run(
        "rehearse", "healthy", "--replications", "40", "--rate", "200", "--set", "base_error_percent=0.3"
    )
    rolled_back = re.search(r"rolled back .* (\d+) of 40", out)
    assert rolled_back and 0 < int(rolled_back[1]) < 40
    assert f"rollback, s (of {rolled_back[1]} runs)" in out
    assert "requests (of" not in out


@pytest.mark.parametrize("scenario", ["error-regression", "bundle-too-large", "healthy"])
def test_json_has_the_keys_that_are_promised(run: Any, scenario: str) -> None:
    args = ("rehearse", scenario, "--replications", "4", "--seed", "9", "--rate", "600", "--json")
    code, out, _ = run(*args)
    assert code == 0
    found = Result.model_validate_json(out)
    assert (found.scenario, found.plan, found.seed, found.replications) == (scenario, "phase-c", 9, 4)
    assert sum(found.outcomes.model_dump().values()) == 4
    assert run(*args)[1] == out
    if scenario == "bundle-too-large":
        assert found.findings["page_load_p95_s"].mean > 3


def test_a_plan_of_ones_own_and_a_trace(run: Any, tmp_path: Path) -> None:
    plan = tmp_path / "mine.yaml"
    plan.write_text(plan_text("phase-c")[0].replace("name: phase-c", "name: mine"))
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp,value\n0,100\n60,300\n120,200\n")
    code, out, _ = run("rehearse", "healthy", "--plan", str(plan), "--trace", str(trace), "--json")
    assert code == 0
    found = Result.model_validate_json(out)
    assert found.plan == "mine"
    assert 2000 < found.requests.mean < 4500, "200 a minute in the mean"


@pytest.mark.parametrize("n", ["1", "4"])
def test_a_page_to_share(run: Any, tmp_path: Path, n: str) -> None:
    page = tmp_path / "page.html"
    code, _, _ = run(
        "rehearse", "error-regression", "--replications", n, "--html", str(page), "--rate", "500"
    )
    assert code == 0
    text = page.read_text()
    assert "<svg" in text and "http" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")
    assert "the rollout ends" in text and "error_percent" in text
    cause = r", rolled back: error rate [\d.]+ % \(\d+ of \d+ requests\) is above 1 %" if n == "1" else ""
    assert re.search(rf"<h1>Rehearsal: error-regression{cause}</h1>", text)
    assert '<p class="soft">Error-regression under phase-c, ' in text
    assert "<span>--html</span>" in text, "an option is not broken at its hyphens"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nonsense"], ["'nonsense' is not a scenario: it is one of healthy", "simulate list"]),
        (["helthy"], ["'helthy' is not a scenario: did you mean healthy? It is one of healthy, "]),
        (["healthy", "--set", "error_percent=3"], ["--set", "'error_percent' is not a parameter of healthy"]),
        (["healthy", "--set", "replicas=0"], ["--set", "'replicas' is 0", "from 1"]),
        (["healthy", "--set", "replicas=1.5"], ["whole number"]),
        (["pool-exhaustion", "--set", "hang_s=1e300"], ["'hang_s' is 1e+300", "from 0 to 1,000,000"]),
        (["healthy", "--set", "replicas"], ["--set replicas", "key=value"]),
        (["healthy", "--set", "replicas=two"], ["--set replicas", "'two' is not a number"]),
        (["healthy", "--set", "replicas=nan"], ["--set", "replicas"]),
        (["healthy", "--set", "replicas=1", "--set", "replicas=2"], ["--set replicas", "twice"]),
        (["healthy", "--rate", "-5"], ["--rate is -5", "0 or more"]),
        (["healthy", "--rate", "inf"], ["--rate is inf"]),
        (["healthy", "--rate", "1e9"], ["--rate is 1,000,000,000", "up to 6,000,000"]),
        (["healthy", "--rate", "5", "--set", "rate_per_minute=6"], ["--rate", "rate_per_minute"]),
        (["healthy", "--replications", "0"], ["--replications", "greater than or equal to 1"]),
        (["healthy", "--workers", "0"], ["--workers"]),
        (["healthy", "--seed", "-1"], ["--seed"]),
        (["healthy", "--plan", "missing.yaml"], ["--plan", "missing.yaml", "phase-c"]),
        (["healthy", "--trace", "missing.csv"], ["--trace", "missing.csv"]),
        (["healthy", "--html", "missing/page.html"], ["--html", "missing"]),
        (["healthy", "--dask", "tcp://127.0.0.1:9"], ["--dask", "tcp://127.0.0.1:9"]),
        (["healthy", "--dask", "somewhere"], ["--dask", "'somewhere'", "tcp://host:8786"]),
        (
            ["healthy", "--dask", "tcp://127.0.0.1:9", "--workers", "2"],
            ["--dask", "--workers", "one of them"],
        ),
        (["rate-limit-too-strict", "--set", "heavy_clients=1000"], ["--set", "heavy_clients"]),
    ],
)
def test_bad_input_is_one_clear_error(
    run: Any, args: list[str], says: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulate.studies.replication.parallel._CONNECT_S", 0.5)
    code, out, err = run("rehearse", *args)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    plain = " ".join(err.replace("│", " ").split())  # typer's box breaks lines
    for word in says:
        assert word in plain


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least two"),
        ("timestamp,value\n", "at least two"),
        ("timestamp,value\n0,5\n60,-1\n", ":3: '-1'"),
        ("timestamp,value\n0,5\n60,6\n90,7\n", "equal steps"),
        ("timestamp,value\n0,5\n1e-9,6\n", "steps of 1e-09 s"),
        ("timestamp,value\n0,5\n60,1e300\n", ":3: 1e+300 requests in 60 s"),
    ],
)
def test_a_bad_trace_is_one_clear_error(run: Any, tmp_path: Path, text: str, says: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    code, _, err = run("rehearse", "healthy", "--trace", str(trace))
    assert code == 2
    assert err.startswith("simulate: --trace: ")
    assert says in err


def test_a_trace_alone_says_when_requests_come(run: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("0,100\n60,300\n")
    for name in ("rate_per_minute", "variance_to_mean"):
        code, _, err = run("rehearse", "healthy", "--trace", str(trace), "--set", f"{name}=5")
        assert code == 2
        assert "--trace" in err and name in err


def test_a_full_disk_is_one_clear_error(run: Any) -> None:
    code, _, err = run("rehearse", "healthy", "--rate", "100", "--html", "/dev/full")
    assert (code, err) == (1, "simulate: --html: /dev/full cannot be written: No space left on device\n")


def test_a_plan_with_an_error_names_the_key(run: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(plan_text("phase-c")[0].replace("hold_timeout: 10m", "hold_timeout: soon"))
    code, _, err = run("rehearse", "healthy", "--plan", str(plan))
    assert code == 2
    assert "--plan" in err and "hold_timeout" in err
    short = plan_text("phase-c")[0].replace("period: 60s", "period: 1ms").replace("watch: 5m", "watch: 60ms")
    plan.write_text(short)
    code, _, err = run("rehearse", "healthy", "--plan", str(plan))
    assert code == 2
    assert "--plan" in err and "metrics.period is 0.001 s" in err
    plan.write_text(plan_text("phase-c")[0] + "\nalarms: {prod-nothing: abort}\n")
    code, _, err = run("rehearse", "healthy", "--plan", str(plan))
    assert code == 2
    assert "alarms.prod-nothing" in err and "candidate-error-rate" in err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_ctrl_c_prints_what_is_known(
    run: Any, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    def interrupted(job: Job, replications: int, **_: Any) -> Rows:
        raise Interrupted([measure(job, 0, 3)])

    monkeypatch.setattr("simulate.commands.progress.run", interrupted)
    code, out, err = run("rehearse", "healthy", "--rate", "100", "--replications", "40", *form)
    assert code == 130
    assert err == "simulate: interrupted: 3 of 40 replications were done; the figures are of these\n"
    assert '"replications": 3' in out if form else "3 rehearsals" in out


@pytest.mark.parametrize("command", [("rehearse", "healthy"), ("tune",)])
def test_ctrl_c_while_a_command_is_imported(
    run: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, f"simulate.commands.{command[0]}", raising=False)
    finder = SimpleNamespace(find_spec=lambda name, *_: interrupted() if name.endswith(command[0]) else None)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert run(*command) == (130, "", "simulate: interrupted\n")


def test_compiling_is_announced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulate.dataplane.compilation._MARK", tmp_path / "cache" / "complete")
    announced: list[bool] = []
    for _ in range(2):
        compile_once(lambda: announced.append(True))
    assert announced == [True]


def test_help_and_version(run: Any) -> None:
    code, out, _ = run("-h")
    assert code == 0 and "adopt" in out and "Exit codes" in out
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("simulate ")


def test_completion_knows_scenarios_and_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phase-x.yaml").touch()
    (tmp_path / "phase.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert _scenarios("me") == ["memory-leak", "metric-blackout"]
    assert [*_plans("ph")] == ["phase-c", "phase-x.yaml"]
