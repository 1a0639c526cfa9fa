"""The lab's DNS: a hosts file that is bind-mounted over /etc/hosts.

Several programs add names to it (ClusterIPs, RDS endpoints, load balancers, distributions). Each owns one section,
replaced as a whole:

    set_section(lab_hosts(), "rds", {"db.example.us-east-1.rds.amazonaws.com": "10.78.0.5"})

The file is rewritten in place, never renamed over: a bind mount keeps showing the old inode.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from io import FileIO
from ipaddress import ip_address
from pathlib import Path

_OWNER = re.compile(r"[a-z0-9][a-z0-9./-]*")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LOCAL = "127.0.0.1 localhost\n"


def lab_hosts() -> Path:
    """The hosts file of the lab this process runs in."""
    return Path(os.environ["SIMPLE378_LAB"]) / "hosts"


def create(path: Path) -> None:
    """Create a new file with localhost only."""
    path.write_text(_LOCAL)
    path.chmod(0o644)  # pods read it as another user, whatever the umask


def set_section(path: Path, owner: str, entries: Mapping[str, str]) -> None:
    """Replace the section of `owner` by `entries` (host name -> address); the others stay as they are.

    Raises ValueError for a name or an address that would break the file.
    """
    if not _OWNER.fullmatch(owner):
        raise ValueError(f"not a section owner: {owner!r}")
    for name, address in entries.items():
        if not _HOST.fullmatch(name):
            raise ValueError(f"not a host name: {name!r}")
        ip_address(address)
    with path.open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        old = file.read()
        _rewrite(file, old, _merged(old.decode(), owner, entries).encode())


def copy_with(source: Path, path: Path, owner: str, entries: Mapping[str, str]) -> None:
    """Make `path` what `source` is now, with one more section; made if missing, else rewritten in place."""
    new = _merged(source.read_text(), owner, entries).encode()
    if not path.exists():
        create(path)
    with path.open("r+b", buffering=0) as file:
        _rewrite(file, file.read(), new)


def _rewrite(file: FileIO, old: bytes, new: bytes) -> None:
    if new == old:
        return
    # Readers take no lock. One write that also blanks the rest, then the cut, leaves no moment in which half a line of
    # the old content follows the new.
    os.pwrite(file.fileno(), new.ljust(len(old), b"\n"), 0)
    file.truncate(len(new))


def _merged(text: str, owner: str, entries: Mapping[str, str]) -> str:
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line == f"# begin {owner}":
            inside = True
        elif line == f"# end {owner}":
            inside = False
        elif not inside and line:
            kept.append(line)
    if entries:
        body = [f"{address} {name}" for name, address in sorted(entries.items())]
        kept += [f"# begin {owner}", *body, f"# end {owner}"]
    return "\n".join(kept) + "\n"
