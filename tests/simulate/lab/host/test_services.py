"""The declared services can be started: their modules exist, and what each waits for is declared before it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from simulate.lab.host.services import Service, declared
from simulate.lab.kubernetes import control_plane
from simulate.lab.layout import LabPaths


@pytest.fixture
def services(tmp_path: Path) -> tuple[Service, ...]:
    paths = LabPaths(tmp_path)
    control_plane.prepare(paths)
    return declared(paths, tmp_path / "scratch")


def test_every_module_that_a_service_runs_exists(services: tuple[Service, ...]) -> None:
    modules = [service.argv[service.argv.index("-m") + 1] for service in services if "-m" in service.argv]
    assert modules
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_a_service_comes_after_those_it_needs(services: tuple[Service, ...]) -> None:
    started: set[str] = set()
    for service in services:
        assert started.issuperset(service.after), service.name
        started.add(service.name)
