"""The alarms of the database."""

from __future__ import annotations

import pulumi

from infra.operations.alarms import Alarm, Metric, Missing
from infra.operations.topics import Tier

# The guide's Strategy 5, warnings.
CPU_PERCENT = 75.0
DISK_IO_PERCENT = 70.0
# Of max_connections: high is worth knowing, near the maximum needs somebody (Risk 6).
CONNECTIONS_HIGH_PERCENT = 70
CONNECTIONS_NEAR_MAXIMUM_PERCENT = 85
# Seconds of one read or write of its storage; SSDs answer in single milliseconds.
STORAGE_SECONDS = 0.02
# Percent of the memory and of the storage that must be free. Storage grows by itself when less than 10 % is free, so this is where
# that did not help.
FREE_MEMORY_PERCENT = 10
FREE_STORAGE_PERCENT = 5

_GIB = 1024**3
# GiB of memory for each virtual CPU by the family's letter, and of the sizes below `large`, which are the same in all families.
_MEMORY_PER_CPU = {"t": 4, "m": 4, "r": 8, "x": 16, "c": 2, "z": 8}
_SMALL = {"micro": 1.0, "small": 2.0, "medium": 4.0}


def memory_of(instance_class: str) -> float:
    """GiB of memory of an instance class, such as db.m6g.large."""
    _, family, size = instance_class.split(".")
    if size in _SMALL:
        return _SMALL[size]
    cpus = 2 if size == "large" else 4 * int(size.removesuffix("xlarge") or 1)
    return float(cpus * _MEMORY_PER_CPU.get(family[0], 4))


def database_alarms(
    identifier: pulumi.Input[str], *, iops: int, max_connections: int, instance_class: str, storage: int
) -> tuple[Alarm, ...]:
    """The alarms of an instance with `storage` GiB. Disk I/O is the share of the provisioned I/O operations per second that are
    in use."""

    def metric(name: str, stat: str = "Average") -> Metric:
        return Metric("AWS/RDS", name, {"DBInstanceIdentifier": identifier}, stat)

    def connections(
        suffix: str, description: str, guide: str, tier: Tier, percent: int, minutes: int
    ) -> Alarm:
        return Alarm(
            suffix=suffix,
            description=description,
            guide=guide,
            tier=tier,
            threshold=percent,
            breaches=minutes,
            of=minutes,
            metrics={"connections": metric("DatabaseConnections", "Maximum")},
            expressions={"used": f"100 * connections / {max_connections}"},
        )

    return (
        Alarm(
            suffix="cpu",
            description=f"The database's CPU is above {CPU_PERCENT:g} %",
            guide="Strategy 5, 72 hours: database CPU > 75 %",
            tier=Tier.WARNING,
            threshold=CPU_PERCENT,
            metrics={"cpu": metric("CPUUtilization")},
        ),
        Alarm(
            suffix="disk-io",
            description=f"The database uses more than {DISK_IO_PERCENT:g} % of its storage's I/O operations",
            guide="Strategy 5: disk I/O > 70 %",
            tier=Tier.WARNING,
            threshold=DISK_IO_PERCENT,
            metrics={"reads": metric("ReadIOPS"), "writes": metric("WriteIOPS")},
            expressions={"used": f"100 * (reads + writes) / {iops}"},
        ),
        # RDS counts connections each minute, also when there are none: no count is a database that does not run.
        Alarm(
            suffix="unreachable",
            description="RDS has not reported the database for minutes: it is down, restarting or unreachable",
            guide="72 hours: database unreachable",
            tier=Tier.IMMEDIATE,
            threshold=0,
            breaches=3,
            of=3,
            below=True,
            missing=Missing.BAD,
            metrics={"connections": metric("DatabaseConnections", "Maximum")},
        ),
        connections(
            "connections-high",
            f"More than {CONNECTIONS_HIGH_PERCENT} % of max_connections are in use, for a quarter of an hour",
            "72 hours: connection count high but stable",
            Tier.NOTICE,
            CONNECTIONS_HIGH_PERCENT,
            15,
        ),
        connections(
            "connections-near-maximum",
            f"More than {CONNECTIONS_NEAR_MAXIMUM_PERCENT} % of max_connections are in use",
            "Risk 6: active connection count near maximum",
            Tier.WARNING,
            CONNECTIONS_NEAR_MAXIMUM_PERCENT,
            3,
        ),
        Alarm(
            suffix="response-time",
            description=f"The database's storage takes more than {1000 * STORAGE_SECONDS:g} ms for a read or a write",
            guide="Risk 6: database response time increasing",
            tier=Tier.WARNING,
            threshold=STORAGE_SECONDS,
            breaches=5,
            of=5,
            metrics={"read": metric("ReadLatency"), "write": metric("WriteLatency")},
            expressions={"slower": "MAX([read, write])"},
        ),
        # Sessions that run or wait, for each virtual CPU: above 1 queries queue for something.
        Alarm(
            suffix="load",
            description="More sessions are active in the database than it has CPUs: queries wait",
            guide="Risk 6: database response time increasing; Risk 8: slow queries",
            tier=Tier.WARNING,
            threshold=1,
            breaches=5,
            of=5,
            metrics={"load": metric("DBLoadRelativeToNumVCPUs")},
        ),
        Alarm(
            suffix="memory",
            description=f"Less than {FREE_MEMORY_PERCENT} % of the database's memory is free",
            guide="72 hours: CPU/memory > 80 %; PostgreSQL's caches take most of it",
            tier=Tier.WARNING,
            threshold=round(memory_of(instance_class) * _GIB * FREE_MEMORY_PERCENT / 100),
            breaches=5,
            of=5,
            below=True,
            metrics={"free": metric("FreeableMemory")},
        ),
        Alarm(
            suffix="storage",
            description=f"Less than {FREE_STORAGE_PERCENT} % of the database's storage is free",
            guide="72-hour dashboard: CPU, memory, disk usage",
            tier=Tier.WARNING,
            threshold=round(storage * _GIB * FREE_STORAGE_PERCENT / 100),
            breaches=5,
            of=5,
            below=True,
            metrics={"free": metric("FreeStorageSpace", "Minimum")},
        ),
    )
