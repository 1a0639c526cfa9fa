"""A step of the lab's start: what a cluster of EKS with the AWS Load Balancer Controller has and a bare one lacks.

That is one custom resource, TargetGroupBinding, with the fields of the real one that concern targets by address.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from simulate.lab.kubernetes.api import Json, KubeApi, KubeError

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_SPEC: Json = {
    "type": "object",
    "required": ["serviceRef"],
    "properties": {
        "targetGroupARN": {"type": "string"},
        "targetType": {"type": "string", "enum": ["instance", "ip"]},
        "vpcID": {"type": "string", "pattern": "^vpc-[0-9a-f]{8}(?:[0-9a-f]{9})?$"},
        "ipAddressType": {"type": "string", "enum": ["ipv4", "ipv6"]},
        "serviceRef": {
            "type": "object",
            "required": ["name", "port"],
            "properties": {
                "name": {"type": "string"},
                "port": {"x-kubernetes-int-or-string": True},
            },
        },
        "networking": {
            "type": "object",
            "properties": {
                "ingress": {
                    "type": "array",
                    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                }
            },
        },
    },
}

TARGET_GROUP_BINDING: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "targetgroupbindings.elbv2.k8s.aws"},
    "spec": {
        "group": "elbv2.k8s.aws",
        "scope": "Namespaced",
        "names": {
            "kind": "TargetGroupBinding",
            "listKind": "TargetGroupBindingList",
            "plural": "targetgroupbindings",
            "singular": "targetgroupbinding",
        },
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": _SPEC,
                            "status": {
                                "type": "object",
                                "properties": {"observedGeneration": {"type": "integer"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}


async def install() -> None:
    """Create the custom resource and wait until it is served."""
    async with KubeApi.from_environment() as api:
        try:
            await api.post(_DEFINITIONS, TARGET_GROUP_BINDING)
        except KubeError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
        name = TARGET_GROUP_BINDING["metadata"]["name"]
        async for change in api.watch(_DEFINITIONS, fieldSelector=f"metadata.name={name}"):
            conditions = change.object.get("status", {}).get("conditions") or []
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                return


if __name__ == "__main__":
    asyncio.run(install())
