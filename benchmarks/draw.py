"""Draws the results of a benchmark as horizontal bars, for the documentation.

    python benchmarks/offline.py MODEL --json > offline.json
    python benchmarks/draw.py offline.json docs/drawings/offline.svg

The file comes from ``offline.py``, ``engine.py`` or ``serving.py``, whose formats differ. A bar is as long as the
median, the line across it goes from the minimum to the maximum of all rounds, and the text after it gives the ratio to
the peer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferox.report.elements import Markup, element

_WIDTH, _LEFT, _RIGHT, _STEP, _BAR = 760, 300, 130, 30, 18

_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.bar { fill: #0969da } .peer { fill: #8c959f } .spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #4493f8 } .peer { fill: #6e7681 } .spread { stroke: #e6edf3 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: What was measured.
        median: The median of all rounds.
        least: The minimum of all rounds.
        most: The maximum of all rounds.
        says: The text after the bar.
        is_peer: Whether the others are compared with it.
    """

    name: str
    median: float
    least: float
    most: float
    says: str
    is_peer: bool = False


def main() -> None:
    """Draws the results in one file into another."""
    source, output = map(Path, sys.argv[1:])
    bars = sorted(read_bars(json.loads(source.read_text(encoding="utf-8"))), key=lambda bar: -bar.median)
    output.write_text(f"{draw(bars)}\n", encoding="utf-8")


def read_bars(report: Any) -> Iterator[Bar]:
    """Reads the bars from the output of a benchmark.

    Args:
        report: Its JSON.
    """
    if isinstance(report, list):
        most = max(row["connections"] for row in report)
        for row in report:
            if row["connections"] == most:
                rate, ratio = row["requests_per_second"], row["ratio"]
                says = f"{rate:.0f}/s" + (f", {ratio:.2f} x" if ratio else "")
                name = row["server"]
                yield Bar(name, rate, row["lowest"], row["highest"], says, not name.startswith("inferox"))
        return
    for name, row in report.items():
        if "seconds" in row:
            texts = row["texts_per_second"] * sorted(row["seconds"])[len(row["seconds"]) // 2]
            rates = [texts / seconds for seconds in row["seconds"]]
            says = f"{row['texts_per_second']:.0f}/s, {row['ratio']:.2f} x"
            yield Bar(name, row["texts_per_second"], min(rates), max(rates), says, row["ratio"] == 1)
        else:
            rate = row["engine_texts_per_second"]
            yield Bar(name, rate, rate, rate, f"{rate:.0f}/s, {row['engine_to_peer']:.2f} x")


def draw(bars: list[Bar]) -> Markup:
    """Draws an image of bars, one below the other.

    Args:
        bars: The bars, from the top.
    """
    scale = (_WIDTH - _LEFT - _RIGHT) / max(bar.most for bar in bars)
    parts = [element("style", Markup(_STYLE))]
    for index, bar in enumerate(bars):
        top = index * _STEP + 6
        middle, end = top + _BAR / 2, _LEFT + bar.median * scale
        kind = "peer" if bar.is_peer else "bar"
        parts += [
            element("text", bar.name, x=_LEFT - 10, y=middle + 5, text_anchor="end"),
            element("rect", x=_LEFT, y=top, width=round(end - _LEFT, 1), height=_BAR, rx=3, class_=kind),
            element("text", bar.says, x=round(_LEFT + bar.most * scale + 8, 1), y=middle + 5),
        ]
        if bar.most > bar.least:
            ends = {"x1": round(_LEFT + bar.least * scale, 1), "x2": round(_LEFT + bar.most * scale, 1)}
            parts.append(element("line", **ends, y1=middle, y2=middle, class_="spread"))
    height = len(bars) * _STEP + 6
    return element("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", role="img")


if __name__ == "__main__":
    main()
