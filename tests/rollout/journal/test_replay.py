"""`rollout replay`: events in, a decision a line out; a bad line is named; a journal replays as it is."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rollout.journal import JournalError, Record, read_journal
from rollout.journal.replay import ReplayError, main_replay
from rollout.plan import load_plan, plan_text
from tests.rollout import journals
from tests.rollout.journals import header

ISSUE_EXAMPLE = """\
{"t":0,"event":"started"}
{"t":1.2,"event":"traffic","weight":5}
{"t":5,"event":"health","colour":"candidate","failed":["ready"]}
{"t":10,"event":"health","colour":"candidate","failed":[]}
{"t":61,"event":"metrics","colour":"candidate","start":0,"end":60,"requests":52,"errors":0,"p95":0.31,"db_connection_errors":0}
{"t":61,"event":"metrics","colour":"edge","start":0,"end":60,"requests":1000,"rate_limited":3}
{"t":121,"event":"metrics_error","reason":"throttled"}
{"t":122,"event":"alarm","name":"cpu","tier":"warning","state":"ALARM"}
{"t":130,"event":"tick"}
{"t":140,"event":"operator","command":"abort"}
"""


def run(path: Path, plan: str | None = "phase-c", as_json: bool = True) -> tuple[int, list[Any], list[str]]:
    out: list[str] = []
    notes: list[str] = []
    code = main_replay(str(path), plan, as_json, out.append, notes.append)
    return code, [json.loads(line) for line in out] if as_json else out, notes


def test_a_decision_a_line(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(ISSUE_EXAMPLE)
    code, decisions, _ = run(file)
    assert code == 0
    assert [(d["t"], d["decision"], d["criterion"]) for d in decisions] == [
        (0, "set_weight", "started"),
        (5, "alert", "health"),
        (122, "alert", "alarm"),
        (140, "set_weight", "operator"),
    ]
    assert decisions[-1]["weight"] == 0
    assert all({"value", "limit", "reason", "event"} <= set(d) for d in decisions)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":3: not JSON"),
        ("[]", ":3: a line is one JSON object"),
        ('{"t":2,"event":"reboot"}', ":3: 'event' is 'reboot'"),
        ('{"t":2,"event":"edge","start":0,"end":1,"requests":1,"rate_limited":0}', ":3: 'event' is 'edge'"),
        ('{"t":2,"event":"traffic"}', ":3: 'weight' is missing"),
        ('{"t":2,"event":"traffic","weight":101}', ":3: 'weight' is 101"),
        ('{"t":2,"event":"traffic","weight":true}', ":3: 'weight' is True"),
        ('{"t":2,"event":"traffic","weight":5,"colour":"blue"}', ":3: 'colour' is not a key"),
        ('{"t":-2,"event":"tick"}', ":3: 't' is -2"),
        ('{"t":1,"event":"tick"}', ":3: illegal event: time runs backwards"),
        ('{"t":2,"event":"health","colour":"blue","failed":[]}', ":3: 'colour' is 'blue'"),
        ('{"t":2,"event":"health","colour":"stable","failed":["cpu"]}', ":3: 'failed' is 'cpu'"),
        ('{"t":2,"event":"operator","command":"resume"}', ":3: illegal event: nothing to resume"),
        (
            '{"t":99,"event":"metrics","colour":"candidate","start":0,"end":60,"requests":-1}',
            ":3: 'requests' is -1",
        ),
        ('{"t":2,"event":"metrics","colour":"stable","start":0,"end":NaN}', ":3: 'end' is nan"),
        ('{"t":2,"t":3,"event":"tick"}', ":3: key 't' appears twice"),
        ('{"t":2,"event":"tick","event":"started"}', ":3: key 'event' appears twice"),
        ('{"t":1' + "0" * 400 + ',"event":"tick"}', ":3: 't' is 1000"),
        ("[" * 100_000, ":3: not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"t":0,"event":"started"}\n{"t":1.2,"event":"traffic","weight":5}\n' + line + "\n")
    with pytest.raises(ReplayError) as caught:
        run(file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ReplayError, match="no events"):
        run(tmp_path / "empty.jsonl")
    with pytest.raises(ReplayError, match="cannot read"):
        run(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("line", ["3", "null", "{", "[" * 100_000])
def test_a_bad_first_line_is_named_too(tmp_path: Path, line: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(ReplayError, match=r"events\.jsonl:1: (a line is one JSON object|not JSON)"):
        run(file)


def test_blank_lines_are_no_events_but_count(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('\n{"t":0,"event":"started"}\n  \n{"t":1,"event":"operator","command":"abort"}\n\n3\n')
    with pytest.raises(ReplayError, match=r"events\.jsonl:6: a line is one JSON object"):
        run(file)
    file.write_text(file.read_text().replace("\n3\n", "\n"))
    _, decisions, _ = run(file)
    assert [d["criterion"] for d in decisions if d["decision"] == "set_weight"] == ["started", "operator"]


def test_a_journal_of_nothing_but_a_torn_line_has_no_events(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_text('{"seq":1,"at":"","kind":"rollout","t":0,"body":{}}')
    with pytest.raises(ReplayError, match="no events"):
        run(file, plan=None)


def test_events_without_a_journal_are_at_time_scale_1(tmp_path: Path) -> None:
    window = load_plan("phase-c").stages[0].window
    good = {
        "event": "metrics",
        "colour": "candidate",
        "requests": 5000,
        "errors": 0,
        "p95": 0.1,
        "db_connection_errors": 0,
    }
    events = [{"t": 0, "event": "started"}, {"t": 0, "event": "traffic", "weight": 5}]
    events += [{"t": end, "start": end - 60, "end": end} | good for end in range(60, int(window) + 60, 60)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for plan in ("phase-c", None):
        _, decisions, notes = run(tmp_path / "events.jsonl", plan=plan)
        assert [(d["t"], d["weight"]) for d in decisions if d["decision"] == "set_weight"] == [
            (0, 5),
            (window, 25),
        ]
        assert notes == []


def journal(tmp_path: Path, **more: Any) -> Path:
    """A journal as a run at time scale 10 writes it, its decisions included."""
    events = [
        {"t": 0, "event": "started"},
        {"t": 0.3, "event": "traffic", "weight": 5},
        {"t": 7, "event": "metrics", "colour": "candidate", "start": 0.5, "end": 6.5, "requests": 50}
        | {"errors": 1, "p95": 0.2, "db_connection_errors": 0},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    _, decisions, _ = run(tmp_path / "events.jsonl")
    records: list[tuple[str, Any]] = [("rollout", header(**more))]
    for event in events:
        records.append(("event", event))
        records += [("decision", d) for d in decisions if d["t"] == event["t"]]
        records.append(("note", {"what": "left", "why": "SIGTERM", "weight": 5}))
    file = tmp_path / "journal.jsonl"
    file.write_text(
        "".join(Record(n, "", kind, 0, body).to_line() for n, (kind, body) in enumerate(records, start=1))
    )
    return file


def test_a_journal_replays_as_it_is_even_with_a_torn_last_line(tmp_path: Path) -> None:
    file = journal(tmp_path)
    file.write_text(file.read_text() + '{"kind":"eve')
    code, decisions, notes = run(file, plan=None)
    assert code == 0
    assert [d["weight"] for d in decisions if d["decision"] == "set_weight"] == [5, 0]
    assert notes == ["the same 3 decisions as recorded"]


@pytest.mark.parametrize("rest", [12, 0], ids=["torn inside", "only the line end is missing"])
def test_every_reader_leaves_out_the_same_torn_line(tmp_path: Path, rest: int) -> None:
    file = journal(tmp_path)
    whole = file.read_bytes()
    last_event = whole.rfind(b'{"seq":7')  # the third event, which led to the last two decisions
    end = whole.find(b"\n", last_event)
    file.write_bytes(whole[: end - rest])
    assert len(read_journal(file)) == 6
    _, decisions, notes = run(file, plan=None)
    assert [d["weight"] for d in decisions] == [5]
    assert notes == ["the same 1 decisions as recorded"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"seq":2,"at":"","kind":"gossip","t":0,"body":{}}', "line 2: not a journal record (kind 'gossip')"),
        ('{"seq":3,"at":"","kind":"note","t":0,"body":{}}', "line 2: record 3 (note) does not belong here"),
    ],
)
def test_a_journal_is_replayed_only_as_a_whole(tmp_path: Path, line: str, message: str) -> None:
    file = journal(tmp_path)
    first, *others = file.read_text().splitlines()
    file.write_text("\n".join([first, line, *others, ""]))
    with pytest.raises(JournalError) as caught:
        run(file, plan=None)
    assert message in str(caught.value)


def test_a_bad_header_is_named(tmp_path: Path) -> None:
    for key, value, message in (
        ("time_scale", [1], "'time_scale' is [1]"),
        ("start", None, "'start' is None"),
        ("versions", "v1", "'versions' is 'v1'"),
    ):
        with pytest.raises(JournalError) as caught:
            run(journal(tmp_path, **{key: value}), plan=None)
        assert message in str(caught.value)


def test_an_older_journal_is_compared_by_what_it_has(tmp_path: Path) -> None:
    file = journal(tmp_path, format=1, policy=0)
    file.write_text(file.read_text().replace('"decision":"set_weight"', '"decision":"set_weight","since":1'))
    older = "the journal has format 1, this version of rollout writes format 2"
    code, _, notes = run(file, plan=None)
    assert (code, notes) == (
        0,
        [
            f"{older}: comparing only time, decision, weight and criterion",
            "the same 3 decisions as recorded",
        ],
    )


def rewritten(tmp_path: Path, *records: tuple[str, Any]) -> Path:
    file = tmp_path / "journal.jsonl"
    begins = [("rollout", header()), *records]
    file.write_text(
        "".join(Record(n, "", kind, 0, body).to_line() for n, (kind, body) in enumerate(begins, start=1))
    )
    return file


STARTED = ("event", {"t": 0, "event": "started"})
FIRST = (
    "decision",
    {"t": 0, "decision": "set_weight", "weight": 5, "criterion": "started", "value": None, "limit": None}
    | {"event": "started", "reason": ""},
)


def test_a_record_of_a_journal_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"journal\.jsonl:3: 'event' is 'gossip'"):
        run(rewritten(tmp_path, STARTED, ("event", {"t": 1, "event": "gossip"})), plan=None)
    with pytest.raises(ReplayError, match=r"journal\.jsonl:2: a decision before the first event"):
        run(rewritten(tmp_path, FIRST, STARTED), plan=None)
    with pytest.raises(ReplayError, match=r"journal\.jsonl:4: illegal event"):
        run(rewritten(tmp_path, STARTED, FIRST, ("event", {"t": 1, "event": "started"})), plan=None)


def test_which_event_of_one_instant_led_to_a_decision_makes_no_difference(tmp_path: Path) -> None:
    tick = ("event", {"t": 0, "event": "tick"})
    later = ("event", {"t": 1, "event": "tick"})
    for order in ([STARTED, tick, FIRST, later], [STARTED, FIRST, tick, later]):
        code, _, notes = run(rewritten(tmp_path, *order), plan=None)
        assert (code, notes) == (0, ["the same 1 decisions as recorded"])
    code, _, notes = run(rewritten(tmp_path, STARTED, later, FIRST), plan=None)
    assert code == 1
    assert [" ".join(note.split()) for note in notes[:3]] == [
        "alike for 0 decisions; differs at the started event at 0 s (record 2):",
        "recorded: no decision",
        "now: 0.0 s set_weight 5 % [started] the first stage begins",
    ]


def test_of_the_last_event_only_a_crash_may_have_swallowed_decisions(tmp_path: Path) -> None:
    file = journal(tmp_path)
    lines = file.read_text().splitlines(keepends=True)
    assert [json.loads(line)["kind"] for line in lines[-3:]] == ["decision", "decision", "note"]
    file.write_text("".join(lines[:-2]))
    code, decisions, notes = run(file, plan=None)
    assert (code, len(decisions), notes) == (0, 3, ["the same 2 decisions as recorded"])
    # One that is there must be the same.
    file.write_text("".join(lines[:-2]).replace('"weight":0', '"weight":1'))
    assert run(file, plan=None)[0] == 1
    # Nor may the journal have one more.
    more = json.loads(lines[-2])
    file.write_text("".join(lines[:-1]) + json.dumps({**more, "seq": more["seq"] + 1}) + "\n")
    assert run(file, plan=None)[0] == 1


def test_another_plan_shows_where_the_decisions_differ(tmp_path: Path) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(plan_text("phase-c")[0].replace("error_rate: {limit: 1,", "error_rate: {limit: 3,"))
    code, decisions, notes = run(journal(tmp_path), plan=str(lenient))
    assert code == 0
    assert [d["weight"] for d in decisions if d["decision"] == "set_weight"] == [5]
    assert [" ".join(note.split()) for note in notes[:4]] == [
        "alike for 1 decision; differs at the metrics event at 7 s (record 7):",
        "recorded: 7.0 s set_weight 0 % [error_rate] error rate 2 % (1 of 50 requests) is above 1 %: 0 %",
        "recorded: 7.0 s hold 0 % [error_rate] error rate 2 % (1 of 50 requests) is above 1 %",
        "now: no decision",
    ]
    assert notes[4].startswith(
        "The comparison ends here: the traffic recorded after this followed the recorded"
    )


def test_the_comparison_ends_at_the_first_difference(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_text("".join(record.to_line() for record in journals.bad_release()))
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(plan_text("phase-c")[0].replace("error_rate: {limit: 1,", "error_rate: {limit: 30,"))
    code, decisions, notes = run(file, plan=str(lenient))
    # At 0 % of the traffic nothing would be illegal or advance: what follows is not looked at.
    assert (code, [d["weight"] for d in decisions if d["decision"] == "set_weight"]) == (0, [5])
    assert notes[0].startswith("alike for 1 decision; differs at the ")


def test_stdin_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    events = io.TextIOWrapper(io.BytesIO(b'{"t":0,"event":"started"}\n{"t":1,"event":"gossip"}'))
    monkeypatch.setattr(sys, "stdin", events)
    with pytest.raises(ReplayError, match=r"^stdin:2: 'event' is 'gossip'"):
        main_replay("-", None, False, print, print)


def test_a_journal_that_does_not_lead_to_its_own_decisions_fails(tmp_path: Path) -> None:
    file = journal(tmp_path)
    file.write_text(file.read_text().replace('"weight":0', '"weight":25'))
    code, _, notes = run(file, plan=None)
    assert code == 1
    assert notes[0].startswith("alike for 1 decision; differs at the metrics event at 7 s")
    assert notes[-1] == "The journal's own plan does not lead to the decisions that it recorded."


def test_in_words(tmp_path: Path) -> None:
    _, lines, _ = run(journal(tmp_path), plan=None, as_json=False)
    assert (
        " ".join(lines[1].split())
        == "7.0 s set_weight 0 % [error_rate] error rate 2 % (1 of 50 requests) is above 1 %: 0 %"
    )


def test_a_journal_whose_event_is_no_event_is_refused_with_the_record(tmp_path: Path) -> None:
    records = list(journals.bad_release())
    index = next(index for index, record in enumerate(records) if record.body.get("event") == "traffic")
    broken = records[index]
    records[index] = Record(broken.seq, broken.at, broken.kind, broken.t, {**broken.body, "weight": 101})
    file = tmp_path / "journal.jsonl"
    file.write_text("".join(record.to_line() for record in records))
    with pytest.raises(ReplayError, match=f":{broken.seq}: 'weight' is 101"):
        run(file, None)
