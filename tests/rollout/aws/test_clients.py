"""How long a call of AWS may take: a rollout that waits for one is blind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ReadTimeoutError

from rollout.aws.clients import CLOUDFRONT, Clients, clients
from rollout.plan import load_plan
from rollout.policy import timing

BACKOFF = (
    1.0  # seconds at most before the second try in botocore's standard mode; doubled for each further one
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")


@pytest.fixture
def silent() -> Iterator[tuple[str, list[float]]]:
    """A server that accepts connections and never answers, and when each was accepted."""
    accepted: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return
                accepted.append(time.monotonic())

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", accepted
        server.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


def each(made: Clients) -> dict[str, object]:
    return {
        name: client for name in Clients.__slots__ if name != "probing" and (client := getattr(made, name))
    }


@pytest.mark.parametrize("name", ["elbv2", "cloudwatch", "edge_cloudwatch", "sns", "sts"])
def test_a_call_is_tried_more_than_once_and_given_up_before_anything_waits_for_it(name: str) -> None:
    config = each(clients("eu-central-1"))[name].meta.config  # type: ignore[attr-defined]
    tries = config.retries["total_max_attempts"]
    pauses = sum(BACKOFF * 2**number for number in range(tries - 1))
    worst = tries * (config.connect_timeout + config.read_timeout) + pauses
    assert tries > 1
    assert worst <= timing.poll_limit(load_plan("phase-c"))


def test_a_probe_has_one_try_and_its_own_time(
    silent: tuple[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, accepted = silent
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    client = clients("us-east-1", probe_timeout=0.1).probing
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.describe_target_health(TargetGroupArn="arn")
    assert time.monotonic() - began < 2
    assert len(accepted) == 1


def test_what_belongs_to_cloudfront_is_asked_where_it_is() -> None:
    assert clients("eu-central-1").edge_cloudwatch.meta.region_name == CLOUDFRONT
    assert clients(CLOUDFRONT).edge_cloudwatch is None
