"""CloudWatch's storage: what a datapoint is, and what it is not."""

from __future__ import annotations

import pytest

from simulate.lab.aws_server.metric_store import (
    MetricKey,
    MetricStore,
    Samples,
    StatisticSet,
    UnknownStatistic,
)

KEY = MetricKey.of(
    "AWS/ApplicationELB", "TargetResponseTime", {"LoadBalancer": "app/lab/1", "TargetGroup": "tg"}
)


def samples(*values: float) -> Samples:
    result = Samples()
    for value in values:
        result.add(Samples({value: 1.0}))
    return result


def test_periods_are_aligned_to_the_epoch_and_named_by_their_start() -> None:
    store = MetricStore()
    for second in (59, 60, 65, 119, 120):
        store.put(KEY, second, samples(1.0))
    found = store.query(KEY, start=65, end=120, period=60)
    assert {start: bucket.count for start, bucket in found.items()} == {60: 3.0}, "the start is rounded down"
    assert list(store.query(KEY, start=60, end=121, period=6)) == [60, 114, 120]
    assert store.query(KEY, start=121, end=180, period=6) == {120: samples(1.0)}
    assert store.query(KEY, start=126, end=180, period=6) == {}, "no datapoint without samples"


def test_dimensions_are_exact() -> None:
    store = MetricStore()
    store.put(KEY, 60, samples(1.0))
    fewer = MetricKey.of(KEY.namespace, KEY.name, {"LoadBalancer": "app/lab/1"})
    assert store.query(fewer, start=0, end=600, period=60) == {}
    reordered = MetricKey.of(KEY.namespace, KEY.name, {"TargetGroup": "tg", "LoadBalancer": "app/lab/1"})
    assert store.query(reordered, start=0, end=600, period=60)


def test_another_unit_finds_nothing() -> None:
    store = MetricStore()
    store.put(KEY, 60, samples(1.0), "Seconds")
    assert store.query(KEY, start=0, end=600, period=60)
    assert store.query(KEY, start=0, end=600, period=60, unit="Seconds")
    assert not store.query(KEY, start=0, end=600, period=60, unit="Milliseconds")


def test_statistics() -> None:
    values = samples(*range(1, 21))
    wanted = {
        "SampleCount": 20,
        "Sum": 210,
        "Average": 10.5,
        "Minimum": 1,
        "Maximum": 20,
        "p50": 10,
        "p95": 19,
        "p99.9": 20,
    }
    assert {name: values.statistic(name) for name in wanted} == wanted
    assert Samples().statistic("Sum") is None, "never 0 and never NaN"


def test_counts_weigh_a_percentile() -> None:
    assert Samples({0.1: 94.0, 3.0: 6.0}).statistic("p95") == 3.0
    assert Samples({0.1: 95.0, 3.0: 5.0}).statistic("p95") == 0.1


def test_a_statistic_set_has_a_percentile_only_where_it_can_be_known() -> None:
    spread = Samples(sets=[StatisticSet(10, 50, 1, 9)])
    assert (spread.statistic("Sum"), spread.statistic("Maximum"), spread.statistic("p95")) == (50, 9, None)
    assert Samples(sets=[StatisticSet(10, 50, 5, 5)]).statistic("p95") == 5
    assert Samples(sets=[StatisticSet(1, 7, 7, 7)]).statistic("p95") == 7


@pytest.mark.parametrize("name", ["p101", "P95", "median", "p", "tm90", "sum"])
def test_an_unknown_statistic_is_named(name: str) -> None:
    with pytest.raises(UnknownStatistic, match=name):
        samples(1.0).statistic(name)
