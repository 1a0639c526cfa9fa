"""The layout of a lab: addresses, paths and environment, in one place.

Every lab has a network namespace of its own, so that the addresses below are the same in each of them. They are
private addresses and not loopback ones because the Kubernetes API server refuses loopback endpoints.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from simulate.lab.errors import bad_input

CHECKOUT = Path(__file__).resolve().parents[2]
#: Names the interpreter of the lab to simulate/lab/bin.
PYTHON_VARIABLE = "SIMPLE378_PYTHON"
BUILD = CHECKOUT / "build"
#: On PATH inside a lab only: the stand-in for pulumi-aws.
PLUGINS = CHECKOUT / "simulate" / "lab" / "bin"

API_SERVER = "10.78.0.1"
API_SERVER_PORT = 6443
#: Where the node agent serves the metrics API.
METRICS_PORT = 4443
POSTGRES = "10.78.0.5"
POSTGRES_PORT = 5432
ALB = "10.78.0.10"
EDGE = "10.78.0.20"
#: Addresses that the lab owns on its loopback device, each as a /32.
ADDRESSES = (API_SERVER, POSTGRES, ALB, EDGE)

PODS = IPv4Network("10.78.16.0/20")
#: The node's own address on the bridge of the pods, and their default gateway.
POD_GATEWAY = "10.78.16.1"
POD_BRIDGE = "pods"
CLUSTER_IPS = IPv4Network("10.78.32.0/20")
NODE_NAME = "lab-node"

AWS_PORT = 5000
AWS_ENDPOINT = f"http://127.0.0.1:{AWS_PORT}"
#: The same server as seen from a pod, where 127.0.0.1 is the pod's own.
AWS_ENDPOINT_OF_PODS = f"http://{POD_GATEWAY}:{AWS_PORT}"
AWS_REGION = "us-east-1"
#: A request with this header counts as its client's, so that one load generator can pose as many clients.
CLIENT_HEADER = "X-Lab-Client"
ETCD_URL = "http://127.0.0.1:2379"

POSTGRES_SUPERUSER = "postgres"
POSTGRES_PASSWORD = "lab"
POSTGRES_ADMIN_URL = (
    f"postgresql://{POSTGRES_SUPERUSER}:{POSTGRES_PASSWORD}@{POSTGRES}:{POSTGRES_PORT}/postgres"
)
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")

DEFAULT_LAB = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


#: What the lab's own programs are read from.
PROGRAM_DIRECTORIES = (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix))


def scratch_directory() -> Path:
    """Where a lab mounts its tmpfs for data: an existing directory that any user may traverse.

    Only the lab's own processes see the mount, but it hides what lies below, so it must not hold the
    checkout or the interpreter.
    """
    for candidate in (Path("/mnt"), Path("/media"), Path("/srv"), Path("/opt")):
        if candidate.is_dir() and not any(path.is_relative_to(candidate) for path in PROGRAM_DIRECTORIES):
            return candidate
    raise bad_input(
        "no directory to mount the lab's data over: /mnt, /media, /srv and /opt are missing or in use",
        "create an empty /mnt",
    )


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The files of one lab below `build/labs/<name>/`."""

    root: Path

    @classmethod
    def of(cls, name: str) -> LabPaths:
        """Paths of the lab `name`; `SIMPLE378_LABS` overrides the parent directory `build/labs`."""
        if not _NAME.fullmatch(name):
            raise bad_input(
                f"--name {name!r}: not a lab name",
                "use 1 to 30 lower-case letters, digits and hyphens, starting with a letter or digit",
            )
        return cls(labs_directory() / name)

    @property
    def state(self) -> Path:
        return self.root / "lab.json"

    @property
    def lock(self) -> Path:
        return self.root.parent / f".{self.root.name}.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pod_logs(self) -> Path:
        return self.logs / "pods"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    @property
    def resolver(self) -> Path:
        return self.root / "resolv.conf"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def credentials(self) -> Path:
        return self.root / "kubernetes"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def pulumi_state(self) -> Path:
        return self.root / "pulumi-state"

    @property
    def pulumi_home(self) -> Path:
        return self.root / "pulumi-home"

    @property
    def node_agent_ready(self) -> Path:
        return self.root / "node_agent.ready"

    @property
    def load_balancer_ready(self) -> Path:
        return self.root / "load_balancer.ready"


def labs_directory() -> Path:
    """The parent directory of all labs of this checkout."""
    override = os.environ.get("SIMPLE378_LABS")
    return Path(override).resolve() if override else BUILD / "labs"


def aws_environment(endpoint: str) -> dict[str, str]:
    """What an AWS SDK needs to talk to the lab's control plane at `endpoint` and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": AWS_REGION,
        "AWS_DEFAULT_REGION": AWS_REGION,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def program_path() -> str:
    """PATH of everything in the lab: its Pulumi plugin, the checkout's own programs, then Debian's."""
    directories = [
        str(PLUGINS),
        str(CHECKOUT / ".venv" / "bin"),
        str(Path(sys.prefix) / "bin"),
        str(POSTGRES_BIN),
    ]
    directories += os.environ.get("PATH", "").split(":")
    directories += ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return ":".join(dict.fromkeys(entry for entry in directories if entry))


def lab_environment(paths: LabPaths, time_scale: float) -> dict[str, str]:
    """The whole environment of a command inside the lab.

    Inherits the caller's, without proxies (there is nothing beyond the lab to reach) and without other AWS,
    Pulumi and Kubernetes settings, which could point a command at a real account.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and not key.startswith(("AWS_", "PULUMI_", "KUBE", "PG"))
    }
    return (
        inherited
        | aws_environment(AWS_ENDPOINT)
        | {
            "PATH": program_path(),
            # For the lab's own programs: a shell's start-up files may put another Python first on PATH.
            PYTHON_VARIABLE: sys.executable,
            "KUBECONFIG": str(paths.kubeconfig),
            # Without files of attributes beside the state: they are not written atomically, so an update that reads
            # a stack while its state is written can fail.
            "PULUMI_BACKEND_URL": f"file://{paths.pulumi_state}?metadata=skip",
            "PULUMI_HOME": str(paths.pulumi_home),
            "PULUMI_CONFIG_PASSPHRASE": "lab",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "SIMPLE378_LAB": str(paths.root),
            "SIMPLE378_TIME_SCALE": f"{time_scale:g}",
        }
    )
