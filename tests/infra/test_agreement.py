"""The program and the procedure import nothing of each other; what both must know is compared here."""

from __future__ import annotations

import yaml

from infra import stacks
from infra.edge import rate_limit, rules
from infra.layers.traffic import weights
from infra.stacks import Colour
from rollout import plan
from rollout.aws import cloudwatch, probes
from rollout.journal import card
from rollout.stacks import environment, stackfile
from simulate.lab.backend import metrics
from tests.infra.engine import deploy
from tests.infra.examples import LIMITS, SECRET_OUTPUTS, STACKS, TRAFFIC
from tests.infra.test_imports import CHECKOUT


def test_the_test_routes_headers() -> None:
    assert (probes.TEST_HEADER, probes.COLOUR_HEADER) == (rules.TEST_HEADER, rules.COLOUR_HEADER)


def test_the_rule_whose_blocked_requests_raise_the_limit() -> None:
    assert cloudwatch.RATE_RULE == rate_limit.RULE_NAME


def test_where_the_applications_metrics_are() -> None:
    assert cloudwatch.APPLICATION == stacks.METRIC_NAMESPACE == metrics.NAMESPACE


def test_colours_and_weights() -> None:
    assert {colour.value: colour.other.value for colour in Colour} == card.OTHER
    assert weights.WHOLE == plan.WHOLE


def test_the_projects_name_is_the_namespace_of_the_stack_files() -> None:
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    assert project["name"] == stackfile.NAMESPACE


def test_the_resources_that_the_procedure_updates_are_those_of_the_program() -> None:
    deploy("prod-traffic", TRAFFIC, STACKS, SECRET_OUTPUTS).one(environment.RULE)
    deploy("prod-limits", LIMITS, STACKS, SECRET_OUTPUTS).one(environment.WEB_ACL)
