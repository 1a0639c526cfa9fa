"""A secret in AWS Secrets Manager, for people and programs that have no access to the stack's configuration."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# Days in which a deleted secret can be restored, and its name is taken. The stack's configuration has the values, so a
# deleted copy loses nothing, and the next deployment needs the name.
_RECOVERY_WINDOW = 0


@dataclass(frozen=True, slots=True)
class StoredSecretArgs:
    """`name` is the secret's path in Secrets Manager, `value` its text."""

    name: str
    description: str
    value: pulumi.Output[str]


class StoredSecret(pulumi.ComponentResource):
    """A secret and its current version."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: StoredSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:data:StoredSecret", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stored = aws.secretsmanager.Secret(
            f"{name}-secret",
            name=args.name,
            description=args.description,
            recovery_window_in_days=_RECOVERY_WINDOW,
            opts=child,
        )
        aws.secretsmanager.SecretVersion(
            f"{name}-version", secret_id=stored.id, secret_string=args.value, opts=child
        )
        self.arn = stored.arn
        self.register_outputs({"arn": stored.arn})
