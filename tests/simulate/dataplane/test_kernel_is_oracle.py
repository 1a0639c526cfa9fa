"""The compiled data plane and the oracle give every attempt the same colour, fate and times, whatever happens."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulate.dataplane import (
    FOREVER,
    Backend,
    Bursty,
    Clients,
    Constant,
    Database,
    Empirical,
    Exponential,
    Law,
    LogNormal,
    Memory,
    Model,
    Poisson,
    Pool,
    RateLimit,
    Retries,
    Trace,
    WebSockets,
)
from simulate.studies.validation import Step, differences
from simulate.studies.validation.agreement import disagreements


def laws(mean: float) -> st.SearchStrategy[Law]:
    samples = np.random.default_rng(5).gamma(2.0, mean / 2.0, 500)
    return st.sampled_from(
        [
            Constant(mean),
            Exponential(mean),
            LogNormal(mean, 0.8),
            Empirical.from_samples(samples),
        ]
    )


pools = st.builds(
    Pool,
    size=st.sampled_from([0, 1, 2, 3, 4, 6]),
    max_clients=st.sampled_from([1, 4, 1000]),
    wait=st.one_of(laws(0.3), st.just(FOREVER), st.just(Constant(2.0))),
)
backends = st.builds(
    Backend,
    replicas=st.integers(1, 3),
    concurrency=st.sampled_from([1, 2, 4, 6, 15]),
    backlog=st.sampled_from([0, 2, 20, 2000]),
    query=laws(0.1),
    work=st.one_of(laws(0.05), st.just(Constant(0.0))),
    error_share=st.sampled_from([0.0, 0.1]),
    pool=pools,
    memory=st.builds(Memory, base_mb=st.just(200.0), spread_mb=st.sampled_from([0.0, 7.0])),
    restart_s=st.sampled_from([1.0313, 5.0437]),
    detect_s=st.sampled_from([0.0, 0.5, 10.0]),
)
models = st.builds(
    Model,
    arrivals=st.one_of(
        st.builds(Poisson, per_minute=st.sampled_from([300.0, 1500.0, 5000.0])),
        st.builds(Bursty, per_minute=st.just(900.0), variance_to_mean=st.just(20.0), interval_s=st.just(5.0)),
        st.just(Trace((5.0, 100.0, 0.0, 40.0), 3.0)),
    ),
    clients=st.sampled_from([Clients(20), Clients(200, heavy=3, heavy_share=0.4)]),
    rate_limit=st.sampled_from([None, RateLimit(25.0, 6.0, 1.0), RateLimit(1000.0)]),
    retries=st.sampled_from(
        [Retries(), Retries(3, 0.2, budget=0.5, burst=5.0), Retries(7, 0.05, 1.0, budget=2.0, burst=100.0)]
    ),
    stable=backends,
    candidate=backends,
    database=st.builds(
        Database, max_connections=st.sampled_from([0, 5, 100, 100, 100]), parallel=st.sampled_from([0, 2, 5])
    ),
    websockets=st.sampled_from([WebSockets(), WebSockets(10, 5.0, 0.5)]),
    timeout_s=st.sampled_from([0.5, 2.0, 30.0]),
    sticky_s=st.sampled_from([0.0, 4.0]),
    period_s=st.sampled_from([2.0, 5.0]),
    probe_timeout_s=st.sampled_from([0.3, 1.0]),
)
flag = st.sampled_from([0, 1])
share = st.sampled_from([0.0, 0.3, 1.0])
faults = st.one_of(
    st.builds(lambda v: {"hung": v}, flag),
    st.builds(lambda v: {"database_refuses": v}, flag),
    st.builds(lambda v: {"pool_size": v}, st.integers(0, 8)),
    st.builds(lambda v: {"pool_leak": v}, st.sampled_from([0.0, 0.02, 1.0])),
    st.builds(lambda v, c: {"unreachable_share": v, "connect_s": c}, share, st.sampled_from([0.0, 0.5, 2.0])),
    st.builds(lambda v: {"no_targets": v}, flag),
    st.builds(lambda v, f: {"error_share": v, "query_factor": f}, share, st.sampled_from([1.0, 5.0])),
    st.builds(
        lambda v, a: {"slow_share": v, "slow_added_s": a, "query_added_s": a / 10}, share, st.just(1.0)
    ),
    st.builds(lambda v: {"work_factor": v}, st.sampled_from([1.0, 10.0])),
    st.builds(lambda v: {"ws_drops_per_s": v}, st.sampled_from([0.0, 1.0])),
    st.builds(lambda v: {"memory_mb_per_s": v}, st.sampled_from([0.0, 30.0, 200.0])),
    st.builds(lambda v: {"memory_mb_per_request": v}, st.sampled_from([0.0, 10.0])),
    st.builds(lambda v: {"deep_fails": v, "targets_fails": v}, flag),
)
# Here and in restart times no round sums: two unlike things due at the very same instant have no order of their own.
waits = st.sampled_from([0.0, 0.1371, 0.7717, 2.0391, 5.0173])
colour = st.sampled_from([0, 1])
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(waits, st.just("switch"), st.tuples(colour), faults),
    st.tuples(waits, st.just("switch"), st.tuples(colour), faults),
    st.tuples(waits, st.just("weight"), st.tuples(st.sampled_from([0, 5, 50, 100])), st.just({})),
    st.tuples(waits, st.just("set_traffic"), st.tuples(st.sampled_from([0.0, 0.5, 3.0])), st.just({})),
    st.tuples(waits, st.just("set_rate_limit"), st.tuples(st.sampled_from([5.0, 50.0])), st.just({})),
    st.tuples(waits, st.just("set_max_connections"), st.tuples(st.sampled_from([1, 100])), st.just({})),
    st.tuples(
        waits, st.just("kill"), st.tuples(colour, st.sampled_from([None, 1]), st.sampled_from([None, 3.0519, math.inf])),
        st.just({}),
    ),
)  # fmt: skip


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(models, st.lists(steps, max_size=8), st.integers(0, 2**32))
def test_same_fate_for_every_attempt(model: Model, script: list[Step], seed: int) -> None:
    assert differences(model, script, seed) == []


def test_same_fate_in_nights_where_everything_happens() -> None:
    assert disagreements(seed=11, nights=8) == 0


def test_replicas_that_return_at_one_instant_are_filled_one_after_the_other() -> None:
    backend = Backend(
        3, 2, 2, Constant(0.1), Constant(0.05), 0.0, Pool(1), Memory(200.0, limit_mb=512.0), restart_s=1.0313, detect_s=0.0
    )  # fmt: skip
    model = Model(
        Bursty(900.0, 20.0, 5.0), Clients(20), stable=backend, candidate=backend, timeout_s=2.0, sticky_s=4.0, period_s=5.0
    )  # fmt: skip
    script: list[Step] = [
        (0.2742, "kill", (0, 1, None), {}),
        (0.1371, "switch", (0,), {"memory_mb_per_s": 200.0}),
    ]
    for seed in range(1, 6):
        assert differences(model, script, seed) == []
