"""`rollout abort` when what it needs on other days does not work: Pulumi, the journal, the folder, the credentials."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.edge.tags import TRAFFIC_GROUP, TRAFFIC_RULE, traffic_tags
from infra.stacks import Colour
from rollout import cli
from rollout.aws import tagged
from rollout.aws.store import S3Store
from rollout.journal import Record, read_journal
from rollout.journal import station as station_module
from rollout.journal import store as store_module
from rollout.journal.header import FORMAT, Header
from rollout.journal.station import Station
from rollout.journal.store import Shared
from rollout.journal.stored import StoredJournal
from rollout.plan import plan_text
from rollout.policy import RULES, timing
from rollout.stacks import engine, traffic
from tests.rollout.balancer import REGION, Balancer, build, emulated

Run = Callable[..., "Ran"]

# What stands on PATH as `pulumi`: how it fails on the first word of each night's report. The stack is the last argument.
FAKES = {
    "logged out": "echo 'error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions' >&2; exit 255",
    "backend 503": "echo 'error: could not query backend: [503] Service Unavailable' >&2; exit 255",
    "hanging": "sleep 600",
    "no JSON": "echo 'A new version of Pulumi is available'",
    "another object": 'echo \'{"stable": "blue"}\'',
    "killed": "kill -9 $$",
}
# One whose stacks can be read; $update is how `pulumi up` ends.
READABLE = """
last=; for word; do last=$word; done
case "$*" in
  *"stack output"*) cat "$HERE/outputs/$last.json"; printf '%s' "$AFTER" ;;
  *"stack export"*) cat "$HERE/states/$last.json"; printf '%s' "$AFTER" ;;
  *) $UPDATE ;;
esac
"""
UPDATES = {
    "locked": "echo 'error: the stack is currently locked by 1 lock(s)' >&2; exit 255",
    "backend 503": "echo 'error: [503] Service Unavailable' >&2; exit 255",
    "plugin missing": "echo 'error: no resource plugin aws-v7.51.1 found in the workspace or on your $PATH' >&2; exit 255",
    "hanging": "sleep 600",
    "nothing happens": "true",
}


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def all(self) -> str:
        return f"{self.out}\n{self.err}"


@pytest.fixture
def balancer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Balancer]:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with emulated():
        yield build("prod", {"blue": 75, "green": 25})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, and `pulumi` missing until :func:`pulumi` puts one there."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: simple378\nruntime: python\n")
    (folder / "Pulumi.prod-traffic.yaml").write_text(
        f"config:\n  aws:region: {REGION}\n  simple378:stable: blue\n  simple378:candidateWeight: 25\n  simple378:generation: 7\n"
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("sh", "cat", "sleep", "printf"):
        found = next(Path(d) / name for d in ("/usr/bin", "/bin") if (Path(d) / name).exists())
        (bin_ / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.chdir(folder)
    return folder


def pulumi(project: Path, script: str, *, version: str = "echo v3.274.1", **variables: str) -> None:
    """Puts a program on PATH. ``version`` is what it does when asked for its own."""
    sets = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    program = project.parent / "bin/pulumi"
    program.write_text(f'#!/bin/sh\n{sets}[ "$1" = version ] && {version} && exit 0\n{script}\n')
    program.chmod(0o755)


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path) -> Run:
    def run(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["rollout", *args])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that hangs or waits for a lock is given less time."""
    monkeypatch.setattr(timing, "DECREASE_LIMIT", 0.5)
    monkeypatch.setattr(traffic, "LOCK_WAIT", 0.05)
    monkeypatch.setattr(traffic, "DECREASE_LOCK_WAIT", 0.1)
    monkeypatch.setattr(traffic, "READ_BACK_LIMIT", 0.1)


