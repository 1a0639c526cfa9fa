"""The guard of major upgrades: a new major version of PostgreSQL is asked for by a key of its own.

AWS refuses an upgrade that is not allowed, but only after the update has begun, and a downgrade can never be made.
"""

from __future__ import annotations

from infra.stacks import StackError

ALLOW_KEY = "databaseAllowMajorUpgrade"


class UpgradeError(StackError):
    """The deployment would change the database's major version; the message says how to go on."""


def check_upgrade(deployed: str | None, wanted: str, *, allowed: bool, stack: str) -> None:
    """Refuse another major version unless it is newer and was asked for. Versions are such as "16" or "16.4"; `deployed` is
    None before the first deployment.

    Raises:
        UpgradeError: refused; nothing was registered.
    """
    if deployed is None or major(deployed) == major(wanted):
        return
    change = f"simple378:databaseEngineVersion would take the database from {deployed} to {wanted}"
    if major(wanted) < major(deployed):
        raise UpgradeError(
            f"refused, nothing was changed: {change}, and no database can go back to an older major version. Restore a "
            f"snapshot from before the upgrade instead, or `pulumi config set simple378:databaseEngineVersion {deployed} --stack {stack}`"
        )
    if not allowed:
        raise UpgradeError(
            f"refused, nothing was changed: {change}, a major upgrade, which takes the database away for minutes and cannot be "
            f"undone. Take a snapshot; if it is meant: `pulumi config set simple378:{ALLOW_KEY} true --stack {stack}`"
        )


def major(version: str) -> int:
    return int(version.partition(".")[0])
