"""Health checks of targets over HTTP: one task a target, on the target group's own schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp

from simulate.lab.load_balancer.model import HealthCheck, Target, code_matches

#: A check's timeout is scaled too, but a busy machine needs some time to answer: never below this, in seconds.
_LEAST_TIMEOUT_S = 1.0

Report = Callable[[str, Target, str], None]


class Checker:
    """Checks the targets that it follows and reports each result: target group, target, failure (empty if passed)."""

    def __init__(self, report: Report, time_scale: float) -> None:
        self._report = report
        self._time_scale = time_scale
        self._tasks: dict[tuple[str, Target, HealthCheck], asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    def follow(self, wanted: Mapping[str, tuple[HealthCheck, frozenset[Target]]]) -> None:
        """Checks exactly the targets in ``wanted`` (by target group ARN) from now on."""
        keys = {(arn, target, check) for arn, (check, targets) in wanted.items() for target in targets}
        for key in [key for key in self._tasks if key not in keys]:
            self._tasks.pop(key).cancel()
        for key in keys - self._tasks.keys():
            self._tasks[key] = asyncio.create_task(self._run(*key))

    async def close(self) -> None:
        self.follow({})
        if self._session is not None:
            await self._session.close()

    async def _run(self, arn: str, target: Target, check: HealthCheck) -> None:
        interval = check.interval_s / self._time_scale
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            self._report(arn, target, await self._check(target, check))
            due = max(due + interval, clock())
            await asyncio.sleep(due - clock())

    async def _check(self, target: Target, check: HealthCheck) -> str:
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": "ELB-HealthChecker/2.0"}
            )
        timeout = max(check.timeout_s / self._time_scale, min(check.timeout_s, _LEAST_TIMEOUT_S))
        url = f"http://{target.ip}:{check.port or target.port}{check.path}"
        try:
            async with asyncio.timeout(timeout), self._session.get(url, allow_redirects=False) as response:
                if code_matches(check.matcher, response.status):
                    return ""
                return f"Health checks failed with these codes: [{response.status}]"
        except TimeoutError:
            return "Request timed out"
        except (aiohttp.ClientError, OSError) as error:
            return f"Health checks failed: {type(error).__name__}"
