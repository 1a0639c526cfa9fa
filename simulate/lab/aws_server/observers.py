"""What AWS measures by itself in the lab: an RDS instance's connections, an EKS cluster's nodes, Route 53's health checks.

Once a (scaled) minute, as AWS does. Lab only: without a lab there is neither a database nor a way in.
"""

from __future__ import annotations

import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from moto.cloudwatch.models import cloudwatch_backends
from moto.eks.models import eks_backends
from moto.rds.models import rds_backends
from moto.route53.models import route53_backends

from simulate.lab.aws_server.cloudwatch import scaled_period, store_of
from simulate.lab.aws_server.metric_store import MetricKey, Samples
from simulate.lab.aws_server.switches import SWITCHES
from simulate.lab.layout import POSTGRES_ADMIN_URL

_LOG = logging.getLogger(__name__)
_PERIOD_S = 60
# Route 53's own: a check that has no answer by then failed.
_TIMEOUT_S = 4.0
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Check:
    """A health check of Route 53 over HTTP."""

    id: str
    url: str


def answers(url: str) -> bool:
    """Whether a GET is answered with 2xx or 3xx, as Route 53 asks."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S):
            return True
    except (OSError, urllib.error.URLError):
        return False


def connections(url: str = POSTGRES_ADMIN_URL) -> int | None:
    """Of the server that stands in for every instance; None when it does not answer."""
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            row = connection.execute(_CONNECTIONS).fetchone()
            # Without the one that asked.
            return int(row[0]) - 1 if row else None
    except psycopg.Error:
        return None


class Observers:
    """Measures in a thread of its own and puts what it found into the metrics of one account and region."""

    def __init__(
        self,
        account: str,
        region: str,
        time_scale: float,
        lock: threading.RLock,
        *,
        count: Callable[[], int | None] = connections,
        ask: Callable[[str], bool] = answers,
    ) -> None:
        self._store = store_of(cloudwatch_backends[account][region])
        self._databases: Any = rds_backends[account][region]
        self._clusters: Any = eks_backends[account][region]
        self._checks: Any = route53_backends[account]["aws"]
        self._period_s = scaled_period(_PERIOD_S, time_scale)
        self._lock = lock
        self._count = count
        self._ask = ask
        self._thread = threading.Thread(target=self._run, name="observers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while True:
            now = time.time()
            start = int(now) - int(now) % self._period_s
            time.sleep(start + self._period_s - now)
            self.observe(start)

    def observe(self, start: int) -> None:
        """Measures now, for the period that began at ``start`` (seconds of the epoch)."""
        if SWITCHES.active("metrics-missing") is not None:
            return
        with self._lock:
            instances = [str(name) for name in self._databases.databases]
            clusters = [str(name) for name in self._clusters.clusters]
            checks = list(_checks(self._checks.health_checks.values()))
        if instances and (count := self._count()) is not None:
            for name in instances:
                self._put("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": name}, start, count)
        # A lab has one node.
        for name in clusters:
            self._put("ContainerInsights", "cluster_node_count", {"ClusterName": name}, start, 1)
        for check in checks:
            passed = float(self._ask(check.url))
            self._put("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": check.id}, start, passed)

    def _put(self, namespace: str, name: str, dimensions: dict[str, str], start: int, value: float) -> None:
        self._store.put(MetricKey.of(namespace, name, dimensions), start, Samples({float(value): 1.0}))


def _checks(known: Iterable[Any]) -> Iterable[Check]:
    for each in known:
        if str(each.type_) == "HTTP":
            yield Check(str(each.id), f"http://{each.fqdn}:{each.port}{each.resource_path or '/'}")
