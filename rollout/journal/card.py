"""Where an environment's traffic is divided and who has which role: all that moving it takes when no stack can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

OTHER = {"blue": "green", "green": "blue"}


class BadCard(ValueError):
    """A card cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Card:
    """Maps are by role, ``stable`` and ``candidate``. '' and empty: not known. Pre-flight writes it, a promotion turns it over."""

    env: str
    region: str
    rule_arn: str
    groups: Mapping[str, str]  # target group ARNs
    colours: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)
    written: float = field(default=0.0, compare=False)  # when it was kept, in epoch seconds; 0: not known

    @property
    def complete(self) -> bool:
        """Whether traffic can be moved by it."""
        return bool(self.region and self.rule_arn and self.groups)

    def named(self, role: str) -> str:
        """``green 2.0.0``."""
        return f"{self.colours[role]} {self.versions.get(role, '')}".strip()

    def with_stable(self, colour: str) -> Card:
        """The same with ``colour`` as stable."""
        if self.colours["stable"] == colour:
            return self
        groups, colours, versions = (
            _exchanged(roles) for roles in (self.groups, self.colours, self.versions)
        )
        return replace(self, groups=groups, colours=colours, versions=versions)

    @classmethod
    def read(cls, body: Any) -> Self:
        """Raises :class:`BadCard`."""
        try:
            card = cls(
                env=str(body["env"]),
                region=str(body["region"]),
                rule_arn=str(body["rule_arn"]),
                groups={role: str(body["groups"][role]) for role in ("stable", "candidate")},
                colours={role: str(body[role]) for role in ("stable", "candidate")},
                versions={str(role): str(version) for role, version in body.get("versions", {}).items()},
                written=float(body.get("written", 0)),
            )
        except KeyError as error:
            raise BadCard(f"{error} is missing") from None
        except (AttributeError, TypeError, ValueError) as error:
            raise BadCard(str(error)) from None
        if OTHER.get(card.colours["stable"]) != card.colours["candidate"]:
            raise BadCard(
                f"stable and candidate are {card.colours}: they are blue and green, or green and blue"
            )
        return card

    def to_json(self) -> dict[str, Any]:
        return {
            "env": self.env,
            "region": self.region,
            "rule_arn": self.rule_arn,
            **self.colours,
            "groups": dict(self.groups),
            "versions": dict(self.versions),
            "written": self.written,
        }


def bring_in_line(stack: str, stable: str, weight: int = 0) -> str:
    """What to do by hand so that the traffic stack declares what the load balancer has. ``stable``: a colour, '' when it is not known."""
    # Of an undo that was not finished the stack has the names as they were.
    names = f"`pulumi config set simple378:stable {stable} -s {stack}`, " if stable else ""
    return (
        f"{names}`pulumi config set simple378:candidateWeight {weight} -s {stack}`, raise simple378:generation by one, "
        f"`pulumi up --refresh -s {stack}`"
    )


def _exchanged(roles: Mapping[str, str]) -> dict[str, str]:
    return {OTHER_ROLE[role]: value for role, value in roles.items()}


OTHER_ROLE = {"stable": "candidate", "candidate": "stable"}
