"""The serving guard: a colour that users are on keeps its version, image, connection pool and pods.

A release goes to the idle colour. `pulumi up` of the wrong one would replace what serves, unwatched and all at once, so
it is refused unless the configuration names the version that is meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.stacks import Colour, OtherStack, StackError

ALLOW_KEY = "allowWhileServing"
# The outputs of a colour's stack that must not change while it serves, and how a person calls them.
GUARDED: Mapping[str, str] = {
    "version": "version",
    "image": "image",
    "pool": "connection pool",
    "login": "database login",
}


class ServingError(StackError):
    """The deployment would change what serves; the message says what, and how to go on."""


def share(traffic: OtherStack, colour: Colour) -> int:
    """Percent of the traffic that goes to a colour; 0 before the traffic stack was first deployed."""
    stable = traffic.get("stable")
    if stable is None:
        return 0
    candidate_weight = int(traffic.get("candidateWeight") or 0)
    return 100 - candidate_weight if stable == colour.value else candidate_weight


def check_serving(
    deployed: OtherStack,
    wanted: Mapping[str, str],
    traffic: OtherStack,
    colour: Colour,
    *,
    allowed_version: str | None,
    replicas: int,
    stack: str,
    before_there_was: Mapping[str, str],
) -> None:
    """Refuse to change the version, image or pool of a colour that has traffic, or that is stable at any weight, or to stop it.

    `wanted` is what the configuration asks for, by the names of `GUARDED`. What an older deployment did not export is
    as `before_there_was` says, else not compared.

    Raises:
        ServingError: refused; nothing was registered.
    """
    percent = share(traffic, colour)
    if percent and not replicas:
        raise ServingError(
            f"refused, nothing was changed: {colour.value} serves {percent} % of the traffic, and simple378:replicas is 0. Take "
            f"its traffic away first, with `rollout abort` or `rollout undo`, or `pulumi config set simple378:replicas N --stack "
            f"{stack}`"
        )
    if (not percent and traffic.get("stable") != colour.value) or allowed_version == wanted["version"]:
        return
    changes = [
        f"its {words} would change from {before} to {wanted[output]}"
        for output, words in GUARDED.items()
        if (before := _deployed(deployed, output, before_there_was)) not in (None, wanted[output])
    ]
    if changes:
        raise ServingError(
            f"refused, nothing was changed: {colour.value} serves {percent} % of the traffic, and {', '.join(changes)}. "
            f"A release goes to {colour.other.value} when that is idle. If the change is meant all the same: "
            f"`pulumi config set simple378:{ALLOW_KEY} {wanted['version']} --stack {stack}`"
        )


def _deployed(deployed: OtherStack, output: str, before_there_was: Mapping[str, str]) -> str | None:
    found: str | None = deployed.get(output)
    if found is None and deployed.get("version") is not None:
        return before_there_was.get(output)
    return found
