"""EKS Pod Identity associations, which moto 5.2.5 lacks, with EKS's own refusals. They are kept and shown; no pod gets credentials by them."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.eks import urls
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException, ResourceNotFoundException
from moto.eks.models import CLUSTER_NOT_FOUND_MSG, Cluster, EKSBackend, eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random

#: The cluster that a lab's namespaces stand for: EKS knows it, and `infra/` refers to it by name.
CLUSTER = "lab"
_PATHS = (
    "{0}/clusters/(?P<name>[^/]+)/pod-identity-associations$",
    "{0}/clusters/(?P<name>[^/]+)/pod-identity-associations/(?P<associationId>[^/]+)$",
)
_SHOWN = ("namespace", "serviceAccount", "associationArn", "associationId", "clusterName")

Association = dict[str, Any]


def install() -> None:
    """Adds the five operations to moto's EKS in this process; before its server is made."""
    for path in _PATHS:
        urls.url_paths[path] = EKSResponse.dispatch
    for name, operation in {
        "create_pod_identity_association": _create,
        "describe_pod_identity_association": _describe,
        "list_pod_identity_associations": _list,
        "update_pod_identity_association": _update,
        "delete_pod_identity_association": _delete,
    }.items():
        setattr(EKSResponse, name, operation)


def make_cluster(account: str, region: str, name: str = CLUSTER) -> None:
    """The cluster, as its owner has made it."""
    backend = eks_backends[account][region]
    if name not in backend.clusters:
        backend.create_cluster(name, f"arn:aws:iam::{account}:role/{name}-cluster", {})


def _cluster(response: EKSResponse) -> Cluster:
    backend: EKSBackend = response.eks_backend
    name = _parameter(response, "name") or _parameter(response, "clusterName")
    if name not in backend.clusters:
        raise ResourceNotFoundException(message=CLUSTER_NOT_FOUND_MSG.format(clusterName=name))
    cluster: Cluster = backend.clusters[name]
    return cluster


def _parameter(response: EKSResponse, name: str) -> str:
    return str(response._get_param(name) or "")  # noqa: SLF001 -- as moto's own operations read it


def _associations(cluster: Cluster) -> dict[str, Association]:
    """By id; they end with their cluster."""
    found: dict[str, Association] = cluster.__dict__.setdefault("pod_identity_associations", {})
    return found


def _association(response: EKSResponse) -> Association:
    wanted = _parameter(response, "associationId")
    found = _associations(_cluster(response)).get(wanted)
    if found is None:
        raise ResourceNotFoundException(message=f"No association found with id: {wanted}")
    return found


def _role(response: EKSResponse) -> str:
    """EKS looks the role up, and whether its trust policy lets pods in."""
    arn = _parameter(response, "roleArn")
    backend = iam_backends[response.current_account]["aws"]
    role = next((role for role in backend.roles.values() if role.arn == arn), None)
    if role is None:
        raise InvalidParameterException(message="Role provided in the request does not exist.")
    if "pods.eks.amazonaws.com" not in json.dumps(role.assume_role_policy_document):
        raise InvalidParameterException(message="Trust policy of role is not valid for EKS Pod Identity.")
    return arn


def _create(self: EKSResponse) -> ActionResult:
    cluster = _cluster(self)
    wanted = {name: _parameter(self, name) for name in ("namespace", "serviceAccount")} | {
        "roleArn": _role(self)
    }
    for other in _associations(cluster).values():
        if all(other[name] == wanted[name] for name in ("namespace", "serviceAccount")):
            raise ResourceInUseException(message=f"Association already exists: {other['associationId']}")
    identity = "a-" + mock_random.get_random_string(17, lower_case=True)
    arn = f"arn:aws:eks:{self.region}:{self.current_account}:podidentityassociation/{cluster.name}/{identity}"
    made = wanted | {"clusterName": cluster.name, "associationId": identity, "associationArn": arn}
    _associations(cluster)[identity] = made
    return ActionResult({"association": made})


def _describe(self: EKSResponse) -> ActionResult:
    return ActionResult({"association": _association(self)})


def _list(self: EKSResponse) -> ActionResult:
    found = _associations(_cluster(self)).values()
    return ActionResult({"associations": [{name: each[name] for name in _SHOWN} for each in found]})


def _update(self: EKSResponse) -> ActionResult:
    found = _association(self)
    found["roleArn"] = _role(self)
    return ActionResult({"association": found})


def _delete(self: EKSResponse) -> ActionResult:
    found = _association(self)
    return ActionResult({"association": _associations(_cluster(self)).pop(found["associationId"])})
