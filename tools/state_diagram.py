"""Prints the policy's state diagram (Mermaid) from its table of transitions; docs/theory.md holds a copy.

python -m tools.state_diagram
"""

from __future__ import annotations

from rollout.policy.state import TRANSITIONS, Phase


def state_diagram() -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.READY}"]
    for phase, arrows in TRANSITIONS.items():
        lines += [f"    {phase} --> {target} : {cause}" for cause, target in arrows.items()]
    return "\n".join([*lines, f"    {Phase.FINISHED} --> [*]"])


if __name__ == "__main__":
    print(state_diagram())
