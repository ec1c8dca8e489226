"""The three plots of a comparison."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.measuring.comparison import Comparison, RowParity
from inferox.report.charts import Axis, Caption, Point, Series, dot_chart, line_chart
from inferox.report.elements import Markup
from inferox.report.quantities import axis_text, seconds_text, three_digits
from inferox.report.scales import LinearScale, LogScale, linear_scale_from_zero, log_scale, log_ticks

_MOST_TICKS = 6
_ROOM = 1.25


def latency_plot(comparison: Comparison, colours: Mapping[str, int]) -> Markup | None:
    """Latency by length: one line per artifact. ``None`` where rows have no length, or only one was measured.

    Args:
        comparison: What was measured.
        colours: Which of the page's colours each artifact has.
    """
    series = []
    for item in comparison.artifacts:
        points = [
            Point(
                latency.length,
                1e3 * latency.seconds.median,
                f"{latency.length} tokens, {seconds_text(latency.seconds.median)} "
                f"({seconds_text(latency.seconds.low)} to {seconds_text(latency.seconds.high)})",
                1e3 * latency.seconds.low,
                1e3 * latency.seconds.high,
            )
            for latency in item.latency
            if latency.length
        ]
        series.append(Series(item.artifact, colours[item.artifact], points))
    if not all(len(item.points) > 1 for item in series):
        return None
    x, x_ticks = log_scale([point.x for item in series for point in item.points], _MOST_TICKS)
    y, y_ticks = log_scale([edge for item in series for point in item.points for edge in _edges(point)], _MOST_TICKS)
    return line_chart(
        Caption(
            "latency",
            "Latency by length",
            "One row at a time. Median of the rounds; bars span the middle half. Both axes are logarithmic.",
        ),
        Axis.of("length of the row, tokens", x, x_ticks),
        Axis.of("latency, ms", y, y_ticks),
        series,
    )


def throughput_plot(comparison: Comparison, colours: Mapping[str, int]) -> Markup | None:
    """Throughput by the size of batches: one line per artifact. ``None`` where batches were not varied.

    Takes the same as ``latency_plot``.
    """
    series = []
    for item in comparison.artifacts:
        points = []
        for batch in item.batches:
            rate = batch.rows_per_s
            unit = "rows" if batch.tokens is None else "tokens"
            title = (
                f"batches of {batch.batch} {unit}, {three_digits(rate.median)} rows/s "
                f"({three_digits(rate.low)} to {three_digits(rate.high)})"
            )
            points.append(Point(batch.batch or 1, rate.median, title, rate.low, rate.high))
        series.append(Series(item.artifact, colours[item.artifact], points))
    if not all(len(item.points) > 1 for item in series):
        return None
    sizes = sorted({point.x for item in series for point in item.points})
    unit = "rows" if comparison.artifacts[0].throughput.tokens is None else "tokens, padding included"
    y, y_ticks = linear_scale_from_zero([point.high for item in series for point in item.points], _MOST_TICKS)
    return line_chart(
        Caption(
            "throughput",
            "Throughput by size of batch",
            "Rows of mixed lengths, the computation alone. Median of the rounds; bars span the middle half.",
        ),
        Axis.of(f"largest batch, {unit}", LogScale(sizes[0] / _ROOM, sizes[-1] * _ROOM), sizes),
        Axis.of("throughput, rows/s", y, y_ticks),
        series,
    )


def parity_plot(comparison: Comparison, colours: Mapping[str, int]) -> Markup | None:
    """The largest difference from the reference in each sample row: one dot per artifact and row.

    Takes the same as ``latency_plot``. ``None`` where no artifact was compared.
    """
    compared = [item for item in comparison.artifacts if item.row_parity]
    figures = [row.max_abs for item in compared for row in item.row_parity if row.max_abs]
    if not compared:
        return None
    # Bit-equal rows have no place on a logarithmic axis: they stand on its lowest line, which is labelled 0.
    least, most = min(figures, default=1e-7), max(figures, default=1e-6)
    y = LogScale(least / 5, most * 2)
    rows = compared[0].row_parity
    order = sorted(range(len(rows)), key=lambda index: rows[index].length or 0)
    series = [
        Series(
            item.artifact,
            colours[item.artifact],
            [
                _parity_point(place, item.row_parity[index], y.low)
                for place, index in enumerate(order, start=1)
                if item.row_parity[index].max_abs is not None
            ],
        )
        for item in compared
    ]
    labels = [(float(place), str(rows[index].length or place)) for place, index in enumerate(order, start=1)]
    measured = "length of the sample row, tokens" if rows[0].length is not None else "sample"
    return dot_chart(
        Caption(
            "parity",
            "Parity by sample row",
            "Difference from the reference, each row computed by itself; 0 is bit-equal. The axis up is logarithmic.",
        ),
        Axis(measured, LinearScale(0.4, len(order) + 0.6), labels),
        Axis(
            "largest absolute difference",
            y,
            [(y.low, "0"), *((tick, axis_text(tick)) for tick in log_ticks(least / 2, most * 2, _MOST_TICKS - 1))],
        ),
        series,
    )


def _parity_point(place: int, row: RowParity, floor: float) -> Point:
    difference, cosine = row.max_abs or 0.0, row.cosine or 0.0
    length = "" if row.length is None else f"{row.length} tokens, "
    title = f"{length}largest difference {difference:.2g}, cosine {cosine:.9f}"
    y = difference or floor
    return Point(place, y, title, y, y)


def _edges(point: Point) -> tuple[float, float]:
    return point.low, point.high
