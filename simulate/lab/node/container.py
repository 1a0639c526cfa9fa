"""One container: its process, its probes and its restarts, as the kubelet runs them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulate.lab.node import memory as node_memory
from simulate.lab.node import pod_launch
from simulate.lab.node.actions import RunningContainer, perform, perform_hook
from simulate.lab.node.probes import Backoff, ProbeSpec, Streak
from simulate.lab.node.spec import SpecError, memory_limit

Json = dict[str, Any]

#: Seconds between two looks at a container's memory.
MEMORY_PERIOD_S = 0.5
#: Seconds between two tries to start a container whose spec cannot be carried out yet (the kubelet's sync is slower).
CONFIG_RETRY_S = 1.0


def now() -> str:
    """The API's time format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Launch:
    """A container ready to be started: the launcher's document and where its output goes."""

    document: Json
    log: Path


class Container:
    """Runs one container of a pod until the pod ends.

    `prepare` makes the Launch anew for every start (raises SpecError if that is impossible now); `changed` is called when
    `status()` has; `event(type, reason, message)` posts an event.
    """

    def __init__(
        self,
        spec: Json,
        restart_policy: str,
        prepare: Callable[[Json], Awaitable[Launch]],
        changed: Callable[[], None],
        event: Callable[[str, str, str], None],
    ) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self._restart_policy = restart_policy
        self.address = ""  # the pod's, given before `run`
        self._prepare = prepare
        self._changed = changed
        self._event = event
        self._liveness = ProbeSpec.of(spec.get("livenessProbe"))
        self._readiness = ProbeSpec.of(spec.get("readinessProbe"))
        self._startup = ProbeSpec.of(spec.get("startupProbe"))
        self._memory_limit = memory_limit(spec)
        self._backoff = Backoff()
        self._process: asyncio.subprocess.Process | None = None
        self._oom_killed = False
        self._state: Json = {"waiting": {"reason": "ContainerCreating"}}
        self._last_state: Json = {}
        self._restarts = 0
        self._started = False
        self._stopping = False
        self.ready = False
        self.exit_code: int | None = None

    # -- what others see ----------------------------------------------------------------------------------------

    def status(self) -> Json:
        """A ContainerStatus of the API."""
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "",
            "state": self._state,
            "lastState": self._last_state,
            "ready": self.ready,
            "started": self._started,
            "restartCount": self._restarts,
        }

    @property
    def begun(self) -> bool:
        """Has been started at least once."""
        return "running" in self._state or "terminated" in self._state or bool(self._last_state)

    @property
    def finished(self) -> bool:
        """Ended, and will not be started again."""
        return self.exit_code is not None

    def resident(self) -> int | None:
        """Bytes that its processes use; None when none runs."""
        return None if self._process is None else node_memory.session_resident(self._process.pid)

    def wait_state(self, reason: str, message: str = "") -> None:
        """Record why the container does not run."""
        waiting = {"reason": reason} | ({"message": message} if message else {})
        if self._state != {"waiting": waiting}:
            self._state = {"waiting": waiting}
            self._changed()

    # -- running ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, watch, restart, until the container is finished or `stop` has been called."""
        while not self._stopping:
            try:
                launch = await self._prepare(self.spec)
            except SpecError as error:
                if self._state.get("waiting", {}).get("message") != str(error):
                    self._event("Warning", "Failed", str(error))
                self.wait_state(error.reason, str(error))
                await asyncio.sleep(CONFIG_RETRY_S)
                continue
            ran_s = await self._run_once(launch)
            if self._stopping or not self._starts_again():
                break
            delay = self._backoff.delay(ran_s)
            self._restarts += 1
            if delay > 0:
                self._event(
                    "Warning", "BackOff", f"back-off {delay:g}s restarting failed container {self.name}"
                )
                self._last_state = self._state
                self.wait_state("CrashLoopBackOff", f"back-off {delay:g}s restarting failed container")
                await asyncio.sleep(delay)
        if "terminated" in self._state:
            self.exit_code = self._state["terminated"]["exitCode"]
            self._changed()

    def _starts_again(self) -> bool:
        if self._restart_policy == "Always":
            return True
        return self._restart_policy == "OnFailure" and self._state["terminated"]["exitCode"] != 0

    async def _run_once(self, launch: Launch) -> float:
        """One life of the process; returns the seconds it ran."""
        loop = asyncio.get_running_loop()
        began, began_at = loop.time(), now()
        with launch.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(Path(pod_launch.__file__)), json.dumps(launch.document)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._process, self._oom_killed = process, False
        if "terminated" in self._state:
            self._last_state = self._state
        self._state = {"running": {"startedAt": began_at}}
        self._started = self._startup is None
        self.ready = self._started and self._readiness is None
        self._changed()
        watchers = [
            asyncio.create_task(self._probe_all(process)),
            asyncio.create_task(self._limit_memory(process)),
        ]
        try:
            code = await process.wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            _kill_session(process.pid)  # in a container, everything ends with its first process
        self._process = None
        self._started = self.ready = False
        reason = "OOMKilled" if self._oom_killed else "Completed" if code == 0 else "Error"
        self._state = {
            "terminated": {
                # A shell's convention for a signal, as container runtimes use it.
                "exitCode": 128 - code if code < 0 else code,
                "reason": reason,
                "startedAt": began_at,
                "finishedAt": now(),
            }
        }
        self._changed()
        return loop.time() - began

    async def _limit_memory(self, process: asyncio.subprocess.Process) -> None:
        if self._memory_limit is None:
            return
        while True:
            await asyncio.sleep(MEMORY_PERIOD_S)
            used = node_memory.session_resident(process.pid)
            if used > self._memory_limit:
                self._oom_killed = True
                self._event(
                    "Warning",
                    "OOMKilled",
                    f"{self.name} used {used} bytes, its limit is {self._memory_limit}",
                )
                _kill_session(process.pid)

    # -- probes -------------------------------------------------------------------------------------------------

    async def _probe_all(self, process: asyncio.subprocess.Process) -> None:
        """The startup probe first; then liveness and readiness side by side."""
        container = RunningContainer(self.address, process.pid, self.spec)
        if self._startup is not None:
            streak = Streak(self._startup, None)
            async for success, message in _results(self._startup, container):
                verdict = streak.result(success)
                if verdict is False:
                    await self._kill_unhealthy(process, "startup", message)
                    return
                if verdict is True:
                    break
            self._started = True
            self.ready = self._readiness is None
            self._changed()
        await asyncio.gather(self._probe_liveness(process, container), self._probe_readiness(container))

    async def _probe_liveness(self, process: asyncio.subprocess.Process, container: RunningContainer) -> None:
        if self._liveness is None:
            return
        streak = Streak(self._liveness, True)
        async for success, message in _results(self._liveness, container):
            if not success:
                self._event("Warning", "Unhealthy", f"Liveness probe failed: {message}")
            if streak.result(success) is False:
                await self._kill_unhealthy(process, "liveness", message)
                return

    async def _probe_readiness(self, container: RunningContainer) -> None:
        if self._readiness is None:
            return
        streak = Streak(self._readiness, False)
        async for success, message in _results(self._readiness, container):
            verdict = streak.result(success) is True
            if not success:
                self._event("Warning", "Unhealthy", f"Readiness probe failed: {message}")
            if verdict is not self.ready:
                self.ready = verdict
                self._changed()

    async def _kill_unhealthy(self, process: asyncio.subprocess.Process, probe: str, message: str) -> None:
        self._event(
            "Normal", "Killing", f"Container {self.name} failed its {probe} probe, restarting: {message}"
        )
        _terminate(process)
        # The kubelet grants the pod's grace period here too; a hung program is the usual case, so be brief.
        await asyncio.sleep(5)
        _kill_session(process.pid)

    # -- ending -------------------------------------------------------------------------------------------------

    async def halt(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s` seconds, without the preStop hook: the node itself ends."""
        self._stopping = True
        if self._process is not None:
            await self._end(self._process, grace_s)

    async def stop(self, grace_s: float) -> None:
        """The preStop hook, SIGTERM, and SIGKILL when `grace_s` seconds are over, the hook's time included."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        deadline = asyncio.get_running_loop().time() + grace_s
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook:
            container = RunningContainer(self.address, process.pid, self.spec)
            performing = asyncio.create_task(perform_hook(hook, container))
            ended = asyncio.create_task(process.wait())
            both = {performing, ended}
            await asyncio.wait(both, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
        # Even a hook that took all the time leaves the program two seconds, as the kubelet does.
        left = max(2.0, deadline - asyncio.get_running_loop().time()) if grace_s > 0 else 0.0
        await self._end(process, left)

    @staticmethod
    async def _end(process: asyncio.subprocess.Process, grace_s: float) -> None:
        _terminate(process)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
        _kill_session(process.pid)
        await process.wait()


async def _results(settings: ProbeSpec, container: RunningContainer) -> AsyncIterator[tuple[bool, str]]:
    """Results of one probe for ever, each (success, message)."""
    await asyncio.sleep(settings.initial_delay_s)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        yield await perform(settings.action, container, settings.timeout_s)
        await asyncio.sleep(max(0.0, settings.period_s - (loop.time() - began)))


def _terminate(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)


def _kill_session(leader: int) -> None:
    """SIGKILL to every process that the container's first one started."""
    for pid in node_memory.session_members(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
