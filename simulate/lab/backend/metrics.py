"""The application's own metrics, published once a metric period and colour, also when they are 0."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from simulate.lab.layout import AWS_REGION

_LOG = logging.getLogger(__name__)

NAMESPACE = "Simple378"
PERIOD_S = 60.0
#: Names the service; the lab's AWS server checks no signature.
_AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential=lab/20260101/{AWS_REGION}/monitoring/aws4_request, Signature=none"
)
#: A client counts as an active user for this long after its last request, in metric periods.
_ACTIVE_PERIODS = 5


@dataclass(slots=True)
class Counters:
    """What happened in the current period, and who was there lately (client -> last request, monotonic seconds)."""

    connection_errors: int = 0
    websocket_drops: int = 0
    retries: int = 0
    authentication_failures: int = 0
    clients: dict[str, float] = field(default_factory=dict)


class Publisher:
    """Counts, and puts the counts to CloudWatch at the end of each period that is aligned to the epoch."""

    def __init__(self, colour: str, endpoint: str, time_scale: float) -> None:
        self.counters = Counters()
        self.open_websockets = 0
        self._colour = colour
        self._endpoint = endpoint
        self._period_s = PERIOD_S / time_scale
        self._session: aiohttp.ClientSession | None = None

    def seen(self, client: str) -> None:
        self.counters.clients[client] = time.monotonic()

    async def run(self) -> None:
        """Publishes for ever. An API that does not answer costs the period, never a request."""
        # Not boto3: it would be most of the process's memory and start-up, for one call.
        headers = {"Authorization": _AUTHORIZATION}
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(self._endpoint, headers=headers, timeout=timeout) as self._session:
            while True:
                start = time.time() // self._period_s * self._period_s
                await asyncio.sleep(start + self._period_s - time.time())
                await self.publish(start)

    async def publish(self, start: float) -> None:
        """Puts the period that began at ``start`` and begins the next one."""
        self._forget_idle()
        values = self.values()
        self.counters = Counters(clients=self.counters.clients)
        if self._session is None:
            return
        try:
            async with self._session.post("/", data=self._form(int(start), values)) as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            _LOG.warning("metrics of one period are lost: %s", error)

    def values(self) -> dict[str, int]:
        """The current period's, by the metric's name."""
        return {
            "DatabaseConnectionErrors": self.counters.connection_errors,
            "WebSocketDrops": self.counters.websocket_drops,
            "WebSocketConnections": self.open_websockets,
            "ActiveUsers": len(self.counters.clients),
            "ClientRetries": self.counters.retries,
            "AuthenticationFailures": self.counters.authentication_failures,
        }

    def _form(self, start: int, values: dict[str, int]) -> dict[str, str]:
        """PutMetricData in the query protocol."""
        form = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": NAMESPACE}
        for number, (name, value) in enumerate(values.items(), start=1):
            datum = f"MetricData.member.{number}"
            form |= {
                f"{datum}.MetricName": name,
                f"{datum}.Dimensions.member.1.Name": "Colour",
                f"{datum}.Dimensions.member.1.Value": self._colour,
                f"{datum}.Timestamp": datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                f"{datum}.Unit": "Count",
                f"{datum}.Value": str(value),
            }
        return form

    def _forget_idle(self) -> None:
        oldest = time.monotonic() - _ACTIVE_PERIODS * self._period_s
        self.counters.clients = {client: at for client, at in self.counters.clients.items() if at >= oldest}
