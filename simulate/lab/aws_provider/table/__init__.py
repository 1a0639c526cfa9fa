"""The table of resource types, one module a service; a module is read when the first of its types is used."""

from __future__ import annotations

import difflib
from importlib import import_module

from ..aws import ProviderError
from ..spec import ResourceType

_MODULES = {
    "aws:backup/plan:Plan": "backup",
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": "backup",
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": "backup",
    "aws:backup/selection:Selection": "backup",
    "aws:backup/vault:Vault": "backup",
    "aws:cloudfront/distribution:Distribution": "cloudfront",
    "aws:cloudfront/function:Function": "cloudfront_parts",
    "aws:cloudfront/originAccessControl:OriginAccessControl": "cloudfront",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "watching",
    "aws:cloudwatch/dashboard:Dashboard": "watching",
    "aws:cloudwatch/eventRule:EventRule": "schedule",
    "aws:cloudwatch/eventTarget:EventTarget": "schedule",
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": "cloudfront_parts",
    "aws:cloudwatch/logGroup:LogGroup": "logs",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "logs",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "monitoring",
    "aws:cloudwatch/queryDefinition:QueryDefinition": "logs",
    "aws:ec2/eip:Eip": "network",
    "aws:ec2/internetGateway:InternetGateway": "network",
    "aws:ec2/natGateway:NatGateway": "network",
    "aws:ec2/routeTable:RouteTable": "routing",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "routing",
    "aws:ec2/securityGroup:SecurityGroup": "security_groups",
    "aws:ec2/subnet:Subnet": "network",
    "aws:ec2/vpc:Vpc": "network",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "eks",
    "aws:iam/role:Role": "iam",
    "aws:iam/rolePolicy:RolePolicy": "iam",
    "aws:lambda/function:Function": "functions",
    "aws:lambda/permission:Permission": "functions",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "iam_attachments",
    "aws:lb/listener:Listener": "elb_listeners",
    "aws:lb/listenerRule:ListenerRule": "elb_listeners",
    "aws:lb/loadBalancer:LoadBalancer": "elb",
    "aws:lb/targetGroup:TargetGroup": "elb",
    "aws:rds/instance:Instance": "rds",
    "aws:rds/parameterGroup:ParameterGroup": "rds",
    "aws:rds/subnetGroup:SubnetGroup": "rds",
    "aws:route53/healthCheck:HealthCheck": "watching",
    "aws:s3/bucket:Bucket": "s3",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "s3_contents",
    "aws:s3/bucketPolicy:BucketPolicy": "s3",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "s3",
    "aws:s3/bucketVersioning:BucketVersioning": "s3",
    "aws:s3/objectCopy:ObjectCopy": "s3_contents",
    "aws:secretsmanager/secret:Secret": "secret_store",
    "aws:secretsmanager/secretVersion:SecretVersion": "secret_store",
    "aws:sns/topic:Topic": "monitoring",
    "aws:sns/topicSubscription:TopicSubscription": "monitoring",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "security_groups",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "security_groups",
    "aws:wafv2/webAcl:WebAcl": "waf",
}

TOKENS = tuple(_MODULES)


def resource_type(token: str) -> ResourceType:
    """Raises ProviderError for a type that is not in the table."""
    module = _MODULES.get(token)
    if module is None:
        close = difflib.get_close_matches(token, TOKENS, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ProviderError(
            f"the lab's stand-in for pulumi-aws does not serve {token}{hint} (docs/lab-limits.md)"
        )
    entries: dict[str, ResourceType] = import_module(f".{module}", __name__).TABLE
    return entries[token]
