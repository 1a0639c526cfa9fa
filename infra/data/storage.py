"""What gp3 storage does at which size: RDS for PostgreSQL stripes it over four volumes from 400 GiB on."""

from __future__ import annotations

# GiB.
LARGE = 400
# I/O operations a second; more can be bought from `LARGE` on only, up to the most.
SMALL_IOPS = 3_000
LARGE_IOPS = 12_000
MOST_IOPS = 64_000


def baseline_iops(storage: int) -> int:
    """I/O operations a second that `storage` GiB have without more being bought."""
    return LARGE_IOPS if storage >= LARGE else SMALL_IOPS
