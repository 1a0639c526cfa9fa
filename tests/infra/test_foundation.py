"""The foundation layer: who gets in, what is protected, what the others read."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from infra.edge.distribution import API_PATHS, bucket_policy
from infra.settings import SettingsError
from infra.stacks import StackError
from tests.infra.engine import Recording, deploy
from tests.infra.examples import FOUNDATION, LIMITS_OUTPUTS, STACKS

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
EXISTING_NETWORK = {
    "simple378:vpcId": "vpc-0a",
    "simple378:publicSubnetIds": json.dumps(["subnet-27a", "subnet-27b"]),
    "simple378:privateSubnetIds": json.dumps(["subnet-3", "subnet-4"]),
    "simple378:workloadSecurityGroupId": "sg-0a",
}


def run(**changes: str) -> Recording:
    return deploy(
        "prod", {**FOUNDATION, **{f"simple378:{key}": value for key, value in changes.items()}}, STACKS
    )


@cache
def example() -> Recording:
    return run()


def test_only_cloudfront_and_the_probes_reach_the_load_balancer() -> None:
    rules = [rule for rule in example().of_type(INGRESS) if rule.inputs["securityGroupId"] == "edge-group-id"]
    sources = {"prefixListId", "cidrIpv4", "cidrIpv6", "referencedSecurityGroupId"}
    admitted = [{key: value for key, value in rule.inputs.items() if key in sources} for rule in rules]
    assert sorted(admitted, key=str) == [
        {"cidrIpv4": "198.51.100.7/32"},
        {"prefixListId": "pl-of-com.amazonaws.global.cloudfront.origin-facing"},
    ]
    assert {(rule.inputs["fromPort"], rule.inputs["toPort"]) for rule in rules} == {(443, 443)}


def test_only_the_workload_reaches_the_database_and_only_the_load_balancer_the_workload() -> None:
    rules = {rule.name: rule.inputs for rule in example().of_type(INGRESS)}
    assert rules["database-from-workload"]["referencedSecurityGroupId"] == "workload-group-id"
    assert rules["edge-into-workload"]["referencedSecurityGroupId"] == "edge-group-id"
    groups = [rule["securityGroupId"] for rule in rules.values()]
    assert groups.count("database-group-id") == 1
    assert {name for name, rule in rules.items() if rule["securityGroupId"] == "workload-group-id"} == {
        "edge-into-workload",
        "workload-within",
    }


def test_pods_reach_each_other() -> None:
    # With this group alone the backend would not reach pgbouncer.
    rule = example().one(INGRESS, "workload-within").inputs
    assert rule["securityGroupId"] == rule["referencedSecurityGroupId"] == "workload-group-id"
    assert rule["ipProtocol"] == "-1"
    assert not {"fromPort", "toPort", "cidrIpv4", "cidrIpv6"} & set(rule)


def test_security_groups_have_no_rules_of_their_own() -> None:
    for group in example().of_type("aws:ec2/securityGroup:SecurityGroup"):
        assert not {"ingress", "egress"} & set(group.inputs)


def test_listener_refuses_by_default() -> None:
    listener = example().one("aws:lb/listener:Listener").inputs
    assert [action["fixedResponse"]["statusCode"] for action in listener["defaultActions"]] == ["403"]


def test_the_way_in_is_encrypted() -> None:
    listener = example().one("aws:lb/listener:Listener").inputs
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    assert "TLS13" in listener["sslPolicy"]
    origin = example().one("aws:cloudfront/distribution:Distribution").inputs["origins"][1]
    assert origin["domainName"] == "origin.example"
    assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"


def test_http_only_where_it_is_asked_for() -> None:
    config = {
        key: value
        for key, value in FOUNDATION.items()
        if "certificateArn" not in key and "originDomain" not in key
    }
    recording = deploy(
        "local", {**config, "simple378:viewerProtocolPolicy": "allow-all"}, {"local-limits": LIMITS_OUTPUTS}
    )
    listener = recording.one("aws:lb/listener:Listener").inputs
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert "certificateArn" not in listener
    origin = recording.one("aws:cloudfront/distribution:Distribution").inputs["origins"][1]
    assert origin["domainName"] == "edge-balancer.elb.example"
    assert origin["customOriginConfig"]["originProtocolPolicy"] == "http-only"
    assert recording.outputs["baseUrl"] == "http://cdn-distribution.cloudfront.example"
    assert recording.outputs["probeUrl"] == "http://edge-balancer.elb.example"


@pytest.mark.parametrize(("colour", "priority"), [("blue", 10), ("green", 11)])
def test_test_rule_of_each_colour(colour: str, priority: int) -> None:
    rule = example().one("aws:lb/listenerRule:ListenerRule", f"{colour}-test")
    headers = [condition["httpHeader"] for condition in rule.inputs["conditions"]]
    assert headers == [
        {"httpHeaderName": "X-Simple378-Test", "values": [FOUNDATION["simple378:testSecret"]]},
        {"httpHeaderName": "X-Simple378-Colour", "values": [colour]},
    ]
    assert rule.inputs["actions"] == [{"type": "forward", "targetGroupArn": f"arn:{colour}-probe-group"}]
    assert rule.inputs["priority"] == priority
    assert any(path.startswith("conditions") for path in rule.secrets)


def test_no_weights_here() -> None:
    assert {rule.name for rule in example().of_type("aws:lb/listenerRule:ListenerRule")} == {
        "blue-test",
        "green-test",
    }


@pytest.mark.parametrize("name", ["blue", "green", "blue-probe", "green-probe"])
def test_target_group(name: str) -> None:
    group = example().one("aws:lb/targetGroup:TargetGroup", f"{name}-group").inputs
    assert group["name"] == f"simple378-prod-{name}"
    assert group["targetType"] == "ip"
    colour, _, probe = name.partition("-")
    assert group["tags"] == {
        "simple378:environment": "prod",
        "simple378:role": "probe-group" if probe else "traffic-group",
        "simple378:colour": colour,
    }
    assert group["deregistrationDelay"] == 30
    assert group["stickiness"] == {"type": "lb_cookie", "enabled": False}
    check = group["healthCheck"]
    assert (check["path"], check["interval"], check["healthyThreshold"], check["unhealthyThreshold"]) == (
        "/ready",
        5,
        2,
        2,
    )
    assert check["timeout"] < check["interval"]


def test_database_is_safe_by_default() -> None:
    recording = example()
    database = recording.one("aws:rds/instance:Instance")
    assert database.inputs["storageEncrypted"] is True
    assert database.inputs["publiclyAccessible"] is False
    assert database.inputs["deletionProtection"] is True
    assert database.inputs["skipFinalSnapshot"] is False
    assert database.inputs["deleteAutomatedBackups"] is False
    assert database.inputs["multiAz"] is True
    assert database.inputs["backupRetentionPeriod"] >= 7
    # Not in the guide's deployment window, 2:00 to 8:00 UTC.
    for window in (database.inputs["backupWindow"], database.inputs["maintenanceWindow"].replace("tue:", "")):
        assert all(not "02:00" <= time < "08:00" for time in window.split("-")), window
    assert "password" in database.secrets
    parameters = {
        parameter["name"]: parameter["value"]
        for parameter in recording.one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    }
    assert parameters == {
        "max_connections": "500",
        "rds.force_ssl": "1",
        "log_min_duration_statement": "1000",
    }


def test_distribution() -> None:
    distribution = example().one("aws:cloudfront/distribution:Distribution").inputs
    assert distribution["webAclId"] == "arn:acl"
    site, api = distribution["origins"]
    assert site["originAccessControlId"] == "cdn-access-id"
    assert api["customHeaders"] == [
        {"name": "X-Origin-Verify", "value": FOUNDATION["simple378:originSecret"]}
    ]
    behaviours = distribution["orderedCacheBehaviors"]
    assert behaviours.pop(0)["pathPattern"] == "/releases/*"
    assert [behaviour["pathPattern"] for behaviour in behaviours] == list(API_PATHS)
    # Probes of the pods and of the rollout come another way; to the public they would be a way to load the database.
    assert set(API_PATHS) == {"/api/*", "/ws", "/health"}
    assert {b["compress"] for b in (*behaviours, distribution["defaultCacheBehavior"])} == {
        True
    }  # gzip, Risk 9
    for behaviour in behaviours:
        assert behaviour["targetOriginId"] == "api"
        # CachingDisabled and AllViewer.
        assert behaviour["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behaviour["originRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
    # No error is kept: after a rollback nobody gets the candidate's from a cache.
    assert {
        r["errorCode"]: r["errorCachingMinTtl"] for r in distribution["customErrorResponses"]
    } == dict.fromkeys((400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504), 0)
    assert distribution["defaultCacheBehavior"]["targetOriginId"] == "site"
    assert distribution["defaultCacheBehavior"]["viewerProtocolPolicy"] == "redirect-to-https"


def test_a_hanging_request_is_the_load_balancers_504_not_cloudfronts() -> None:
    recording = example()
    _, api = recording.one("aws:cloudfront/distribution:Distribution").inputs["origins"]
    idle = recording.one("aws:lb/loadBalancer:LoadBalancer").inputs["idleTimeout"]
    assert idle < api["customOriginConfig"]["originReadTimeout"]


def test_bucket_is_private_and_versioned() -> None:
    recording = example()
    block = recording.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert {value for key, value in block.items() if key != "bucket"} == {True}
    assert (
        recording.one("aws:s3/bucketVersioning:BucketVersioning").inputs["versioningConfiguration"]["status"]
        == "Enabled"
    )
    assert recording.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is False


def test_bucket_policy_admits_one_distribution() -> None:
    allow, missing, deny = json.loads(bucket_policy("arn:bucket", "arn:distribution"))["Statement"]
    # Without it a missing file is a 403.
    assert (missing["Action"], missing["Resource"], missing["Condition"]) == (
        "s3:ListBucket",
        "arn:bucket",
        allow["Condition"],
    )
    assert allow["Condition"] == {"StringEquals": {"AWS:SourceArn": "arn:distribution"}}
    assert (allow["Action"], allow["Resource"]) == ("s3:GetObject", "arn:bucket/*")
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


PROTECTED = {
    "aws:backup/vault:Vault",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:cloudfront/distribution:Distribution",
    "aws:ec2/vpc:Vpc",
    "aws:lb/listener:Listener",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:lb/targetGroup:TargetGroup",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
}


def test_what_cannot_be_made_again_is_protected() -> None:
    assert {resource.type for resource in example().cloud if resource.protect} == PROTECTED


def test_protection_can_be_switched_off() -> None:
    recording = run(protect="false")
    assert not any(resource.protect for resource in recording.resources)
    # To switch protection off is the first step of every destruction, so it must not give up the last snapshot.
    assert recording.one("aws:rds/instance:Instance").inputs["skipFinalSnapshot"] is False
    assert recording.one("aws:lb/loadBalancer:LoadBalancer").inputs["enableDeletionProtection"] is False


def test_what_is_destroyed_leaves_its_names_free() -> None:
    # A final snapshot keeps its name for ever: it has the id of a group that is made together with the database.
    database = example().one("aws:rds/instance:Instance").inputs
    assert database["finalSnapshotIdentifier"] == "simple378-prod-final-database-group-id"
    # The configuration has the value; a copy that waits to be restored would only block its name.
    assert {
        secret.inputs["recoveryWindowInDays"]
        for secret in example().of_type("aws:secretsmanager/secret:Secret")
    } == {0}
    without = run(databaseFinalSnapshot="false").one("aws:rds/instance:Instance").inputs
    assert (without["skipFinalSnapshot"], "finalSnapshotIdentifier" in without) == (True, False)


@pytest.mark.parametrize(
    ("settings", "iops", "provisioned"),
    [
        ({}, 3000, None),
        ({"databaseStorage": "399"}, 3000, None),
        ({"databaseStorage": "400"}, 12000, None),
        ({"databaseStorage": "400", "databaseIops": "12000"}, 12000, 12000),
        ({"databaseStorage": "500", "databaseIops": "20000"}, 20000, 20000),
    ],
)
def test_the_disk_alarm_knows_what_the_storage_does(
    settings: dict[str, str], iops: int, provisioned: int | None
) -> None:
    recording = run(**settings)
    assert recording.one("aws:rds/instance:Instance").inputs.get("iops") == provisioned
    (used,) = [
        query["expression"]
        for query in recording.one(ALARM, "database-disk-io").inputs["metricQueries"]
        if "expression" in query
    ]
    assert used == f"100 * (reads + writes) / {iops}"


def test_a_major_upgrade_is_asked_for() -> None:
    group = run(databaseEngineVersion="17.2").one("aws:rds/parameterGroup:ParameterGroup").inputs
    assert (group["name"], group["family"]) == ("simple378-prod-postgres17", "postgres17")
    assert (
        example().one("aws:rds/parameterGroup:ParameterGroup").inputs["name"] == "simple378-prod-postgres16"
    )
    for asked in (False, True):
        database = run(databaseAllowMajorUpgrade=str(asked).lower()).one("aws:rds/instance:Instance").inputs
        # At once, because the update deletes the old parameter group after it.
        assert (database["allowMajorVersionUpgrade"], database["applyImmediately"]) == (asked, asked)


@pytest.mark.parametrize(
    ("deployed", "wanted", "allowed", "message"),
    [
        (None, "17", "false", None),
        ("16", "16.4", "false", None),
        ("16.4", "17", "true", None),
        ("16", "17", "false", "`pulumi config set simple378:databaseAllowMajorUpgrade true --stack prod`"),
        ("17", "16", "true", "no database can go back to an older major version"),
    ],
)
def test_a_major_upgrade_is_guarded(
    deployed: str | None, wanted: str, allowed: str, message: str | None
) -> None:
    def again() -> Recording:
        return deploy(
            "prod",
            FOUNDATION
            | {"simple378:databaseEngineVersion": wanted, "simple378:databaseAllowMajorUpgrade": allowed},
            STACKS | {"prod": {"databaseEngineVersion": deployed}},
        )

    if message is None:
        assert again().outputs["databaseEngineVersion"] == wanted
    else:
        with pytest.raises(StackError) as refused:
            again()
        assert message in str(refused.value)
        assert str(refused.value).startswith("refused, nothing was changed: simple378:databaseEngineVersion")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x"},
            (
                "simple378:certificateArn is of us-east-1, but a load balancer takes certificates of its own region only, "
                "eu-central-1; request one there and set it with `pulumi config set simple378:certificateArn ARN --stack prod`"
            ),
        ),
    ],
)
def test_what_does_not_fit_the_region_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        run(**settings)
    assert str(refused.value) == f"configuration of stack prod:\n  - {message}"


def test_nothing_ignores_changes() -> None:
    assert not any(resource.ignore_changes for resource in example().resources)


def test_children_belong_to_components_and_are_named_after_them() -> None:
    components = {resource.name for resource in example().resources if not resource.custom}
    for resource in example().resources:
        if resource.custom:
            assert resource.parent in components
            assert resource.name.startswith(f"{resource.parent}-")
        else:
            assert re.fullmatch(r"simple378:[a-z]+:[A-Z][A-Za-z]+", resource.type)


def test_nothing_measures_the_target_groups_of_probes() -> None:
    for found in example().of_type(ALARM):
        assert "probe" not in json.dumps(found.inputs, default=str), found.name


def test_outputs() -> None:
    outputs = example().outputs
    assert set(outputs) == {
        "albArn",
        "albArnSuffix",
        "albDnsName",
        "baseUrl",
        "bucketName",
        "databaseEngineVersion",
        "databaseHost",
        "databaseMaxConnections",
        "databaseName",
        "databasePassword",
        "databasePort",
        "databaseUser",
        "distributionDomain",
        "distributionId",
        "listenerArn",
        "notifyUrls",
        "originSecret",
        "podCredentials",
        "podRoleArn",
        "privateSubnetIds",
        "probeTargetGroups",
        "probeUrl",
        "region",
        "targetGroups",
        "testSecret",
        "topics",
        "vpcId",
        "webAclName",
        "workloadSecurityGroupId",
    }
    assert outputs["targetGroups"]["green"] == {
        "arn": "arn:green-group",
        "arnSuffix": "suffix/green-group",
        "name": "simple378-prod-green",
    }
    assert outputs["probeTargetGroups"]["green"] == {
        "arn": "arn:green-probe-group",
        "name": "simple378-prod-green-probe",
    }
    assert outputs["baseUrl"] == "https://cdn-distribution.cloudfront.example"
    assert outputs["probeUrl"] == "https://origin.example"
    aliased = {
        "simple378:domainAliases": '["app.example", "www.example"]',
        "simple378:cdnCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/cdn",
    }
    outputs = deploy("prod", {**FOUNDATION, **aliased}, {"prod-limits": LIMITS_OUTPUTS}).outputs
    assert outputs["baseUrl"] == "https://app.example"
    assert set(outputs["topics"]) == {"immediate", "warning", "notice"}
    assert example().secret_outputs == {"databasePassword", "originSecret", "testSecret"}


def test_addresses_of_services_are_secret() -> None:
    urls = {"immediate": ["slack://a/b/c/#night", "pagerduty://key@key"], "notice": ["mailtos://x"]}
    deployed = run(notifyUrls=json.dumps(urls))
    assert deployed.outputs["notifyUrls"] == urls
    places = {f"notifyUrls.{tier}[{n}]" for tier, of_tier in urls.items() for n in range(len(of_tier))}
    assert places <= deployed.secret_outputs


def test_while_a_secret_is_rotated_the_other_value_is_accepted_and_exported_as_a_secret() -> None:
    other = {"originSecretNext": "the-next-origin-secret", "testSecretPrevious": "the-test-secret-before"}
    config = {**FOUNDATION, **{f"simple378:{key}": value for key, value in other.items()}}
    recording = deploy("prod", config, {"prod-limits": LIMITS_OUTPUTS})
    assert recording.outputs.items() >= other.items()
    assert set(other) <= recording.secret_outputs
    for colour in ("blue", "green"):
        rule = recording.one("aws:lb/listenerRule:ListenerRule", f"{colour}-test").inputs
        (test,) = (
            c["httpHeader"]
            for c in rule["conditions"]
            if c["httpHeader"]["httpHeaderName"] == "X-Simple378-Test"
        )
        assert test["values"] == [FOUNDATION["simple378:testSecret"], "the-test-secret-before"]


def test_secrets_are_stored() -> None:
    names = {secret.inputs["name"] for secret in example().of_type("aws:secretsmanager/secret:Secret")}
    assert names == {"simple378/prod/database", "simple378/prod/origin", "simple378/prod/test"}
    for version in example().of_type("aws:secretsmanager/secretVersion:SecretVersion"):
        assert "secretString" in version.secrets


def test_people_are_told_of_alarms_and_warnings_not_of_notices() -> None:
    subscriptions = example().of_type("aws:sns/topicSubscription:TopicSubscription")
    assert {subscription.inputs["topic"] for subscription in subscriptions} == {
        f"arn:aws:sns:{where}-{tier}"
        for where in ("eu-central-1:123456789012:topics", "eu-central-1:123456789012:edgetopics")
        for tier in ("immediate", "warning")
    }


def test_existing_network_and_database_are_used() -> None:
    config = {
        key: value for key, value in FOUNDATION.items() if key not in {"simple378:vpcCidr", "simple378:azs"}
    }
    recording = deploy(
        "prod", {**config, **EXISTING_NETWORK, "simple378:databaseEndpoint": "db.example:5433"}, STACKS
    )
    made = {resource.type for resource in recording.cloud}
    assert not made & {"aws:ec2/vpc:Vpc", "aws:ec2/natGateway:NatGateway", "aws:rds/instance:Instance"}
    assert recording.one("aws:lb/loadBalancer:LoadBalancer").inputs["subnets"] == ["subnet-27a", "subnet-27b"]
    assert (recording.outputs["databaseHost"], recording.outputs["databasePort"]) == ("db.example", 5433)
    assert recording.outputs["workloadSecurityGroupId"] == "sg-0a"


@pytest.mark.parametrize(
    ("subnets", "message"),
    [
        (
            ["subnet-27a", "subnet-28b"],
            "simple378:publicSubnetIds: subnet-28b is a /28, too small; a load balancer needs",
        ),
        (
            ["subnet-24a", "subnet-27a"],
            "simple378:publicSubnetIds: two are in one zone (eu-central-1a, eu-central-1a)",
        ),
    ],
)
def test_existing_subnets_that_a_load_balancer_cannot_use_are_refused(
    subnets: list[str], message: str
) -> None:
    config = {
        key: value for key, value in FOUNDATION.items() if key not in {"simple378:vpcCidr", "simple378:azs"}
    }
    with pytest.raises(SettingsError) as refused:
        deploy(
            "prod", {**config, **EXISTING_NETWORK, "simple378:publicSubnetIds": json.dumps(subnets)}, STACKS
        )
    assert message in str(refused.value)
    assert "pulumi config set --path 'simple378:publicSubnetIds[0]' SUBNET --stack prod" in str(refused.value)


def test_network_has_a_way_out_in_every_zone() -> None:
    recording = example()
    assert len(recording.of_type("aws:ec2/natGateway:NatGateway")) == 2
    private = recording.one("aws:ec2/routeTable:RouteTable", "network-private-eu-central-1b").inputs
    assert private["routes"] == [{"cidrBlock": "0.0.0.0/0", "natGatewayId": "network-nat-eu-central-1b-id"}]


def test_without_the_limits_says_what_to_deploy() -> None:
    with pytest.raises(
        StackError, match=r"stack prod-limits has no output 'webAclArn' yet.*--stack prod-limits"
    ):
        deploy("prod", FOUNDATION, {})


def test_without_a_region_names_the_key() -> None:
    config = {key: value for key, value in FOUNDATION.items() if key != "aws:region"}
    with pytest.raises(
        SettingsError, match=r"aws:region is missing; set it with `pulumi config set aws:region"
    ):
        deploy("prod", config, STACKS)


ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/ABC"


def statement(document: str) -> dict[str, Any]:
    (found,) = json.loads(document)["Statement"]
    assert isinstance(found, dict)
    return found


def test_pods_may_publish_the_applications_metrics_and_nothing_else() -> None:
    assert statement(example().one(ROLE_POLICY, "pods-metrics").inputs["policy"]) == {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "Simple378"}},
    }


def test_the_backends_service_account_of_each_colour_gets_the_role() -> None:
    associations = [found.inputs for found in example().of_type(ASSOCIATION)]
    assert [(each["namespace"], each["serviceAccount"]) for each in associations] == [
        ("simple378-blue", "backend"),
        ("simple378-green", "backend"),
    ]
    assert {each["clusterName"] for each in associations} == {"a-cluster"}
    assert {each["roleArn"] for each in associations} == {"arn:aws:iam::123456789012:role/pods-role"}
    trust = statement(example().one(ROLE, "pods-role").inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:RequestTag/kubernetes-namespace": ["simple378-blue", "simple378-green"],
        "aws:RequestTag/kubernetes-service-account": "backend",
    }
    assert example().outputs["podCredentials"] == "pod-identity"
    assert example().outputs["podRoleArn"] == "arn:aws:iam::123456789012:role/pods-role"


def test_where_the_cluster_has_no_pod_identity_its_oidc_provider_is_trusted() -> None:
    config = {key: value for key, value in FOUNDATION.items() if "clusterName" not in key}
    recording = deploy("prod", {**config, "simple378:clusterOidcProvider": PROVIDER}, STACKS)
    assert recording.of_type(ASSOCIATION) == []
    trust = statement(recording.one(ROLE, "pods-role").inputs["assumeRolePolicy"])
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/ABC"
    assert trust["Principal"] == {"Federated": PROVIDER}
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"]["StringEquals"] == {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": [
            "system:serviceaccount:simple378-blue:backend",
            "system:serviceaccount:simple378-green:backend",
        ],
    }
    assert recording.outputs["podCredentials"] == "web-identity"


def test_before_there_is_a_cluster_there_is_no_role() -> None:
    config = {key: value for key, value in FOUNDATION.items() if "clusterName" not in key}
    recording = deploy("prod", config, STACKS)
    assert [role.parent for role in recording.of_type(ROLE)] == ["backups"]
    assert recording.outputs.get("podCredentials") is None


def test_the_backends_login_is_the_applications_role_where_there_is_one() -> None:
    recording = run(databaseAppUser="simple378_app", databaseAppPassword="an-app-password")
    stored = {
        found.name: json.loads(found.inputs["secretString"])["username"]
        for found in recording.of_type("aws:secretsmanager/secretVersion:SecretVersion")
        if "database" in found.name
    }
    assert stored == {
        "secret-database-version": "simple378_app",
        "secret-database-owner-version": "simple378",
    }
    assert recording.outputs["databaseAppUser"] == "simple378_app"
    assert "databaseAppPassword" in recording.secret_outputs
