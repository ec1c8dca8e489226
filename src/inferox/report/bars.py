"""Throughput as horizontal bars: text and bars in rows of HTML, which stay readable at any width."""

from __future__ import annotations

from inferox.measuring.comparison import ArtifactMeasurement, Comparison
from inferox.report.badge import parity_badge
from inferox.report.elements import Markup, element
from inferox.report.quantities import three_digits
from inferox.report.summary import agreeing, find_pytorch, is_fair, ratio

_WIDTH = 100
"""The width of the widest bar, in units of its view box."""


def throughput_bars(comparison: Comparison) -> Markup:
    """Draws a bar for each artifact, the fastest first, with its speed relative to PyTorch in fp32.

    Args:
        comparison: The measurements.
    """
    best, pytorch = agreeing(comparison)[0], find_pytorch(comparison.artifacts)
    most = comparison.listed[0].throughput.rows_per_s.median
    rows = [_row(comparison, item, pytorch, most, best is item) for item in comparison.listed]
    factor = "" if pytorch is None else " The factor is against the package on PyTorch in fp32."
    heading = element(
        "figcaption",
        element("strong", "Throughput"),
        element("span", f"Rows of mixed lengths per second, from the items to the answers.{factor}"),
    )
    return element("figure", heading, element("ol", *rows, class_="bars"), id="throughput")


def _row(
    comparison: Comparison, item: ArtifactMeasurement, pytorch: ArtifactMeasurement | None, most: float, is_best: bool
) -> Markup:
    rate = item.throughput.rows_per_s.median
    bar = element(
        "svg",
        element("rect", x=0, y=0, width=_WIDTH * rate / most, height=1),
        viewBox=f"0 0 {_WIDTH} 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    is_peer = item is comparison.peer
    factor = ""
    if pytorch is not None and (not is_peer or is_fair(item)):
        factor = "baseline" if item is pytorch else f"{three_digits(ratio(item, pytorch))}×"
    price = comparison.million_rows_price(item)
    return element(
        "li",
        element("span", item.artifact, class_="name"),
        parity_badge(comparison, item),
        element(
            "span",
            f"{three_digits(rate)}/s",
            *(() if price is None else (element("small", f"{three_digits(price)} per million"),)),
            class_="rate",
        ),
        element("span", factor, class_="factor"),
        bar,
        class_="best" if is_best else "peer" if is_peer else None,
    )
