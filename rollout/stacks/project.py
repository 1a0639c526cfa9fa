"""The project's directory and the environments that it configures, known without the Pulumi SDK."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")  # as the Pulumi program takes it
_REGION = re.compile(r"^\s+aws:region:\s*['\"]?([a-z0-9-]+)", re.MULTILINE)


class EnvironmentProblem(Exception):
    """An environment cannot be released into as it is; the message names what and the fix."""


def check_name(env: str) -> str:
    """The name, which is part of stack and file names. Raises :class:`EnvironmentProblem` when it cannot be one."""
    if not _NAME.fullmatch(env):
        raise EnvironmentProblem(
            f"--env {env!r}: not an environment's name; it is a letter followed by letters or digits, such as prod "
            "(lower case, at most 16, no dash: prod-traffic is a stack of prod)"
        )
    return env


def default_region(project_dir: Path, env: str) -> str:
    """The region of the environment's stack file, else that of the shell's AWS settings. Raises :class:`EnvironmentProblem`."""
    import boto3  # noqa: PLC0415 -- slow to import, and `rollout status` does without
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 -- as above

    with contextlib.suppress(OSError):
        found = _REGION.search((project_dir / f"Pulumi.{env}-traffic.yaml").read_text(errors="replace"))
        if found:
            return found[1]
    with contextlib.suppress(BotoCoreError):  # boto3 itself does not read AWS_REGION
        if region := os.environ.get("AWS_REGION") or boto3.session.Session().region_name:
            return str(region)
    raise EnvironmentProblem("no stack file here names the region: say it with --region, or set AWS_REGION")


def check_project(project_dir: Path, env: str) -> None:
    """Raises :class:`EnvironmentProblem` when the directory holds no such environment."""
    if not (project_dir / "Pulumi.yaml").is_file():
        raise EnvironmentProblem(
            f"{project_dir.resolve()}: there is no Pulumi.yaml in it; give the project's directory with --project-dir"
        )
    if not (project_dir / f"Pulumi.{env}-traffic.yaml").is_file():
        suffix = "-traffic.yaml"
        known = sorted(
            p.name.removeprefix("Pulumi.").removesuffix(suffix) for p in project_dir.glob(f"Pulumi.*{suffix}")
        )
        raise EnvironmentProblem(
            f"--env {env}: there is no Pulumi.{env}-traffic.yaml in {project_dir.resolve()}; "
            + (f"the environments here: {', '.join(known)}" if known else "no environment is configured here")
        )
