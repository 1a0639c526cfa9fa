"""One self-contained HTML page about a rollout, from its journal: what happened, why, and how fast.

    write_report(path_of_journal, path_of_page)

The page holds no script and loads nothing; it follows the reader's light or dark setting and prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from rollout.journal import read_journal
from rollout.journal.account import Account, account_of
from rollout.journal.notes import Attributed, Ended, Reached, Reconciled, note_to_json
from rollout.journal.report_chart import Mark, rollout_picture
from rollout.plan.criteria import CRITERIA, VERIFIED
from rollout.plan.units import MINUTE, clock, duration, number
from rollout.policy import verification
from rollout.policy.events import Metrics
from rollout.policy.timeline import Retreat

GUIDE = (  # the guide's "Expected Timeline" of an instant rollback: milestone, T+, its words
    ("detected", 0, "Issue detected"),
    ("decided", 1, "Rollback decision made"),
    ("moved", 2, "Traffic re-routed"),
    ("flowing", 3, "Traffic verified flowing"),
    ("stable", 5, "System stable on previous version"),
)
# What a decision's criterion measured, and its unit with its space.
_MEASURED = {row.key: (row.name, row.unit) for row in CRITERIA} | {
    "comparison": ("evidence of more errors than stable", ""),
    "health": ("failed probe rounds in a row", ""),
    "blind": ("time without an answered metrics query", " s"),
    "rate_limited": ("rate-limited share", " %"),
    "hold_timeout": ("time held", " s"),
    "front_door": ("failed rounds in a row where users go", ""),
    "traffic_missing": ("requests a minute of both colours", ""),
}
# Why a rollout was rolled back, as a headline ends.
_CAUSES = {
    "comparison": "more errors than stable",
    "health": "failed health checks",
    "blind": "no metrics could be read",
    "hold_timeout": "held, and nobody decided",
    "inconclusive": "not enough data, and nobody decided",
    "traffic": "traffic did not move as commanded",
    "alarm": "an alarm",
    "identity": "another version was deployed",
    "front_door": "users were not let in",
    "traffic_missing": "users' requests were missing",
}

DASH = "\N{EN DASH}"  # what did not happen or was not measured
_SHOWN_ELSEWHERE = (Attributed, Reached, Ended, Reconciled)  # notes that have a table of their own


@dataclass(frozen=True, slots=True)
class Milestone:
    """A line of the guide's timeline beside what happened; times in seconds, ``None``: not reached."""

    guide: str
    words: str
    allowed: float
    allowed_words: str
    at: float | None
    after: float | None

    @property
    def met(self) -> bool:
        return self.after is not None and self.after <= self.allowed


@dataclass(frozen=True, slots=True)
class Section:
    """What the template needs of one rollout beyond its account."""

    account: Account
    title: str
    tone: str  # good, bad or waiting
    headline: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    milestones: tuple[tuple[Retreat, tuple[Milestone, ...]], ...]
    marks: tuple[Mark, ...]
    picture: Markup
    attribution: tuple[tuple[Metrics, Attributed | None], ...]
    notes: tuple[tuple[float, Mapping[str, Any]], ...]
    extra: Markup


def write_report(journal: Path, page: Path, **more: Any) -> Account:
    """Writes the page of one journal. Raises :class:`rollout.journal.JournalError`, ``OSError``."""
    account = account_of(read_journal(journal))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(title(account), [section(account, **more)]), encoding="utf-8")
    return account


