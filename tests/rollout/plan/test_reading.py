"""A plan that cannot be read: which file, why, and at which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.plan import PlanError, load_plan, parse_plan


def test_a_file_that_is_not_there_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"gone\.yaml: cannot read this plan: No such file or directory; give a file"
    ):
        load_plan(str(tmp_path / "gone.yaml"))
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        PlanError, match=r"picture\.yaml: cannot read this plan: it is not UTF-8 text; give a file"
    ):
        load_plan(str(tmp_path / "picture.yaml"))


@pytest.mark.parametrize("line", [1, 2, 3])
def test_yaml_that_is_wrong_is_named_by_its_line(line: int) -> None:
    text = "".join("a: b\n" if number < line else "c: d: e\n" for number in range(1, line + 1))
    with pytest.raises(PlanError, match=f"^plan: line {line}: not readable as YAML"):
        parse_plan(text)


@pytest.mark.parametrize(("text", "line"), [("", 1), ("# a list\n\n- a\n", 3), ("phase-c\n", 1)])
def test_what_is_no_mapping_is_named_by_its_line(text: str, line: int) -> None:
    with pytest.raises(
        PlanError, match=f"^plan: line {line}: a plan is a mapping with the keys name, stages"
    ):
        parse_plan(text)
