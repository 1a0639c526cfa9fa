"""The generation guard: a stale checkout must not undo a rollback.

Every change of the traffic raises `generation` in the traffic stack's configuration. The stack's outputs keep the one
that was deployed last, and a deployment is compared with it before the rule is registered.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.stacks import Colour, StackError


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic that a deployment of the stack declares; `candidate_weight` in percent."""

    generation: int
    stable: Colour
    candidate_weight: int

    def __str__(self) -> str:
        return f"generation {self.generation}, stable {self.stable.value}, candidate weight {self.candidate_weight} %"


class GenerationError(StackError):
    """The deployment is older than the last one, or changes the traffic without raising the generation."""


def check_generation(deployed: Traffic | None, wanted: Traffic, stack: str) -> None:
    """Refuse a deployment older than `deployed`, or of the same generation but with other traffic.

    The same deployment again is allowed: it repairs drift.

    Raises:
        GenerationError: refused; the message names what is deployed and how to proceed.
    """
    if deployed is None or wanted.generation > deployed.generation or wanted == deployed:
        return
    what = "is older than" if wanted.generation < deployed.generation else "is not"
    raise GenerationError(
        f"refused, nothing was changed: the configuration of stack {stack} ({wanted}) {what} what is deployed "
        f"({deployed}). If this checkout is stale, get the current Pulumi.{stack}.yaml. If the change is meant: "
        f"`pulumi config set simple378:generation {deployed.generation + 1} --stack {stack}`"
    )
