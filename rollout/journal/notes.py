"""Notes: what a journal keeps beside events, decisions and effects, as values and in their one-line JSON form.

``what`` names the kind. A note of a kind that this version does not know is read as :class:`Other`, so that a journal
of a newer version can still be reported and aborted.

    >>> parse_note({"what": "left", "why": "SIGTERM", "weight": 25})
    Left(why='SIGTERM', weight=25)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar


class BadNote(ValueError):
    """A note lacks something that every note of its kind has; the message names the kind and the key."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another controller continues; ``phase`` and weights (percent) are those it begins with."""

    what: ClassVar[str] = "resumed"
    phase: str
    commanded: float
    seen: float


@dataclass(frozen=True, slots=True)
class Reached:
    """A retreat to ``weight`` (percent) reached a milestone of the guide's timeline ``at`` (seconds from the start)."""

    what: ClassVar[str] = "timeline"
    milestone: str
    weight: float
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The rollout is over; ``retreats`` are the JSON forms of :class:`rollout.policy.timeline.Retreat`."""

    what: ClassVar[str] = "ended"
    outcome: str
    verified: bool | None
    exit: int
    retreats: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Leaving:
    """The controller was asked to end without ending the rollout."""

    what: ClassVar[str] = "leaving"
    why: str


@dataclass(frozen=True, slots=True)
class Left:
    """The controller ended and left the candidate with ``weight`` percent (``None``: it could not be read)."""

    what: ClassVar[str] = "left"
    why: str
    weight: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """Somebody was paged for something that is no decision of the policy."""

    what: ClassVar[str] = "page"
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Attributed:
    """How the errors of one role's metric period were counted; ``start`` in seconds from the start of the rollout."""

    what: ClassVar[str] = "attribution"
    role: str = field(metadata={"key": "colour"})
    start: float
    requests: int = 0
    target_5xx: int = 0
    elb_502_504: int = 0
    elb_503: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The next increase was previewed; ``error`` says why it would be refused."""

    what: ClassVar[str] = "foreseen"
    weight: int
    ok: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JournalBehind:
    """A decrease did not wait for the disk any longer."""

    what: ClassVar[str] = "journal_behind"
    error: str


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Traffic goes to ``weight`` percent through the load balancer's own API."""

    what: ClassVar[str] = "break_glass"
    weight: int
    because: str


@dataclass(frozen=True, slots=True)
class BreakGlassFailed:
    """That did not work either; it is tried again."""

    what: ClassVar[str] = "break_glass_failed"
    weight: int
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """After break-glass the stack says again what the load balancer has. ``took_s``: journals of format 1 lack it."""

    what: ClassVar[str] = "reconciled"
    weight: int
    took_s: float | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class ReconcileFailed:
    """The stack still says something else than the load balancer has."""

    what: ClassVar[str] = "reconcile_failed"
    weight: int
    error: str


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """A probe round could not be carried out; it counts as failed."""

    what: ClassVar[str] = "probe_failed"
    role: str
    error: str


@dataclass(frozen=True, slots=True)
class NotDrained:
    """Effects were still under way ``waited`` seconds after the end."""

    what: ClassVar[str] = "not_drained"
    waited: float


@dataclass(frozen=True, slots=True)
class Untold:
    """No service had accepted this message when the controller ended."""

    what: ClassVar[str] = "untold"
    topic: str
    subject: str


@dataclass(frozen=True, slots=True)
class EnginesEnded:
    """Engines that a crashed controller had left running were ended."""

    what: ClassVar[str] = "engines_ended"
    stacks: Sequence[str]


@dataclass(frozen=True, slots=True)
class GoingBack:
    """What an undo found of the colour that it goes back to; ``scaled_s``: it first had to be scaled up, in so many seconds.

    ``healthy`` is None when the load balancer did not say.
    """

    what: ClassVar[str] = "going_back"
    colour: str
    version: str
    healthy: int | None
    replicas: int
    failed: Sequence[str] = ()
    scaled_s: float | None = None


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """What the requests before the first users' came to; ``why`` names what failed."""

    what: ClassVar[str] = "warmed_up"
    role: str
    requests: int
    failed: int
    took_s: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """A note that this version does not know."""

    what: str
    body: Mapping[str, Any]


Known = (
    Resumed
    | Reached
    | Ended
    | Leaving
    | Left
    | Page
    | Attributed
    | Foreseen
    | JournalBehind
    | BreakGlass
    | BreakGlassFailed
    | Reconciled
    | ReconcileFailed
    | ProbeFailed
    | NotDrained
    | Untold
    | EnginesEnded
    | GoingBack
    | WarmedUp
)
Note = Known | Other
_KINDS: dict[str, type[Known]] = {kind.what: kind for kind in Known.__args__}


def _key(one: Field[Any]) -> str:
    return str(one.metadata.get("key", one.name))


def parse_note(body: Mapping[str, Any]) -> Note:
    """Reads a note from the body of its record. Raises :class:`BadNote`; keys that it does not know are left out."""
    what = body.get("what")
    kind = _KINDS.get(what) if isinstance(what, str) else None
    if kind is None:
        return Other(str(what or "note"), {key: value for key, value in body.items() if key != "what"})
    missing = [_key(one) for one in fields(kind) if one.default is MISSING and _key(one) not in body]
    if missing:
        raise BadNote(f"the note '{what}' lacks '{missing[0]}'")
    return kind(**{one.name: body[_key(one)] for one in fields(kind) if _key(one) in body})


def note_to_json(note: Note) -> dict[str, Any]:
    """The body that :func:`parse_note` reads back into an equal note; optional keys that say nothing are left out."""
    if isinstance(note, Other):
        return {"what": note.what, **note.body}
    values = {_key(one): getattr(note, one.name) for one in fields(note)}
    optional = {_key(one) for one in fields(note) if one.default is None}
    return {"what": note.what} | {
        key: value for key, value in values.items() if not (value is None and key in optional)
    }
