"""Sends load until it is over or SIGINT/SIGTERM, then prints the sums as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from simulate.lab.errors import LabError
from simulate.lab.layout import EDGE
from simulate.lab.load import Load, Profile, WebSocketClients


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate.lab.load", description="Open-loop load inside the lab")
    parser.add_argument("--url", default=f"http://{EDGE}")
    parser.add_argument("--rate", type=int, default=100, help="requests a second")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--websockets", type=int, default=0, help="clients that hold a websocket open")
    parser.add_argument("--seed", type=int, default=378)
    parser.add_argument("--out", type=Path, help="file for one JSON line a request")
    return parser.parse_args(argv)


async def _run(args: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        out = stack.enter_context(ExitStack()).enter_context(args.out.open("w")) if args.out else None
        profile = Profile(args.url, args.rate, args.duration, args.clients, args.seed)
        load = Load(profile, (lambda request: print(request.line(), file=out)) if out else None)
        await load.start()
        stack.push_async_callback(load.kill)
        sockets = None
        if args.websockets:
            url = f"ws{args.url.removeprefix('http')}/ws"
            sockets = await stack.enter_async_context(WebSocketClients(url, args.websockets, seed=args.seed))
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[object]] = set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: stopping.add(asyncio.create_task(load.stop())))
        tally = await load.wait()
        summary = tally.summary()
        if sockets is not None:
            summary["websockets"] = sockets.counts.summary()
        print(json.dumps(summary, indent=1))


def main(argv: list[str] | None = None) -> int:
    try:
        asyncio.run(_run(_arguments(argv)))
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
