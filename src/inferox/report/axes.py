"""The two axes of a chart, and the room that is left for its plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inferox.report.elements import Markup, element
from inferox.report.geometry import Box
from inferox.report.labels import FONT_SIZE, LINE_HEIGHT
from inferox.report.quantities import axis_text
from inferox.report.scales import Scale
from inferox.report.text_width import text_width

_TOP, _BOTTOM = 14.0, 48.0
_LEAST_HEIGHT = 300.0
_TICK_GAP, _EDGE = 7.0, 8.0
_MOST_LABELS = 16


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
class Frame:
    """The axes of a chart in its view box, around its plot.

    Attributes:
        width: The width of the view box.
        height: The height of the view box.
        x: The x axis.
        y: The y axis.
        margin: The width that is kept free beside the plot, at the right.
    """

    width: float
    height: float
    x: Axis
    y: Axis
    margin: float = 0.0

    @classmethod
    def for_labels(cls, count: int, width: float, x: Axis, y: Axis, margin: float = 0.0) -> Frame:
        """Makes a frame that is high enough for a column of labels."""
        return cls(width, max(_LEAST_HEIGHT, _TOP + _BOTTOM + LINE_HEIGHT * count), x, y, margin)

    @cached_property
    def plot(self) -> Box:
        """The room between the axes."""
        left = LINE_HEIGHT + _EDGE + _TICK_GAP + max((_width(label) for _, label in self.y.ticks), default=0.0)
        last = max((_width(label) for _, label in self.x.ticks), default=0.0)
        return Box(left, _TOP, self.width - max(self.margin, last / 2), self.height - _BOTTOM)

    def across(self, value: float) -> float:
        """Returns the x coordinate of a number."""
        plot = self.plot
        return plot.left + self.x.scale.place(value) * (plot.right - plot.left)

    def up(self, value: float) -> float:
        """Returns the y coordinate of a number."""
        plot = self.plot
        return plot.bottom - self.y.scale.place(value) * (plot.bottom - plot.top)

    def draw(self) -> Markup:
        """Draws the axes with their labels, and a line across the plot for each tick of the y axis."""
        plot = self.plot
        parts = []
        for value, label in self.y.ticks:
            y = self.up(value)
            parts.append(element("line", x1=plot.left, x2=plot.right, y1=y, y2=y, class_="grid"))
            parts.append(element("text", label, x=plot.left - _TICK_GAP, y=y + 4, text_anchor="end"))
        every = math.ceil(len(self.x.ticks) / _MOST_LABELS)
        for value, label in self.x.ticks[::every]:
            x = self.across(value)
            parts.append(element("line", x1=x, x2=x, y1=plot.bottom, y2=plot.bottom + 4, class_="axis"))
            parts.append(element("text", label, x=x, y=plot.bottom + 18, text_anchor="middle"))
        parts.append(element("line", x1=plot.left, x2=plot.right, y1=plot.bottom, y2=plot.bottom, class_="axis"))
        across, middle = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2
        turned = f"rotate(-90 {FONT_SIZE:g} {middle:g})"
        parts += [
            element("text", self.x.label, x=across, y=self.height - _EDGE, text_anchor="middle", class_="label"),
            element(
                "text", self.y.label, x=FONT_SIZE, y=middle, text_anchor="middle", transform=turned, class_="label"
            ),
        ]
        return element("g", *parts, class_="axes")


def _width(text: str) -> float:
    return text_width(text, FONT_SIZE)
