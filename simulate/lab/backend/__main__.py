"""Runs one backend until SIGTERM. Exits 2 for an environment it cannot work with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping

from aiohttp import web

from simulate.lab.backend.app import Backend
from simulate.lab.backend.database import Database
from simulate.lab.backend.faults import BackendFaults
from simulate.lab.backend.metrics import Publisher
from simulate.lab.faults import BadFault
from simulate.lab.layout import AWS_ENDPOINT

#: Idle connections are kept longer than a load balancer keeps them (60 s), or it would meet one just closed.
_KEEP_ALIVE_S = 75.0
#: Seconds that requests in flight have at the end.
_FINISH_S = 20.0


def backend(environ: Mapping[str, str]) -> Backend:
    """The backend that the environment describes. Raises BadFault or KeyError naming the variable."""
    colour = environ["COLOUR"]
    scale = float(environ.get("SIMPLE378_TIME_SCALE", "1"))
    return Backend(
        colour=colour,
        version=environ["VERSION"],
        database=Database(environ["DATABASE_URL"]),
        publisher=Publisher(colour, environ.get("AWS_ENDPOINT_URL", AWS_ENDPOINT), scale),
        faults=BackendFaults.from_environment(environ),
    )


async def serve(made: Backend, port: int) -> None:
    """Serves until SIGTERM or SIGINT; then answers what is in flight, and closes websockets with 1001."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        made.app(), access_log=None, keepalive_timeout=_KEEP_ALIVE_S, shutdown_timeout=_FINISH_S
    )
    await made.database.open()
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port, backlog=1024).start()
    print(f"{made.colour} {made.version} serves on port {port}", flush=True)
    background = [asyncio.create_task(made.publisher.run()), asyncio.create_task(made.misbehave())]
    await stop.wait()
    await runner.cleanup()
    for task in background:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await made.database.close()


def main() -> int:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        made = backend(os.environ)
        port = int(os.environ.get("PORT", "8000"))
    except BadFault as error:
        print(error, file=sys.stderr)
        return 2
    except KeyError as error:
        print(
            f"environment variable {error.args[0]} is missing: set COLOUR, VERSION and DATABASE_URL",
            file=sys.stderr,
        )
        return 2
    asyncio.run(serve(made, port))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
