"""The report: one self-contained file, whatever the package is called."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.measuring import Ending
from inferox.measuring.comparison import Latency, Throughput
from inferox.report import render_report
from inferox.report.axes import Axis
from inferox.report.charts import Caption, Point, Series, line_chart
from inferox.report.elements import element
from inferox.report.marks import choose_looks, colour_class, is_dashed, is_hollow, mark
from inferox.report.quantities import axis_text, bytes_text, date_text, factor_text, seconds_text, three_digits
from inferox.report.scales import LinearScale
from inferox.report.summary import how_far, warnings
from tests.report.comparisons import LENGTHS, make_comparison, make_measurement, without_lengths

_VOID = {"meta", "br", "wbr"}


class Reader(HTMLParser):
    """Counts elements, checks that they are closed in order, and keeps texts and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)


def test_everything_that_was_measured_is_there() -> None:
    page = Reader(render_report(make_comparison()))
    for text in ("A Processor (AVX2, VNNI), 2 cores", "inferox 0.1.0", "2 for each runtime", "all shared", "exact"):
        assert text in page.text
    assert "openvino is not installed; pip install 'inferox[openvino]'" in page.text
    assert page.tags.count("figure") == 3
    charts, drawings = 2, 2
    assert page.tags.count("polyline") == 3 * drawings
    shapes = sum(page.tags.count(tag) for tag in ("circle", "rect", "polygon"))
    bars, in_the_table, in_legends, in_the_scatter = 3, 3, 6, 3
    assert shapes == bars + in_the_table + in_legends + drawings * (in_the_scatter + 3 * len(LENGTHS))
    assert page.tags.count("tr") == 4
    assert page.attributes.count(("scope", "col")) == 9
    assert page.attributes.count(("scope", "row")) == 3
    assert page.attributes.count(("role", "img")) == page.tags.count("desc") == charts * drawings


def test_the_fastest_comes_first_in_the_order_that_is_given() -> None:
    text = Reader(render_report(make_comparison())).text
    assert text.index("onnxruntime/") < text.index("torch/")


def test_the_page_opens_with_the_answer_and_bars_are_as_long_as_artifacts_are_fast() -> None:
    page = render_report(make_comparison())
    assert page.index(
        "is the fastest here: about 1.4 times as fast as PyTorch (torch/safetensors/fp32/padded)"
    ) < page.index("<figure")
    assert [float(width) for width in re.findall(r'<rect x="0" y="0" width="([\d.]+)"', page)] == pytest.approx(
        [100 / 1.05, 100 / 1.05 / 1.4, 100 / 1.05 / 3.1], rel=1e-3
    )
    assert page.count('y1="0.5" y2="0.5" class="halo"') == 3
    ends = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="0.5" y2="0.5"></line>', page)
    assert [float(end) for pair in ends for end in pair] == pytest.approx(
        [share / factor for factor in (1, 1.4, 3.1) for share in (100 / 1.3, 100)], rel=1e-3
    )
    assert re.findall(r'class="factor">([^<]+)<', page) == ["1.4×", "baseline", "0.45×"]
    assert re.findall(r'<details class="badge (\w+)">', page) == ["exact", "exact", "fail"] * 2
    assert page.count('<li class="best">') == 1


def test_bars_of_those_that_are_as_fast_look_alike() -> None:
    found = make_comparison()
    first, second, third = found.artifacts
    near = make_measurement(second.artifact, 1.02)
    page = render_report(replace(found, artifacts=(first, near, third)))
    assert page.count('<li class="best">') == 2
    said = unescape(re.sub("<[^>]*>", "", page))
    assert f"{first.artifact} and 1 other, alike within the noise, are the fastest here with 271 rows/s; " in said
    assert "; the first one's outputs are exact (min cosine" in said
    assert "Bold: the fastest and those that are as fast within the noise." in said
    assert "Bold: the fastest. A runtime has one colour;" in render_report(found)
    once = tuple(replace(item, throughput=replace(item.throughput, rounds=(0.2,))) for item in found.artifacts)
    assert "Lines span the rounds" in page
    assert "Lines span the rounds" not in render_report(replace(found, artifacts=once))


def test_no_mark_covers_that_of_the_fastest() -> None:
    page = render_report(make_comparison())
    drawings = re.findall(r"<svg [^>]*chart.*?</svg>", page)
    assert len(drawings) == 4
    for drawing in drawings:
        last = re.findall(r"<title>([^<:]+): ", drawing)[-1]
        assert last == "onnxruntime/onnx/fp32/padded"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-03-01T14:05:59+00:00", "1 March 2026, 14:05 UTC"),
        ("2026-12-31T23:30:00-02:00", "1 January 2027, 01:30 UTC"),
    ],
)
def test_dates_are_for_people(moment: str, said: str) -> None:
    assert date_text(moment) == said
    assert said in render_report(replace(make_comparison(), started_at=moment))


