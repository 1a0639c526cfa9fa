"""EKS: which pods get which role. The cluster itself is not the program's."""

from __future__ import annotations

from ..spec import Call, Create, Describe, Field, ResourceType, Update, output
from .rules import matches, table

# The API's members begin with a lower-case letter, unlike most.
POD_IDENTITY_ASSOCIATION = ResourceType(
    token="aws:eks/podIdentityAssociation:PodIdentityAssociation",
    service="eks",
    fields=(
        Field("clusterName", "clusterName", required=True, replace=True),
        Field(
            "namespace",
            "namespace",
            required=True,
            replace=True,
            checks=(matches(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "the name of a Kubernetes namespace"),),
        ),
        Field("serviceAccount", "serviceAccount", required=True, replace=True),
        Field("roleArn", "roleArn", required=True),
        output("associationArn", "associationArn"),
        output("associationId", "associationId"),
    ),
    create=Create("create_pod_identity_association", id="association.associationId"),
    read=Describe(
        Call("describe_pod_identity_association", {"clusterName": "{clusterName}", "associationId": "{id}"}),
        "association",
        gone=("ResourceNotFoundException",),
    ),
    update=(
        Update(
            Call(
                "update_pod_identity_association", {"clusterName": "{clusterName}", "associationId": "{id}"}
            ),
            ("roleArn",),
        ),
    ),
    delete=Call("delete_pod_identity_association", {"clusterName": "{clusterName}", "associationId": "{id}"}),
    unique=("clusterName", "namespace", "serviceAccount"),
)

TABLE = table(POD_IDENTITY_ASSOCIATION)
