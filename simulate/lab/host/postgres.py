"""The lab's PostgreSQL: what RDS would run, on the lab's tmpfs.

Roles and databases of the RDS instances that the program declares are made when they are declared; here is only the
server and its superuser.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from simulate.lab.errors import bad_input
from simulate.lab.layout import POSTGRES, POSTGRES_BIN, POSTGRES_PASSWORD, POSTGRES_PORT, POSTGRES_SUPERUSER

#: What RDS gives a db.t4g.medium: its 4 GiB / 9,531,392 bytes, less what the machine itself needs
#: (RDS user guide, "Quotas and constraints", default max_connections).
MAX_CONNECTIONS = 400


def _as_server_user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def prepare(directory: Path) -> None:
    """Make the (empty) directory that initdb will fill and the files beside it, owned by the server's user."""
    directory.mkdir(mode=0o700)
    password = directory.parent / "postgres-password"
    password.write_text(POSTGRES_PASSWORD)
    # Every address in the lab may log in, with a password.
    access = directory.parent / "postgres-access.conf"
    access.write_text("local all all scram-sha-256\nhost all all 10.78.0.0/16 scram-sha-256\n")
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise bad_input("no user 'postgres' on this machine", "run `make setup`") from None
        for path in (directory, password, access):
            shutil.chown(path, user.pw_uid, user.pw_gid)


def initdb_command(directory: Path) -> list[str]:
    """Create the cluster. Nothing is synced: the data does not outlive the lab."""
    return [
        *_as_server_user(),
        str(POSTGRES_BIN / "initdb"),
        f"--pgdata={directory}",
        f"--username={POSTGRES_SUPERUSER}",
        f"--pwfile={directory.parent / 'postgres-password'}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]


def server_command(directory: Path) -> list[str]:
    """The server, reachable from the lab's nodes and pods."""
    settings = {
        "hba_file": directory.parent / "postgres-access.conf",
        "listen_addresses": POSTGRES,
        "port": POSTGRES_PORT,
        "unix_socket_directories": directory,
        "max_connections": MAX_CONNECTIONS,
        "shared_buffers": "128MB",
        "fsync": "off",
        "full_page_writes": "off",
        "log_connections": "off",
        "log_line_prefix": "%m [%p] %u@%d ",
    }
    options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
    return [*_as_server_user(), str(POSTGRES_BIN / "postgres"), "-D", str(directory), *options]


def ready_command() -> list[str]:
    return [str(POSTGRES_BIN / "pg_isready"), "-q", "-h", POSTGRES, "-p", str(POSTGRES_PORT), "-t", "1"]
