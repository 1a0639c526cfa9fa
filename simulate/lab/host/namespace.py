"""Entering and leaving a lab's namespaces, with util-linux's unshare and nsenter.

One `unshare` makes the network, pid and mount namespaces (and a user namespace for a plain user) around one first
process. Whatever runs in there is a descendant of it or was brought in by nsenter; when the first process ends, for
whatever reason, the kernel ends all of them and the mounts and addresses go with the namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from simulate.lab.errors import bad_input
from simulate.lab.layout import program_path, scratch_directory

#: Programs that a lab needs.
PROGRAMS = (
    "unshare",
    "nsenter",
    "setpriv",
    "mount",
    "ip",
    "initdb",
    "postgres",
    "etcd",
    "haproxy",
    "pgbouncer",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
)


def needs_user_namespace() -> bool:
    """A plain user gets the rights to mount and to make a network from a user namespace of its own."""
    return os.geteuid() != 0


def unshare_command(argv: Sequence[str]) -> list[str]:
    """`argv` as the first process of new namespaces; it is killed when unshare is."""
    user = ["--user", "--map-current-user", "--keep-caps"] if needs_user_namespace() else []
    options = ["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *user, *options, "--", *argv]


def enter_command(pid: int, user_namespace: bool, directory: Path, argv: Sequence[str]) -> list[str]:
    """`argv` inside the namespaces of the first process `pid`, with `directory` as its current one.

    The command gets SIGTERM when nsenter ends, so that ending what the caller sees ends what it started.
    """
    user = ["--user", "--preserve-credentials"] if user_namespace else []
    enter = ["nsenter", "--target", str(pid), *user, "--net", "--pid", "--mount"]
    return [*enter, f"--wdns={directory}", "--", "setpriv", "--pdeathsig", "TERM", "--", *argv]


def check_programs() -> None:
    """Raises LabError naming the programs that are missing."""
    path = program_path()
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        raise bad_input(f"missing program: {', '.join(missing)}", "run `make setup`")


def check_rights() -> None:
    """Raises LabError if this user cannot make the namespaces and the devices of a lab."""
    # What a lab needs beyond the namespaces themselves: a mount, a bridge, a pair of network devices.
    probe = (
        f"mount -t tmpfs lab {scratch_directory()} && "
        "ip link add pods type bridge && ip link add p0 type veth peer name p1"
    )
    result = subprocess.run(
        unshare_command(["sh", "-c", probe]),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": program_path()},
    )
    if result.returncode != 0:
        detail = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise bad_input(
            f"no right to make a namespace: {detail}",
            "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1 and "
            "user.max_user_namespaces above 0; in a container: privileged)",
        )


def first_process(unshare_pid: int) -> int | None:
    """The pid, as seen from here, of the process that unshare made; None while there is none."""
    try:
        children = Path(f"/proc/{unshare_pid}/task/{unshare_pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
