"""What must hold of every file that is under version control."""

import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

# Where packages were fetched from is each machine's own business.
_INDEX = re.compile(
    rb"--(?:extra-)?index-url|--find-links|\bpypi\.(?:org|io)|pythonhosted\.org|proxy\.golang\.org|sum\.golang\.org"
    rb"|registry\.npmjs|deb\.debian\.org|//[^\s/]*/simple/"
)
# This file, which says what to look for.
_ALLOWED = {"tests/tools/test_repository.py"}


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True).stdout
    return [name for name in listing.decode().split("\0") if name]


def test_no_file_names_a_package_index() -> None:
    found = [
        name
        for name in tracked()
        if name not in _ALLOWED
        and (CHECKOUT / name).is_file()
        and _INDEX.search((CHECKOUT / name).read_bytes())
    ]
    assert found == []


def test_every_locked_package_has_a_hash() -> None:
    for name in ("requirements.lock", "tools/go/toolchain.lock"):
        text = (CHECKOUT / name).read_text()
        packages = re.findall(r"^\S+==\S+.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        assert packages
        assert all("--hash=sha256:" in package for package in packages)
        assert "://" not in text
