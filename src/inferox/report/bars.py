"""Throughput as horizontal bars: text and bars in rows of HTML, which stay readable at any width."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.measuring.comparison import ArtifactMeasurement, Comparison, Spread
from inferox.report.badge import parity_badge
from inferox.report.elements import Markup, element
from inferox.report.marks import colour_class
from inferox.report.plots import Look
from inferox.report.quantities import factor_text, three_digits
from inferox.report.spreads import spans_text
from inferox.report.summary import agreeing, find_pytorch, find_ties, is_fair, ratio

_WIDTH = 100
"""The width of the widest bar, in units of its view box."""


def throughput_bars(comparison: Comparison, looks: Mapping[str, Look]) -> Markup:
    """Draws a bar for each artifact, the fastest first, with its speed relative to PyTorch in fp32.

    Args:
        comparison: The measurements.
        looks: The appearance of each artifact, by its name.
    """
    best, pytorch = agreeing(comparison)[0], find_pytorch(comparison.artifacts)
    most = max(item.throughput.rows_per_s.high for item in comparison.listed)
    fastest = {best.artifact, *find_ties(comparison)}
    rows = [
        element(
            "li",
            *_cells(comparison, item, pytorch),
            _bar(item.throughput.rows_per_s, most, colour_class(looks[item.artifact].index)),
            class_="best" if item.artifact in fastest else "peer" if item is comparison.peer else None,
        )
        for item in comparison.listed
    ]
    alike = " and those that are as fast within the noise" if len(fastest) > 1 else ""
    factor = f" Bold: the fastest{alike}."
    if len(comparison.listed) > 1:
        factor += " A runtime has one colour; in the table and the plots, a precision and layout has one shape."
    if pytorch is not None:
        factor += f" Factors are relative to {pytorch.artifact}."
    spreads = [item.throughput.rows_per_s for item in comparison.listed]
    if any(spread.range for spread in spreads):
        factor += f" Lines {spans_text(spreads)}."
    if comparison.peer is not None:
        factor += f" {comparison.peer.artifact} pads batches of 32 rows: the more texts a call has, the less it loses."
    heading = element(
        "figcaption",
        element("strong", "Throughput"),
        element("span", f"Rows of mixed lengths per second, from the items to the answers.{factor}"),
    )
    return element("figure", heading, element("ol", *rows, class_="bars"), id="throughput")


def _bar(spread: Spread, most: float, colour: str) -> Markup:
    scale = _WIDTH / most
    ends = {"x1": scale * spread.low, "x2": scale * spread.high, "y1": 0.5, "y2": 0.5}
    # A wider line below that of the range keeps it visible on any colour.
    lines = [element("line", **ends, class_=kind) for kind in ("halo", None)] if spread.range else []
    return element(
        "svg",
        element("rect", x=0, y=0, width=scale * spread.median, height=1),
        *lines,
        viewBox=f"0 0 {_WIDTH} 1",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_=colour,
    )


def _cells(
    comparison: Comparison, item: ArtifactMeasurement, pytorch: ArtifactMeasurement | None
) -> tuple[Markup, ...]:
    factor = ""
    if pytorch is not None and (item is not comparison.peer or is_fair(item)):
        factor = "baseline" if item is pytorch else f"{factor_text(ratio(item, pytorch))}×"
    price = comparison.million_rows_price(item)
    rate = f"{three_digits(item.throughput.rows_per_s.median)}/s"
    cost = () if price is None else (element("small", f"{three_digits(price)} per million"),)
    return (
        element("span", item.artifact, class_="name"),
        parity_badge(comparison, item),
        element("span", rate, *cost, class_="rate"),
        element("span", factor, class_="factor"),
    )
