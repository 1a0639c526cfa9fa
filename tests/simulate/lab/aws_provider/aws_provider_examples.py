"""One resource of each type as the program declares it, a change that AWS makes in place, and one that it cannot."""

from __future__ import annotations

import json
from typing import Any

from tests.simulate.lab.aws_provider.aws_provider_examples_network import NETWORK
from tests.simulate.lab.aws_provider.aws_provider_prerequisites import (
    ACCESS_CONTROL,
    POLICY_ARNS,
    ROLE_ARN,
    Example,
    Prerequisites,
    Props,
    allow,
    archive,
    arn_of,
    backup_rule,
    function,
    restore_testing,
    trust,
)

CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"  # AWS-managed policies
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"


def rate_rule(limit: int) -> Props:
    response = {
        "responseCode": 429,
        "customResponseBodyKey": "slow-down",
        "responseHeaders": [{"name": "Retry-After", "value": "60"}],
    }
    return {
        "name": "rate",
        "priority": 1,
        "action": {"block": {"customResponse": response}},
        "statement": {
            "rateBasedStatement": {"limit": limit, "aggregateKeyType": "IP", "evaluationWindowSec": 60}
        },
        "visibilityConfig": visibility("rate"),
    }


def managed_rule(override: str) -> Props:
    return {
        "name": "common",
        "priority": 2,
        "overrideAction": {override: {}},
        "statement": {
            "managedRuleGroupStatement": {"vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet"}
        },
        "visibilityConfig": visibility("common"),
    }


def lifecycle(days: int) -> Props:
    return {
        "id": "old",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrentVersionExpiration": {"noncurrentDays": days},
        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
    }


def visibility(name: str) -> Props:
    return {"cloudwatchMetricsEnabled": True, "metricName": name, "sampledRequestsEnabled": True}


def _policy(sid: str) -> str:
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::around/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _dashboard(title: str) -> str:
    widget = {"type": "text", "x": 0, "y": 0, "width": 6, "height": 3, "properties": {"markdown": title}}
    return json.dumps({"widgets": [widget]})


def _behavior(origin: str, policy: str, **more: Any) -> Props:
    return {
        "targetOriginId": origin,
        "viewerProtocolPolicy": "redirect-to-https",
        "allowedMethods": ["GET", "HEAD", "OPTIONS"],
        "cachedMethods": ["GET", "HEAD"],
        "compress": True,
        "cachePolicyId": policy,
        "responseHeadersPolicyId": SECURITY_HEADERS,
        **more,
    }


def _distribution(needs: Prerequisites) -> Props:
    site = {
        "originId": "site",
        "domainName": "around.s3.us-east-1.amazonaws.com",
        "originAccessControlId": needs.access_control,
    }
    api = {
        "originId": "api",
        "domainName": "around.us-east-1.elb.amazonaws.com",
        "customOriginConfig": {
            "httpPort": 80,
            "httpsPort": 443,
            "originProtocolPolicy": "http-only",
            "originSslProtocols": ["TLSv1.2"],
            "originReadTimeout": 30,
            "originKeepaliveTimeout": 5,
        },
        "customHeaders": [{"name": "X-Origin-Verify", "value": "origin secret"}],
    }
    everything = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    return {
        "enabled": True,
        "isIpv6Enabled": True,
        "httpVersion": "http2and3",
        "priceClass": "PriceClass_100",
        "comment": "the site",
        "aliases": [],
        "defaultRootObject": "index.html",
        "webAclId": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/limits/1",
        "origins": [site, api],
        "defaultCacheBehavior": _behavior("site", CACHING_OPTIMIZED),
        "orderedCacheBehaviors": [
            _behavior(
                "api",
                CACHING_DISABLED,
                pathPattern="/api/*",
                originRequestPolicyId=ALL_VIEWER,
                allowedMethods=everything,
            )
        ],
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
        "tags": {"tier": "edge"},
    }


def _rds_instance(needs: Prerequisites) -> Props:
    return {
        "identifier": "main",
        "engine": "postgres",
        "engineVersion": "16.4",
        "instanceClass": "db.t4g.medium",
        "allocatedStorage": 20,
        "maxAllocatedStorage": 100,
        "storageType": "gp3",
        "storageEncrypted": True,
        "dbName": "simple378",
        "username": "simple378",
        "password": "a-long-password",
        "port": 5432,
        "multiAz": True,
        "dbSubnetGroupName": needs.subnet_group,
        "vpcSecurityGroupIds": [needs.group],
        "publiclyAccessible": False,
        "backupRetentionPeriod": 7,
        "backupWindow": "03:00-04:00",
        "maintenanceWindow": "sun:05:00-sun:06:00",
        "copyTagsToSnapshot": True,
        "deletionProtection": False,
        "deleteAutomatedBackups": False,
        "skipFinalSnapshot": True,
        "performanceInsightsEnabled": True,
        "enabledCloudwatchLogsExports": ["postgresql"],
        "autoMinorVersionUpgrade": False,
        "applyImmediately": True,
        "caCertIdentifier": "rds-ca-rsa2048-g1",
    }


