"""One release in a lab: deploys the idle colour, runs the rollout, injects the fault, collects the results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rollout.journal import read_journal
from rollout.journal.account import Account, account_of
from rollout.journal.card import OTHER
from simulate.lab.errors import LabError
from simulate.lab.faults import Fault
from simulate.lab.lab import Lab, Progress
from simulate.lab.rehearsal.client import Clients
from simulate.lab.rehearsal.expectations import PROMOTED, differences, expected
from simulate.lab.rehearsal.follow import Follower
from simulate.lab.rehearsal.stacks import LAYERS, Stacks, last_words
from simulate.lab.rehearsal.summary import ReleaseResult, fault_start
from simulate.lab.rehearsal.watch import Watch

ENVIRONMENT = "local"
FIRST_STABLE, FIRST_VERSION = "blue", "1.0.0"
HEALTHY_LIMIT_S = 180.0  # at time scale 1 the load balancer checks every few seconds
#: Exit codes of `rollout run` that are ends of a rollout: promoted, rolled back, rolled back but not verified.
ENDS = (0, 3, 4)


@dataclass(slots=True)
class Rig:
    """What performs releases: a lab with its stacks, its clients, and the directory for logs and journals.

    ``plan``: one that ships, or a file.
    """

    lab: Lab
    stacks: Stacks
    watch: Watch
    clients: Clients
    directory: Path
    report: Progress
    plan: str = "phase-c"
    undo: list[Callable[[], None]] = field(default_factory=list)

    @classmethod
    def of(cls, lab: Lab, directory: Path, report: Progress, plan: str = "phase-c") -> Rig:
        watch = Watch(lab)
        stacks = Stacks(lab, ENVIRONMENT, directory / "logs", watch.wait)
        return cls(lab, stacks, watch, Clients(lab, watch, directory / "logs"), directory, report, plan)

    @property
    def stable(self) -> str:
        """The colour that is stable now."""
        return str(self.stacks.setting("traffic", "stable"))

    @property
    def candidate(self) -> str:
        """The colour that the next release deploys."""
        return OTHER[self.stable]

    def deploy(self, layer: str) -> None:
        """Deploys a stack and reports how long it took; with the foundation a page, which no stack holds."""
        began = time.monotonic()
        self.stacks.deploy(layer)
        if not layer:
            self.inside("page", str(self.stacks.outputs("")["bucketName"]), what="uploading the page")
        self.report(f"stack {self.stacks.name(layer)} deployed in {time.monotonic() - began:.1f} s")

    def deploy_all(self) -> None:
        """Everything of the environment but the idle colour, which a release brings."""
        for layer in LAYERS:
            if layer == FIRST_STABLE:
                self.deploy_colour(layer, FIRST_VERSION, int(self.stacks.setting(layer, "replicas")), {})
            else:
                self.deploy(layer)

    def deploy_colour(self, colour: str, version: str, replicas: int, env: Mapping[str, str]) -> None:
        """Deploys one colour and waits until the load balancer finds its targets healthy. Raises :class:`LabError`."""
        self.stacks.configure(
            colour, {"version": version, "replicas": replicas, "backendEnv": dict(env) if env else None}
        )
        self.deploy(colour)
        self.await_healthy(colour, replicas)

    def deploy_as_set(self) -> None:
        """All five stacks as their settings files say. In a fresh lab: both colours at 1.0.0, all traffic on blue."""
        for layer in (*LAYERS, OTHER[FIRST_STABLE]):
            self.deploy(layer)
        for colour in OTHER:
            self.await_healthy(colour, int(self.stacks.setting(colour, "replicas")))

    def await_healthy(self, colour: str, replicas: int) -> None:
        """Waits until the load balancer finds a colour's targets healthy, in both groups. Raises :class:`LabError`."""
        began = time.monotonic()
        outputs = self.stacks.outputs("")
        for kind in ("targetGroups", "probeTargetGroups"):
            group = str(outputs[kind][colour]["arn"])
            self.inside(
                "healthy",
                group,
                str(replicas),
                f"{HEALTHY_LIMIT_S:g}",
                what=f"waiting for {colour}'s targets",
            )
        self.report(f"{colour}'s {replicas} targets healthy after {time.monotonic() - began:.1f} s more")

    def target_group(self, colour: str) -> str:
        return str(self.stacks.outputs("")["targetGroups"][colour]["arn"])

    def inside(self, *arguments: str, what: str) -> None:
        """Runs one of the acts of :mod:`simulate.lab.rehearsal.inside`. Raises :class:`LabError`."""
        log = self.directory / "logs" / "inside.log"
        with log.open("a") as output:
            command = [sys.executable, "-m", "simulate.lab.rehearsal.inside", *arguments]
            process = self.lab.popen(command, output=output, errors=subprocess.STDOUT)
        self.watch.wait(process, what, log)

    def perform(self, number: int, version: str, fault: Fault | None) -> ReleaseResult:
        """One release of ``version`` onto the idle colour. Afterwards the fault's changes are undone."""
        candidate = self.candidate
        replicas = int(self.stacks.setting(self.stable, "replicas"))
        try:
            self.deploy_colour(candidate, version, replicas, fault.env if fault else {})
            if fault:
                self._configure(fault)
            return self._roll_out(number, version, candidate, fault)
        finally:
            while self.undo:
                self.undo.pop()()

    def _configure(self, fault: Fault) -> None:
        """The fault's settings of other stacks."""
        for layer, settings in fault.config.items():
            before = {key: self.stacks.setting(layer, key) for key in settings}
            self.stacks.configure(layer, {key: yaml.safe_load(text) for key, text in settings.items()})
            self.deploy(layer)
            self.undo.append(partial(self._restore, layer, before))

    def _restore(self, layer: str, settings: Mapping[str, Any]) -> None:
        self.stacks.configure(layer, settings)
        self.deploy(layer)

    def _roll_out(self, number: int, version: str, candidate: str, fault: Fault | None) -> ReleaseResult:
        journal = self.directory / f"release-{number}.jsonl"
        journal.unlink(missing_ok=True)
        log = self.directory / "logs" / f"rollout-{number}.log"
        switched: list[float] = []

        # Read now: the traffic stack is being updated when the candidate gets its first traffic.
        rule = str(self.stacks.outputs("traffic")["ruleArn"]) if fault and fault.by_hand else ""

        def inject() -> None:
            if fault is None or not (fault.switch or fault.by_hand):
                return
            if fault.switch:
                self._switch_on(fault, candidate)
            else:
                self._do_by_hand(fault, rule)
            switched.append(time.time())
            self.report(f"fault injected: {fault.sentence}")

        follower = Follower(journal, self.report, inject)
        with log.open("w") as output:
            process = self.lab.popen(self._command(journal), output=output, errors=subprocess.STDOUT)
        try:
            self.watch.until(lambda: process.poll() is not None, follower.look)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        follower.look()
        if process.returncode not in ENDS:
            raise LabError(
                f"rollout run ended with exit code {process.returncode}:\n{last_words(log)}", f"see {log}"
            )
        return self._result(number, version, journal, fault, switched)

    def _command(self, journal: Path) -> list[str]:
        command = ["rollout", "run", "--env", ENVIRONMENT, "--plan", self.plan]
        return [*command, "--journal", str(journal), "--yes"]

    def _switch_on(self, fault: Fault, candidate: str) -> None:
        settings = (
            {"target_group": self.target_group(candidate)} if fault.switch == "targets-unreachable" else {}
        )
        self.undo.append(lambda: self.inside("clear", what="clearing the fault"))
        self.inside("inject", str(fault.switch), json.dumps(settings), what=f"injecting {fault.name}")

    def _do_by_hand(self, fault: Fault, rule: str) -> None:
        kept = str(self.directory / "logs" / "rule-conditions.json")
        self.inside(str(fault.by_hand), rule, kept, what=f"injecting {fault.name}")
        self.undo.append(partial(self.inside, "restore-rule", rule, kept, what="restoring the rule"))

    def _result(
        self, number: int, version: str, journal: Path, fault: Fault | None, switched: list[float]
    ) -> ReleaseResult:
        account = account_of(read_journal(journal))
        start = account.header.start
        counted = self.clients.counted(start, start + account.ended_s)
        wanted = expected(fault.name if fault else None)
        differs = differences(account, wanted, counted, good=fault is None)
        differs += self._roles(account)
        began = fault_start(account, switched[0] - start if switched else None) if fault else None
        return ReleaseResult(
            number, version, fault.name if fault else None, account, counted, began, tuple(differs)
        )

    def _roles(self, account: Account) -> list[str]:
        """Blue and green must have swapped roles after a promotion, and only then."""
        stable = account.candidate if account.outcome == PROMOTED else account.stable
        found = self.stacks.outputs("traffic")
        if (found["stable"], found["candidateWeight"]) == (stable, 0):
            return []
        difference = (
            f"stack {self.stacks.name('traffic')} has stable {found['stable']} and candidate weight "
            f"{found['candidateWeight']} %, expected stable {stable} and 0 %"
        )
        return [difference]
