"""Whole pages of rollouts, as approved: every label, number and line of the picture."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rollout.journal import Record
from rollout.journal.account import account_of
from rollout.journal.report import render, section
from tests.rollout import journals
from tests.rollout.golden import approved


@pytest.mark.parametrize("journal", [journals.slow_at_half, journals.failing_probe, journals.undone])
def test_a_page_is_as_approved(journal: Callable[[], tuple[Record, ...]]) -> None:
    page = render("a release", [section(account_of(journal()))])
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    # One element a line, for whoever compares two of them.
    assert approved(f"page-{journal.__name__}.html", body.replace("><", ">\n<"))
