"""Functions of pulumi-aws that a program calls: look-ups of what AWS has already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .aws import Aws, ProviderError
from .spec import Failure, Props


def _managed_prefix_list(aws: Aws, name: str) -> dict[str, Any]:
    by_name = [{"Name": "prefix-list-name", "Values": [name]}]
    found = aws.scope("ec2").call("describe_managed_prefix_lists", Filters=by_name)["PrefixLists"]
    if len(found) != 1:
        raise ProviderError(f"there are {len(found)} managed prefix lists named {name}, one is needed")
    (shown,) = found
    return {
        "id": shown["PrefixListId"],
        "arn": shown["PrefixListArn"],
        "name": shown["PrefixListName"],
        "addressFamily": shown["AddressFamily"],
        "ownerId": shown["OwnerId"],
    }


def _subnet(aws: Aws, identifier: str) -> dict[str, Any]:
    (shown,) = aws.scope("ec2").call("describe_subnets", SubnetIds=[identifier])["Subnets"]
    return {
        "id": identifier,
        "arn": shown["SubnetArn"],
        "availabilityZone": shown["AvailabilityZone"],
        "availableIpAddressCount": shown["AvailableIpAddressCount"],
        "cidrBlock": shown["CidrBlock"],
        "vpcId": shown["VpcId"],
    }


def _objects(aws: Aws, bucket: str, prefix: str) -> dict[str, Any]:
    found = aws.scope("s3").call("list_objects_v2", Bucket=bucket, Prefix=prefix).get("Contents", ())
    return {"id": bucket, "bucket": bucket, "prefix": prefix, "keys": [each["Key"] for each in found]}


# Each takes what it is asked by; which arguments those are, all of them needed.
_FUNCTIONS: dict[str, tuple[Callable[..., dict[str, Any]], tuple[str, ...]]] = {
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": (_managed_prefix_list, ("name",)),
    "aws:ec2/getSubnet:getSubnet": (_subnet, ("id",)),
    "aws:s3/getObjects:getObjects": (_objects, ("bucket", "prefix")),
}


def invoke(aws: Aws, token: str, args: Props) -> dict[str, Any] | list[Failure]:
    """The result, or what is wrong with the arguments. Raises ProviderError for an unknown function."""
    if token not in _FUNCTIONS:
        raise ProviderError(f"the lab's stand-in for pulumi-aws does not serve {token} (docs/lab-limits.md)")
    function, names = _FUNCTIONS[token]
    failures = [Failure(name, f"unknown argument of {token}") for name in args if name not in names]
    failures += [
        Failure(name, f"is needed by {token}") for name in names if not isinstance(args.get(name), str)
    ]
    if failures:
        return failures
    return function(aws, *(args[name] for name in names)) | {"region": aws.config.region}
