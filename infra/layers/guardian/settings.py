"""Settings of the guardian layer."""

from __future__ import annotations

from pydantic import Field

from infra.settings import Settings

# A bucket's name, and folders in it.
_STORE = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*$"
# Seconds; rollout/journal/guard.py says what it is made of.
LEAST_AFTER = 125


class GuardianSettings(Settings):
    """`store` is what `rollout --store` is given; `after` is in seconds without a living controller."""

    store: str = Field(pattern=_STORE)
    after: int = Field(default=600, ge=LEAST_AFTER, le=24 * 3600)

    @property
    def bucket(self) -> str:
        return self.store.removeprefix("s3://").partition("/")[0]

    def prefix(self, environment: str) -> str:
        """What the keys of an environment's objects begin with."""
        folders = self.store.removeprefix("s3://").partition("/")[2].strip("/")
        return "/".join(filter(None, (folders, environment)))
