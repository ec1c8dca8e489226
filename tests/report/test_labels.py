"""Labels: beside their marks, within the plot, and never over each other or over another mark."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.report.geometry import Box, Segment
from inferox.report.labels import LINE_HEIGHT, MARK_SIZE, Anchor, place_labels, spread_out
from inferox.report.text_width import text_width

PLOT = Box(60, 14, 470, 252)
SMALL = Box(60, 14, 320, 252)

plots = st.sampled_from([PLOT, SMALL])
shares = st.floats(0, 1)
clusters = st.tuples(shares, shares, st.sampled_from([0.0, 0.01, 0.1, 1.0]))
names = st.one_of(
    st.sampled_from(["torch packed", "onnxruntime padded", "sentence-transformers", "openvino bf16 padded"]),
    st.text(max_size=60),
)


@st.composite
def anchors(draw: st.DrawFn, plot: Box) -> list[Anchor]:
    """Draws marks anywhere in a plot, in clusters of any tightness, with or without a name."""
    x, y, spread = draw(clusters)
    found = []
    for number in range(1, draw(st.integers(1, 16)) + 1):
        across = min(max(x + spread * (draw(shares) - x), 0), 1) * (plot.right - plot.left) + plot.left
        down = min(max(y + spread * (draw(shares) - y), 0), 1) * (plot.bottom - plot.top) + plot.top
        texts = (draw(names), str(number)) if draw(st.booleans()) else (str(number),)
        found.append(Anchor(across, down, texts))
    return found


def shrunk(box: Box) -> Box:
    """Returns a box without the error of its arithmetic."""
    return Box(box.left + 1e-6, box.top + 1e-6, box.right - 1e-6, box.bottom - 1e-6)


@settings(max_examples=settings().max_examples // 2)  # each draws and places many marks
@given(plots.flatmap(lambda plot: st.tuples(st.just(plot), anchors(plot))))
def test_every_mark_has_a_label_in_the_plot_over_no_mark_and_no_other_label(given_: tuple[Box, list[Anchor]]) -> None:
    plot, marks = given_
    found = place_labels(marks, plot)
    labels = [label for label in found if label is not None]
    assert len(labels) == len(marks)
    for label, own in zip(labels, marks, strict=True):
        assert label.text in own.texts
        assert plot.holds(label.box)
        assert label.box.right - label.box.left == pytest.approx(text_width(label.text, 12))
        assert label.box.bottom - label.box.top == pytest.approx(LINE_HEIGHT)
        assert not any(shrunk(label.box).overlaps(mark.box) for mark in marks)
    for one, other in combinations(labels, 2):
        assert not shrunk(one.box).overlaps(other.box)


def test_beyond_all_preferred_places_a_number_is_placed_anywhere() -> None:
    marks = [Anchor(PLOT.left, PLOT.bottom, (str(number),)) for number in range(60)]
    labels = [label for label in place_labels(marks, PLOT) if label is not None]
    assert [label.text for label in labels] == [str(number) for number in range(60)]
    assert not any(shrunk(one.box).overlaps(other.box) for one, other in combinations(labels, 2))


@settings(max_examples=30, deadline=None)
@given(anchors(PLOT))
def test_a_label_is_beside_its_mark_or_joined_to_it(marks: list[Anchor]) -> None:
    for label, own in zip(place_labels(marks, PLOT), marks, strict=True):
        assert label is not None
        x, y = label.box.nearest(own.x, own.y)
        if label.leader is None:
            assert math.dist((own.x, own.y), (x, y)) <= MARK_SIZE
        else:
            assert (label.leader.x2, label.leader.y2) == (x, y)
            assert math.dist((own.x, own.y), (label.leader.x1, label.leader.y1)) == pytest.approx(MARK_SIZE / 2)
        faced = {"start": label.box.left >= own.x, "end": label.box.right <= own.x, "middle": True}
        assert faced[label.side]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=8, unique=True))
def test_marks_with_room_have_their_names_at_their_right_without_a_leader(cells: list[tuple[int, int]]) -> None:
    marks = [Anchor(70 + 200 * column, 30 + 60 * row, ("torch packed", "1")) for column, row in cells]
    for label, own in zip(place_labels(marks, PLOT), marks, strict=True):
        assert label is not None
        assert (label.text, label.side, label.leader) == ("torch packed", "start", None)
        assert label.box.left > own.x


def test_a_name_at_the_edge_stands_within_the_plot() -> None:
    (label,) = place_labels([Anchor(PLOT.right, 100, ("sentence-transformers", "7"))], PLOT)
    assert label is not None
    assert (label.text, label.side, label.leader) == ("sentence-transformers", "end", None)


def test_a_name_that_has_no_room_is_its_number() -> None:
    (label,) = place_labels([Anchor(100, 100, ("x" * 80, "7"))], PLOT)
    assert label is not None
    assert label.text == "7"


def test_a_label_beside_two_marks_on_one_spot_is_taken_for_no_other_mark() -> None:
    places = [(237, 14), (128, 16), (130, 17), (199, 31), (293, 53), (286, 85), (453, 165)]
    names = ["openvino packed", "onnxruntime padded", "onnxruntime packed", "openvino padded"]
    names += ["torch packed", "torch padded", "sentence-transformers"]
    marks = [Anchor(x, y, (name, str(index))) for index, ((x, y), name) in enumerate(zip(places, names, strict=True))]
    found = [label for label in place_labels(marks, Box(52, 14, 466, 252)) if label is not None]
    assert len(found) == len(marks)
    for own, label in zip(marks, found, strict=True):
        for other in marks:
            if label.leader is not None and not other.box.overlaps(own.box):
                assert not other.box.meets(label.leader)
                assert math.dist((other.x, other.y), label.box.nearest(other.x, other.y)) > MARK_SIZE


def test_without_any_room_there_is_no_label() -> None:
    assert place_labels([Anchor(5, 5, ("7",))], Box(0, 0, 10, 10)) == [None]
    assert place_labels([], PLOT) == []


def test_a_crowd_of_sixteen_on_one_spot_is_labelled_by_leaders_that_cross_no_text() -> None:
    marks = [Anchor(200, 100, (f"torch {number}", str(number))) for number in range(16)]
    found = [label for label in place_labels(marks, PLOT) if label is not None]
    assert len(found) == 16
    assert sum(label.leader is not None for label in found) >= 6
    assert not any(
        label.leader is not None and shrunk(other.box).meets(label.leader)
        for label in found
        for other in found
        if other is not label
    )


@given(st.lists(st.floats(14, 234), min_size=1, max_size=24), st.floats(1, 14))
def test_labels_on_a_line_do_not_overlap_and_keep_their_order(places: list[float], gap: float) -> None:
    found = spread_out(places, gap, 14.0, 234.0)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for one, other in pairwise(order):
        assert found[other] - found[one] >= gap - 1e-6
    assert min(found) >= 14.0 - 1e-6
    assert max(found) <= max(234.0, 14.0 + gap * (len(places) - 1)) + 1e-6
    if all(places[other] - places[one] >= gap for one, other in pairwise(order)):
        assert found == pytest.approx(places)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_a_crowd_on_a_line_is_spread_to_both_sides(shifts: list[float]) -> None:
    places = [120 + shift for shift in shifts]
    found = spread_out(places, 14.0, 0.0, 300.0)
    assert sum(found) / len(found) == pytest.approx(sum(places) / len(places))


boxes = st.tuples(*[st.floats(-100, 100)] * 4).map(
    lambda edges: Box(min(edges[:2]), min(edges[2:]), max(edges[:2]), max(edges[2:]))
)
segments = st.tuples(*[st.floats(-100, 100)] * 4).map(lambda ends: Segment(*ends))


@given(boxes, segments, shares)
def test_a_segment_meets_a_box_that_holds_a_point_of_it(box: Box, line: Segment, share: float) -> None:
    x, y = line.x1 + share * (line.x2 - line.x1), line.y1 + share * (line.y2 - line.y1)
    wider = Box(box.left - 1e-6, box.top - 1e-6, box.right + 1e-6, box.bottom + 1e-6)
    if box.nearest(x, y) == (x, y):
        assert wider.meets(line)
    if max(line.x1, line.x2) < box.left or min(line.y1, line.y2) > box.bottom:
        assert not box.meets(line)


@given(boxes, boxes)
def test_boxes_that_overlap_hold_a_common_point(one: Box, other: Box) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert one.holds(one)
    if one.overlaps(other):
        x, y = max(one.left, other.left), max(one.top, other.top)
        assert one.nearest(x, y) == other.nearest(x, y) == (x, y)


def test_segments_cross_or_pass_each_other() -> None:
    rising = Segment(0, 0, 10, 10)
    assert rising.crosses(Segment(0, 10, 10, 0))
    assert not rising.crosses(Segment(0, 10, 4, 6))
    assert not rising.crosses(Segment(1, 0, 11, 10))
    assert not Box(6, 0, 10, 4).meets(rising)
    assert Box(4, 0, 10, 4.5).meets(rising)
