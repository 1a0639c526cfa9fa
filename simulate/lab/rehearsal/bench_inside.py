"""The measuring part of ``simulate lab bench``, run inside the lab, in the project's directory.

Prints one JSON object a line: an ``update`` as ``rollout run`` does it, with the bare ModifyRule call made beside it, and the
``phases`` of one more update whose engine logged what it did; or an ``undo`` by stack update and one by break-glass in turn.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rollout.aws.clients import clients
from rollout.aws.elb import WeightedRule
from rollout.journal.card import OTHER
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine
from rollout.stacks.environment import RULE
from rollout.stacks.traffic import StackTraffic, find_scope

#: Up the stages and down again, so that both directions are measured.
WEIGHTS = (5, 25, 50, 100, 0)


async def traffic_of(engine: Engine, environment: str) -> StackTraffic:
    """The traffic of an environment as ``rollout run`` handles it; the colours need not be deployed."""
    stack = f"{environment}-traffic"
    foundation, outputs = await engine.outputs(environment), await engine.outputs(stack)
    stable = str(outputs["stable"])
    colours = {"stable": stable, "candidate": OTHER[stable]}
    groups = {role: foundation["targetGroups"][colour]["arn"] for role, colour in colours.items()}
    rule = WeightedRule(clients(foundation["region"]).elbv2, outputs["ruleArn"], groups)
    scope = find_scope(await engine.json(stack, "stack", "export"), RULE, stack)
    return StackTraffic(engine, stack, rule, scope, int(outputs["generation"]), colours)


async def measure(traffic: StackTraffic, updates: int) -> None:
    before = int(await traffic.read_weight())
    for weight in islice(cycle(WEIGHTS), updates):
        increase = weight > before
        if increase:
            await traffic.foresee(weight)  # a rollout does it while the window before runs
        began = time.monotonic()
        detail = await traffic.set_weight(weight, increase=increase)
        total = time.monotonic() - began
        began = time.monotonic()
        await traffic.rule.write_weight(weight)  # what it is already, so the stack stays in line
        bare = time.monotonic() - began
        _print("update", weight=weight, increase=increase, total_s=total, modify_rule_s=bare, **detail)
        before = weight


async def undos(engine: Engine, environment: str, number: int) -> None:
    """Each after a promotion, as ``rollout undo`` moves traffic: to the old colour, whose name in the stack is not stable."""
    for n in range(number):
        release = await traffic_of(engine, environment)
        await release.set_weight(100, increase=True)
        await release.promote()
        promoted = await traffic_of(engine, environment)
        back = {"stable": promoted.colours["candidate"], "candidate": promoted.colours["stable"]}
        undo = _with_roles(promoted, back)
        glass = n % 2 == 1
        began, epoch = time.monotonic(), time.time()
        await (undo.break_glass(0) if glass else undo.set_weight(0, increase=False))
        took = time.monotonic() - began
        _print("undo", break_glass=glass, took_s=took, began=epoch, ended=time.time())
        if glass:
            await undo.reconcile(0)


def _with_roles(traffic: StackTraffic, colours: Mapping[str, str]) -> StackTraffic:
    """The same traffic with the roles exchanged."""
    groups = {"stable": traffic.rule.groups["candidate"], "candidate": traffic.rule.groups["stable"]}
    rule = replace(traffic.rule, groups=groups)
    return StackTraffic(traffic.engine, traffic.stack, rule, traffic.scope, traffic.generation, colours)


async def phases(traffic: StackTraffic, weight: int) -> None:
    """One more update whose engine logs, to see where its time goes."""
    file = stackfile.stack_file(traffic.engine.project_dir, traffic.stack)
    values = {"candidateWeight": weight, "generation": traffic.generation + 1}
    stackfile.write(file, stackfile.changed(file, values))
    flags = [
        "up",
        "--yes",
        "--skip-preview",
        "--suppress-outputs",
        "--suppress-progress",
        *traffic.scope.flags,
    ]
    began = time.time()
    done = await traffic.engine.run(traffic.stack, *flags, "--logtostderr", "-v=9")
    _print("phases", **split(done.stderr, began, time.time()))


def split(log: str, began: float, ended: float) -> dict[str, float]:
    """Where the time of an update went, in seconds, from its engine's log and its start and end (epoch seconds)."""
    entries = list(_entries(log))

    def first(pattern: str, after: float = 0.0) -> float:
        return next((at for at, message in entries if at >= after and re.search(pattern, message)), ended)

    def last(pattern: str) -> float:
        return next((at for at, message in reversed(entries) if re.search(pattern, message)), ended)

    launched = [at for at, message in entries if "Launching plugin 'python'" in message]
    hosts = sum(first(r"langhost\[python\]\.GetPluginInfo\(\) executing", at) - at for at in launched)
    program = first(r"langhost\[python\]\.Run\(")
    provider = first("Launching plugin 'aws")
    provider_up = first(r"GetPluginInfo\(\) executing", provider)
    worked = last("killing plugin .*pulumi-resource-aws")
    return {
        "engine_s": program - began - hosts,
        "language_host_s": hosts,
        "program_s": provider - program,
        "provider_start_s": provider_up - provider,
        "provider_work_s": worked - provider_up,
        "engine_end_s": ended - worked,
    }


def _entries(log: str) -> Iterator[tuple[float, str]]:
    for line in log.splitlines():
        try:
            entry = json.loads(line)
            # Python 3.11 reads microseconds, the engine writes nanoseconds.
            at = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", entry["time"])
            yield datetime.fromisoformat(at).timestamp(), str(entry["msg"])
        except (ValueError, KeyError, TypeError):
            continue


def _print(kind: str, **fields: Any) -> None:
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
    print(json.dumps({"kind": kind, **shown}), flush=True)


async def main(what: str, environment: str, number: int) -> None:
    engine = Engine(Path.cwd())
    if what == "undo":
        await undos(engine, environment, number)
        return
    traffic = await traffic_of(engine, environment)
    await measure(traffic, number)
    await phases(traffic, 1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
