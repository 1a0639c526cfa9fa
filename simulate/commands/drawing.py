"""What the pages to share have in common: their look (``base.html.j2``) and drawings that are part of them."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"candidate": "#1f6feb", "stable": "#2da44e", "bad": "#cf222e", "soft": "#8c959f"}


def pages(**filters: Callable[..., str]) -> Environment:
    """The templates of the commands."""
    found = Environment(loader=PackageLoader("simulate.commands"), autoescape=True)
    found.filters |= filters
    return found


def drawn(height: float, draw: Callable[[Axes], None]) -> Markup:
    """An SVG of the drawing, the same for the same data; ``height`` in inches beside a width of 8."""
    with mpl.rc_context({"svg.hashsalt": "simulate", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, height), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return Markup(text[text.index("<svg") :])  # noqa: S704 -- matplotlib's own, made of numbers
