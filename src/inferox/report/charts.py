"""Line charts as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferox.report.elements import Markup, element
from inferox.report.quantities import axis_text
from inferox.report.scales import Scale

_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 46
"""The margins around the plot, which hold the labels of the axes; all in units of the view box."""

_RADIUS = 3.6
_LINE = 13
"""The height of a line of text."""

_COLOURS, _SHAPES = 8, 4
_MOST_LABELS = 16


@dataclass(frozen=True)
class Caption:
    """The caption of a chart.

    Attributes:
        key: A key that is unique on the page.
        title: The title.
        description: A guide to reading the chart, also for screen readers.
    """

    key: str
    title: str
    description: str


@dataclass(frozen=True)
class Axis:
    """One of the two axes.

    Attributes:
        label: The quantity, with its unit.
        scale: Maps numbers to positions.
        ticks: The labelled numbers, with their labels.
    """

    label: str
    scale: Scale
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def of(cls, label: str, scale: Scale, ticks: Sequence[float]) -> Axis:
        """Makes an axis whose ticks are labelled with their numbers."""
        return cls(label, scale, [(tick, axis_text(tick)) for tick in ticks])


@dataclass(frozen=True)
class Point:
    """A point of a series.

    Attributes:
        x: Its value on the x axis.
        y: Its value on the y axis.
        title: Its tooltip.
        low: The lower end of its spread.
        high: The upper end of its spread.
    """

    x: float
    y: float
    title: str
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """The points of one artifact.

    Attributes:
        name: Its name.
        number: Its label in the chart if there is no room for a name; the same in every chart.
        label: A short name, shown beside the end of its line.
        look: The index of its appearance, which is its colour, mark and line; the same in every chart.
        points: Its points.
    """

    name: str
    number: int
    label: str
    look: int
    points: Sequence[Point]


def line_chart(caption: Caption, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Draws each series as a line with a mark and the spread at each point, labelled at its last point.

    The label is the name or only the number, depending on the room, which the style of the page decides.

    Args:
        caption: The caption.
        x: The x axis.
        y: The y axis.
        series: The lines.
    """
    drawn = [_line(item, x.scale, y.scale) for item in series]
    return _figure(caption, x, y, series, [*drawn, _labels(series, x.scale, y.scale)])


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


def legend(series: Sequence[Series]) -> Markup:
    """Lists the names of series beside their marks."""
    items = [
        element(
            "li",
            swatch(item.look),
            element("b", str(item.number)),
            element("span", item.name),
        )
        for item in series
    ]
    return element("ul", *items, class_="legend")


def _figure(caption: Caption, x: Axis, y: Axis, series: Sequence[Series], drawn: Sequence[Markup]) -> Markup:
    key, title, description = caption.key, caption.title, caption.description
    picture = element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-desc"),
        _axes(x, y),
        *drawn,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        class_="chart",
    )
    heading = element("figcaption", element("strong", title), element("span", description))
    return element("figure", heading, picture, legend(series), id=key)


def _axes(x: Axis, y: Axis) -> Markup:
    across, up = _across(x.scale), _up(y.scale)
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value, label in y.ticks:
        parts.append(element("line", x1=_LEFT, x2=right, y1=up(value), y2=up(value), class_="grid"))
        parts.append(element("text", label, x=_LEFT - 7, y=up(value) + 4, text_anchor="end"))
    every = math.ceil(len(x.ticks) / _MOST_LABELS)
    for value, label in x.ticks[::every]:
        parts.append(element("line", x1=across(value), x2=across(value), y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(element("text", label, x=across(value), y=bottom + 17, text_anchor="middle"))
    parts.append(element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
    middle = (_TOP + bottom) / 2
    parts.append(element("text", x.label, x=(_LEFT + right) / 2, y=_HEIGHT - 8, text_anchor="middle", class_="label"))
    parts.append(
        element(
            "text",
            y.label,
            x=12,
            y=middle,
            text_anchor="middle",
            transform=f"rotate(-90 12 {middle:g})",
            class_="label",
        )
    )
    return element("g", *parts, class_="axes")


def _line(series: Series, x: Scale, y: Scale) -> Markup:
    across, up = _across(x), _up(y)
    corners = " ".join(f"{across(point.x):.2f},{up(point.y):.2f}" for point in series.points)
    spreads = [
        element("line", x1=across(point.x), x2=across(point.x), y1=up(point.low), y2=up(point.high), class_="spread")
        for point in series.points
    ]
    line = element("polyline", points=corners, class_="line dashed" if is_hollow(series.look) else "line")
    return element("g", line, *spreads, *_marks(series, x, y), class_=f"series {colour_class(series.look)}")


def _labels(series: Sequence[Series], x: Scale, y: Scale) -> Markup:
    across, up = _across(x), _up(y)
    ends = [max(item.points, key=lambda point: point.x) for item in series]
    heights = spread_out([up(point.y) for point in ends], _LINE, _TOP, _HEIGHT - _BOTTOM)
    texts = [
        element("text", text, x=across(point.x) + 8, y=height + 4, class_=f"{kind} {colour_class(item.look)}")
        for item, point, height in zip(series, ends, heights, strict=True)
        for text, kind in ((item.label, "end-name"), (str(item.number), "end-number"))
    ]
    return element("g", *texts, class_="ends")


def spread_out(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves labels apart so that they do not overlap, keeping their order and close to their positions.

    Args:
        places: The wanted positions.
        gap: The least distance between two labels.
        low: The least position.
        high: The greatest position, unless there is no room for all of them.

    Returns:
        The positions, in the order of ``places``.
    """
    found = list(places)
    order = sorted(range(len(places)), key=lambda index: places[index])
    least = low
    for index in order:
        found[index] = least = max(found[index], least)
        least += gap
    most = max(high, low + gap * (len(places) - 1))
    for index in reversed(order):
        found[index] = most = min(found[index], most)
        most -= gap
    return found


def _marks(series: Series, x: Scale, y: Scale) -> list[Markup]:
    across, up = _across(x), _up(y)
    return [
        mark(series.look, across(point.x), up(point.y), element("title", f"{series.name}: {point.title}"))
        for point in series.points
    ]


def _across(scale: Scale) -> Callable[[float], float]:
    return lambda value: _LEFT + scale.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _up(scale: Scale) -> Callable[[float], float]:
    return lambda value: _HEIGHT - _BOTTOM - scale.place(value) * (_HEIGHT - _TOP - _BOTTOM)
