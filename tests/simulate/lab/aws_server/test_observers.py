"""What AWS measures by itself: an instance's connections, Route 53's checks."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from moto.cloudwatch.models import cloudwatch_backends

from simulate.lab.aws_server import cloudwatch, observers
from simulate.lab.aws_server.metric_store import MetricKey
from simulate.lab.aws_server.switches import SWITCHES

ACCOUNT, REGION = "123456789012", "us-east-1"


class _Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def put(namespace: str, name: str, dimensions: dict[str, str]) -> list[float | None]:
    store = cloudwatch.store_of(cloudwatch_backends[ACCOUNT][REGION])
    found = store.query(MetricKey.of(namespace, name, dimensions), start=0, end=600, period=60)
    return [samples.statistic("Minimum") for samples in found.values()]


@mock_aws
def test_connections_and_checks_become_metrics(port: int) -> None:
    boto3.client("rds", REGION).create_db_instance(
        DBInstanceIdentifier="db", Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20
    )
    boto3.client("eks", REGION).create_cluster(
        name="lab", roleArn=f"arn:aws:iam::{ACCOUNT}:role/cluster", resourcesVpcConfig={}
    )
    route53 = boto3.client("route53", REGION)
    ids = {}
    for path in ("/health", "/broken"):
        config = {"Type": "HTTP", "FullyQualifiedDomainName": "127.0.0.1", "Port": port, "ResourcePath": path}
        made = route53.create_health_check(CallerReference=path, HealthCheckConfig=config)
        ids[path] = made["HealthCheck"]["Id"]
    counted: list[int | None] = [12, None]
    observer = observers.Observers(ACCOUNT, REGION, 1, threading.RLock(), count=lambda: counted.pop(0))
    observer.observe(60)
    # The database does not answer: its metric ends, as RDS's does.
    observer.observe(120)
    assert put("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": "db"}) == [12]
    assert put("ContainerInsights", "cluster_node_count", {"ClusterName": "lab"}) == [1, 1]
    assert put("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": ids["/health"]}) == [1, 1]
    assert put("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": ids["/broken"]}) == [0, 0]
    SWITCHES.set("metrics-missing", {})
    try:
        observer.observe(180)
    finally:
        SWITCHES.set("metrics-missing", None)
    assert len(put("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": ids["/health"]})) == 2


def test_what_does_not_answer_failed() -> None:
    assert not observers.answers("http://127.0.0.1:9/")
    assert observers.connections("postgresql://nobody@127.0.0.1:9/none") is None