def render(heading: str, sections: Sequence[Section], front: str = "") -> str:
    """The page with these sections; ``front`` is HTML that stands before them."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(heading=heading, sections=sections, front=Markup(front))  # noqa: S704 - HTML by contract
    )


def environment() -> Environment:
    """Jinja2 with the page's templates and filters; everything is escaped."""
    made = Environment(
        loader=PackageLoader("rollout.journal", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"criteria": CRITERIA, "verified": VERIFIED, "total": verification.total}
    made.filters |= {
        "clock": precise,
        "seconds": seconds,
        "value": value,
        "detail": detail,
        "counted": counted,
    }
    return made


def title(account: Account) -> str:
    header = account.header
    if header.undo:
        return f"Undo of {header.named('candidate')} in {header.env}"
    if header.kind == "watch":
        return f"Watch over {header.named('candidate')} in {header.env}"
    return f"Release of {header.named('candidate')} to {header.env}"


def section(
    account: Account,
    *,
    heading: str | None = None,
    fault: tuple[float, str] | None = None,
    extra: str = "",
) -> Section:
    """Works out what the page says. ``fault``: when (s) one was injected, and its sentence."""
    marks = rollout_marks(account, fault)
    tone, headline = _headline(account)
    if account.finish and account.deadlines_missed:
        headline += f". {_capital(missed(account.deadlines_missed))}"
    return Section(
        account=account,
        title=heading or title(account),
        tone=tone,
        headline=headline,
        sentence=_capital(_sentence(account)),
        facts=_facts(account),
        milestones=tuple((retreat, milestones(account, retreat)) for retreat in account.retreats),
        marks=marks,
        picture=Markup(rollout_picture(account, marks)),  # noqa: S704 - made here, its texts escaped there
        attribution=tuple((p, account.details.get((p.role, p.start))) for p in account.periods),
        notes=tuple(
            (t, note_to_json(note)) for t, note in account.notes if not isinstance(note, _SHOWN_ELSEWHERE)
        ),
        extra=Markup(extra),  # noqa: S704 - HTML by contract
    )


def milestones(account: Account, retreat: Retreat) -> tuple[Milestone, ...]:
    """The guide's timeline beside this retreat. Deadlines are those of the plan that ran, so scaled."""
    scale, limits = account.time_scale, account.plan.verification.deadlines
    deadline: Mapping[str, float] = {"detected": 0.0} | {
        f.name: getattr(limits, f.name) for f in fields(limits)
    }
    found = []
    for name, minutes, words in GUIDE:
        allowed, at = deadline[name], getattr(retreat, name)
        spelled = seconds(allowed * scale)
        if scale != 1 and allowed:
            spelled = f"{spelled} / {scale:g} = {seconds(allowed)}"
        after = None if at is None else at - retreat.detected
        found.append(Milestone(f"T+{minutes}", words, allowed, spelled, at, after))
    return tuple(found)


def rollout_marks(account: Account, fault: tuple[float, str] | None) -> tuple[Mark, ...]:
    """Numbered marks for the decisions that moved or held traffic, in the order of the decisions table."""
    marks = [
        Mark(decision["t"], _mark_kind(account, decision), str(number))
        for number, decision in enumerate(account.decisions, start=1)
        if decision["decision"] in ("set_weight", "hold", "bake", "promote", "finish", "raise_rate_limit")
    ]
    if fault:
        marks.append(Mark(fault[0], "fault", "fault begins"))
    return tuple(marks)


def _mark_kind(account: Account, decision: Mapping[str, Any]) -> str:
    if decision["decision"] == "set_weight":
        good = decision["criterion"] in ("started", "stage_passed", "operator") and decision.get("weight")
        return "good" if good else "bad"
    if decision["decision"] == "hold":
        return "waiting"
    return (
        "good"
        if decision.get("outcome") == "promoted" or decision["decision"] in ("bake", "promote")
        else "neutral"
    )


# --- words --------------------------------------------------------------------------------------------------------


def _headline(account: Account) -> tuple[str, str]:
    finish = account.finish
    if account.outcome == "promoted":
        return "good", "Promoted"
    if account.outcome == "watched":
        return "good", "Watched: nothing led to an undo"
    if finish:
        what = "Undone" if account.outcome == "undone" else "Rolled back"
        return "bad", f"{what} {_cause(account)}" + (
            "" if finish.get("verified") else ", but stable is not verified to be back to normal"
        )
    if account.outcome == "held":
        return "waiting", "Held: a person must decide"
    return "waiting", "Unfinished: the journal ends here"


def _cause(account: Account) -> str:
    """``automatically: error rate above 1 %``. When nobody decided about a hold, why it was held."""
    cause = account.finish or {}
    if cause.get("criterion") == "hold_timeout":
        cause = next((d for d in reversed(account.decisions) if d["decision"] == "hold"), cause)
    else:
        same = (d for d in account.decisions if d["criterion"] == cause.get("criterion"))
        cause = next((d for d in same if d["decision"] == "set_weight"), cause)
    criterion = str(cause.get("criterion"))
    if criterion == "operator":
        return "by the operator"
    if criterion in _CAUSES:
        return f"automatically: {_CAUSES[criterion]}"
    name, unit = _MEASURED.get(criterion, (criterion.replace("_", " "), ""))
    limit = "" if cause.get("limit") is None else f" above {value(cause['limit'])}{unit}"
    return f"automatically: {name}{limit}"


def missed(deadlines: int) -> str:
    """``2 of the guide's deadlines were missed``."""
    return f"{deadlines} of the guide's deadlines {'was' if deadlines == 1 else 'were'} missed"


def _sentence(account: Account) -> str:
    candidate, stable = account.header.named("candidate"), account.header.named("stable")
    if account.outcome == "promoted":
        return (
            f"{candidate} passed {sum(not visit.bake for visit in account.stages)} stages and carries all traffic after "
            f"{seconds(account.ended_s)}. {account.candidate} is stable from now on, {account.stable} is the next candidate."
        )
    if account.outcome == "watched":
        return f"{candidate} was watched for {seconds(account.ended_s)} after its promotion."
    first = account.retreats[0] if account.retreats else None
    if first is None:
        return f"{candidate} has {account.final_weight:g} % of the traffic, {stable} the rest."
    cause = next(d for d in account.decisions if d["decision"] == "set_weight" and d["t"] == first.decided)
    at = next((w for t, w in reversed(account.seen) if t <= first.decided), 0)
    if account.outcome == "undone":
        why = account.header.reason or _measured(cause)
        text = f"{candidate} had been promoted when it was undone, back to {stable}: {why}. "
    else:
        text = f"{candidate} had {at:g} % of the traffic when it was rolled back to {first.weight:g} %: {_measured(cause)}. "
    if first.moved is None:
        text += "Traffic was never seen to move."
    else:
        text += f"Traffic moved {seconds(first.moved - first.decided)} after the decision."
    if account.outcome in ("aborted", "undone"):
        text += f" All traffic is on {stable}."
    return text


def _measured(cause: Mapping[str, Any]) -> str:
    """What a decision was made for: ``error rate 5 % (limit 1 %)``."""
    if cause["criterion"] == "operator":
        return (
            "the operator aborted" if str(cause["reason"]).startswith("abort") else "the operator ordered it"
        )
    name, unit = _MEASURED.get(str(cause["criterion"]), (str(cause["criterion"]).replace("_", " "), ""))
    measured = "" if cause.get("value") is None else f" {value(cause['value'])}{unit}"
    limit = "" if cause.get("limit") is None else f" (limit {value(cause['limit'])}{unit})"
    return f"{name}{measured}{limit}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _facts(account: Account) -> tuple[tuple[str, str], ...]:
    facts = [("highest weight", f"{account.highest_weight:g} %"), ("took", seconds(account.ended_s))]
    if account.retreats:
        first = account.retreats[0]
        if account.breach_s is not None:
            facts.append(("breach until decision", seconds(first.decided - account.breach_s)))
        if first.moved is not None:
            facts.append(("decision until traffic moved", seconds(first.moved - first.decided)))
    updates = [effect.took for effect in account.stack_updates if effect.took is not None]
    if updates:
        facts.append(("stack updates", f"{len(updates)}, slowest {seconds(max(updates))}"))
    return tuple(facts)


def precise(t: float | None) -> str:
    """Seconds as ``1:02.4``; a dash for what did not happen."""
    return DASH if t is None else clock(t, tenths=True)


def seconds(length: float | None) -> str:
    """A duration for people, to a tenth of a second below a minute, else to a second; its words stay together."""
    if length is None:
        return DASH
    rounded = round(length, 1) if abs(length) < MINUTE else round(length)
    return duration(rounded).replace(" ", "\N{NO-BREAK SPACE}")


def counted(how: Attributed | None) -> str:
    """What the errors of a period were made of; '' when the metrics source said nothing."""
    if how is None:
        return ""
    counts = {key: count for key, count in note_to_json(how).items() if count}
    return detail(counts, ("what", "colour", "start", "requests")) or "no errors"


def value(measured: float | None) -> str:
    return DASH if measured is None else number(measured, 4)


def detail(body: Mapping[str, Any], leave_out: Sequence[str] = ()) -> str:
    """The fields of a record that say something, as ``name value``; durations of nested mappings flattened."""
    words = []
    for key, item in body.items():
        if key in leave_out or item in (None, "", {}, []):
            continue
        if isinstance(item, Mapping):
            words.append(detail(item))
        elif isinstance(item, float):
            words.append(
                f"{key.removesuffix('_s').replace('_', ' ')} {number(item, 4)}"
                + (" s" if key.endswith("_s") else "")
            )
        else:
            words.append(f"{key.replace('_', ' ')} {item}")
    return ", ".join(words)
