"""What a colour's pods have in common: labels, security contexts, spreading over nodes."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

# No user of any image; files of volumes belong to the group.
_USER = 10_001
# Seconds without any progress after which Kubernetes calls a roll-out failed; Kubernetes' default, said here because of the next two.
PROGRESS_DEADLINE = 600
# Seconds that a whole roll-out may take: so many, and for each pod as long as it may take to start and be found healthy.
ROLL_OUT_LEAST, ROLL_OUT_POD = 600, 90
_SPREAD_OVER = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
NAME_LABEL = "app.kubernetes.io/name"
PART_OF = {"app.kubernetes.io/part-of": "simple378"}


def selector(name: str) -> dict[str, str]:
    """The label by which a Service, a Deployment and a disruption budget select pods."""
    return {NAME_LABEL: name}


def labels(name: str, version: str) -> dict[str, str]:
    """The labels of an object that belongs to `name`."""
    return {
        **selector(name),
        **PART_OF,
        "app.kubernetes.io/version": version,
        "app.kubernetes.io/managed-by": "pulumi",
    }


def image_version(image: str) -> str:
    """The image's tag, or the first 12 digits of its digest, as a label value."""
    return image.rpartition(":")[2][:12] if "@" in image else image.rpartition(":")[2]


def pod_security() -> k8s.core.v1.PodSecurityContextArgs:
    """The pod's part of Kubernetes' `restricted` standard, which the namespace enforces."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=_USER,
        run_as_group=_USER,
        fs_group=_USER,
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    """The container's part of `restricted`, and a read-only file system."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def spread(name: str) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Spread pods evenly over zones and nodes where possible; never prevents scheduling."""
    return [
        k8s.core.v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(name)),
        )
        for key in _SPREAD_OVER
    ]


def roll_out_limit(replicas: int) -> pulumi.CustomTimeouts:
    """How long the engine waits for a Deployment whose pods are replaced one by one; by default it gives up after ten minutes,
    which many replicas need, and a started roll-out goes on without it."""
    wait = f"{ROLL_OUT_LEAST + replicas * ROLL_OUT_POD}s"
    return pulumi.CustomTimeouts(create=wait, update=wait)


def restarts(count: int) -> dict[str, str] | None:
    """The annotation of a pod template by which its pods are replaced one by one when the number changes; none at 0, so that pods
    of before stay."""
    return {"simple378/restarts": str(count)} if count else None


def budget(name: str) -> k8s.policy.v1.PodDisruptionBudgetSpecArgs:
    """Evictions take one pod at a time. A pod that is not ready goes in any case: it serves nobody, and waiting for it to become
    ready would block the drain of its node for ever."""
    return k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        max_unavailable=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(name)),
        unhealthy_pod_eviction_policy="AlwaysAllow",
    )


def drain(seconds: int) -> k8s.core.v1.LifecycleArgs:
    """Keep serving for `seconds` after termination begins: the pod is removed from the load balancer and its Service at
    that moment, but both take a while to stop sending to it."""
    return k8s.core.v1.LifecycleArgs(
        pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=seconds))
    )
