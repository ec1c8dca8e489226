"""The marks of series, told apart by colour, by shape and by filling."""

from __future__ import annotations

import math

from inferox.report.elements import Markup, element

_RADIUS = 3.6
_COLOURS, _SHAPES = 8, 4


def mark(look: int, x: float, y: float, *children: str) -> Markup:
    """Draws the mark of a series, which is told apart by its shape, and by being hollow, as well as by its colour.

    Args:
        look: The index of its appearance.
        x: The x coordinate of its centre.
        y: The y coordinate of its centre.
        children: Child elements, such as a title.
    """
    radius = _RADIUS
    kind = "hollow" if is_hollow(look) else None
    # One further for each sixteen: then colours and fillings repeat.
    shape = (look + look // (2 * _COLOURS)) % _SHAPES
    if shape == 0:
        return element("circle", *children, cx=x, cy=y, r=radius, class_=kind)
    if shape == 1:
        size = 2 * radius
        return element("rect", *children, x=x - radius, y=y - radius, width=size, height=size, class_=kind)
    corners = 3 if shape == 2 else 4  # noqa: PLR2004 - the third of the four shapes
    turns = [math.tau * corner / corners for corner in range(corners)]
    points = " ".join(
        f"{x + 1.3 * radius * math.sin(turn):.2f},{y - 1.3 * radius * math.cos(turn):.2f}" for turn in turns
    )
    return element("polygon", *children, points=points, class_=kind)


def is_hollow(look: int) -> bool:
    """Whether the mark of an appearance is only an outline, and its line dashed: every second turn of the colours."""
    return look // _COLOURS % 2 == 1


def colour_class(look: int) -> str:
    """Returns the CSS class for the colour of a series."""
    return f"c{look % _COLOURS}"


def swatch(look: int) -> Markup:
    """Draws the mark of a series as a small picture beside its name.

    Args:
        look: The index of its appearance.
    """
    return element(
        "svg",
        mark(look, 6, 6),
        viewBox="0 0 12 12",
        width=12,
        height=12,
        aria_hidden="true",
        class_=f"swatch {colour_class(look)}",
    )
