"""Who may become the roles of this environment, and what those need to know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from infra.operations.roles import Pipeline

_PLACE = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*$"
_Principal = Annotated[str, StringConstraints(pattern=r"^arn:aws:iam::\d{12}:(role|user|root)(/.+)?$")]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class PipelineAccess(_Part):
    """`provider` is the ARN of the account's OIDC identity provider; `subject` is matched whole."""

    provider: str = Field(pattern=r"^arn:aws:iam::\d{12}:oidc-provider/.+$")
    audience: str = "sts.amazonaws.com"
    subject: str = Field(pattern=r"^[^*?]+$")


class Access(_Part):
    """`people` may become operator, rollout and break-glass; `store` is that of `rollout --store`, `state` Pulumi's backend, `state_key`
    the KMS key of its secrets provider."""

    people: tuple[_Principal, ...] = Field(min_length=1)
    pipeline: PipelineAccess | None = None
    store: str = Field(pattern=_PLACE)
    state: str = Field(pattern=_PLACE)
    state_key: str = Field(default="", pattern=r"^(arn:aws:kms:[a-z0-9-]+:\d{12}:key/.+)?$")

    @property
    def oidc(self) -> Pipeline | None:
        if self.pipeline is None:
            return None
        return Pipeline(self.pipeline.provider, self.pipeline.audience, self.pipeline.subject)