def begin(project: Path, balancer: Balancer, stable: str = "blue", more: str = "", **changed: Any) -> None:
    """A rollout was started here and its controller died."""
    candidate = {"blue": "green", "green": "blue"}[stable]
    header = {
        "format": FORMAT,
        "policy": RULES,
        "plan": plan_text("phase-c")[0],
        "env": "prod",
        "region": REGION,
        "stable": stable,
        "candidate": candidate,
        "versions": {"stable": "1.0.0", "candidate": "2.0.0"},
        "replicas": {"stable": 2, "candidate": 2},
        "generation": 7,
        "rule_arn": balancer.rule_arn,
        "groups": {"stable": balancer.groups[stable], "candidate": balancer.groups[candidate]},
        "time_scale": 1.0,
        "start": time.time(),
        "dry_run": False,
    } | changed
    station = Station(project, "prod")
    station.directory.mkdir(parents=True)
    path = station.new_journal(time.time())
    path.write_text(Record(1, "", "rollout", 0, header).to_line() + more)
    station.point_at(path)


def modify_rule(line: str) -> tuple[str, str, list[dict[str, Any]]]:
    """Region, rule and actions of a line to paste."""
    words = shlex.split(line)
    assert words[:3] == ["aws", "elbv2", "modify-rule"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    return given["--region"], given["--rule-arn"], json.loads(given["--actions"])


# --- Pulumi does not work


@pytest.mark.parametrize("fake", [None, *FAKES])
def test_with_a_journal_traffic_is_moved_whatever_pulumi_does(
    rollout: Run, project: Path, balancer: Balancer, fake: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(project, balancer)
    if fake:
        pulumi(project, FAKES[fake])
    if fake == "hanging":
        monkeypatch.setattr(timing, "READING_LIMIT", 0.2)
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "moving all traffic to blue 1.0.0 through the load balancer's API" in ran.out
    assert "The traffic stack does not know it yet" in ran.out


def test_a_pulumi_that_hangs_from_its_first_word_is_not_waited_for(
    rollout: Run, project: Path, balancer: Balancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "VERSION_LIMIT", 0.2)
    begin(project, balancer)
    pulumi(project, "", version="sleep 600")
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "`pulumi version` did not answer within 0.2 s" in ran.err


def readable(project: Path, balancer: Balancer, update: str, after: str = "") -> None:
    """A Pulumi whose stacks can be read, with ``after`` behind its JSON, and whose update ends as told."""
    group = {colour: {"arn": arn, "arnSuffix": "x"} for colour, arn in balancer.groups.items()}
    outputs: dict[str, dict[str, Any]] = {
        "prod": {
            "targetGroups": group,
            "probeTargetGroups": group,
            "region": REGION,
            "albArnSuffix": "a",
            "probeUrl": "http://probe",
            "baseUrl": "http://front",
            "testSecret": "t",
            "originSecret": "o",
            "databasePassword": "p",
            "topics": {},
        },
        "prod-traffic": {
            "stable": "blue",
            "ruleArn": balancer.rule_arn,
            "candidateWeight": 25,
            "generation": 7,
        },
        "prod-limits": {"webAclName": "w", "rateLimit": 1000},
        "prod-blue": {"version": "1.0.0", "replicas": 2},
        "prod-green": {"version": "2.0.0", "replicas": 2},
    }
    types = {"prod-traffic": "aws:lb/listenerRule:ListenerRule", "prod-limits": "aws:wafv2/webAcl:WebAcl"}
    for name, values in outputs.items():
        (project / "outputs").mkdir(exist_ok=True)
        (project / "outputs" / f"{name}.json").write_text(json.dumps(values))
    for name, type_ in types.items():
        (project / "states").mkdir(exist_ok=True)
        state = {"deployment": {"resources": [{"type": type_, "urn": f"urn::{name}"}]}}
        (project / "states" / f"{name}.json").write_text(json.dumps(state))
    script = READABLE.replace("$UPDATE", UPDATES[update])
    pulumi(project, script, HERE=str(project), AFTER=after)


@pytest.mark.parametrize("update", UPDATES)
def test_without_a_journal_traffic_is_moved_however_the_update_ends(
    rollout: Run, project: Path, balancer: Balancer, update: str
) -> None:
    readable(project, balancer, update)
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "before: green 2.0.0 has 25 % of the traffic, stable is blue 1.0.0" in ran.out
    assert "The traffic stack does not know it yet" in ran.out


def test_a_line_after_the_json_is_no_reason_to_stop(rollout: Run, project: Path, balancer: Balancer) -> None:
    readable(project, balancer, "plugin missing", after="\nwarning: A new version of Pulumi is available\n")
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "before: green 2.0.0" in ran.out


@pytest.mark.parametrize("fake", [None, "logged out", "another object"])
def test_without_pulumi_and_journal_the_operator_names_stable(
    rollout: Run, project: Path, balancer: Balancer, fake: str | None
) -> None:
    if fake:
        pulumi(project, FAKES[fake])
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (1, {"blue": 75, "green": 25}), ran.all
    assert "traffic could NOT be moved" in ran.err
    assert "`rollout abort --env prod --stable blue`" in ran.err
    assert "traffic now: green has 25 %, blue has 75 % (load balancer, " in ran.err
    ran = rollout("abort", "--stable", "blue")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_a_stack_that_moving_traffic_does_not_need_is_not_needed(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    readable(project, balancer, "nothing happens")
    (project / "outputs/prod-limits.json").unlink()
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "the outputs of stack prod-limits cannot be read" in ran.err


def test_a_stable_that_the_stack_does_not_know_is_the_operators_word(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    readable(project, balancer, "nothing happens")
    ran = rollout("abort", "--stable", "green")
    assert (ran.code, balancer.weights) == (4, {"blue": 0, "green": 100}), ran.all
    assert "in prod-traffic blue is stable, and you name green" in ran.err


# --- the folder, the machine


def test_in_another_folder_nothing_is_claimed_and_abort_goes_on_by_tag(
    rollout: Run, project: Path, balancer: Balancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for command in ("pause", "status", "resume", "abort"):
        ran = rollout(command)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert f"{elsewhere}: there is no Pulumi.yaml in it" in ran.err
    assert "`rollout abort --env prod --stable blue --region REGION`" in ran.err
    ran = rollout("abort", "--stable", "blue")
    assert (ran.code, balancer.weights["blue"]) == (2, 75)
    assert "--region" in ran.err
    ran = rollout("abort", "--stable", "blue", "--region", REGION)
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert not list(elsewhere.iterdir()), "an abort leaves nothing in a folder that is none of a project"


def test_the_region_of_the_environment_of_the_shell_will_do(
    rollout: Run, project: Path, balancer: Balancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", REGION)
    ran = rollout("abort", "--stable", "blue")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_pause_in_a_folder_of_no_rollout_says_which_folder_it_looked_in(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    ran = rollout("pause")
    assert ran.code == 1
    assert f"no controller of prod was started from this folder ({project}/.rollout/prod)" in ran.err
    assert "traffic now: green has 25 %, blue has 75 % (load balancer, " in ran.err


# --- what does not answer, does not exist, or must not be done


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
def test_without_credentials_the_line_to_paste_ends_it(
    rollout: Run, project: Path, balancer: Balancer, journal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if journal:
        begin(project, balancer)
    with monkeypatch.context() as bare:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
            bare.setenv(name, "")
        ran = rollout("abort", *([] if journal else ["--stable", "blue"]))
    assert ran.code == 1
    assert "Traceback" not in ran.all
    assert "there are no usable AWS credentials" in ran.err
    assert "traffic now: unknown: " in ran.err
    last = ran.err.splitlines()[-1]
    if journal:
        region, rule, (action,) = modify_rule(last)
        assert (region, rule) == (REGION, balancer.rule_arn)
        weights = {g["TargetGroupArn"]: g["Weight"] for g in action["ForwardConfig"]["TargetGroups"]}
        assert weights == {balancer.groups["blue"]: 100, balancer.groups["green"]: 0}
    else:
        assert "docs/emergency.md" in last


def test_a_profile_that_does_not_exist_is_said(
    rollout: Run, project: Path, balancer: Balancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(project, balancer)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    ran = rollout("abort")
    assert ran.code == 1
    assert "The config profile (nobody) could not be found" in ran.err
    assert modify_rule(ran.err.splitlines()[-1])


def test_what_has_no_tags_is_said(rollout: Run, project: Path, balancer: Balancer) -> None:
    ran = rollout("abort", "--env", "prod", "--stable", "blue", "--region", "eu-west-1")
    assert ran.code == 1
    assert "no target group of eu-west-1 has the tags simple378:environment=prod" in ran.err
    assert "docs/emergency.md" in ran.err.splitlines()[-1]


def test_a_colour_is_blue_or_green(rollout: Run, balancer: Balancer) -> None:
    ran = rollout("abort", "--stable", "pink")
    assert (ran.code, ran.err) == (2, "rollout: --stable pink: it takes blue or green\n")


def test_a_stable_that_contradicts_the_rollout_is_refused(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    begin(project, balancer)
    ran = rollout("abort", "--stable", "green")
    assert (ran.code, balancer.weights["blue"]) == (2, 75)
    assert "--stable green: in the rollout under way blue is stable" in ran.err


def test_a_named_stable_without_a_healthy_target_gets_no_traffic(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    """Nothing else stands for the operator's word here, and a slip of it would be an outage."""
    balancer.elbv2.deregister_targets(
        TargetGroupArn=balancer.groups["blue"], Targets=[{"Id": "10.0.0.11", "Port": 8000}]
    )
    ran = rollout("abort", "--stable", "blue")
    assert (ran.code, balancer.weights["blue"]) == (1, 75)
    assert "blue has no healthy target, green has 1" in ran.err
    assert modify_rule(ran.err.splitlines()[-1])


@pytest.mark.parametrize(
    "lacking", [{"rule_arn": ""}, {"groups": {}}, {"rule_arn": "", "groups": {}, "region": ""}]
)
def test_a_header_that_does_not_name_the_rule_still_says_who_is_stable(
    rollout: Run, project: Path, balancer: Balancer, lacking: dict[str, Any]
) -> None:
    begin(project, balancer, **lacking)
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


@pytest.mark.parametrize("words", [(), ("--stable", "blue")])
def test_a_rule_that_was_made_anew_is_found_by_its_tags(
    rollout: Run, project: Path, balancer: Balancer, words: tuple[str, ...]
) -> None:
    begin(project, balancer, rule_arn=balancer.rule_arn + "0")
    ran = rollout("abort", *words)
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_a_journal_that_is_damaged_leaves_the_card(rollout: Run, project: Path, balancer: Balancer) -> None:
    begin(project, balancer, more="{damaged\n")
    station = Station(project, "prod")
    path = station.latest()
    assert path
    line = path.read_text().splitlines()[0]
    header = Header.read(Record(1, "", "rollout", 0, json.loads(line)["body"]))
    station.write_card(header.card)
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_a_rollout_that_is_over_says_nothing_about_who_is_stable_since(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    body = {"what": "ended", "outcome": "aborted", "verified": True, "exit": 3}
    begin(project, balancer, "green", more=Record(2, "", "note", 900, body).to_line())
    path = Station(project, "prod").latest()
    assert path
    Station(project, "prod").write_card(Header.read(read_journal(path)[0]).card)
    ran = rollout("abort")
    assert (ran.code, balancer.weights["blue"]) == (1, 75)
    assert "who is stable is not known here" in ran.err
    readable(project, balancer, "nothing happens")
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_a_promoted_rollout_leaves_no_word_on_who_is_stable(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    balancer.weights = {"blue": 0, "green": 100}
    decision = Record(2, "", "decision", 800, {"decision": "promote", "criterion": "passed", "t": 800})
    begin(project, balancer, more=decision.to_line())
    ran = rollout("abort")
    assert (ran.code, balancer.weights) == (1, {"blue": 0, "green": 100})
    assert "`rollout abort --env prod --stable" in ran.err


def test_a_controller_that_lives_but_does_not_answer_is_gone_round(
    rollout: Run, project: Path, balancer: Balancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station_module, "ANSWER_LIMIT", 0.1)
    begin(project, balancer)
    stopped = Station(project, "prod")
    stopped.take()
    try:
        ran = rollout("abort")
    finally:
        stopped.give_back()
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert re.search(r"the controller \(process \d+ on .*\) did not answer within 0.1 s", ran.err)


def test_a_lock_that_cannot_be_taken_stops_nothing(rollout: Run, project: Path, balancer: Balancer) -> None:
    (project / ".rollout").write_text("a file where the folder should be")
    ran = rollout("abort", "--stable", "blue")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all


def test_the_tags_are_those_of_the_program() -> None:
    assert traffic_tags("prod", TRAFFIC_RULE) == {tagged.ENVIRONMENT: "prod", tagged.ROLE: tagged.RULE}
    assert traffic_tags("prod", TRAFFIC_GROUP, Colour.BLUE) == {
        tagged.ENVIRONMENT: "prod",
        tagged.ROLE: tagged.GROUP,
        tagged.COLOUR: "blue",
    }


# --- with a store


STORE = "s3://releases/simple378"


def begin_elsewhere(tmp_path: Path, balancer: Balancer, more: str = "") -> Station:
    """A rollout that another machine began: its lease stands, its journal and card are in the store."""
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="releases")
    other = tmp_path / "other machine"
    begin(other, balancer, more=more)
    path = Station(other, "prod").latest()
    assert path
    station = Station(other, "prod", Shared(S3Store(STORE, "prod")))
    station.take()
    copied = StoredJournal(path, time.time, Shared(S3Store(STORE, "prod")), path.stem, resume=True)
    copied.close()
    station.write_card(Header.read(read_journal(path)[0]).card)
    return station


def test_with_a_store_any_machine_and_folder_aborts_and_a_living_controller_hears_it(
    rollout: Run, project: Path, balancer: Balancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begin_elsewhere(tmp_path, balancer)
    path = other.latest()
    assert path
    status = rollout("--store", STORE, "status")
    assert "process" in status.out and "(lease last renewed at" in status.out, status.all
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ran = rollout("--store", STORE, "abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert other.shared and other.shared.marked(path.stem)
    assert not list(elsewhere.iterdir())


def test_with_a_store_the_lease_of_another_machine_does_not_keep_an_abort_waiting(
    rollout: Run, project: Path, balancer: Balancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begin_elsewhere(tmp_path, balancer)
    path = other.latest()
    assert path
    monkeypatch.setattr(store_module, "TERM", 0.2)
    monkeypatch.setenv("SIMPLE378_STORE", STORE)
    ran = rollout("abort", "--stop")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "another controller is running: process" in ran.err
    assert other.shared and other.shared.marked(path.stem) == "abort --stop"
    assert (
        "the candidate's pods were left: a controller that hears the mark stops them; else `pulumi" in ran.out
    )


def test_a_store_that_cannot_be_reached_stops_no_abort(
    rollout: Run, project: Path, balancer: Balancer
) -> None:
    begin(project, balancer)
    ran = rollout("--store", "s3://nowhere", "abort")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert "s3:ListBucket of s3://nowhere/prod/journals failed: NoSuchBucket" in ran.err
    ran = rollout("--store", "s3://nowhere", "resume")
    assert (ran.code, ran.err.count("Traceback")) == (1, 0)
    assert rollout("--store", "nowhere", "status").code == 2


def test_a_malformed_store_stops_no_abort(rollout: Run, project: Path, balancer: Balancer) -> None:
    begin(project, balancer)
    ran = rollout("--store", "bucket/prefix", "abort", "--reason", "orders are lost")
    assert (ran.code, balancer.weights) == (4, {"blue": 100, "green": 0}), ran.all
    assert (
        "--store bucket/prefix: it takes s3://BUCKET or s3://BUCKET/PREFIX: going on without the store"
        in ran.err
    )


def test_an_undo_in_the_wrong_folder_names_the_way_from_any(rollout: Run, tmp_path: Path) -> None:
    ran = rollout("undo", "--project-dir", str(tmp_path))
    assert ran.code == 2
    assert "`rollout abort --env prod --stable OLD --region REGION`" in ran.err
