"""Lists in documents that would otherwise be kept by hand: the index of decisions, the secrets."""

from __future__ import annotations

import re
from pathlib import Path

from infra.layers.colour.settings import ColourSettings
from infra.layers.foundation.settings import FoundationSettings
from infra.layers.limits.settings import LimitsSettings
from infra.layers.traffic.settings import TrafficSettings

CHECKOUT = Path(__file__).parents[2]
DECISIONS = CHECKOUT / "docs" / "decisions"
STATUS = re.compile(r"accepted|(?:amended|superseded) by (\d+)")


def test_the_index_has_every_decision_with_its_title_and_status() -> None:
    rows = re.findall(
        r"^\| \[(\d+)\]\(([^)]+)\) \| (.+?) \| (.+?) \| .+ \|$",
        (DECISIONS / "README.md").read_text(),
        re.MULTILINE,
    )
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert len(set(numbers)) == len(numbers)
    assert [(number, name, title) for number, name, title, _ in rows] == [
        (str(number), record.name, record.read_text().splitlines()[0].removeprefix(f"# {number}. "))
        for number, record in zip(numbers, records, strict=True)
    ]
    for number, _, _, status in rows:
        found = STATUS.fullmatch(status)
        assert found, f"decision {number}: status {status!r}"
        assert found[1] is None or int(found[1]) in numbers


def test_security_names_every_secret_setting() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text()
    secrets = {
        field.alias
        for settings in (FoundationSettings, ColourSettings, TrafficSettings, LimitsSettings)
        for field in settings.model_fields.values()
        if "SecretStr" in str(field.annotation)
    }
    assert secrets
    assert {name for name in secrets if f"`simple378:{name}`" not in text} == set()
    assert set(re.findall(r"`simple378:(\w+)`", text)) >= secrets


def test_security_names_every_right_that_doctor_tries() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text()
    tried = re.findall(r'"(\w+:[A-Z]\w+)"', (CHECKOUT / "rollout/procedure/doctor.py").read_text())
    assert len(tried) > 3
    assert [action for action in tried if f"`{action}`" not in text] == []
