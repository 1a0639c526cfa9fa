"""docs/emergency.md, typed by a shell: against AWS as moto emulates it, without Pulumi, journal and folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from rollout.journal.card import bring_in_line
from tests.rollout import aws_command
from tests.rollout.balancer import Balancer, build

PAGE = Path(__file__).parents[2] / "docs/emergency.md"
REGION = "us-east-1"
BLOCKS = [block.strip() for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)]
ROLLOUT = [block for block in BLOCKS if block.startswith("rollout ")]
BY_HAND = [block for block in BLOCKS if not block.startswith("rollout ")]


@pytest.fixture
def balancer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Balancer]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"")
        boto3.client("secretsmanager", region_name=REGION).create_secret(
            Name="simple378/prod/origin", SecretString="of 32 characters"
        )
        yield build("prod", {"blue": 75, "green": 25}, region=REGION)
    finally:
        server.stop()


def shell(folder: Path, text: str) -> str:
    """Runs lines in a folder with two programs, `rollout` and `aws`; the first that fails ends it."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    starts = {"aws": aws_command.__file__, "rollout": "-c 'from rollout.cli import main; main()'"}
    for name, start in starts.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {start} "$@"\n')
        (programs / name).chmod(0o755)
    ran = subprocess.run(
        ["bash", "-euc", text],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{ran.stdout}{ran.stderr}\nexit {ran.returncode}"


def test_what_is_typed_without_anything_moves_traffic(balancer: Balancer, tmp_path: Path) -> None:
    assert ROLLOUT[0] == "rollout abort"  # with a folder: test_emergency.py
    shown = shell(tmp_path, ROLLOUT[1])
    assert shown.endswith("exit 4"), shown
    assert balancer.weights == {"blue": 100, "green": 0}


def test_the_lines_of_aws_move_traffic_and_mend_the_rule(balancer: Balancer, tmp_path: Path) -> None:
    shown = shell(tmp_path, "\n".join(BY_HAND))
    assert shown.endswith("exit 0"), shown
    assert balancer.weights == {"blue": 100, "green": 0}
    (rule,) = balancer.elbv2.describe_rules(RuleArns=[balancer.rule_arn])["Rules"]
    (condition,) = rule["Conditions"]
    assert condition["HttpHeaderConfig"] == {
        "HttpHeaderName": "X-Origin-Verify",
        "Values": ["of 32 characters"],
    }
    assert f"{balancer.groups['blue']}\t100\t{balancer.groups['green']}\t0" in shown


def test_a_shell_that_does_not_split_variables_finds_the_rule_among_several(
    balancer: Balancer, tmp_path: Path
) -> None:
    """zsh, which macOS starts, splits no variable into words; bash with an empty IFS neither."""
    (listener,) = {
        found["ListenerArn"]
        for one in balancer.elbv2.describe_load_balancers()["LoadBalancers"]
        for found in balancer.elbv2.describe_listeners(LoadBalancerArn=one["LoadBalancerArn"])["Listeners"]
    }
    rules = balancer.elbv2.describe_rules(ListenerArn=listener)["Rules"]
    assert len([rule for rule in rules if not rule["IsDefault"]]) > 1
    shown = shell(tmp_path, "\n".join(["IFS=", BY_HAND[0], 'echo "found $RULE"']))
    assert f"found {balancer.rule_arn}\n" in shown, shown


def test_afterwards_the_stack_first_learns_who_is_stable() -> None:
    """After a promotion it has the other colour, and `pulumi up` would send everybody there."""
    afterwards = PAGE.read_text().split("## Afterwards")[1]
    typed = re.findall(r"^\d\. `(pulumi [^`]+)`$", afterwards, re.MULTILINE)
    assert typed == [
        "pulumi config set simple378:stable blue -s prod-traffic",
        "pulumi config set simple378:candidateWeight 0 -s prod-traffic",
        "pulumi up --refresh -s prod-traffic",
    ]
    assert typed == re.findall(r"`(pulumi [^`]+)`", bring_in_line("prod-traffic", "blue"))
