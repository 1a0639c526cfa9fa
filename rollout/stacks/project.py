"""The project's directory and the environments that it configures, known without the Pulumi SDK."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")  # as the Pulumi program takes it


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


def check_project(project_dir: Path, env: str) -> None:
    """Raises :class:`EnvironmentProblem` when the directory holds no such environment."""
    if not (project_dir / "Pulumi.yaml").is_file():
        raise EnvironmentProblem(
            f"{project_dir}: there is no Pulumi.yaml in it; give the project's directory with --project-dir"
        )
    if not (project_dir / f"Pulumi.{env}-traffic.yaml").is_file():
        suffix = "-traffic.yaml"
        known = sorted(
            p.name.removeprefix("Pulumi.").removesuffix(suffix) for p in project_dir.glob(f"Pulumi.*{suffix}")
        )
        raise EnvironmentProblem(
            f"--env {env}: there is no Pulumi.{env}-traffic.yaml in {project_dir}; "
            + (f"the environments here: {', '.join(known)}" if known else "no environment is configured here")
        )
