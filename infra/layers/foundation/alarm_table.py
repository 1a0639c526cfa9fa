"""Every alarm of an environment in one table: what `docs/alarms.md` lists and the tests evaluate. The alarms themselves are
declared beside what they watch; this puts them together, for the settings' default values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.data.backups import backup_alarms
from infra.data.database_alarms import database_alarms
from infra.edge.colour_alarms import colour_alarms
from infra.edge.edge_alarms import edge_alarms
from infra.edge.load_balancer import balancer_alarms
from infra.layers.foundation.settings import FoundationSettings
from infra.operations.alarms import Alarm, Composite
from infra.operations.cluster_alarms import cluster_alarms
from infra.operations.health_checks import PATHS
from infra.operations.log_alarms import Source, log_alarms
from infra.operations.service_alarms import service_alarms
from infra.stacks import Colour


@dataclass(frozen=True, slots=True)
class Group:
    """Alarms whose names in CloudWatch begin with `prefix`; `needs` is the setting without which there are none."""

    title: str
    prefix: str
    alarms: Sequence[Alarm | Composite]
    needs: str = ""


def _default(field: str) -> int:
    return int(FoundationSettings.model_fields[field].default)


def table(environment: str, colour: Colour, *, session_baseline: int = 1000) -> tuple[Group, ...]:
    """The groups of an environment, with the alarms of one colour: those of the other are the same."""
    prefix = f"simple378-{environment}"
    return (
        Group(
            "The service as users see it",
            prefix,
            service_alarms(
                {each.value: f"targetgroup/{each.value}" for each in Colour}, "app/edge", session_baseline
            ),
        ),
        Group(
            "The ways in, the CDN and the rate limit (metrics of us-east-1)",
            f"{prefix}-edge",
            edge_alarms("DISTRIBUTION", "WEB-ACL", {what: f"CHECK-OF-{what}" for what in PATHS}),
        ),
        Group("The load balancer", prefix, balancer_alarms("app/edge")),
        Group(
            "A colour",
            f"{prefix}-{colour.value}",
            colour_alarms(colour, f"targetgroup/{colour.value}", "app/edge"),
        ),
        Group(
            "The cluster and a colour's pods",
            f"{prefix}-cluster",
            cluster_alarms("CLUSTER", [colour.value]),
            needs="simple378:clusterName (or simple378:observedCluster) and its CloudWatch Observability add-on",
        ),
        Group(
            "The database",
            f"{prefix}-database",
            database_alarms(
                prefix,
                iops=3000,
                max_connections=_default("database_max_connections"),
                instance_class=str(FoundationSettings.model_fields["database_instance_class"].default),
                storage=_default("database_storage"),
            ),
            needs="a database of its own, not simple378:databaseEndpoint",
        ),
        Group(
            "The database's backups",
            f"{prefix}-backup",
            backup_alarms(),
            needs="simple378:databaseCopyRegion",
        ),
        Group(
            "The logs",
            f"{prefix}-log",
            log_alarms(prefix, frozenset(Source)),
            needs="such a cluster (application), a database of its own",
        ),
    )
