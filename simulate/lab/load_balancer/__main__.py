"""Runs the load balancer's agent until SIGTERM or SIGINT. Inside a lab it needs no options."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from simulate.lab.errors import LabError
from simulate.lab.kubernetes.api import KubeApi
from simulate.lab.layout import ALB, AWS_ENDPOINT, AWS_REGION, EDGE, LabPaths, scratch_directory
from simulate.lab.load_balancer import gates
from simulate.lab.load_balancer.agent import PERIOD_S, PUBLICATION_DELAY_S, Agent, AgentOptions
from simulate.lab.load_balancer.targets import Controller, ElbRegistry

#: Seconds between looks at the health of a target whose pod waits for it, as in the AWS Load Balancer Controller.
HEALTH_POLL_S = 15.0


def _settings(argv: list[str] | None) -> AgentOptions:
    parser = argparse.ArgumentParser(
        prog="simulate.lab.load_balancer", description="The lab's load balancer and edge"
    )
    parser.add_argument("--alb", default=ALB, help="address of the load balancer")
    parser.add_argument("--edge", default=EDGE, help="address of the edge")
    parser.add_argument("--edge-port", type=int, default=80)
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", AWS_ENDPOINT))
    parser.add_argument("--directory", type=Path, help="where HAProxy's files go; in a lab among its data")
    parser.add_argument(
        "--publication-delay", type=float, help="seconds from a period's end until it is published"
    )
    args = parser.parse_args(argv)
    lab = LabPaths(Path(os.environ["SIMPLE378_LAB"])) if "SIMPLE378_LAB" in os.environ else None
    # A socket's path may have 107 bytes, and a checkout may be anywhere.
    directory = args.directory or (scratch_directory() / "load-balancer" if lab else None)
    if directory is None:
        parser.error("--directory is needed outside of a lab")
    scale = float(os.environ.get("SIMPLE378_TIME_SCALE", "1"))
    delay = PUBLICATION_DELAY_S / scale if args.publication_delay is None else args.publication_delay
    return AgentOptions(
        endpoint=args.endpoint,
        region=AWS_REGION,
        directory=directory,
        alb=args.alb,
        edge=args.edge,
        edge_port=args.edge_port,
        time_scale=scale,
        period_s=PERIOD_S / scale,
        publication_delay_s=delay,
        hosts_file=lab.hosts if lab else None,
        ready_file=lab.load_balancer_ready if lab else None,
    )


async def _run(options: AgentOptions) -> None:
    agent = Agent(options)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        if "KUBECONFIG" in os.environ:
            # Before the load balancer is ready: a pod made without the webhook would have no gates.
            api = await stack.enter_async_context(KubeApi.from_environment())
            credentials = LabPaths(Path(os.environ["SIMPLE378_LAB"])).credentials
            await stack.enter_async_context(gates.webhook(api, credentials))
            controller = Controller(api, ElbRegistry(agent.elbv2), HEALTH_POLL_S / options.time_scale)
            tasks.append(group.create_task(controller.run()))
        tasks.append(group.create_task(agent.run()))

        def stop() -> None:
            for task in tasks:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    options = _settings(argv)
    try:
        asyncio.run(_run(options))
    except ExceptionGroup as group:
        own, others = group.split(LabError)
        if others is not None or own is None:
            raise
        print(*_leaves(own), sep="\n", file=sys.stderr)
        return 1
    return 0


def _leaves(group: ExceptionGroup[LabError]) -> list[str]:
    """The messages of all errors in a group of groups."""
    return [
        text for e in group.exceptions for text in (_leaves(e) if isinstance(e, ExceptionGroup) else [str(e)])
    ]


if __name__ == "__main__":
    raise SystemExit(main())
