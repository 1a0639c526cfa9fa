"""Requests to a colour before its first users', so that those do not meet empty caches and pools."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rollout.journal.notes import WarmedUp
from rollout.plan import WarmUp

Ask = Callable[[str, str], Awaitable[str]]  # role, path -> what is wrong with the answer, '' for nothing
_PROGRESS = 5.0  # seconds between lines that say how far it is
_KINDS = 3  # of failures that are named


async def warm_up(
    rule: WarmUp, role: str, ask: Ask, say: Callable[[str], None], *, limit: float | None = None
) -> WarmedUp:
    """Sends the requests that a plan asks for, and says what came of them.

    Without a ``limit`` the first failure ends it, as the release then does; with one, in seconds, only time does.
    """
    loop = asyncio.get_running_loop()
    began = reported = loop.time()
    left, done = iter(range(rule.requests)), 0
    failures: Counter[str] = Counter()

    async def client() -> None:
        nonlocal done, reported
        for _ in left:
            if limit is None and failures:
                return
            if problem := await ask(role, rule.path):
                failures[problem] += 1
            done += 1
            if loop.time() - reported >= _PROGRESS:
                reported = loop.time()
                say(f"warming up {role}: {done} of {rule.requests} requests")

    with suppress(TimeoutError):
        async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
            for _ in range(min(rule.concurrency, rule.requests)):
                group.create_task(client())
    took = round(loop.time() - began, 1)
    found = WarmedUp(role, done, failures.total(), took, _named(failures))
    cut = f", of the {rule.requests} that the plan asks for" if done < rule.requests else ""
    say(f"warmed up {role}: {in_words(found)} in {took:g} s{cut}")
    return found


def in_words(found: WarmedUp) -> str:
    """``3 of 200 requests failed: 500 (2), no answer within 2 s (1)``."""
    if not found.failed:
        return f"{found.requests} requests"
    return f"{found.failed} of {found.requests} requests failed: {found.why}"


def _named(failures: Counter[str]) -> str:
    named = [f"{problem} ({count})" for problem, count in failures.most_common(_KINDS)]
    return ", ".join([*named, *(["and others"] if len(failures) > _KINDS else [])])
