"""The documents that are made from the code are up to date."""

from pathlib import Path

from tools.state_diagram import state_diagram

DOCS = Path(__file__).parents[2] / "docs"


def test_the_state_diagram_is_the_one_of_the_table() -> None:
    diagram = f"```mermaid\n{state_diagram()}\n```"
    assert diagram in (DOCS / "theory.md").read_text(), "python -m tools.state_diagram, into docs/theory.md"
