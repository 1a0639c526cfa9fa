"""What a layer imports: the traffic layer is updated while users wait for a rollback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def imported(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_traffic_imports_neither_kubernetes_nor_another_layer() -> None:
    modules = imported("infra.layers.traffic.program")
    assert not [name for name in modules if name.startswith("pulumi_kubernetes")]
    assert (
        not {
            "infra.layers.foundation.program",
            "infra.layers.colour.program",
            "infra.layers.limits.program",
            "infra.workload.pods",
        }
        & modules
    )


def test_traffic_imports_no_type_of_aws_before_it_is_used() -> None:
    # pulumi_aws loads a service's types when they are first touched.
    loaded = [
        name
        for name in imported("infra.layers.traffic.program")
        if name.startswith("pulumi_aws.") and name.count(".") > 1
    ]
    assert not [name for name in loaded if name.split(".")[1] in {"rds", "wafv2", "cloudfront", "s3", "ec2"}]


def test_the_program_picks_its_layer_by_itself() -> None:
    text = (CHECKOUT / "infra" / "__main__.py").read_text()
    assert "infra.layers.traffic.program" not in text
    assert "infra.layers.foundation.program" not in text
