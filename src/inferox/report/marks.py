"""The marks of series: a colour for each runtime, and a shape for each precision and layout."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from inferox.report.elements import Markup, element

_RADIUS = 3.6
_COLOURS, _SHAPES = 8, 4

_SPREADING = 37
"""A modulus at which the CRCs of today's runtimes' names give different colours."""


def choose_looks(names: Sequence[str]) -> dict[str, int]:
    """Chooses an appearance for each artifact: the colour of its runtime, and the shape of its precision and layout.

    A runtime has the same colour in every report, unless another one with the same has taken it. What is not an
    artifact, such as another library, has a shape of its own.

    Args:
        names: The names of the artifacts, such as ``onnxruntime/onnx/fp32/packed``.

    Returns:
        The index of each one's appearance: that of the colour, and 8 times that of the shape and the filling.
    """
    kinds = sorted({_kind(name) for name in names if "/" in name})
    colours: dict[str, int] = {}
    looks: dict[str, int] = {}
    for name in sorted(names):
        runtime = name.partition("/")[0]
        if runtime not in colours:
            wanted = zlib.crc32(runtime.encode("utf-8", "replace")) % _SPREADING
            free = [wanted + step for step in range(_COLOURS) if (wanted + step) % _COLOURS not in colours.values()]
            colours[runtime] = next(iter(free), wanted) % _COLOURS
        look = colours[runtime] + _COLOURS * (kinds.index(_kind(name)) if "/" in name else len(kinds))
        # Artifacts of one kind and runtime differ in their formats; and there may be more runtimes than colours.
        while look in looks.values():
            look += _COLOURS * (len(kinds) + 1)
        looks[name] = look
    return looks


def _kind(name: str) -> tuple[str, ...]:
    """Returns an artifact's precision and layout."""
    return tuple(name.split("/")[2:])


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
    shape = look // _COLOURS % _SHAPES
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
    """Returns whether the mark of an appearance is only an outline: beyond the four shapes of its colour."""
    return look // (_COLOURS * _SHAPES) % 2 == 1


def is_dashed(look: int) -> bool:
    """Returns whether the line of an appearance is dashed: every second one of its colour."""
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
