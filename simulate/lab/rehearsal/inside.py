"""The part of a rehearsal that runs inside the lab, where its AWS server is reachable: ``python -m simulate.lab.rehearsal.inside ...``.

``healthy ARN COUNT SECONDS`` waits until a target group has so many healthy targets and no others;
``page BUCKET`` uploads a frontend of one page; ``inject NAME JSON`` and ``clear`` turn fault switches on and off; ``break-rule RULE FILE`` changes a listener rule's
conditions as a stranger would and keeps them in a file, ``restore-rule RULE FILE`` writes them back; ``weights RULE`` prints its
weights by target group.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from simulate.lab.faults import BREAK_RULE
from simulate.lab.rehearsal import stranger
from simulate.lab.rehearsal.switchboard import Switchboard, SwitchFailed

POLL_S = 0.25
PAGE = "<!doctype html><title>Simple378</title><h1>Simple378</h1>\n"


def states(group: str) -> Mapping[str, str]:
    """Address -> state of the registered targets that are not leaving already."""
    found = boto3.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {
        f"{target['Target']['Id']}:{target['Target']['Port']}": f"{target['TargetHealth']['State']} "
        f"{target['TargetHealth'].get('Description', '')}".strip()
        for target in found
        if target["TargetHealth"]["State"] != "draining"
    }


def wait_until_healthy(group: str, count: int, limit_s: float) -> str:
    """'' once healthy, else what the targets are after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while True:
        found = states(group)
        if len(found) == count and all(state == "healthy" for state in found.values()):
            return ""
        if time.monotonic() > deadline:
            return (
                "; ".join(f"{address} is {state}" for address, state in found.items())
                or "no target is registered"
            )
        time.sleep(POLL_S)


def weights(rule: str) -> Mapping[str, int]:
    """Target group ARN -> weight of a listener rule."""
    found = boto3.client("elbv2").describe_rules(RuleArns=[rule])["Rules"][0]["Actions"]
    groups = found[-1]["ForwardConfig"]["TargetGroups"]
    return {group["TargetGroupArn"]: int(group["Weight"]) for group in groups}


def main(arguments: list[str]) -> int:
    problem = ""
    match arguments:
        case ["healthy", group, count, limit]:
            problem = wait_until_healthy(group, int(count), float(limit))
        case ["inject", name, settings]:
            parsed: dict[str, Any] = json.loads(settings)
            Switchboard().inject(name, parsed)
        case ["clear"]:
            Switchboard().clear_all()
        case [name, rule, kept] if name == BREAK_RULE:
            stranger.break_rule(boto3.client("elbv2"), rule, Path(kept))
        case ["page", bucket]:
            boto3.client("s3").put_object(
                Bucket=bucket, Key="index.html", Body=PAGE.encode(), ContentType="text/html"
            )
        case ["weights", rule]:
            print(json.dumps(weights(rule)))
        case ["restore-rule", rule, kept]:
            stranger.restore_rule(boto3.client("elbv2"), rule, Path(kept))
        case _:
            problem = f"unknown arguments {arguments}"
    print(problem, end="", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SwitchFailed as error:
        sys.exit(str(error))