def test_nothing_is_fetched() -> None:
    page = Reader(render_report(make_comparison("https://example.org/<script src=https://evil.example>")))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"} & set(page.tags)
    assert not {"src", "href", "srcset", "action", "style"} & {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    style = render_report(make_comparison()).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@cache
def plain_tags() -> frozenset[str]:
    return frozenset(Reader(render_report(make_comparison())).tags)


@settings(max_examples=settings().max_examples // 2)  # each renders a page
@given(st.text(min_size=1))
def test_foreign_text_stays_text(name: str) -> None:
    comparison = make_comparison(name)
    foreign = replace(comparison, not_run={name: name}, machine=replace(comparison.machine, processor=name))
    page = Reader(render_report(foreign))
    assert set(page.tags) == plain_tags() | ({"wbr"} if "/" in name else set())
    render_report(foreign).encode("utf-8")


@pytest.mark.parametrize("name", ["</style><script>alert(1)</script>", '" onload="alert(1)', "\x00\x1b[31m", "\ud800"])
def test_hostile_names(name: str) -> None:
    comparison = replace(make_comparison(name), artifacts=(make_measurement(name),))
    page = Reader(render_report(comparison))
    assert "script" not in page.tags
    assert "onload" not in {attribute for attribute, _ in page.attributes}
    assert "\x00" not in "".join(page.said)


def test_a_model_whose_rows_have_no_length() -> None:
    page = Reader(render_report(without_lengths(make_comparison())))
    assert page.tags.count("figure") == 2
    assert page.text.count("not measured") >= 6
    assert "Tokens/s" not in page.text


def numbers(markup: str, name: str) -> list[float]:
    return [float(number) for number in re.findall(rf'\b{name}="([-\d.]+)"', markup)]


def test_points_stand_where_the_scales_say() -> None:
    points = [Point(0, 0, "first", 0, 0), Point(10, 5, "second", 4, 6)]
    axis = Axis("x", LinearScale(0, 10), [(0, "0"), (10, "10")])
    chart = line_chart(Caption("k", "t", "d"), axis, axis, [Series("s", 7, "short", 0, points)])
    wide, narrow = re.findall(r"<svg [^>]*chart.*?</svg>", chart)
    for picture, label in ((wide, "short"), (narrow, "7")):
        (grid, *_), (bottom,) = re.findall(r'<line [^>]*class="grid"', picture), set(numbers(picture, "y1")[-3:-2])
        left, right = numbers(grid, "x1") + numbers(grid, "x2")
        top, bottom = sorted(y for line in re.findall(r'<line [^>]*class="grid"', picture) for y in numbers(line, "y1"))
        (corners,) = re.findall(r'points="([^"]+)" class="line"', picture)
        found = [float(number) for number in re.split("[ ,]", corners)]
        assert found == pytest.approx([left, bottom, right, (top + bottom) / 2], abs=0.01)
        assert "<title>s: second</title>" in picture
        (x, y, text) = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">([^<]+)</text></g></svg>', picture)[0]
        assert text == label
        assert right < float(x)
        assert float(y) == pytest.approx((top + bottom) / 2 + 3.5, abs=0.01)


@settings(max_examples=settings().max_examples // 4)  # as above
@given(st.integers(2, 16), st.lists(st.floats(0.2, 5), min_size=16, max_size=16), st.text(max_size=30))
def test_any_number_of_artifacts_is_labelled_in_both_charts(count: int, factors: list[float], word: str) -> None:
    found = [make_measurement(f"r{index}/onnx/{word}/padded", factors[index]) for index in range(count)]
    page = render_report(replace(make_comparison(), artifacts=tuple(found)))
    pictures = re.findall(
        r'<svg viewBox="0 0 (\d+) (\d+)" role="img".*?class="labels">(.*?)</g></svg>', page, re.DOTALL
    )
    assert [width for width, *_ in pictures] == ["480", "330"] * 2
    for width, height, labels in pictures:
        texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', labels)
        assert len(texts) == count
        assert all(0 < float(x) < float(width) and 0 < float(y) < float(height) for x, y in texts)


def test_a_legend_is_for_plots_that_do_not_name_everything() -> None:
    found = make_comparison()
    assert render_report(found).count('class="legend named"') == 2
    unnamed = make_measurement(f"{'w' * 40}/onnx/fp32/padded")
    page = render_report(replace(found, artifacts=(*found.artifacts, unnamed)))
    assert page.count('class="legend"') == 2


def test_no_element_of_a_list_is_empty() -> None:
    whole = replace(make_comparison(), peer=make_measurement("sentence-transformers", 2.9))
    page = render_report(whole)
    assert page.count("<li>sentence-transformers was given the same model") == 1
    for found in (page, render_report(make_comparison()), render_report(without_lengths(make_comparison()))):
        assert not re.findall(r"<(li|dt|dd|td|th|p|ul|ol|h2|figcaption)\b[^>]*>\s*</\1>", found)


def test_everything_that_limits_the_figures_is_one_list() -> None:
    found = make_comparison()
    names = [item.artifact for item in found.artifacts]
    little = replace(
        found,
        ending=Ending.OUT_OF_TIME,
        no_peer="it took longer than 12 s",
        failures={names[2]: "failed when it was started again"},
        unreached={names[0]: ("parity",), names[1]: ("memory",)},
    )
    listed = render_report(little).partition('<ul class="cautions">')[2].partition("</ul>")[0]
    expected = [*warnings(little), *how_far(little)]
    assert len(expected) > 4
    assert [re.sub(r"<[^>]*>", "", item) for item in re.findall(r"<li>(.*?)</li>", listed)] == expected
    assert "<code>--seconds</code>" in listed
    calm = replace(
        found, artifacts=tuple(replace(item, throughput=Throughput(1, 1, (1.0,) * 2)) for item in found.artifacts)
    )
    calm = replace(
        calm, artifacts=tuple(replace(item, latency=(Latency(3, ((1.0,),) * 2),), typical=0) for item in calm.artifacts)
    )
    assert '<ul class="cautions">' not in render_report(calm)


def test_the_first_eight_artifacts_of_eight_runtimes_differ_in_colour_shape_or_filling() -> None:
    looks = choose_looks([f"runtime{place}/onnx/fp32/{index}" for place in range(8) for index in range(8)])
    assert len({(colour_class(look), mark(look, 0, 0)) for look in looks.values()}) == 64
    for place in range(8):
        own = [looks[f"runtime{place}/onnx/fp32/{index}"] for index in range(8)]
        assert len({colour_class(look) for look in own}) == 1
        assert [is_hollow(look) for look in own] == [False] * 4 + [True] * 4
        assert [is_dashed(look) for look in own] == [False, True] * 4


def test_a_precision_and_layout_has_the_same_shape_for_every_runtime() -> None:
    looks = choose_looks(["a/onnx/fp32/packed", "a/onnx/fp32/padded", "b/x/fp32/padded", "a/ir/fp32/padded", "library"])
    padded = looks["a/ir/fp32/padded"], looks["b/x/fp32/padded"]
    assert len({mark(look, 0, 0) for look in padded}) == 1
    assert len({mark(look, 0, 0) for name, look in looks.items() if name.startswith("a/")}) == 3
    assert mark(looks["library"], 0, 0) not in {mark(look, 0, 0) for name, look in looks.items() if "/" in name}
    two = choose_looks(
        [f"{name}/{kind}" for name in ("a/ir", "a/onnx", "b/x") for kind in ("bf16/packed", "fp32/packed")]
    )
    for kind in ("bf16/packed", "fp32/packed"):
        assert mark(two[f"a/ir/{kind}"], 0, 0) == mark(two[f"b/x/{kind}"], 0, 0)


def test_a_runtime_has_the_same_colour_in_every_report() -> None:
    names = [f"{name}/onnx/fp32/packed" for name in ("torch", "onnxruntime", "openvino", "candle")]
    names.append("sentence-transformers")
    together = choose_looks(names)
    assert len({colour_class(look) for look in together.values()}) == len(names)
    for name in names:
        assert colour_class(choose_looks([name])[name]) == colour_class(together[name])
    many = choose_looks([f"runtime{place}" for place in range(20)])
    assert {colour_class(look) for look in many.values()} == {f"c{place}" for place in range(8)}


def test_looks_are_the_same_in_the_table_the_bars_and_the_plots() -> None:
    names = [f"backend/onnx/fp32/{index}" for index in range(5)]
    found = [make_measurement(name, 1 + index / 10) for index, name in enumerate(names)]
    page = render_report(replace(make_comparison(), artifacts=tuple(found)))
    colour = colour_class(choose_looks(names)[names[0]])
    assert set(re.findall(r'class="[^"]*\b(c\d)\b', page)) == {colour}
    assert page.count('class="line dashed"') == 2 * 2
    assert page[page.index("<table") :].count('class="hollow"') == 1
    assert page.count('class="hollow"') == 1 + 2 + 2 * (1 + len(LENGTHS))


def test_elements_escape() -> None:
    assert element("p", "a < b & c", title='"x"') == '<p title="&quot;x&quot;">a &lt; b &amp; c</p>'
    assert element("p", element("b", "x"), class_=None) == "<p><b>x</b></p>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (bytes_text(999), "999 B"),
        (bytes_text(90_929_696), "90.9 MB"),
        (seconds_text(0.00321), "3.21 ms"),
        (seconds_text(14.16), "14.2 s"),
        (seconds_text(0.000_000_5), "0.500 µs"),
        (seconds_text(116.4), "116 s"),
        (three_digits(12_345), "12,300"),
        (three_digits(0.01234), "0.0123"),
        (three_digits(0), "0.00"),
        (axis_text(1000), "1,000"),
        (factor_text(0.9449), "0.94"),
        (factor_text(1.0), "1.0"),
        (factor_text(9.96), "10"),
        (factor_text(3449), "3,400"),
        (axis_text(2e-6), "2e-6"),
        (axis_text(0.5), "0.5"),
    ],
)
def test_numbers_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected
