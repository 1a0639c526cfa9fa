"""`rollout doctor` on programs that are shell scripts and on fakes of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollout.control.ports import TrafficError
from rollout.journal.card import Card
from rollout.procedure import doctor
from rollout.procedure.preflight import Finding
from rollout.stacks.engine import EngineMissing
from rollout.stacks.environment import Environment
from tests.rollout.driver import environment

PULUMI = """#!/bin/sh
shift # --non-interactive
case "$1 $2" in
  "whoami --json") {whoami} ;;
  "plugin ls") echo '[{{"name": "{plugin}"}}]' ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: simple378\n")
    (tmp_path / "Pulumi.prod-traffic.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    async def read(engine: object, env: str, roles: Mapping[str, str] | None = None) -> Environment:
        return replace(environment(env), groups={"stable": "blue-group"})

    monkeypatch.setattr(doctor, "Engine", lambda project_dir: None)
    monkeypatch.setattr(doctor, "read_environment", read)
    monkeypatch.setattr(doctor, "clients", lambda region: aws())
    monkeypatch.setattr(doctor, "find", found)
    programs(tmp_path)
    return tmp_path


async def found(elbv2: object, env: str, region: str, stable: str) -> Card:
    return Card(env, region, "", {"stable": "blue-group"}, {"stable": stable})


def programs(
    project: Path, plugin: str = "aws", whoami: str = """echo '{"user": "ada", "url": "s3://state"}'"""
) -> None:
    (project / "bin").mkdir(exist_ok=True)
    for name, text in (
        ("pulumi", PULUMI.format(plugin=plugin, whoami=whoami)),
        ("pulumi-language-python", ""),
    ):
        (project / "bin" / name).write_text(text)
        (project / "bin" / name).chmod(0o755)


def aws(**denied: str) -> Any:
    def call(name: str) -> Any:
        def work(**_: Any) -> dict[str, Any]:
            if name in denied:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": denied[name]}}, name)
            return {"Arn": "arn:aws:iam::1:user/ada", "SecretString": "never shown"}

        return work

    class Service:
        def __getattr__(self, name: str) -> Any:
            return call(name)

    return SimpleNamespace(
        elbv2=Service(), cloudwatch=Service(), sns=Service(), sts=Service(), secretsmanager=Service()
    )


def examine(project: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.examine(project, "prod")}


def test_a_machine_that_is_fit(project: Path) -> None:
    found = examine(project)
    assert [f.in_words() for f in found.values() if f.problem] == []
    assert "never shown" not in str(found)
    assert found["login"].detail == "ada at s3://state"
    assert found["credentials"].detail == "arn:aws:iam::1:user/ada in us-east-1"
    assert found["stacks"].detail == "stable blue 1.0.0, candidate green 2.0.0"
    assert {"folder", "engine", "plugins", "right elasticloadbalancing:DescribeRules"} <= set(found)


def test_a_wrong_folder_ends_it(project: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine(Path("/"), "prod")}
    assert list(found) == ["folder"]
    assert "there is no Pulumi.yaml" in found["folder"].problem


def test_without_pulumi_the_other_checks_are_listed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(project_dir: Path) -> None:
        raise EngineMissing("pulumi is not on PATH")

    monkeypatch.setattr(doctor, "Engine", missing)
    found = examine(project)
    assert found["engine"].problem == "pulumi is not on PATH"
    unchecked = {name: finding.problem for name, finding in found.items() if finding.warning}
    assert list(unchecked) == ["login", "plugins", "stacks", "credentials", "rights"]
    assert set(unchecked.values()) == {"not checked, because that needs pulumi"}


def test_who_is_not_logged_in_reads_no_stack(project: Path) -> None:
    programs(project, whoami="echo 'PULUMI_ACCESS_TOKEN must be set' >&2; exit 1")
    found = examine(project)
    assert found["login"].problem == "PULUMI_ACCESS_TOKEN must be set; log in with `pulumi login`"
    assert "stacks" not in found


def test_a_missing_plugin_is_named(project: Path) -> None:
    programs(project, plugin="random")
    assert examine(project)["plugins"].problem.startswith("aws missing; ")
    (project / "bin" / "pulumi-language-python").unlink()
    assert examine(project)["plugins"].problem.startswith("pulumi-language-python, aws missing; ")


def test_a_missing_right_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "clients", lambda region: aws(describe_alarms="no"))
    problems = {name: finding.problem for name, finding in examine(project).items() if finding.problem}
    assert list(problems) == ["right cloudwatch:DescribeAlarms"]
    assert problems["right cloudwatch:DescribeAlarms"].startswith("cloudwatch:DescribeAlarms of environment")


def test_expired_credentials_try_no_right(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "clients", lambda region: aws(get_caller_identity="expired"))
    found = examine(project)
    assert "expired" in found["credentials"].problem
    assert not [name for name in found if name.startswith("right")]


def test_tags_that_an_abort_would_not_find_are_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object) -> Card:
        raise TrafficError("no target group of us-east-1 has the tags")

    async def another(elbv2: object, env: str, region: str, stable: str) -> Card:
        return replace(await found(elbv2, env, region, stable), rule_arn="arn:of another")

    monkeypatch.setattr(doctor, "find", none)
    assert examine(project)["tags"].problem.endswith("`pulumi up -s prod` and `-s prod-traffic`")
    monkeypatch.setattr(doctor, "find", another)
    assert "another rule" in examine(project)["tags"].problem
