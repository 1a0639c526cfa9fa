"""Programs that the lab runs and that come from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.console import SetupError, run

# Debian keeps these off a plain user's PATH.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# What must be found -> the package that brings it. A path is one or a pattern of the file system.
PACKAGES: Mapping[str, str] = {
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "pgbouncer": "pgbouncer",
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "unshare": "util-linux",
}

# Services that those packages would start, now and at each boot; the lab starts its own, in its namespace.
_SERVICES: Mapping[str, str] = {
    "etcd-server": "etcd",
    "haproxy": "haproxy",
    "pgbouncer": "pgbouncer",
    "postgresql": "postgresql",
}

# `policy-rc.d` is what Debian's package scripts ask before they start a service; 101 forbids it.
_SCRIPT = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\\nexit 101\\n' > $policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
# Without fresh lists the old ones may do.
apt-get update || true
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends {packages}
for service in {services}; do
    systemctl disable $service || echo "$service: not disabled"
done
"""


def missing(wanted: Mapping[str, str] = PACKAGES) -> list[str]:
    """Packages whose programs are not on this machine, however the others came onto it."""
    return sorted({package for what, package in wanted.items() if not _found(what)})


def _found(what: str) -> bool:
    if what.startswith("/"):
        return any(Path("/").glob(what[1:]))
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    return shutil.which(what, path=search) is not None


def privilege() -> list[str] | None:
    """Command prefix that runs as root: empty for root, `sudo` where it can, None when there is no way."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    # Without a terminal nobody can type a password; with one, sudo asks here, before the output goes to a log.
    ask = [sudo, "-v"] if sys.stdin.isatty() else [sudo, "-n", "true"]
    return (
        [sudo, "-n"] if subprocess.run(ask, check=False, stderr=subprocess.DEVNULL).returncode == 0 else None
    )


def install(packages: Sequence[str], log: Path) -> None:
    """Install Debian packages without leaving their services running.

    Raises:
        SetupError: neither root nor sudo, no apt-get, or it failed; names what to install.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"these programs are missing and this is no Debian: install what Debian calls {names}"
        )
    prefix = privilege()
    if prefix is None:
        raise SetupError(
            f"Debian packages are missing, and this is neither root nor sudo. Run: apt-get install {names}"
        )
    services = " ".join(_SERVICES[package] for package in packages if package in _SERVICES)
    script = _SCRIPT.format(packages=names, services=services)
    run(f"installing {names}", [*prefix, "sh", "-c", script], log=log, expected=40)
