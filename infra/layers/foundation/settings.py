"""Settings of the foundation layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from infra.data.storage import LARGE, LARGE_IOPS, MOST_IOPS, baseline_iops
from infra.edge.distribution import READ_TIMEOUT
from infra.layers.foundation.access import Access
from infra.network.subnets import LARGEST_RANGE, MOST_ZONES, SMALLEST_RANGE, SMALLEST_SUBNET
from infra.settings import CLOUDFRONT_REGION, Settings, SettingsError, StringList, Structured

# Header values in listener rules; without `*` and `?`, which are wildcards there.
_HEADER_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
# What RDS accepts as a password: printable, no `/`, `"`, `@` or space.
_PASSWORD = re.compile(r"""[!#-.0-?A-~]{8,128}""")
# The fewest that a load balancer accepts.
_FEWEST_ZONES = 2
_IDENTIFIER = r"^[a-z][a-z0-9_]{0,62}$"
_CERTIFICATE = r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+$"
_HOST = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


class FoundationSettings(Settings):
    """Network, load balancer, database, distribution, secrets. A network is created unless the
    ids of an existing one are given, and a database unless an endpoint is given."""

    # A network to create...
    vpc_cidr: IPv4Network | None = None
    azs: StringList = ()
    # ...or an existing one.
    vpc_id: str | None = Field(default=None, pattern=r"^vpc-[0-9a-f]+$")
    public_subnet_ids: StringList = ()
    private_subnet_ids: StringList = ()
    # The security group of the cluster's nodes or pods; created if not given.
    workload_security_group_id: str | None = Field(default=None, pattern=r"^sg-[0-9a-f]+$")

    # The EKS cluster, which is made after the first deployment of this layer: by it the backend's pods get credentials for AWS
    # (EKS Pod Identity)...
    cluster_name: str | None = Field(default=None, pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")
    # ...or, where it has no Pod Identity agent, the ARN of its OIDC provider in IAM (IAM roles for service accounts).
    cluster_oidc_provider: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:oidc-provider/.+$"
    )

    # Addresses besides CloudFront's that may reach the load balancer: those of the rollout's probes. A security group
    # has 60 rules, and CloudFront's prefix list counts as 55.
    probe_cidrs: Annotated[tuple[IPv4Network, ...], Structured] = Field(default=(), max_length=5)
    # For the load balancer, in its region. Without it the listener speaks HTTP, which must be requested explicitly: see
    # `viewer_protocol_policy`.
    certificate_arn: str | None = Field(default=None, pattern=_CERTIFICATE)
    # The name that the certificate is for; it points at the load balancer.
    origin_domain: str | None = Field(default=None, pattern=_HOST)
    # Seconds without a byte after which the load balancer closes a connection, and answers 504 if a request waits on it. The
    # application must keep idle connections open for longer, and ping websockets more often.
    load_balancer_idle_seconds: int = Field(default=25, ge=1, lt=READ_TIMEOUT)
    # Seconds in which a deregistered target may finish its requests; AWS's default of 300 would delay every rollback.
    deregistration_delay: int = Field(default=30, ge=0, le=3600)

    domain_aliases: StringList = ()
    # For the aliases, in us-east-1.
    cdn_certificate_arn: str | None = Field(default=None, pattern=_CERTIFICATE)
    # `allow-all` also allows HTTP; it is the only policy that needs no certificate on the load balancer.
    viewer_protocol_policy: Literal["redirect-to-https", "https-only", "allow-all"] = "redirect-to-https"

    # Requests per minute that clients are told they may send (header RateLimit-Policy). Fixed, while the limit itself is
    # raised during a release: never above it.
    advertised_rate_limit: int = Field(default=1000, ge=10)

    # host:port of an existing database.
    database_endpoint: str | None = None
    database_name: str = Field(default="simple378", pattern=_IDENTIFIER)
    database_user: str = Field(default="simple378", pattern=_IDENTIFIER)
    database_password: SecretStr
    # The role that the application logs in as, made by docs/database-role.sql; without it as `database_user`, which owns all.
    database_app_user: str | None = Field(default=None, pattern=_IDENTIFIER)
    database_app_password: SecretStr | None = None
    # The server's limit, also of an existing one; the colours' pools must fit into it.
    database_max_connections: int = Field(default=500, ge=100, le=10_000)
    database_engine_version: str = Field(default="16", pattern=r"^\d+(\.\d+)?$")
    database_instance_class: str = Field(default="db.m6g.large", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    # GiB.
    database_storage: int = Field(default=100, ge=20, le=65_536)
    database_storage_limit: int = Field(default=1000, ge=22, le=65_536)
    # I/O operations a second of the storage; unset: what gp3 gives for its size. See infra.data.storage.
    database_iops: int | None = None
    database_multi_az: bool = True
    # Days; 0 would disable point-in-time recovery.
    database_backup_days: int = Field(default=14, ge=1, le=35)
    # Set for the one update that raises databaseEngineVersion to another major version: the database is upgraded at once, and
    # is away for minutes.
    database_allow_major_upgrade: bool = False
    # Days that AWS Backup keeps its daily backups, and the other region that it copies them to; without a region it makes none.
    database_copy_region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    database_copy_days: int = Field(default=35, ge=7, le=3650)
    # CloudWatch Database Insights: `advanced` keeps 15 months and costs by the processor.
    database_insights: Literal["standard", "advanced"] = "standard"
    # Whether a database that is destroyed leaves a last snapshot.
    database_final_snapshot: bool = True

    origin_secret: SecretStr
    test_secret: SecretStr
    # While a secret is rotated (`rollout rotate`): accepted beside the current value, and not sent.
    origin_secret_next: SecretStr | None = None
    origin_secret_previous: SecretStr | None = None
    test_secret_previous: SecretStr | None = None
    alert_email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    # Services besides the topics, by tier, as Apprise URLs: `slack://...`, `msteams://...`, `pagerduty://...`, `mailtos://...`.
    notify_urls: Annotated[
        Mapping[Literal["immediate", "warning", "notice"], tuple[SecretStr, ...]], Structured
    ] = {}
    # On-call services that CloudWatch's alarms go to besides, by tier, as HTTPS addresses with their keys (PagerDuty:
    # `https://events.pagerduty.com/integration/KEY/enqueue`).
    alarm_urls: Annotated[
        Mapping[Literal["immediate", "warning", "notice"], tuple[SecretStr, ...]], Structured
    ] = {}
    # The EKS cluster that CloudWatch's Observability add-on watches, for the alarms and logs of its pods; `cluster_name` if not given.
    observed_cluster: str | None = Field(default=None, pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")
    # Users at the same time that are usual at peak; without it nobody is told of twice as many.
    session_baseline: int | None = Field(default=None, ge=1)
    # Days for which logs in CloudWatch are kept.
    log_days: Literal["1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400"] = "30"
    # Roles for people and pipelines; without it the account's own are used, and SECURITY.md says what they need.
    access: Annotated[Access | None, Structured] = None
    protect: bool = True

    @property
    def pod_credentials(self) -> Literal["pod-identity", "web-identity"] | None:
        """How the backend's pods get credentials; None: not yet."""
        if self.cluster_name:
            return "pod-identity"
        return "web-identity" if self.cluster_oidc_provider else None

    @field_validator("alarm_urls")
    @classmethod
    def _urls(cls, value: Mapping[str, tuple[SecretStr, ...]]) -> Mapping[str, tuple[SecretStr, ...]]:
        if not all(url.get_secret_value().startswith("https://") for urls in value.values() for url in urls):
            raise ValueError("must be addresses that begin with https://")
        return value

    @field_validator("database_password", "database_app_password")
    @classmethod
    def _password(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not _PASSWORD.fullmatch(value.get_secret_value()):
            raise ValueError(
                "must have 8 to 128 printable characters, none of them a space, slash, double quote or @"
            )
        return value

    @field_validator(
        "origin_secret", "test_secret", "origin_secret_next", "origin_secret_previous", "test_secret_previous"
    )
    @classmethod
    def _header_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _HEADER_SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("must have 16 to 128 letters, digits, `_` or `-`")
        return value

    @field_validator("vpc_cidr")
    @classmethod
    def _cidr(cls, value: IPv4Network | None) -> IPv4Network | None:
        if value and not LARGEST_RANGE <= value.prefixlen <= SMALLEST_RANGE:
            raise ValueError(
                f"must be from a /{LARGEST_RANGE} to a /{SMALLEST_RANGE}, since a load balancer needs subnets of a "
                f"/{SMALLEST_SUBNET}"
            )
        return value

    @model_validator(mode="after")
    def _network(self) -> Self:
        made, given = (
            (self.vpc_cidr, self.azs),
            (self.vpc_id, self.public_subnet_ids, self.private_subnet_ids),
        )
        if any(made) and any(given):
            raise ValueError(
                "simple378:vpcCidr and simple378:azs create a network; simple378:vpcId, simple378:publicSubnetIds and "
                "simple378:privateSubnetIds use an existing one: remove one set of keys (`pulumi config rm`)"
            )
        if not (all(made) or all(given)):
            raise ValueError(
                "no network: set simple378:vpcCidr and simple378:azs to create one (`pulumi config set simple378:vpcCidr "
                "10.78.0.0/16`, `pulumi config set --path 'simple378:azs[0]' us-east-1a`), or simple378:vpcId, "
                "simple378:publicSubnetIds and simple378:privateSubnetIds to use an existing one"
            )
        zones = len(self.azs) if self.azs else min(len(self.public_subnet_ids), len(self.private_subnet_ids))
        if not _FEWEST_ZONES <= zones <= MOST_ZONES or len(set(self.azs)) != len(self.azs):
            raise ValueError(
                f"simple378:azs (or the subnet ids): a load balancer and a database need {_FEWEST_ZONES} to {MOST_ZONES} different "
                "availability zones; set another with `pulumi config set --path 'simple378:azs[1]' us-east-1b`"
            )
        return self

    @model_validator(mode="after")
    def _cluster(self) -> Self:
        if self.cluster_name and self.cluster_oidc_provider:
            raise ValueError(
                "simple378:clusterName (EKS Pod Identity) and simple378:clusterOidcProvider (IAM roles for service accounts) are "
                "two ways to give the pods credentials: remove one (`pulumi config rm`)"
            )
        return self

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        if self.certificate_arn is None and self.viewer_protocol_policy != "allow-all":
            raise ValueError(
                "simple378:certificateArn is missing; set it with `pulumi config set simple378:certificateArn ARN`, and "
                "simple378:originDomain to the name that it is for. Without it requests and the secret header would be "
                "sent unencrypted from CloudFront to the load balancer"
            )
        if (self.certificate_arn is None) != (self.origin_domain is None):
            raise ValueError(
                "simple378:certificateArn and simple378:originDomain belong together: CloudFront reaches the load "
                "balancer by the name that its certificate is for; set the missing one with `pulumi config set`"
            )
        if bool(self.domain_aliases) != (self.cdn_certificate_arn is not None):
            raise ValueError(
                "simple378:domainAliases and simple378:cdnCertificateArn belong together; set the missing one with "
                "`pulumi config set`"
            )
        if self.cdn_certificate_arn and f":acm:{CLOUDFRONT_REGION}:" not in self.cdn_certificate_arn:
            raise ValueError(
                f"simple378:cdnCertificateArn is of {_region_of(self.cdn_certificate_arn)}, but CloudFront accepts certificates from "
                f"{CLOUDFRONT_REGION} only; request one there and set it with `pulumi config set simple378:cdnCertificateArn ARN`"
            )
        return self

    @model_validator(mode="after")
    def _application_role(self) -> Self:
        if (self.database_app_user is None) != (self.database_app_password is None):
            raise ValueError(
                "simple378:databaseAppUser and simple378:databaseAppPassword belong together; set the missing one with `pulumi "
                "config set` (the password with --secret)"
            )
        if self.database_app_user == self.database_user:
            raise ValueError(
                "simple378:databaseAppUser is the same as simple378:databaseUser, which owns the database: `pulumi config set "
                "simple378:databaseAppUser simple378_app`"
            )
        return self

    @model_validator(mode="after")
    def _secrets_differ(self) -> Self:
        if self.origin_secret == self.test_secret:
            raise ValueError(
                "simple378:testSecret is the same as simple378:originSecret, so a tester could pose as "
                "CloudFront; set another with `pulumi config set --secret simple378:testSecret`"
            )
        return self

    @model_validator(mode="after")
    def _database(self) -> Self:
        if self.database_endpoint is not None and not re.fullmatch(
            r"[a-z0-9.-]+:\d{1,5}", self.database_endpoint
        ):
            raise ValueError(
                f"simple378:databaseEndpoint is {self.database_endpoint!r}: must be host:port; set it with "
                "`pulumi config set simple378:databaseEndpoint HOST:5432`"
            )
        if self.database_storage_limit < self.database_storage * 1.1:
            raise ValueError(
                "simple378:databaseStorageLimit must be at least 10 % above simple378:databaseStorage (GiB); set it "
                "with `pulumi config set simple378:databaseStorageLimit GIB`"
            )
        if self.database_iops is not None and self.database_storage < LARGE:
            raise ValueError(
                f"simple378:databaseIops can be set from {LARGE} GiB of simple378:databaseStorage on; below, the storage has "
                f"{baseline_iops(self.database_storage)}: remove it with `pulumi config rm simple378:databaseIops`"
            )
        if self.database_iops is not None and not LARGE_IOPS <= self.database_iops <= MOST_IOPS:
            raise ValueError(
                f"simple378:databaseIops must be from {LARGE_IOPS} to {MOST_IOPS}; set it with `pulumi config set "
                "simple378:databaseIops NUMBER`"
            )
        return self

    def check_region(self, region: str, stack: str) -> None:
        """Refuse what does not fit the stack's region, which is the provider's setting and not one of these.

        Raises:
            SettingsError: the load balancer's certificate is of another region, or the backups' copies are not.
        """
        if self.database_copy_region == region:
            raise SettingsError(
                f"configuration of stack {stack}:\n  - simple378:databaseCopyRegion is {region}, the database's own region, which the "
                "copies are to outlive; set another with `pulumi config set simple378:databaseCopyRegion REGION "
                f"--stack {stack}`"
            )
        if self.certificate_arn and _region_of(self.certificate_arn) != region:
            raise SettingsError(
                f"configuration of stack {stack}:\n  - simple378:certificateArn is of {_region_of(self.certificate_arn)}, but a load "
                f"balancer takes certificates of its own region only, {region}; request one there and set it with "
                f"`pulumi config set simple378:certificateArn ARN --stack {stack}`"
            )


def _region_of(arn: str) -> str:
    return arn.split(":")[3]
