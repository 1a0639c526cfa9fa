"""Staging is production with cheaper values: the same keys, the same layers, nothing protected."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra.stacks import Layer, parse_stack_name
from tests.infra.test_imports import CHECKOUT
from tests.infra.test_settings import LAYERS, TO_FILL_IN, as_the_engine_gives_it, own

FILES = sorted(CHECKOUT.glob("Pulumi.prod*.yaml"))
# What staging goes without, and what it says besides.
WITHOUT = {"simple378:databaseCopyRegion", "simple378:databaseCopyDays"}
BESIDES = {"simple378:databaseFinalSnapshot"}


def config(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHECKOUT / name).read_text())["config"]
    return found


@pytest.mark.parametrize("prod", [path.name for path in FILES])
def test_every_stack_of_production_has_its_like(prod: str) -> None:
    staging = prod.replace("prod", "staging")
    ours, theirs = config(staging), config(prod)
    assert theirs.keys() - ours.keys() <= WITHOUT
    assert ours.keys() - theirs.keys() <= BESIDES
    assert ours.get("simple378:protect", False) is False
    assert (
        ours.get("aws:defaultTags", {"tags": {"Environment": "staging"}})["tags"]["Environment"] == "staging"
    )
    assert "prod" not in (CHECKOUT / staging).read_text().replace("production", "")

    stack = parse_stack_name(staging.split(".")[1])
    cls, example = LAYERS[stack.layer]
    values = own({key: as_the_engine_gives_it(value) for key, value in ours.items()})
    needed = {key: own(example)[key] for key in TO_FILL_IN[stack.layer]}
    cls.parse(values | needed, "simple378", stack.name)


def test_its_pools_fit_its_database() -> None:
    colour, database = config("Pulumi.staging-blue.yaml"), config("Pulumi.staging.yaml")
    wanted = 2 * colour["simple378:pgbouncerReplicas"] * colour["simple378:poolSize"] + 20
    assert wanted <= database["simple378:databaseMaxConnections"]
    assert Layer.GUARDIAN in {parse_stack_name(path.name.split(".")[1]).layer for path in FILES}
