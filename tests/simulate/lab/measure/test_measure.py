"""The measurement's parts, without a lab."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from simulate.lab.errors import LabError
from simulate.lab.measure.points import POINTS, SHORT, Point
from simulate.lab.measure.pool import settings
from simulate.lab.measure.run import FORMAT, PARTS, MeasureOptions, _merged, _short_plan, _text
from simulate.lab.measure.sender import Answer, quantile, quantiles, summarize

INI = "[pgbouncer]\ndefault_pool_size = 50\nmax_db_connections = 50\nquery_wait_timeout = 5\nother = 1\n"
POINT = Point("x", 20, 10, "exponential", 0.2, warm_up_s=5)


def test_arrivals_are_as_many_as_the_rate_says_and_at_random() -> None:
    arrivals = POINT.arrivals()
    assert len(arrivals) == 300 and arrivals == sorted(arrivals)
    assert sum(at >= 0 for at in arrivals) == 200
    assert arrivals[0] > -5 and arrivals[-1] < 10
    a_second = Counter(int(at) for at in replace(POINT, window_s=1000).arrivals() if at >= 0)
    mean = sum(a_second.values()) / 1000
    variance = sum((a_second[second] - mean) ** 2 for second in range(1000)) / 1000
    assert variance / mean == pytest.approx(1, abs=0.15), "Poisson"


def test_sleeps_follow_their_law() -> None:
    drawn = POINT.sleeps(4000)
    assert sum(drawn) / 4000 == pytest.approx(0.2, rel=0.05)
    assert sum(one > 0.2 for one in drawn) / 4000 == pytest.approx(0.368, abs=0.03)
    assert replace(POINT, sleep="fixed").sleeps(3) == [0.2] * 3


@pytest.mark.parametrize("points", [POINTS, SHORT])
def test_points_differ_from_the_fit(points: tuple[Point, ...]) -> None:
    assert len({point.name for point in points}) == len(points)
    fitted = {(p.rate, p.pool) for p in points if p.fit}
    assert fitted and all((p.rate, p.pool) not in fitted for p in points if not p.fit)


def test_pgbouncers_settings() -> None:
    text = settings(INI, 4, 2)
    assert "default_pool_size = 4\nmax_db_connections = 4\nquery_wait_timeout = 2\nother = 1" in text
    with pytest.raises(LabError, match="query_wait_timeout 0 times"):
        settings(INI.replace("query_wait_timeout", "other"), 4, 2)


def test_failures_are_counted_and_not_timed() -> None:
    def answer(status: int, latency: float) -> Answer:
        return Answer(0.0, 0.001, latency, status, 0.1, latency - 0.003 if status == 200 else 0.0)

    answers = [answer(200, 0.105)] * 18 + [answer(503, 5.0), answer(0, 0.6)]
    figures = summarize(answers, POINT)
    assert (figures["sent"], figures["answered"], figures["gave_up"]) == (20, 18, 1)
    assert figures["statuses"] == {"0": 1, "200": 18, "503": 1}
    assert figures["p95_s"] == 0.105
    assert figures["database_beyond_sleep_s"][0] == pytest.approx(0.002)
    assert figures["rest_s"][-1] == pytest.approx(0.003)
    with pytest.raises(LabError, match="nothing was answered"):
        summarize(answers[18:], POINT)


def test_quantiles() -> None:
    assert quantile([1.0], 0.95) == 1.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 0.95) == pytest.approx(1.95)
    assert (quantiles([0.1, 0.2])[0], quantiles([0.1, 0.2])[-1]) == (0.1, 0.2)


def test_what_is_measured_anew_takes_its_old_place() -> None:
    before = [{"name": "a", "p95_s": 1}, {"name": "b", "p95_s": 1}]
    assert _merged(before, [{"name": "a", "p95_s": 2}, {"name": "c", "p95_s": 2}]) == [
        {"name": "a", "p95_s": 2},
        {"name": "b", "p95_s": 1},
        {"name": "c", "p95_s": 2},
    ]


def test_the_file_is_json_with_a_line_a_list() -> None:
    document = {"points": [asdict(POINT) | {"rest_s": [0.1, 0.2, 3]}], "hang": [], "n": 1}
    assert json.loads(_text(document)) == json.loads(json.dumps(document))
    assert '"rest_s": [0.1, 0.2, 3]' in _text(document)


def test_the_plan_is_only_shortened_after_the_first_rollback(tmp_path: Path) -> None:
    plan = yaml.safe_load(_short_plan(tmp_path / "plan.yaml").read_text())
    assert [stage["weight"] for stage in plan["stages"]] == [5, 25, 50, 100]
    assert plan["criteria"]["error_rate"]["limit"] == 1
    assert (plan["hold_timeout"], plan["verification"]["watch"]) == ("100s", "1m")


class TestInput:
    def refused(self, out: Path, parts: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> str:
        with pytest.raises(LabError) as caught:
            MeasureOptions.checked(out, parts, names, short=False)
        assert caught.value.exit_code == 2
        return str(caught.value)

    def test_all_of_it_by_default(self, tmp_path: Path) -> None:
        options = MeasureOptions.checked(tmp_path / "lab.json", (), (), short=False)
        assert options.parts == tuple(PARTS) and options.points == POINTS

    def test_some_points(self, tmp_path: Path) -> None:
        options = MeasureOptions.checked(tmp_path / "lab.json", (), ("pool 2",), short=False)
        assert options.parts == ("points",)
        assert {point.pool for point in options.points} == {2}

    def test_bad_input(self, tmp_path: Path) -> None:
        out = tmp_path / "lab.json"
        assert "--part x: not a part" in self.refused(out, ("x",))
        assert "--point nowhere" in self.refused(out, names=("nowhere",))
        assert "'points' is not measured" in self.refused(out, ("updates",), ("20/s",))
        assert "not a file in a directory" in self.refused(tmp_path)
        assert "not a file in a directory" in self.refused(tmp_path / "no" / "lab.json")
        out.write_text("{}")
        assert "not a measurement of this version" in self.refused(out)
        out.write_text(json.dumps({"format": FORMAT}))
        MeasureOptions.checked(out, (), (), short=False)
