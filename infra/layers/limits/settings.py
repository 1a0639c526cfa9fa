"""Settings of the limits layer."""

from __future__ import annotations

from pydantic import Field

from infra.edge.managed_rules import Mode
from infra.settings import Settings


class LimitsSettings(Settings):
    """`rate_limit` is in requests per minute and client address; 10 is the least that AWS WAF accepts."""

    # The guide's "conservative initial limit" (Risk 4).
    rate_limit: int = Field(default=1000, ge=10, le=2_000_000_000)
    # AWS's managed rules: `count` what they would block, `block` it, or `off`. Counts first, for a week at least: docs/runbook.md.
    managed_rules: Mode = "count"
    protect: bool = True
