"""What fails on real parts, and what came of it: the controller is killed at a record, or a fault stands while traffic is taken back.

The cells are data (:data:`CRASHES`, :data:`FAULTS`); :class:`Player` plays one in a lab that holds both colours, each at a version of its
own, under load. Each begins where blue is stable, or where green is promoted, and makes that so first.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rollout.journal import Record, read_journal
from rollout.journal.resume import ended, promotion
from rollout.plan import plan_text
from simulate.lab.errors import LabError
from simulate.lab.lab import Lab
from simulate.lab.layout import program_path
from simulate.lab.rehearsal.client import read_requests
from simulate.lab.rehearsal.release import ENVIRONMENT, FIRST_STABLE, Rig
from simulate.lab.rehearsal.stacks import LAYERS, last_words

STABLE, CANDIDATE, VERSION = FIRST_STABLE, "green", "2.0.0"
FIRST_WEIGHT = 50
COMMAND_LIMIT_S = 420.0
THROTTLED_S = 8.0  # that ModifyRule is still throttled after the decision
AFTER_S = 2.0  # of requests that are counted once a command has ended

_TRAFFIC = "traffic"
_INTENT = MappingProxyType({"kind": "intent", "act": "set_weight"})


@dataclass(frozen=True, slots=True)
class Crash:
    """The process of ``command`` is killed at a record, and ``then`` is typed.

    ``when`` and ``record`` as in :mod:`simulate.lab.rehearsal.dying`. ``aborted``: an abort is typed once the first stage has its traffic.
    ``promoted``: all traffic ends on the candidate, else on stable.
    """

    at: str
    when: str
    record: Mapping[str, Any]
    then: str
    command: str = "run"
    aborted: bool = False
    promoted: bool = False


CRASHES = (
    Crash("before the intent of the first increase", "before", {**_INTENT, "weight": FIRST_WEIGHT}, "resume"),
    Crash("inside the first increase", "inside", {**_INTENT, "weight": FIRST_WEIGHT}, "abort"),
    Crash("inside the decrease of an abort", "inside", {**_INTENT, "weight": 0}, then="resume", aborted=True),
    Crash(
        "after the result of the first increase",
        "after",
        {"kind": "result", "act": "set_weight", "ok": True},
        "resume",
        promoted=True,
    ),
    Crash("inside the decrease of an undo", "inside", {**_INTENT, "weight": 0}, "undo", command="undo"),
    Crash("in the bake", "after", {"kind": "decision", "decision": "bake"}, "resume", promoted=True),
)


@dataclass(frozen=True, slots=True)
class FaultCell:
    """``action``: ``abort`` typed in the first stage, ``breach`` found by probes or metrics, ``undo`` typed after a promotion."""

    fault: str
    action: str


FAULTS = (
    FaultCell("engine missing", "undo"),
    FaultCell("backend 503", "undo"),
    FaultCell("disk full", "abort"),
    FaultCell("stack locked", "abort"),
    FaultCell("engine hanging", "breach"),
    FaultCell("ELB throttled", "breach"),
    FaultCell("SNS down", "abort"),
)

_SHIM = """\
#!/bin/sh
[ -e {hanging} ] && exec sleep 3600
ulimit -S -f unlimited  # the disk of the controller is full, not that of the state
exec {engine} "$@"
"""
_REFUSING = """\
import http.server
class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)
    do_POST = do_HEAD = do_PATCH = do_GET
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5503), Refusing).serve_forever()
"""
_BACKEND = "http://127.0.0.1:5503"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a cell ended. ``off_s``: seconds from the order or the decision until the candidate answered its last request.

    ``serves`` has all of the traffic, as the rule says and the clients saw it; '' when it is divided. ``in_line``: the stack declares that.
    """

    exit: int
    outcome: str  # of the latest journal; '' without an end
    serves: str
    in_line: bool
    way: str  # of the decrease
    off_s: float | None
    requests: int
    failed: int

    @property
    def words(self) -> str:
        """``stack, off after 3.1 s, aborted, exit 3, 0 of 2,100 requests failed``."""
        off = "" if self.off_s is None else f"{self.way}, off the candidate after {self.off_s:.1f} s, "
        line = "" if self.in_line else "stack out of line, "
        outcome = self.outcome or "no end in the journal"
        return f"{off}{outcome}, exit {self.exit}, {line}{self.failed:,} of {self.requests:,} requests failed"


