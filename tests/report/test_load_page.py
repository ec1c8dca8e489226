"""The report of a load benchmark."""

from __future__ import annotations

import re

from inferox.bench import LoadReport, LoadStep
from inferox.bench.results import PERCENTILES
from inferox.report import render_load_report
from tests.report.comparisons import MACHINE


def make_step(callers: int) -> LoadStep:
    latency_s = {**{str(number): 1e-3 * callers * number for number in PERCENTILES}, "max": callers / 5}
    return LoadStep(callers, None, 10.0, 100 * callers, {}, latency_s, 3.0)


def make_page(*callers: int) -> str:
    steps = [make_step(number) for number in callers]
    return render_load_report(LoadReport("minilm", "embed", "openvino/onnx/fp32/packed", 2, MACHINE, steps))


def test_each_cell_repeats_its_heading_for_narrow_pages() -> None:
    page = make_page(1, 4)
    first, *columns = re.findall(r"<th scope=\"col\"[^>]*>([^<]+)</th>", page)
    assert first == "Load"
    assert len(columns) == 7
    assert re.findall(r'<td data-label="([^"]+)"', page) == columns * 2


def test_loads_are_drawn_as_lines_with_labels_at_their_ends() -> None:
    page = make_page(1, 4, 16)
    assert page.count("<figure") == 2
    for name in ("answered", *(f"p{number}" for number in PERCENTILES)):
        assert re.search(rf"<text [^>]*>{name}</text>", page)


def test_a_single_load_has_no_charts() -> None:
    page = make_page(4)
    assert "<figure" not in page
    assert 'class="plots"' not in page
