"""The charts in a real browser: with its font, no label leaves its chart or covers another or a mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferox.report import render_report
from tests.report.comparisons import make_comparison, make_measurement
from tests.server.browser import CHROMIUM, Browser, browsing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt-get install chromium)")

LOOK = """
(() => {
  const box = node => {
    const {left, top, right, bottom} = node.getBoundingClientRect();
    return [left, top, right, bottom];
  };
  const end = series => [...series.querySelectorAll("circle, rect, polygon")].pop();
  const shown = [...document.querySelectorAll(".chart")].filter(chart => chart.getBoundingClientRect().width);
  return {
    page: document.documentElement.scrollWidth,
    charts: shown.map(chart => ({
      chart: box(chart),
      text: parseFloat(getComputedStyle(chart.querySelector("text")).fontSize) * chart.getScreenCTM().a,
      labels: [...chart.querySelectorAll(".labels text")].map(box),
      ends: [...chart.querySelectorAll(".series")].map(series => box(end(series))),
      texts: [...chart.querySelectorAll("text")].map(box),
    })),
  };
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as started:
        yield started


def overlap(one: list[float], other: list[float]) -> bool:
    # The box of a text is higher than its letters, which may come closer.
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > 0.5 and down > 4


@pytest.fixture(scope="module", params=[2, 8, 16])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runtimes = ("onnxruntime", "openvino", "torch", "candle", "a-runtime-of-somebody-else")
    kinds = ("fp32/packed", "fp32/padded", "bf16/packed")
    names = [f"{runtime}/onnx/{kind}" for runtime in runtimes for kind in kinds]
    found = [make_measurement(name, 1 + index % 5 / 30) for index, name in enumerate(names[: request.param - 1])]
    comparison = replace(make_comparison(), artifacts=tuple(found), peer=make_measurement("sentence-transformers", 4.9))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(comparison), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 800, 1024, 1400])
def test_labels_are_legible_and_cover_nothing(browser: Browser, report: Path, width: int) -> None:
    browser.show(f"{report.as_uri()}?{width}", width=width)
    seen: dict[str, Any] = browser.run(LOOK)
    assert seen["page"] <= width
    assert len(seen["charts"]) == 2
    for chart in seen["charts"]:
        left, top, right, bottom = chart["chart"]
        assert 10.5 <= chart["text"] <= 16
        assert len(chart["labels"]) == len(chart["ends"])
        for text in chart["texts"]:
            assert left - 1 <= text[0] <= text[2] <= right + 1
            assert top - 1 <= text[1] <= text[3] <= bottom + 1
        for index, label in enumerate(chart["labels"]):
            assert not any(overlap(label, other) for other in chart["labels"][:index])
            assert not any(overlap(label, end) for end in chart["ends"])


def test_charts_beside_each_other_begin_at_one_height_with_text_of_one_size(browser: Browser, report: Path) -> None:
    browser.show(f"{report.as_uri()}?wide", width=1400)
    one, other = browser.run(LOOK)["charts"]
    assert one["chart"][0] < other["chart"][0]
    assert one["chart"][1] == pytest.approx(other["chart"][1])
    assert one["text"] == pytest.approx(other["text"])
