"""Settings of the frontend's layer."""

from __future__ import annotations

from pydantic import Field

from infra.settings import Settings


class FrontendSettings(Settings):
    """`frontend_release` is the version whose files are in the bucket under `releases/<version>/`."""

    frontend_release: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
    # The page cannot be deleted by mistake.
    protect: bool = True
