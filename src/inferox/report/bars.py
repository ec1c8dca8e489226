"""Throughput as horizontal bars: text and bars in rows of HTML, which stay readable at any width."""

from __future__ import annotations

from inferox.measuring.comparison import ArtifactMeasurement, Comparison
from inferox.report.badge import parity_badge
from inferox.report.elements import Markup, element
from inferox.report.quantities import factor_text, three_digits
from inferox.report.summary import agreeing, find_pytorch, find_ties, is_fair, ratio

_WIDTH = 100
"""The width of the widest bar, in units of its view box."""


def throughput_bars(comparison: Comparison) -> Markup:
    """Draws a bar for each artifact, the fastest first, with its speed relative to PyTorch in fp32.

    Args:
        comparison: The measurements.
    """
    best, pytorch = agreeing(comparison)[0], find_pytorch(comparison.artifacts)
    most = max(item.throughput.rows_per_s.high for item in comparison.listed)
    fastest = {best.artifact, *find_ties(comparison)}
    rows = [_row(comparison, item, pytorch, most, item.artifact in fastest) for item in comparison.listed]
    alike = " and those that are as fast within the noise" if len(fastest) > 1 else ""
    factor = f" Blue: the fastest{alike}."
    if pytorch is not None:
        factor += f" The factor is against {pytorch.artifact}."
    if any(item.throughput.rows_per_s.range for item in comparison.listed):
        factor += " Lines span the rounds, or the middle half of five and more."
    if comparison.peer is not None:
        factor += f" {comparison.peer.artifact} pads batches of 32 rows: the more texts a call has, the less it loses."
    heading = element(
        "figcaption",
        element("strong", "Throughput"),
        element("span", f"Rows of mixed lengths per second, from the items to the answers.{factor}"),
    )
    return element("figure", heading, element("ol", *rows, class_="bars"), id="throughput")


def _row(
    comparison: Comparison, item: ArtifactMeasurement, pytorch: ArtifactMeasurement | None, most: float, is_best: bool
) -> Markup:
    spread, scale = item.throughput.rows_per_s, _WIDTH / most
    rate = spread.median
    low, high = scale * spread.low, scale * spread.high
    bar = element(
        "svg",
        element("rect", x=0, y=0, width=scale * rate, height=1),
        *([element("line", x1=low, x2=high, y1=0.5, y2=0.5)] if spread.range else []),
        viewBox=f"0 0 {_WIDTH} 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    is_peer = item is comparison.peer
    factor = ""
    if pytorch is not None and (not is_peer or is_fair(item)):
        factor = "baseline" if item is pytorch else f"{factor_text(ratio(item, pytorch))}×"
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
