"""Complete configurations of each layer, and outputs of the stacks that others read."""

from __future__ import annotations

import json
from typing import Any

FOUNDATION = {
    "aws:region": "eu-central-1",
    "simple378:vpcCidr": "10.78.0.0/16",
    "simple378:azs": json.dumps(["eu-central-1a", "eu-central-1b"]),
    "simple378:clusterName": "a-cluster",
    "simple378:probeCidrs": json.dumps(["198.51.100.7/32"]),
    "simple378:databaseCopyRegion": "eu-west-1",
    "simple378:databasePassword": "a-database-password",
    "simple378:originSecret": "an-origin-secret-of-32-characters",
    "simple378:testSecret": "a-test-secret-of-32-characters-00",
    "simple378:certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/an-id",
    "simple378:originDomain": "origin.example",
    "simple378:alertEmail": "oncall@example.org",
}
COLOUR = {
    "kubernetes:context": "a-cluster",
    "simple378:version": "2.1.0",
    "simple378:image": "registry.example/simple378/backend",
    "simple378:replicas": "4",
    "simple378:pgbouncerImage": "registry.example/pgbouncer:1.23.1",
    "simple378:memoryGuardImage": "registry.example/python:3.13-slim",
    "simple378:poolSize": "50",
    "simple378:backendEnv": json.dumps({"LOG_LEVEL": "info"}),
}
TRAFFIC = {
    "aws:region": "eu-central-1",
    "simple378:stable": "blue",
    "simple378:candidateWeight": "25",
    "simple378:generation": "7",
}
FRONTEND = {"aws:region": "eu-central-1", "simple378:frontendRelease": "2.1.0"}
LIMITS = {"aws:region": "us-east-1", "simple378:rateLimit": "1000"}

GUARDIAN = {"aws:region": "eu-central-1", "simple378:store": "s3://releases/simple378"}

LIMITS_OUTPUTS: dict[str, Any] = {
    "webAclArn": "arn:acl",
    "webAclName": "simple378-prod-limits",
    "rateLimit": 1000,
}
FOUNDATION_OUTPUTS: dict[str, Any] = {
    "region": "eu-central-1",
    "vpcId": "vpc-1",
    "podRoleArn": "arn:aws:iam::123456789012:role/simple378-prod-backend",
    "podCredentials": "pod-identity",
    "listenerArn": "arn:listener",
    "bucketName": "site-bucket",
    "distributionId": "E123",
    "originSecret": "an-origin-secret-of-32-characters",
    "targetGroups": {
        "blue": {"arn": "arn:blue", "arnSuffix": "targetgroup/blue", "name": "simple378-prod-blue"},
        "green": {"arn": "arn:green", "arnSuffix": "targetgroup/green", "name": "simple378-prod-green"},
    },
    "probeTargetGroups": {
        "blue": {"arn": "arn:blue-probe", "name": "simple378-prod-blue-probe"},
        "green": {"arn": "arn:green-probe", "name": "simple378-prod-green-probe"},
    },
    "topics": {
        tier: f"arn:aws:sns:eu-central-1:123456789012:simple378-prod-{tier}"
        for tier in ("immediate", "warning", "notice")
    },
    "databaseHost": "db.example",
    "databasePort": 5432,
    "databaseName": "simple378",
    "databaseUser": "app",
    "databasePassword": 'p"w/d@',
    "databaseMaxConnections": 500,
}
FOUNDATION_SECRETS = ["originSecret", "testSecret", "databasePassword"]
_LISTENER = "listener-rule/app/simple378-prod/50dc6c495c0c9188/f2f7dc8efc522ab2"
TRAFFIC_OUTPUTS: dict[str, Any] = {
    "ruleArn": f"arn:aws:elasticloadbalancing:eu-central-1:123456789012:{_LISTENER}/9683b2d02a6cabee"
}
STACKS = {"prod": FOUNDATION_OUTPUTS, "prod-limits": LIMITS_OUTPUTS}
SECRET_OUTPUTS = {"prod": FOUNDATION_SECRETS}
