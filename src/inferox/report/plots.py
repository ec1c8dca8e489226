"""The plots of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferox.core import counted
from inferox.measuring.comparison import Comparison, Latency
from inferox.report.axes import Axis
from inferox.report.charts import Caption, Point, Series, line_chart, scatter_chart
from inferox.report.elements import Markup
from inferox.report.quantities import bytes_text, seconds_text, three_digits
from inferox.report.scales import linear_scale_from_zero, log_scale
from inferox.report.spreads import spans_text

_MOST_TICKS = 6

_ROOM = 1.12
"""The height of the plot of memory, in the greatest throughput: above the fastest there is room for labels."""


@dataclass(frozen=True)
class Look:
    """The appearance of an artifact, the same in every plot.

    Attributes:
        number: Its rank in the comparison, from 1.
        label: Its short name.
        index: The index of its appearance; see ``choose_looks``.
    """

    number: int
    label: str
    index: int

    def series(self, name: str, points: Sequence[Point]) -> Series:
        """Makes the series of the artifact.

        Args:
            name: Its full name.
            points: The points.
        """
        return Series(name, self.number, self.label, self.index, points)


def latency_plot(comparison: Comparison, looks: Mapping[str, Look]) -> Markup | None:
    """Plots latency by length: one line per artifact. ``None`` if rows have no length, or only one was measured.

    Args:
        comparison: The measurements.
        looks: The appearance of each artifact, by its name.
    """
    series = []
    for item in comparison.listed:
        points = [
            Point(
                latency.length,
                1e3 * latency.seconds.median,
                f"{counted(latency.length, 'token')}, {seconds_text(latency.seconds.median)}{_range_text(latency)}",
                1e3 * latency.seconds.low,
                1e3 * latency.seconds.high,
            )
            for latency in item.latency
            if latency.length
        ]
        series.append(looks[item.artifact].series(item.artifact, points))
    if not all(len(item.points) > 1 for item in series):
        return None
    x, x_ticks = log_scale([point.x for item in series for point in item.points], _MOST_TICKS)
    y, y_ticks = log_scale([edge for item in series for point in item.points for edge in _edges(point)], _MOST_TICKS)
    return line_chart(
        Caption(
            "latency",
            "Latency by length",
            f"One row at a time. Median of the rounds. {_explain_bars(comparison)}Both axes are logarithmic.",
        ),
        Axis.of("length of the row, tokens", x, x_ticks),
        Axis.of("latency, ms", y, y_ticks),
        series,
    )


def memory_plot(comparison: Comparison, looks: Mapping[str, Look]) -> Markup | None:
    """Plots throughput against memory: one mark per artifact. ``None`` if the memory of fewer than two was measured.

    Takes the same arguments as ``latency_plot``.
    """
    series = []
    for item in comparison.listed:
        if item.peak_memory_bytes is None:
            continue
        rate = item.throughput.rows_per_s
        title = f"{three_digits(rate.median)} rows/s with {bytes_text(item.peak_memory_bytes)}"
        point = Point(item.peak_memory_bytes / 1e6, rate.median, title, rate.median, rate.median)
        series.append(looks[item.artifact].series(item.artifact, [point]))
    if len(series) < 2:  # noqa: PLR2004 - one point compares nothing
        return None
    x, x_ticks = linear_scale_from_zero([point.x for item in series for point in item.points], _MOST_TICKS)
    y, y_ticks = linear_scale_from_zero([_ROOM * point.y for item in series for point in item.points], _MOST_TICKS)
    return scatter_chart(
        Caption("memory", "Speed against memory", "Medians of the rounds. The best are at the top left."),
        Axis.of("peak memory, MB", x, x_ticks),
        Axis.of("throughput, rows/s", y, y_ticks),
        series,
    )


def _explain_bars(comparison: Comparison) -> str:
    """Explains the bars, if there are any, and which points have none: those of a single round."""
    spreads = [row.seconds for item in comparison.listed for row in item.latency if row.length]
    if not any(spread.range for spread in spreads):
        return ""
    once = "; a point without one is of a single round" if any(spread.count == 1 for spread in spreads) else ""
    return f"Bars {spans_text(spreads)}{once}. "


def _range_text(latency: Latency) -> str:
    if len(latency.rounds) == 1:
        return ", of a single round"
    return f" ({seconds_text(latency.seconds.low)} to {seconds_text(latency.seconds.high)})"


def _edges(point: Point) -> tuple[float, float]:
    return point.low, point.high