def short_plan() -> str:
    """The guide's, with two stages and short waits."""
    text = plan_text("phase-c")[0]
    begin, end = text.index("stages:"), text.index("criteria:")
    stages = f"stages:\n  - {{weight: {FIRST_WEIGHT}, window: 1m}}\n  - {{weight: 100, window: 1m}}\n\n"
    text = text[:begin] + stages + text[end:]
    for old, new in (
        ("hold_timeout: 10m", "hold_timeout: 1m"),
        ("watch: 5m", "watch: 1m"),
        ("{to: 5}", "abort"),
    ):
        if old not in text:
            raise ValueError(f"phase-c does not say {old}")
        text = text.replace(old, new)
    return text


@contextmanager
def played_in(name: str, directory: Path, report: Callable[[str], None]) -> Iterator[Player]:
    """A lab of its own in which cells can be played."""
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    lab = Lab(name, time_scale=10)
    lab.start(report, attached=True)
    try:
        rig = Rig.of(lab, directory, report)
        for layer in LAYERS:
            rig.deploy(layer)
        player = Player.of(rig)
        player.prepare()
        rig.clients.start()
        yield player
    finally:
        lab.stop()


@dataclass(slots=True)
class Player:
    """Plays cells in the lab of ``rig``, whose blue is deployed and stable."""

    rig: Rig
    plan: Path
    shim: Path
    _typed: int = 0
    _began: float = field(default=0.0)

    @classmethod
    def of(cls, rig: Rig) -> Player:
        plan, shim = rig.directory / "short-plan.yaml", rig.directory / "shim"
        plan.write_text(short_plan())
        shim.mkdir(exist_ok=True)
        engine = shutil.which("pulumi", path=program_path())
        (shim / "pulumi").write_text(_SHIM.format(hanging=shim / "hanging", engine=engine))
        (shim / "pulumi").chmod(0o755)
        return cls(rig, plan, shim)

    def prepare(self) -> None:
        """The candidate is deployed, and both colours have all their pods."""
        replicas = int(self.rig.stacks.setting(STABLE, "replicas"))
        self.rig.deploy_colour(CANDIDATE, VERSION, replicas, {})
        self.rig.await_healthy(STABLE, replicas)

    # --- the cells

    def crash(self, cell: Crash) -> Ended:
        """Plays one. Raises :class:`LabError` when the process did not die where it should."""
        self._ready(promoted=cell.command == "undo")
        self._begin()
        dying = [
            sys.executable,
            "-m",
            "simulate.lab.rehearsal.dying",
            cell.when,
            json.dumps(dict(cell.record)),
            "--",
        ]
        before = self._latest()
        process = self._start(*dying, *self._command(cell.command))
        if cell.aborted:
            self._until_seen(before, FIRST_WEIGHT, process)
            self._start("rollout", "abort", "--env", ENVIRONMENT, "--keep")
        self._await(process)
        if process.returncode not in (-9, 137):
            raise LabError(
                f"{cell.at}: the process ended with {process.returncode}, it was not killed",
                f"see {self._log()}",
            )
        typed = time.time()
        code = self._run("rollout", *self._further(cell.then))
        return self._ended(code, None if cell.promoted else typed)

    def fault(self, cell: FaultCell) -> Ended:
        """Plays one."""
        self._ready(promoted=cell.action == "undo")
        self._begin()
        with ExitStack() as faults:
            match cell.action:
                case "undo":
                    code, ordered = self._undo(cell.fault, faults)
                case "abort":
                    code, ordered = self._abort(cell.fault, faults)
                case _:
                    code, ordered = self._breach(cell.fault, faults)
        return self._ended(code, ordered)

    def _undo(self, fault: str, faults: ExitStack) -> tuple[int, float]:
        environment = faults.enter_context(self._stands(fault))
        ordered = time.time()
        return self._run(*self._command("undo"), environment=environment), ordered

    def _abort(self, fault: str, faults: ExitStack) -> tuple[int, float]:
        before = self._latest()
        process = self._start(*self._command("run"), environment=self._shimmed())
        self._until_seen(before, FIRST_WEIGHT, process)
        faults.enter_context(self._stands(fault))
        ordered = time.time()
        self._run("rollout", "abort", "--env", ENVIRONMENT, "--keep", environment=self._shimmed())
        self._await(process)
        return process.returncode, ordered

    def _breach(self, fault: str, faults: ExitStack) -> tuple[int, float]:
        before = self._latest()
        process = self._start(*self._command("run"), environment=self._shimmed())
        self._until_seen(before, FIRST_WEIGHT, process)
        standing = faults.enter_context(ExitStack())
        standing.enter_context(self._stands(fault))
        group = {"target_group": self.rig.target_group(CANDIDATE)}
        faults.enter_context(self._switched("targets-unreachable", group))
        self._until(lambda: self._decided(before) is not None, process)
        decided = self._decided(before) or 0.0
        if fault == "ELB throttled":
            self._until(lambda: time.time() > decided + THROTTLED_S, process)
            standing.close()
        self._await(process)
        return process.returncode, decided

    # --- the faults

    def _stands(self, fault: str) -> AbstractContextManager[Mapping[str, str]]:
        """A fault that stands; what a command needs in its environment to meet it."""
        failing: Mapping[str, Mapping[str, Any]] = {
            "ELB throttled": {
                "service": "elbv2",
                "action": "ModifyRule",
                "code": "Throttling",
                "status": 400,
            },
            "SNS down": {"service": "sns", "action": "Publish", "code": "ServiceUnavailable", "status": 503},
        }
        if fault in failing:
            return self._switched("calls-failing", failing[fault])
        return {
            "engine missing": self._no_engine,
            "backend 503": self._refusing_backend,
            "disk full": self._full_disk,
            "stack locked": self._locked,
            "engine hanging": self._hanging,
        }[fault]()

    @contextmanager
    def _switched(self, name: str, settings: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
        self.rig.inside("inject", name, json.dumps(dict(settings)), what=f"injecting {name}")
        try:
            yield {}
        finally:
            self.rig.inside("clear", what="clearing the fault")

    @contextmanager
    def _no_engine(self) -> Iterator[Mapping[str, str]]:
        yield {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    @contextmanager
    def _refusing_backend(self) -> Iterator[Mapping[str, str]]:
        server = self.rig.lab.popen([sys.executable, "-c", _REFUSING])
        try:
            yield {"PULUMI_BACKEND_URL": _BACKEND, "PULUMI_ACCESS_TOKEN": "lab"}
        finally:
            server.terminate()
            server.wait()

    @contextmanager
    def _full_disk(self) -> Iterator[Mapping[str, str]]:
        """The controller can write no file any more: its limit on a file's size is 0."""
        lock = self.rig.lab.paths.project / ".rollout" / ENVIRONMENT / "controller.lock"
        pid = str(json.loads(lock.read_text())["pid"])
        self.rig.lab.run(["prlimit", "--pid", pid, "--fsize=0:unlimited"], timeout_s=20)
        yield {}

    @contextmanager
    def _locked(self) -> Iterator[Mapping[str, str]]:
        """Another update holds the lock of the traffic stack, as the backend in a directory keeps it."""
        locks = self.rig.lab.paths.pulumi_state / ".pulumi" / "locks" / "organization" / "simple378"
        lock = locks / f"{ENVIRONMENT}-{_TRAFFIC}" / f"{uuid.uuid4()}.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        holder = {
            "pid": 1,
            "username": "somebody",
            "hostname": "elsewhere",
            "timestamp": "2025-12-20T02:00:00Z",
        }
        lock.write_text(json.dumps(holder))
        try:
            yield {}
        finally:
            lock.unlink()

    @contextmanager
    def _hanging(self) -> Iterator[Mapping[str, str]]:
        flag = self.shim / "hanging"
        flag.touch()
        try:
            yield {}
        finally:
            flag.unlink()

    def _shimmed(self) -> Mapping[str, str]:
        return {"PATH": f"{self.shim}:{program_path()}"}

    # --- commands

    def _command(self, name: str) -> list[str]:
        if name == "run":
            return ["rollout", "run", "--env", ENVIRONMENT, "--plan", str(self.plan), "--yes", "--keep"]
        return ["rollout", *self._further("undo")]

    def _further(self, name: str) -> list[str]:
        return [name, "--env", ENVIRONMENT, *([] if name == "resume" else ["--keep"])]

    def _start(
        self, *command: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.Popen[str]:
        self._typed += 1
        argv = list(command)
        if argv[0] == "rollout":
            argv[0] = str(Path(sys.prefix) / "bin" / "rollout")
        else:  # the wrapper names the program itself
            argv.remove("rollout")
        with self._log().open("w") as output:
            print(f"$ {' '.join(command)}", file=output, flush=True)
            return self.rig.lab.popen(
                argv, environment=dict(environment), output=output, errors=subprocess.STDOUT
            )

    def _run(self, *command: str, environment: Mapping[str, str] = MappingProxyType({})) -> int:
        process = self._start(*command, environment=environment)
        self._await(process)
        return process.returncode

    def _log(self) -> Path:
        return self.rig.directory / "logs" / f"command-{self._typed}.log"

    def _await(self, process: subprocess.Popen[str]) -> None:
        """Raises :class:`LabError` when it does not end in time; then it is ended."""
        until = time.monotonic() + COMMAND_LIMIT_S
        self.rig.watch.until(lambda: process.poll() is not None or time.monotonic() > until)
        if process.poll() is None:
            process.terminate()
            process.wait()
            raise LabError(
                f"a command did not end within {COMMAND_LIMIT_S:g} s:\n{last_words(self._log())}",
                f"see {self._log()}",
            )

    def _until(self, done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Raises :class:`LabError` when the process ends before."""
        self.rig.watch.until(lambda: done() or process.poll() is not None)
        if not done():
            raise LabError(
                f"the rollout ended before it should:\n{last_words(self._log())}", f"see {self._log()}"
            )

    # --- what is to be seen

    def _latest(self) -> Path | None:
        link = self.rig.lab.paths.project / ".rollout" / ENVIRONMENT / "latest"
        return link.resolve() if link.exists() else None

    def _records(self, before: Path | None = None) -> Sequence[Record]:
        """Those of the latest journal, unless that is ``before``."""
        path = self._latest()
        return read_journal(path) if path and path != before else ()

    def _until_seen(self, before: Path | None, weight: float, process: subprocess.Popen[str]) -> None:
        wanted = {"event": "traffic", "weight": weight}
        self._until(lambda: any(wanted.items() <= r.body.items() for r in self._records(before)), process)

    def _decided(self, before: Path | None) -> float | None:
        """The epoch second of the decision that all traffic goes to stable."""
        records = self._records(before)
        wanted = {"decision": "set_weight", "weight": 0}
        found = next((r for r in records if wanted.items() <= r.body.items()), None)
        return float(records[0].body["start"]) + found.t if found else None

    def _weights(self) -> Mapping[str, int]:
        """Colour -> weight, of the load balancer's rule."""
        rule = str(self.rig.stacks.outputs(_TRAFFIC)["ruleArn"])
        found = self.rig.lab.run(
            [sys.executable, "-m", "simulate.lab.rehearsal.inside", "weights", rule], timeout_s=60
        )
        by_group: Mapping[str, int] = json.loads(found.stdout)
        return {colour: by_group[self.rig.target_group(colour)] for colour in (STABLE, CANDIDATE)}

    def _begin(self) -> None:
        self._began = time.time()

    def _ended(self, code: int, ordered: float | None) -> Ended:
        until = time.time() + AFTER_S
        counts = self.rig.clients.counted(self._began, until)
        weights = self._weights()
        last = [
            r.colour for r in read_requests(self.rig.clients.records) if until - AFTER_S / 2 <= r.at < until
        ]
        serving = [colour for colour, weight in weights.items() if weight]
        serves = serving[0] if len(serving) == 1 and set(last) == set(serving) else ""
        declared = self.rig.stacks.outputs(_TRAFFIC)["weights"]
        records = self._records()
        end = ended(records) if records and float(records[0].body["start"]) >= self._began else None
        return Ended(
            exit=code,
            outcome=str(end.outcome) if end else "",
            serves=serves,
            in_line=dict(declared) == dict(weights),
            way=self._way(records),
            off_s=None if ordered is None else self._off(ordered, until),
            requests=counts.requests,
            failed=counts.failed,
        )

    def _way(self, records: Sequence[Record]) -> str:
        """How the decrease was done, as the journal or else the command says."""
        if records and float(records[0].body["start"]) >= self._began:
            done = [
                r.body
                for r in records
                if r.kind == "result" and r.body.get("act") == "set_weight" and r.body.get("ok")
            ]
            if done and self._decided(None):
                return "break-glass" if done[-1].get("break_glass") else "stack"
        return "load balancer's API"

    def _off(self, ordered: float, until: float) -> float:
        """Seconds from the order until the last request that the candidate answered, or that failed, was sent."""
        touched = [
            r.at
            for r in read_requests(self.rig.clients.records)
            if ordered <= r.at < until and (r.colour == CANDIDATE or r.failed)
        ]
        return max(touched) - ordered if touched else 0.0

    # --- before a cell

    def _ready(self, *, promoted: bool) -> None:
        """Blue is stable with all of the traffic and its stack says so; or green, promoted by a journal."""
        records = self._records()
        by_journal = bool(records) and promotion(records) is not None
        if by_journal and not (promoted and self._weights()[STABLE] == 0):
            self.rig.report("going back to blue")
            self._succeed((3, 4), *self._command("undo"))
            by_journal = False
        if not by_journal:
            self._put_in_line()
            if promoted:
                self.rig.report("promoting green")
                self._succeed((0,), *self._command("run"))

    def _put_in_line(self) -> None:
        found = self.rig.stacks.outputs(_TRAFFIC)
        wanted = {"stable": STABLE, "candidateWeight": 0}
        settings = {key: self.rig.stacks.setting(_TRAFFIC, key) for key in wanted}
        if wanted.items() <= found.items() and settings == wanted:
            return
        self.rig.report("bringing the traffic stack in line")
        self.rig.stacks.configure(_TRAFFIC, {**wanted, "generation": int(found["generation"]) + 1})
        self.rig.deploy(_TRAFFIC)

    def _succeed(self, codes: Sequence[int], *command: str) -> None:
        found = self._run(*command)
        if found not in codes:
            raise LabError(
                f"{' '.join(command)} ended with exit code {found}:\n{last_words(self._log())}",
                f"see {self._log()}",
            )


def held(cell: Crash | FaultCell, found: Ended) -> bool:
    """Whether a cell ended as the contract says: all traffic on one colour, where it should be, and an end that a command told."""
    if isinstance(cell, Crash) and cell.promoted:
        return found.serves == CANDIDATE and found.exit == 0
    return found.serves == STABLE and found.exit in (3, 4)


def play(player: Player, cell: Crash | FaultCell) -> Ended:
    """Plays one cell of either kind."""
    return player.crash(cell) if isinstance(cell, Crash) else player.fault(cell)
