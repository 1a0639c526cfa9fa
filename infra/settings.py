"""Typed settings of a stack: what every layer's settings have in common.

The keys are those of the stack file in the project's namespace (`simple378:poolSize`), the fields their names in
snake case. Everything that is wrong with a stack's configuration is reported in one error before any resource is
registered: each line names the key, what is wrong with it, and the command that sets it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

# The providers' own settings that the program reads as well.
REGION_KEY = "aws:region"
CONTEXT_KEY = "kubernetes:context"
# The one region of web ACLs and certificates for CloudFront, wherever the rest of an environment is.
CLOUDFRONT_REGION = "us-east-1"


class SettingsError(pulumi.RunError):
    """The configuration of a stack is incomplete or wrong; the message lists what to set."""


def _parse_json(value: Any) -> Any:
    # The engine hands lists and maps of a stack file over as JSON text.
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError("must be a list or a map, not text") from error
    return value


# A list or a map in the stack file: `Annotated[tuple[str, ...], Structured]`.
Structured = BeforeValidator(_parse_json)
StringList = Annotated[tuple[str, ...], Structured]


class Settings(BaseModel):
    """Base of a layer's settings."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    @classmethod
    def load(cls) -> Self:
        """The settings of the stack that is being deployed.

        Raises:
            SettingsError: a key is missing or unknown, or its value is not allowed.
        """
        return cls.parse(_stack_config(pulumi.get_project()), pulumi.get_project(), pulumi.get_stack())

    @classmethod
    def parse(cls, values: Mapping[str, str], project: str, stack: str) -> Self:
        """Settings from the text of their keys (without namespace).

        Raises:
            SettingsError: as `load`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [
                _explain(cls, problem, values, project, stack) for problem in error.errors(include_url=False)
            ]
        # Outside the handler: pydantic's own text shows values, and some of them are secret.
        listed = "\n".join(f"  - {line}" for line in lines)
        raise SettingsError(f"configuration of stack {stack}:\n{listed}")


def region() -> str:
    """The AWS region of the stack.

    Raises:
        SettingsError: `aws:region` is not set.
    """
    return _provider_setting(REGION_KEY, "us-east-1")


def require_context() -> None:
    """Refuse a stack that does not name its cluster.

    The provider would take the kubeconfig's current context, whatever it is at the time. Naming a
    kubeconfig (in the configuration or by KUBECONFIG) is not enough: it has a current context as well.

    Raises:
        SettingsError: `kubernetes:context` is not set.
    """
    _provider_setting(CONTEXT_KEY, "NAME")


def secret(value: SecretStr) -> pulumi.Output[str]:
    """A setting as a secret output: encrypted in the state even if the stack file has it in clear text."""
    return pulumi.Output.secret(value.get_secret_value())


def _provider_setting(key: str, example: str) -> str:
    value = {**get_config_env(), **CONFIG.get()}.get(key)
    if not value:
        stack = pulumi.get_stack()
        raise SettingsError(
            f"configuration of stack {stack}:\n  - {key} is missing; set it with "
            f"`pulumi config set {key} {example} --stack {stack}`"
        )
    return str(value)


def _stack_config(project: str) -> dict[str, str]:
    namespace = f"{project}:"
    both = {**get_config_env(), **CONFIG.get()}
    return {key.removeprefix(namespace): value for key, value in both.items() if key.startswith(namespace)}


def _explain(cls: type[Settings], problem: Any, values: Mapping[str, str], project: str, stack: str) -> str:
    location = [str(part) for part in problem["loc"]]
    # pydantic puts "Value error, " in front of the messages of our own validators.
    reason = re.sub(r"^(Value|Assertion) error, ", "", problem["msg"])
    if not location:
        return reason
    key = location[0]
    fields = {field.alias or name: field for name, field in cls.model_fields.items()}
    if problem["type"] == "extra_forbidden" and len(location) > 1:
        return f"{project}:{'.'.join(location)} is not a setting; remove it"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, fields, n=1)
        hint = f"did you mean {project}:{near[0]}?" if near else f"known: {', '.join(sorted(fields))}"
        return f"{project}:{key} is not a setting of this layer; {hint}"
    command = _set_command(key, fields[key], project, stack)
    if problem["type"] == "missing":
        return f"{project}:{key} is missing; set it with `{command}`"
    inside = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in location[1:])
    shown = "" if _is_secret(fields[key]) else f" is {values[key]!r}"
    return f"{project}:{key}{inside}{shown}: {reason[0].lower()}{reason[1:]}; set it with `{command}`"


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def _set_command(key: str, field: FieldInfo, project: str, stack: str) -> str:
    structured = Structured in field.metadata
    if _is_secret(field):
        # Without a value the command asks for it, so that the secret appears in no shell history or process list.
        target = f"--path '{project}:{key}{_element(field)}'" if structured else f"{project}:{key}"
        return f"pulumi config set --secret {target} --stack {stack}"
    target = f"--path '{project}:{key}{_element(field)}'" if structured else f"{project}:{key}"
    return f"pulumi config set {target} VALUE --stack {stack}"


def _element(field: FieldInfo) -> str:
    shape = str(field.annotation)
    return (".NAME" if "Mapping" in shape else "") + ("[0]" if "tuple" in shape else "")
