"""Readiness gates with a real API server, its webhook, and the lab's load balancer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from simulate.lab.lab import Lab
from simulate.lab.load_balancer.gates import LABEL
from tests.simulate.lab.cluster import APP, Cluster, until

pytestmark = pytest.mark.lab

USERS, PROBES = "target-health.elbv2.k8s.aws/app", "target-health.elbv2.k8s.aws/app-probe"

#: Two target groups, of which the listener's default action names one; prints what was made.
DECLARE = """
import boto3, json
ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
subnets = [
    ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"us-east-1{'ab'[n]}")["Subnet"]["SubnetId"]
    for n in range(2)
]
groups = [
    elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckPath="/ready",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    for name in ("gates-users", "gates-probes")
]
balancer = elb.create_load_balancer(Name="gates", Subnets=subnets, Type="application")["LoadBalancers"][0]["LoadBalancerArn"]
listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=8099,
    DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}])["Listeners"][0]["ListenerArn"]
print(json.dumps({"vpc": vpc, "groups": groups, "balancer": balancer, "listener": listener}))
"""
NAME_THE_OTHER = """
import boto3, sys
listener, group = sys.argv[1:]
boto3.client("elbv2").create_rule(ListenerArn=listener, Priority=1,
    Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/probe"]}}],
    Actions=[{"Type": "forward", "TargetGroupArn": group}])
"""
REMOVE = 'import boto3, sys; boto3.client("elbv2").delete_load_balancer(LoadBalancerArn=sys.argv[1])'


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    cluster = Cluster(lab, "test-gates")
    cluster.request(
        "PATCH",
        "/api/v1/namespaces/test-gates",
        {"metadata": {"labels": {LABEL: "enabled"}}},
        "application/merge-patch+json",
    )
    try:
        yield cluster
    finally:
        cluster.close()


def run(cluster: Cluster, program: str, *arguments: str) -> str:
    return cluster.lab.run([sys.executable, "-c", program, *arguments], timeout_s=60).stdout


def gates(cluster: Cluster, name: str) -> dict[str, str | None]:
    """Status of each gate of the only pod; None while it was never set."""
    (pod,) = cluster.pods(name)
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
    return {
        gate["conditionType"]: conditions.get(gate["conditionType"])
        for gate in pod["spec"].get("readinessGates") or ()
    }


def test_a_pod_is_ready_once_every_group_that_its_service_is_bound_to_finds_it_healthy(
    cluster: Cluster,
) -> None:
    made: dict[str, Any] = json.loads(run(cluster, DECLARE))
    for name, group in zip(("app", "app-probe"), made["groups"], strict=True):
        cluster.post(
            "/apis/elbv2.k8s.aws/v1beta1/namespaces/test-gates/targetgroupbindings",
            {
                "apiVersion": "elbv2.k8s.aws/v1beta1",
                "kind": "TargetGroupBinding",
                "metadata": {"name": name},
                "spec": {
                    "targetGroupARN": group,
                    "targetType": "ip",
                    "vpcID": made["vpc"],
                    "serviceRef": {"name": "app", "port": 80},
                },
            },
        )
    cluster.create(
        "services", "app", spec={"selector": {"app": "app"}, "ports": [{"port": 80, "targetPort": 8080}]}
    )
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    template = {
        "metadata": {"labels": {"app": "app"}},
        "spec": {
            "containers": [{"name": "main", "image": "python", "args": ["-c", APP], "readinessProbe": probe}]
        },
    }
    cluster.create(
        "deployments",
        "app",
        spec={"replicas": 1, "selector": {"matchLabels": {"app": "app"}}, "template": template},
    )
    until(lambda: cluster.pods("app") and gates(cluster, "app") == {USERS: "True", PROBES: "False"}, 60)
    assert cluster.container("app")["ready"]
    assert not cluster.endpoints("app"), "no rule names the other group, so its targets are unused"
    assert cluster.available("app") == 0
    run(cluster, NAME_THE_OTHER, made["listener"], made["groups"][1])
    until(lambda: cluster.available("app") == 1, 60)
    assert gates(cluster, "app") == {USERS: "True", PROBES: "True"}
    run(cluster, REMOVE, made["balancer"])


def test_a_pod_of_no_bound_service_has_no_gates(cluster: Cluster) -> None:
    cluster.deploy("unbound", {"image": "python", "args": ["-c", APP]})
    cluster.wait_available("unbound")
    assert gates(cluster, "unbound") == {}
