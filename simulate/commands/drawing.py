"""What the pages to share have in common: the look of the rollout's report, and drawings for wide and narrow screens."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"candidate": "#1f6feb", "stable": "#2da44e", "bad": "#cf222e", "soft": "#8c959f"}
_WIDTHS = (
    ("wide", 9.0),
    ("narrow", 4.2),
)  # CSS class, inches; 9 points are legible in each at its screen's width


def pages(**filters: Callable[..., str]) -> Environment:
    """The templates of the commands, and the style sheet of the rollout's report."""
    loader = ChoiceLoader([PackageLoader("simulate.commands"), PackageLoader("rollout.journal")])
    found = Environment(loader=loader, autoescape=True)
    found.filters |= filters
    return found


def drawn(height: float, draw: Callable[[Axes], None]) -> Markup:
    """SVGs of the drawing, one for each kind of screen, equal for equal data; ``height`` in inches."""
    return Markup().join(_drawn(css, width, height, draw) for css, width in _WIDTHS)


def _drawn(css: str, width: float, height: float, draw: Callable[[Axes], None]) -> Markup:
    with mpl.rc_context({"svg.hashsalt": "simulate", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        if not axes.has_data():
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=COLOURS["soft"])
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace("<svg", f'<svg class="drawing {css}"', 1)
    return Markup(text)  # noqa: S704 -- matplotlib's own, made of numbers
