"""Settings of a colour's layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from infra.settings import Settings, SettingsError, Structured
from infra.workload.network_policies import Destination
from infra.workload.pgbouncer_ini import LARGEST_POOL, SMALLEST_POOL

# A tag of an image, short enough to be a label's value as well.
_VERSION = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_REPOSITORY = r"^[a-z0-9][a-z0-9._/:-]*[a-z0-9]$"
_IMAGE = r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$"
_CPU = r"^(\d+m|\d+(\.\d+)?)$"
_MEMORY = r"^\d+(Mi|Gi)$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_LAST_PORT = 65_535

# Variables that the program itself sets on the backend.
OWN_VARIABLES = ("COLOUR", "VERSION", "DATABASE_URL", "AWS_REGION")


class Resources(BaseModel):
    """Of one pod, as Kubernetes quantities. `memory` and `ephemeralStorage` are both request and limit; CPU is a request only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: str = Field(default="500m", pattern=_CPU)
    memory: str = Field(default="512Mi", pattern=_MEMORY)
    # What a pod may write to its node's disk: its log and /tmp.
    ephemeral_storage: str = Field(default="1Gi", pattern=_MEMORY, alias="ephemeralStorage")


class ColourSettings(Settings):
    """One colour: the backend's version and replicas, and its connection to the database."""

    version: str = Field(pattern=_VERSION)
    # Repository of the image, without tag: the version is the tag.
    image: str = Field(pattern=_REPOSITORY)
    # What the tag stood for when it was resolved, once, for this release; without it a tag that is moved changes what a new pod runs.
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    # 0: a colour that was taken back is stopped; see infra.layers.colour.serving.
    replicas: int = Field(ge=0, le=100)
    resources: Annotated[Resources, Structured] = Resources()
    backend_env: Annotated[Mapping[str, str], Structured] = Field(default_factory=dict)
    # Seconds that a pod keeps serving after its termination begins, until the load balancer sends it nothing more.
    drain_seconds: int = Field(default=40, ge=1, le=300)

    @property
    def reference(self) -> str:
        """The image as the pods name it."""
        return f"{self.image}:{self.version}" + (f"@{self.digest}" if self.digest else "")

    @property
    def recorded_image(self) -> str:
        """The image as the stack's output keeps it."""
        return f"{self.image}@{self.digest}" if self.digest else self.image

    pgbouncer_image: str = Field(pattern=_IMAGE)
    pgbouncer_replicas: int = Field(default=2, ge=1, le=10)
    # Connections to the database of one pgbouncer.
    pool_size: int = Field(ge=SMALLEST_POOL, le=LARGEST_POOL)
    # Connections to one pgbouncer.
    max_client_connections: int = Field(default=1000, ge=100, le=10_000)
    # pgbouncer's TLS to the database: `verify-full` also checks certificate and name against `database_ca`, `require` fails
    # without TLS, `prefer` falls back to plain text.
    database_tls: Literal["verify-full", "require", "prefer"] = "require"
    # A file with the certificates of those who sign the database's (PEM), in the project's folder.
    database_ca: str | None = None
    # Seconds after which pgbouncer ends a query; 0: never. Somewhat longer than the load balancer waits for an answer.
    query_timeout: int = Field(default=30, ge=0, le=3600)
    # Named prepared statements that pgbouncer keeps for each connection; 0 for pgbouncer before 1.21, which knows no such key.
    max_prepared_statements: int = Field(default=0, ge=0, le=10_000)

    # Raised by one, the pods are replaced one by one: `rollout restart`.
    backend_restarts: int = Field(default=0, ge=0)
    pgbouncer_restarts: int = Field(default=0, ge=0)
    # An image with Python 3.9 or later, in which the memory guard runs, and the share of a pod's memory limit (percent)
    # above which the guard has it replaced.
    memory_guard_image: str = Field(pattern=_IMAGE)
    memory_guard_percent: int = Field(default=85, ge=50, le=99)

    # What the backend may reach besides its pool, HTTPS and DNS, as CIDR:PORT; see infra.workload.network_policies.
    backend_egress: Annotated[tuple[str, ...], Structured] = ()

    # The version that may be deployed although this colour serves: see `infra.layers.colour.serving`.
    allow_while_serving: str | None = Field(default=None, pattern=_VERSION)
    # The namespace, and with it everything in it, cannot be deleted by mistake.
    protect: bool = True

    @model_validator(mode="after")
    def _authority(self) -> Self:
        if (self.database_tls == "verify-full") != (self.database_ca is not None):
            raise ValueError(
                "simple378:databaseTls verify-full and simple378:databaseCa belong together: set the file with the certificates of "
                "those who sign the database's, `pulumi config set simple378:databaseCa FILE` (of RDS: "
                "https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem)"
            )
        return self

    def authority(self) -> str | None:
        """The text of `database_ca`; None where the certificate is not checked.

        Raises:
            SettingsError: the file cannot be read, or holds no certificate.
        """
        if self.database_ca is None:
            return None
        try:
            text = Path(self.database_ca).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text"
            raise SettingsError(f"simple378:databaseCa: {self.database_ca}: {reason}") from None
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise SettingsError(f"simple378:databaseCa: {self.database_ca}: no certificate (PEM) is in it")
        return text

    @field_validator("backend_egress", mode="after")
    @classmethod
    def _egress(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            destination(text)
        return value

    @property
    def egress(self) -> tuple[Destination, ...]:
        """`backend_egress`, parsed."""
        return tuple(destination(text) for text in self.backend_egress)

    @field_validator("backend_env", mode="after")
    @classmethod
    def _variables(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name in OWN_VARIABLES:
                raise ValueError(f"sets {name}, which the program sets itself")
            if not re.fullmatch(_VARIABLE, name):
                raise ValueError(f"has {name!r}, which is not a valid variable name")
        return value


def destination(text: str) -> Destination:
    """`10.0.3.0/24:6379`. Raises ValueError."""
    cidr, _, port = text.rpartition(":")
    if not (port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise ValueError(f"has {text!r}, which is not CIDR:PORT, such as 10.0.3.0/24:6379")
    try:
        return Destination(IPv4Network(cidr), int(port))
    except ValueError as error:
        raise ValueError(f"has {text!r}: {error}") from None
