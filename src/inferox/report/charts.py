"""Charts of lines and of points as SVG, each drawn twice: with names for wide pages, with numbers for narrow ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferox.report.axes import Axis, Frame
from inferox.report.elements import Markup, breakable, element
from inferox.report.geometry import Box, Segment
from inferox.report.labels import FONT_SIZE, LINE_HEIGHT, MARK_SIZE, Anchor, Label, place_labels, spread_out
from inferox.report.marks import colour_class, is_dashed, mark, swatch
from inferox.report.text_width import text_width

_LEADER_WIDTH = 20.0
"""The room between the plot and the labels beside it."""


@dataclass(frozen=True)
class _Form:
    """One of the two drawings of a chart, of which the style of the page shows the one that fits its width.

    Attributes:
        name: Its CSS class.
        width: The width of its view box, in which the size of text is the same in both.
        longest: The width of the widest name that may label a mark.
    """

    name: str
    width: float
    longest: float


_FORMS = (_Form("wide", 480.0, 170.0), _Form("narrow", 330.0, 0.0))


@dataclass(frozen=True)
class Caption:
    """The caption of a chart.

    Attributes:
        key: A key that is unique on the page.
        title: The title.
        description: A guide to reading the chart, also for screen readers.
    """

    key: str
    title: str
    description: str


@dataclass(frozen=True)
class Point:
    """A point of a series.

    Attributes:
        x: Its value on the x axis.
        y: Its value on the y axis.
        title: Its tooltip.
        low: The lower end of its spread.
        high: The upper end of its spread.
    """

    x: float
    y: float
    title: str
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """The points of one artifact.

    Attributes:
        name: Its name.
        number: Its label in the chart if there is no room for a name; the same in every chart.
        label: A short name, shown beside its mark or the end of its line.
        look: The index of its appearance, which is its colour, mark and line; the same in every chart.
        points: Its points.
    """

    name: str
    number: int
    label: str
    look: int
    points: Sequence[Point]


def line_chart(caption: Caption, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Draws each series as a line with a mark and the spread at each point, labelled beside its end.

    Args:
        caption: The caption.
        x: The x axis.
        y: The y axis.
        series: The lines.
    """

    def draw(form: _Form) -> tuple[Frame, Sequence[Label | None]]:
        texts = [_texts(item, form)[0] for item in series]
        margin = _LEADER_WIDTH + max(text_width(text, FONT_SIZE) for text in texts)
        frame = Frame.for_labels(len(series), form.width, x, y, margin)
        return frame, _beside(series, texts, frame)

    return _figure(caption, series, draw)


def scatter_chart(caption: Caption, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Draws each series as a mark, labelled beside it.

    Takes the same arguments as ``line_chart``, with one point for each series.
    """

    def draw(form: _Form) -> tuple[Frame, Sequence[Label | None]]:
        frame = Frame.for_labels(len(series), form.width, x, y)
        anchors = [
            Anchor(frame.across(point.x), frame.up(point.y), _texts(item, form))
            for item in series
            for point in item.points
        ]
        return frame, place_labels(anchors, frame.plot)

    return _figure(caption, series, draw)


def legend(series: Sequence[Series], *, is_named: bool) -> Markup:
    """Lists the names of series beside their marks.

    Args:
        series: The series.
        is_named: Whether the wide drawing names all of them, so that beside it no legend is needed.
    """
    items = [
        element("li", swatch(item.look), element("b", str(item.number)), element("span", *breakable(item.name)))
        for item in series
    ]
    return element("ul", *items, class_="legend named" if is_named else "legend")


def _figure(
    caption: Caption, series: Sequence[Series], draw: Callable[[_Form], tuple[Frame, Sequence[Label | None]]]
) -> Markup:
    heading = element("figcaption", element("strong", caption.title), element("span", caption.description))
    pictures, is_named = [], False
    for form in _FORMS:
        frame, labels = draw(form)
        if form is _FORMS[0]:
            is_named = [label and label.text for label in labels] == [item.label for item in series]
        title, description = f"{caption.key}-{form.name}-title", f"{caption.key}-{form.name}-desc"
        picture = element(
            "svg",
            element("title", caption.title, id=title),
            element("desc", caption.description, id=description),
            frame.draw(),
            *_draw_lines(series, frame),
            _labels(series, labels),
            viewBox=f"0 0 {frame.width:g} {frame.height:g}",
            role="img",
            aria_labelledby=f"{title} {description}",
            class_=f"chart {form.name}",
        )
        pictures.append(picture)
    return element("figure", heading, *pictures, legend(series, is_named=is_named), id=caption.key)


def _draw_lines(series: Sequence[Series], frame: Frame) -> list[Markup]:
    """Draws the first series last, so that no other covers it."""
    return [_draw_line(item, frame) for item in reversed(series)]


def _draw_line(series: Series, frame: Frame) -> Markup:
    places = [(point, frame.across(point.x), frame.up(point.y)) for point in series.points]
    drawn = []
    if len(places) > 1:
        corners = " ".join(f"{x:.2f},{y:.2f}" for _, x, y in places)
        kind = "line dashed" if is_dashed(series.look) else "line"
        drawn.append(element("polyline", points=corners, class_=kind))
    drawn += [
        element("line", x1=x, x2=x, y1=frame.up(point.low), y2=frame.up(point.high), class_="spread")
        for point, x, _ in places
        if point.low != point.high
    ]
    drawn += [mark(series.look, x, y, element("title", f"{series.name}: {point.title}")) for point, x, y in places]
    kind = "series" if len(places) > 1 else "series alone"
    return element("g", *drawn, class_=f"{kind} {colour_class(series.look)}")


def _texts(series: Series, form: _Form) -> list[str]:
    """Returns the texts that may label a series, the best first."""
    number = str(series.number)
    return [series.label, number] if text_width(series.label, FONT_SIZE) <= form.longest else [number]


def _beside(series: Sequence[Series], texts: Sequence[str], frame: Frame) -> list[Label]:
    """Places labels in a column beside the plot, each at the height of its line's end if there is room."""
    plot = frame.plot
    ends = [max(item.points, key=lambda point: point.x) for item in series]
    heights = spread_out([frame.up(end.y) for end in ends], LINE_HEIGHT, plot.top, plot.bottom)
    labels = []
    for text, end, height in zip(texts, ends, heights, strict=True):
        left = plot.right + _LEADER_WIDTH
        box = Box(left, height - LINE_HEIGHT / 2, left + text_width(text, FONT_SIZE), height + LINE_HEIGHT / 2)
        leader = Segment(frame.across(end.x) + MARK_SIZE / 2, frame.up(end.y), left - 3, height)
        labels.append(Label(text, box, "start", leader))
    return labels


def _labels(series: Sequence[Series], labels: Sequence[Label | None]) -> Markup:
    placed = [(item, label) for item, label in zip(series, labels, strict=True) if label is not None]
    leaders = [
        element(
            "line",
            x1=leader.x1,
            y1=leader.y1,
            x2=leader.x2,
            y2=leader.y2,
            class_=f"leader {colour_class(item.look)}",
        )
        for item, label in placed
        if (leader := label.leader) is not None
    ]
    return element("g", *leaders, *(_text(label) for _, label in placed), class_="labels")


def _text(label: Label) -> Markup:
    """Draws the text of a label at the side of its box that faces the mark, as text may be narrower than estimated."""
    box, side = label.box, label.side
    x = {"start": box.left, "middle": (box.left + box.right) / 2, "end": box.right}[side]
    return element("text", label.text, x=x, y=box.bottom - 3.5, text_anchor=None if side == "start" else side)
