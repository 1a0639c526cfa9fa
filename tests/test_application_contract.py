"""docs/application-contract.md says what the program does: each number is compared with its home."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.edge.colour_target import HEALTH_INTERVAL
from infra.edge.distribution import API_PATHS
from infra.edge.rules import COLOUR_HEADER
from infra.layers.colour.settings import OWN_VARIABLES, ColourSettings
from infra.layers.foundation.settings import FoundationSettings
from infra.stacks import BACKEND_PORT, METRIC_NAMESPACE
from infra.workload import backend as pod
from infra.workload import pgbouncer_ini, pods
from rollout.aws.cloudwatch import APPLICATION_METRICS
from rollout.aws.probes import DIGEST_HEADER, PATHS, VERSION_HEADER
from rollout.procedure import contract
from simulate.lab.backend import app, metrics

TEXT = " ".join((Path(__file__).parents[1] / "docs" / "application-contract.md").read_text().split())
IDLE = FoundationSettings.model_fields["load_balancer_idle_seconds"].default
DRAIN = ColourSettings.model_fields["drain_seconds"].default


@pytest.mark.parametrize(
    "sentence",
    [
        f"listens on {BACKEND_PORT},",
        f"http://localhost:{BACKEND_PORT}",
        f"| {pods._USER}, group {pods._USER}, no capabilities",
        ", ".join(f"`{name}`" for name in OWN_VARIABLES),
        f"answers `/health` within {pod._STARTUP} s",
        f"the load balancer every {HEALTH_INTERVAL} s",
        f"answered within {contract.ANSWER:g} s",
        f"the load balancer's idle timeout, {IDLE} s",
        f"takes longer than those {IDLE} s is answered 504",
        f"pinged more often than every {IDLE} s",
        f"`simple378:drainSeconds` ({DRAIN} s), then gets SIGTERM, and {pod._SHUTDOWN} s later SIGKILL",
        f"with code {contract.GOING_AWAY} (or {contract.RESTARTING})",
        f"no connection within {pgbouncer_ini._QUERY_WAIT} s",
        f"left idle for {pgbouncer_ini._IDLE_TRANSACTION} s",
        f"namespace `{METRIC_NAMESPACE}`, once a minute ({metrics.PERIOD_S:g} s)",
        f"(header `{app.RETRY}: 1` and above)",
        VERSION_HEADER,
        DIGEST_HEADER,
        COLOUR_HEADER,
    ],
)
def test_a_number_is_the_programs(sentence: str) -> None:
    assert sentence in TEXT


def test_the_paths() -> None:
    assert set(re.findall(r"\| `(/[^`]*)` \|", TEXT)) == {*API_PATHS, *PATHS.values()}


def test_what_the_check_assumes_is_what_the_program_deploys() -> None:
    assert IDLE == contract.IDLE
    assert contract.SOCKET_PATH in API_PATHS


# The stand-in has no slow pages and does not look into its pgbouncer.
NOT_OF_THE_STAND_IN = ("PageSeconds", "PoolUsedPercent", "PoolClientsWaiting")


def test_the_metrics_are_those_of_the_stand_in_and_hold_what_is_judged() -> None:
    named = re.findall(r"\| `([A-Z]\w+)` \|", TEXT)
    published = metrics.Publisher("blue", "http://127.0.0.1:1", 1.0).values()
    assert sorted(named) == sorted([*published, *NOT_OF_THE_STAND_IN])
    assert set(APPLICATION_METRICS.values()) <= set(named)
