"""How scenarios and results are printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from shutil import get_terminal_size
from textwrap import fill

from simulate.commands.story import clock, tell, totals
from simulate.controlplane import Record
from simulate.scenarios import Scenario
from simulate.studies.replication import Estimate, Job, Share, Summary

INTERVALS = "Intervals are 95 %: Wilson's for shares, Student's t for means. p95 is over the runs."


def print_scenarios(scenarios: Sequence[Scenario], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_scenario(one) for one in scenarios], indent=2))
        return
    width = get_terminal_size((200, 24)).columns
    for one in scenarios:
        begin = f"{one.name:24}{_register(one)}"
        print(fill(begin + one.sentence, width, subsequent_indent=" " * len(begin)))
    print("\nParameters of one: simulate list SCENARIO. Rehearse it: simulate rehearse SCENARIO")


def print_scenario(scenario: Scenario, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_scenario(scenario), indent=2))
        return
    print(f"{scenario.name}: {scenario.sentence}")
    if scenario.risk:
        print(f"risk        {scenario.risk} of the guide, probability {scenario.probability:g} %")
    print(f"symptom     {scenario.symptom}")
    print(f"mitigation  {scenario.mitigation}\n")
    for one in scenario.all_parameters():
        print(f"  {one.name:26}{one.default:>10g}  {one.what} ({one.unit})")


def _register(scenario: Scenario) -> str:
    return f"risk {scenario.risk}, {scenario.probability:>2g} %  " if scenario.risk else " " * 14


def _scenario(scenario: Scenario) -> dict[str, object]:
    plain = ("name", "sentence", "risk", "probability", "symptom", "mitigation")
    found: dict[str, object] = {name: getattr(scenario, name) for name in plain}
    return found | {"parameters": [asdict(one) for one in scenario.all_parameters()]}


def head(job: Job, replications: int) -> str:
    what = "one rehearsal" if replications == 1 else f"{replications} rehearsals"
    return f"{job.scenario} under {job.plan.name}, seed {job.seed}, {what}"


def print_one(job: Job, record: Record, summary: Summary) -> None:
    print(head(job, 1) + "\n")
    for said in tell(record):
        since = "" if said.since is None else f"T+{clock(said.since)}"
        print(f"{clock(said.t):>8}  {since:>9}  {said.text}")
    print()
    for line in totals(record):
        print(line)
    spent = summary.findings.get("error_budget_spent_percent")
    if spent:
        print(f"error budget of 30 days at 0.1 %: {spent.mean:.3g} % spent")
    own = [name for name in summary.findings if name not in COMMON_FINDINGS]
    for name in own:
        print(f"{named(name)}: {summary.findings[name].mean:.4g}")


def print_summary(summary: Summary) -> None:
    print(head(summary.job, summary.replications) + "\n")
    for name, share in summary.outcomes.items():
        print(f"{name:34}{said_share(share)}")
    print(f"{'rolled back':34}{said_share(summary.rolled_back)}\n")
    print(f"{'':34}{'mean':>10}{'95 % interval':>24}{'p95':>12}")
    for name, found in [*summary.figures.items(), *summary.findings.items()]:
        some = f" (of {found.n} runs)" if found and found.n < summary.replications else ""
        print(f"{named(name) + some:34}{said_estimate(found)}")
    print(f"\n{INTERVALS}")


COMMON_FINDINGS = (
    "requests_candidate",
    "failed_requests_stable",
    "failed_requests_candidate",
    "given_up_requests",
    "rate_limited_requests",
    "error_budget_spent_percent",
    "duration_s",
    "held_s",
    "first_stage_s",
    "first_stage_extended_percent",
    "failed_requests_after_rollback",
    "candidate_drained_s",
)


def named(name: str) -> str:
    """``detection_s`` as ``detection, s``."""
    words = name.split("_")
    if words[-1] in ("s", "percent", "kb", "mb"):
        unit = "%" if words[-1] == "percent" else words[-1]
        return f"{' '.join(words[:-1])}, {unit}"
    return " ".join(words)


def said_share(share: Share) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.count / share.total:6.2f} %  ({low:.2f} to {high:.2f} %)  {share.count} of {share.total}"


def said_estimate(found: Estimate | None) -> str:
    if found is None:
        return f"{'-':>10}{'no run had it':>24}"
    between = "" if found.low is None else f"{found.low:.4g} to {found.high:.4g}"
    return f"{found.mean:>10.4g}{between:>24}{found.p95:>12.4g}"