def _alarm(needs: Prerequisites) -> Props:
    return {
        "name": "errors",
        "alarmDescription": "too many",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 3,
        "datapointsToAlarm": 2,
        "threshold": 1,
        "treatMissingData": "notBreaching",
        "alarmActions": [needs.topic],
        "okActions": [needs.topic],
        "namespace": "AWS/ApplicationELB",
        "metricName": "TargetResponseTime",
        "dimensions": {"LoadBalancer": "app/a/1", "TargetGroup": "targetgroup/b/2"},
        "period": 60,
        "extendedStatistic": "p95",
        "evaluateLowSampleCountPercentiles": "evaluate",
        "tags": {"tier": "immediate"},
    }


def queries(limit: str) -> list[Props]:
    metric = {
        "namespace": "AWS/ApplicationELB",
        "period": 60,
        "stat": "Sum",
        "dimensions": {"LoadBalancer": "a"},
    }
    return [
        {"id": "rate", "expression": f"100 * errors / {limit}", "label": "error rate", "returnData": True},
        {"id": "errors", "returnData": False, "metric": metric | {"metricName": "HTTPCode_Target_5XX_Count"}},
        {"id": "requests", "returnData": False, "metric": metric | {"metricName": "RequestCount"}},
    ]


EXAMPLES: dict[str, Example] = NETWORK | {
    "aws:backup/vault:Vault": Example(
        lambda _: {"name": "main", "forceDestroy": True},
        lambda _: {"forceDestroy": False},
        lambda _: {"name": "other"},
    ),
    "aws:backup/plan:Plan": Example(
        lambda _: {"name": "main", "rules": [backup_rule(35)]},
        lambda _: {"rules": [backup_rule(14)]},
        lambda _: {"name": "other"},
    ),
    "aws:backup/selection:Selection": Example(
        lambda w: {
            "planId": w.backup_plan,
            "name": "database",
            "iamRoleArn": ROLE_ARN,
            "resources": ["arn:aws:rds:us-east-1:123456789012:db:main"],
        },
        None,
        lambda _: {"name": "other"},
    ),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": Example(
        lambda _: {"name": "main", **restore_testing("cron(0 9 ? * MON *)"), "startWindowHours": 1},
        lambda _: restore_testing("cron(0 9 ? * TUE *)"),
        lambda _: {"name": "other"},
    ),
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": Example(
        lambda w: {
            "restoreTestingPlanName": w.restore_testing_plan,
            "name": "database",
            "protectedResourceType": "RDS",
            "protectedResourceArns": ["arn:aws:rds:us-east-1:123456789012:db:main"],
            "iamRoleArn": ROLE_ARN,
            "restoreMetadataOverrides": {"dbSubnetGroupName": "main"},
            "validationWindowHours": 1,
        },
        lambda _: {"validationWindowHours": 2},
        lambda _: {"name": "other"},
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Example(
        lambda w: {"role": w.attachable, "policyArn": POLICY_ARNS[0]},
        None,
        lambda _: {"policyArn": POLICY_ARNS[1]},
    ),
    "aws:rds/subnetGroup:SubnetGroup": Example(
        lambda w: {"name": "main", "description": "private", "subnetIds": w.subnets[:2]},
        None,  # moto loses a subnet group that is modified
        lambda _: {"name": "other"},
    ),
    "aws:rds/parameterGroup:ParameterGroup": Example(
        lambda _: {
            "name": "main",
            "family": "postgres16",
            "description": "ours",
            "parameters": [
                {"name": "log_min_duration_statement", "value": "1000", "applyMethod": "immediate"}
            ],
        },
        lambda _: {
            "parameters": [
                {"name": "log_min_duration_statement", "value": "500"},
                {"name": "max_connections", "value": "400", "applyMethod": "pending-reboot"},
            ]
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"family": "postgres15"},
    ),
    "aws:rds/instance:Instance": Example(
        _rds_instance,
        lambda _: {
            "allocatedStorage": 30,
            "password": "another-password",
            "enabledCloudwatchLogsExports": ["postgresql", "upgrade"],
            "backupRetentionPeriod": 14,
            "tags": {"a": "b"},
        },
        lambda _: {"identifier": "other"},
        collision=lambda _: {"storageEncrypted": False},
    ),
    "aws:s3/bucket:Bucket": Example(
        lambda _: {"bucketPrefix": "site-", "forceDestroy": True, "tags": {"a": "b"}},
        lambda _: {"forceDestroy": False, "tags": {}},
        lambda _: {"bucketPrefix": "other-"},
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Example(
        lambda w: {"bucket": w.bucket, "versioningConfiguration": {"status": "Enabled"}},
        lambda _: {"versioningConfiguration": {"status": "Suspended"}},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Example(
        lambda w: {
            "bucket": w.bucket,
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        lambda _: {"blockPublicPolicy": False},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Example(
        lambda w: {"bucket": w.bucket, "policy": _policy("a")},
        lambda _: {"policy": _policy("b")},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:cloudfront/originAccessControl:OriginAccessControl": Example(
        lambda _: ACCESS_CONTROL, lambda _: {"description": "another"}
    ),
    "aws:cloudfront/distribution:Distribution": Example(
        _distribution,
        lambda _: {
            "comment": "another",
            "webAclId": "",
            "tags": {"tier": "other"},
            "orderedCacheBehaviors": [],
        },
    ),
    "aws:cloudfront/function:Function": Example(
        lambda _: {
            "name": "pages",
            "runtime": "cloudfront-js-2.0",
            "comment": "pages",
            "code": "function handler(event) { return event.request; }",
            "publish": True,
        },
        lambda _: {"code": "function handler(event) { return event.response; }", "comment": "other"},
        lambda _: {"name": "other"},
    ),
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": Example(
        lambda _: {
            "name": "headers",
            "comment": "ours",
            "securityHeadersConfig": {
                "contentTypeOptions": {"override": True},
                "frameOptions": {"frameOption": "DENY", "override": False},
                "referrerPolicy": {"referrerPolicy": "same-origin", "override": False},
                "strictTransportSecurity": {"accessControlMaxAgeSec": 60, "override": False},
                "xssProtection": {"protection": True, "modeBlock": True, "override": False},
            },
            "customHeadersConfig": {
                "items": [{"header": "RateLimit-Policy", "value": "10", "override": True}]
            },
        },
        lambda _: {
            "comment": "others",
            "customHeadersConfig": {
                "items": [{"header": "RateLimit-Policy", "value": "20", "override": True}]
            },
        },
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Example(
        lambda w: {"bucket": w.bucket, "rules": [lifecycle(30)]},
        lambda _: {"rules": [lifecycle(60)]},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:s3/objectCopy:ObjectCopy": Example(
        lambda w: {
            "bucket": w.bucket,
            "key": "page",
            "source": f"{w.bucket}/{w.uploaded[0]}",
            "cacheControl": "no-cache",
            "contentType": "text/html",
            "metadataDirective": "REPLACE",
        },
        lambda w: {"source": f"{w.bucket}/{w.uploaded[1]}"},
        lambda _: {"key": "other"},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Example(
        lambda w: {
            "clusterName": w.cluster,
            "namespace": "simple378-blue",
            "serviceAccount": "backend",
            "roleArn": w.pods_role,
        },
        lambda w: {"roleArn": w.other_pods_role},
        lambda _: {"namespace": "simple378-green"},
    ),
    "aws:sns/topic:Topic": Example(
        lambda _: {"name": "immediate", "displayName": "now"},
        lambda _: {"displayName": "at once"},
        lambda _: {"name": "other"},
    ),
    "aws:sns/topicSubscription:TopicSubscription": Example(
        lambda w: {"topic": w.topic, "protocol": "email", "endpoint": "oncall@example.org"},
        None,
        lambda _: {"endpoint": "other@example.org"},
    ),
    "aws:secretsmanager/secret:Secret": Example(
        lambda _: {
            "name": "database",
            "description": "its password",
            "recoveryWindowInDays": 0,
            "tags": {"a": "b"},
        },
        lambda _: {"description": "another", "tags": {"a": "c"}},
        lambda _: {"name": "other"},
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Example(
        lambda w: {"secretId": w.secret, "secretString": "hush"},
        None,
        lambda _: {"secretString": "hush again"},
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Example(
        _alarm, lambda _: {"threshold": 2.5, "tags": {"tier": "warning"}}, lambda _: {"name": "other"}
    ),
    "aws:iam/role:Role": Example(
        lambda _: {
            "name": "watch",
            "description": "watches",
            "assumeRolePolicy": trust("lambda.amazonaws.com"),
            "tags": {"a": "b"},
        },
        lambda _: {
            "description": "another",
            "assumeRolePolicy": trust("ec2.amazonaws.com"),
            "maxSessionDuration": 7200,
            "tags": {"a": "c"},
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"path": "/other/"},
    ),
    "aws:iam/rolePolicy:RolePolicy": Example(
        lambda w: {"role": w.role, "name": "watch", "policy": allow("s3:GetObject")},
        lambda _: {"policy": allow("s3:PutObject")},
        lambda _: {"name": "other"},
    ),
    "aws:lambda/function:Function": Example(
        function,
        lambda _: {
            "timeout": 60,
            "environment": {"variables": {"AFTER": "300"}},
            "code": archive(watch="def handle(event, context): pass"),
            "tags": {"a": "c"},
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"architectures": ["x86_64"]},
    ),
    "aws:lambda/permission:Permission": Example(
        lambda w: {
            "function": w.function,
            "statementId": "schedule",
            "action": "lambda:InvokeFunction",
            "principal": "events.amazonaws.com",
            "sourceArn": arn_of("events", f"rule/{w.schedule}"),
        },
        None,
        lambda _: {"statementId": "other"},
        collision=lambda _: {"principal": "s3.amazonaws.com"},
    ),
    "aws:cloudwatch/eventRule:EventRule": Example(
        lambda _: {
            "name": "watch",
            "description": "watches",
            "scheduleExpression": "rate(1 minute)",
            "tags": {"a": "b"},
        },
        lambda _: {"scheduleExpression": "rate(5 minutes)", "state": "DISABLED", "tags": {"a": "c"}},
        lambda _: {"name": "other"},
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Example(
        lambda w: {
            "rule": w.schedule,
            "targetId": "watch",
            "arn": arn_of("lambda", f"function:{w.function}"),
        },
        lambda _: {"arn": arn_of("lambda", "function:other")},
        lambda _: {"targetId": "other"},
    ),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": Example(
        lambda w: {
            "alarmName": "both",
            "alarmRule": f'ALARM("{w.alarm}") AND NOT OK("{w.alarm}")',
            "alarmDescription": "worse",
            "alarmActions": [w.topic],
            "okActions": [w.topic],
            "tags": {"tier": "immediate"},
        },
        lambda w: {"alarmRule": f'ALARM("{w.alarm}")', "okActions": [], "tags": {"tier": "warning"}},
        lambda _: {"alarmName": "other"},
    ),
    "aws:cloudwatch/dashboard:Dashboard": Example(
        lambda _: {"dashboardName": "watch", "dashboardBody": _dashboard("first")},
        lambda _: {"dashboardBody": _dashboard("second")},
        lambda _: {"dashboardName": "other"},
    ),
    "aws:cloudwatch/logGroup:LogGroup": Example(
        lambda _: {"name": "/aws/rds/instance/db/postgresql", "retentionInDays": 30},
        lambda _: {"retentionInDays": 7},
        lambda _: {"name": "/other"},
    ),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": Example(
        lambda w: {
            "name": "slow",
            "logGroupName": w.log_group,
            "pattern": '"duration:"',
            "metricTransformation": {"name": "Slow", "namespace": "N", "value": "1", "defaultValue": "0"},
        },
        lambda _: {"pattern": '"canceling statement"'},
        lambda _: {"name": "other"},
    ),
    "aws:cloudwatch/queryDefinition:QueryDefinition": Example(
        lambda w: {"name": "risk-6", "queryString": "fields @message", "logGroupNames": [w.log_group]},
        lambda _: {"queryString": "fields @message | limit 5", "name": "risk-8"},
    ),
    "aws:route53/healthCheck:HealthCheck": Example(
        lambda _: {
            "type": "HTTPS",
            "fqdn": "app.example",
            "port": 443,
            "resourcePath": "/health",
            "requestInterval": 30,
            "failureThreshold": 3,
            "regions": ["us-east-1", "eu-west-1", "ap-southeast-1"],
            "tags": {"Name": "api"},
        },
        lambda _: {"resourcePath": "/", "tags": {"Name": "frontend"}},
        lambda _: {"type": "HTTP"},
    ),
    "aws:wafv2/webAcl:WebAcl": Example(
        lambda _: {
            "name": "limits",
            "description": "rate",
            "scope": "CLOUDFRONT",
            "defaultAction": {"allow": {}},
            "customResponseBodies": [
                {"key": "slow-down", "content": "slow down", "contentType": "TEXT_PLAIN"}
            ],
            "rules": [rate_rule(1000), managed_rule("count")],
            "visibilityConfig": visibility("limits"),
        },
        lambda _: {"rules": [rate_rule(2000), managed_rule("none")], "description": "more"},
        lambda _: {"name": "other"},
    ),
}
