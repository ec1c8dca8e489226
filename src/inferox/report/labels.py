"""Places for labels: within the plot, beside their marks, and never over each other or over another mark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

from inferox.report.geometry import Box, Segment
from inferox.report.text_width import text_width

FONT_SIZE = 12.0
LINE_HEIGHT = 14.0
"""The height of a label; both in units of the charts' view box."""

MARK_SIZE = 10.0
"""The side of a square that holds any mark."""

Side = Literal["start", "middle", "end"]

_GAP = 2.0
"""The distance between a mark and a label beside it."""

_NEAR = (
    # Horizontal and vertical shift, in halves of the label's size beyond the mark, and the cost.
    (1, 0, 0.0),
    (-1, 0, 2.0),
    (1, -1, 2.5),
    (0, -1, 3.0),
    (1, 1, 3.0),
    (0, 1, 4.0),
    (-1, -1, 4.0),
    (-1, 1, 4.5),
)
_DISTANCES = (14.0, 22.0, 32.0, 44.0, 60.0, 80.0, 105.0, 135.0)
_DIRECTIONS = 24
_GRID = 4.0

_LEADER_COST, _DISTANCE_COST = 10.0, 0.6
_AMBIGUOUS_COST, _BESIDE_ANOTHER_COST = 14.0, 90.0
_LEADERS_CROSS_COST, _LEADER_OVER_MARK_COST, _LEADER_OVER_TEXT_COST = 25.0, 90.0, 200.0
_SHORTER_TEXT_COST, _MISSING_COST = 120.0, 1000.0
_MOST_MOVES = 6
"""The number of times that each label may move."""


@dataclass(frozen=True)
class Anchor:
    """A mark that needs a label.

    Attributes:
        x: The x coordinate of its centre.
        y: The y coordinate of its centre.
        texts: Texts for its label, the best first. The last is short.
    """

    x: float
    y: float
    texts: Sequence[str]

    @cached_property
    def box(self) -> Box:
        """The square that holds the mark."""
        return Box.around(self.x, self.y, MARK_SIZE, MARK_SIZE)


@dataclass(frozen=True)
class Label:
    """A label in its place.

    Attributes:
        text: The text.
        box: The place.
        side: The side of the box at which the text stands: the one that faces the mark.
        leader: The line from the mark to the label; ``None`` if they are side by side.
    """

    text: str
    box: Box
    side: Side
    leader: Segment | None


@dataclass(frozen=True)
class _Option:
    """A label that its mark may have, and its cost, apart from the labels of other marks."""

    label: Label
    cost: float


def place_labels(anchors: Sequence[Anchor], plot: Box) -> list[Label | None]:
    """Finds a place for the label of each mark.

    Each label lies within the plot, and over no mark and no other label. A place costs more the farther it is from its
    mark, with a shorter text, and where a leader crosses something. In several orders, labels take the
    cheapest places that are left, and then move as long as that costs less; the cheapest result is returned.

    Args:
        anchors: The marks.
        plot: The room.

    Returns:
        The labels, in the order of the marks. ``None`` for those for which there is no place at all.
    """
    options = [_options(anchors, index, _preferred(anchor), plot) for index, anchor in enumerate(anchors)]
    indices = range(len(anchors))
    orders = [
        sorted(indices, key=lambda index: (-_crowd(anchors, index), index)),
        sorted(indices, key=lambda index: (len(options[index]), index)),
        sorted(indices, key=lambda index: (anchors[index].x, index)),
        sorted(indices, key=lambda index: (-anchors[index].x, index)),
    ]
    chosen = min((_settle(options, order) for order in orders), key=lambda found: _total(found, len(anchors)))
    found = {index: option.label for index, option in chosen.items()}
    for index in indices:
        if index not in found and (label := _anywhere(anchors, index, found.values(), plot)) is not None:
            found[index] = label
    return [found.get(index) for index in indices]


def spread_out(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves labels on a line apart so that they do not overlap, in their order and as little as possible.

    Args:
        places: The wanted positions.
        gap: The least distance between two labels.
        low: The least position.
        high: The greatest position, unless there is no room for all of them.

    Returns:
        The positions, in the order of ``places``: of all that are far enough apart, those with the least squares of
        their shifts, moved into the range.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    # With the gaps taken out, positions only have to ascend: labels that would pass each other share their mean.
    groups: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, size = places[index] - rank * gap, 1
        while groups and groups[-1][0] >= mean:
            earlier, count = groups.pop()
            mean, size = (earlier * count + mean * size) / (count + size), count + size
        groups.append((mean, size))
    most = max(low, high - gap * (len(places) - 1))
    level = (min(max(mean, low), most) for mean, size in groups for _ in range(size))
    found = [0.0] * len(places)
    for rank, (index, place) in enumerate(zip(order, level, strict=True)):
        found[index] = place + rank * gap
    return found


def _crowd(anchors: Sequence[Anchor], index: int) -> int:
    own = anchors[index]
    near = 5 * LINE_HEIGHT
    return sum(math.hypot(other.x - own.x, other.y - own.y) < near for other in anchors)


def _settle(options: Sequence[Sequence[_Option]], order: Sequence[int]) -> dict[int, _Option]:
    """Chooses an option for each mark, in an order, and again until none finds a cheaper one."""
    found: dict[int, _Option] = {}
    for _ in range(_MOST_MOVES):
        before = dict(found)
        for index in order:
            others = [option.label for other, option in found.items() if other != index]
            best = _cheapest(options[index], others)
            found.pop(index, None)
            if best is not None:
                found[index] = best
        if found == before:
            break
    return found


def _cheapest(options: Sequence[_Option], others: Sequence[Label]) -> _Option | None:
    best, least = None, math.inf
    for option in options:
        if option.cost >= least:
            break
        if any(option.label.box.overlaps(other.box) for other in others):
            continue
        cost = option.cost + sum(_conflict(option.label, other) for other in others)
        if cost < least:
            best, least = option, cost
    return best


def _total(found: Mapping[int, _Option], count: int) -> float:
    pairs = combinations([option.label for option in found.values()], 2)
    conflicts = sum(_conflict(one, other) for one, other in pairs)
    return sum(option.cost for option in found.values()) + conflicts + _MISSING_COST * (count - len(found))


def _options(
    anchors: Sequence[Anchor], index: int, places: Iterable[tuple[str, Box, float]], plot: Box
) -> list[_Option]:
    """Returns the places that lie within the plot and over no mark, the cheapest first."""
    own, marks = anchors[index], [anchor.box for anchor in anchors]
    options = []
    for text, box, cost in places:
        if plot.holds(box) and not any(box.overlaps(mark) for mark in marks):
            label = _label(own, text, box)
            options.append(_Option(label, cost + _flaws(label, anchors, index)))
    return sorted(options, key=lambda option: option.cost)


def _label(anchor: Anchor, text: str, box: Box) -> Label:
    side: Side = "start" if box.left >= anchor.x else "end" if box.right <= anchor.x else "middle"
    return Label(text, box, side, _leader(anchor, box))


def _preferred(anchor: Anchor) -> Iterator[tuple[str, Box, float]]:
    for rank, text in enumerate(anchor.texts):
        width = text_width(text, FONT_SIZE)
        for box, cost in (*_beside(anchor, width), *_around(anchor, width)):
            yield text, box, cost + rank * _SHORTER_TEXT_COST


def _beside(anchor: Anchor, width: float) -> Iterator[tuple[Box, float]]:
    far_x, far_y = (width + MARK_SIZE) / 2 + _GAP, (LINE_HEIGHT + MARK_SIZE) / 2 + _GAP / 4
    for across, down, cost in _NEAR:
        # Labels at a corner come closer, as only their corners would touch the mark's square.
        shift = far_x - 2 * _GAP if across and down else far_x
        yield Box.around(anchor.x + across * shift, anchor.y + down * far_y, width, LINE_HEIGHT), cost


def _around(anchor: Anchor, width: float) -> Iterator[tuple[Box, float]]:
    for distance in _DISTANCES:
        for turn in range(_DIRECTIONS):
            angle = math.tau * turn / _DIRECTIONS
            across, down = math.cos(angle), math.sin(angle)
            side = 0 if abs(across) < 0.3 else math.copysign(width / 2, across)  # noqa: PLR2004 - above or below
            x, y = anchor.x + distance * across + side, anchor.y + distance * down
            yield Box.around(x, y, width, LINE_HEIGHT), _LEADER_COST + _DISTANCE_COST * distance


def _anywhere(anchors: Sequence[Anchor], index: int, labels: Iterable[Label], plot: Box) -> Label | None:
    """Finds the nearest free place in the plot for the last text, which is short: for the worst crowd."""
    own = anchors[index]
    taken = [*(anchor.box for anchor in anchors), *(label.box for label in labels)]
    width = text_width(own.texts[-1], FONT_SIZE)
    boxes = [
        Box(left, top, left + width, top + LINE_HEIGHT)
        for left in _steps(plot.left, plot.right - width)
        for top in _steps(plot.top, plot.bottom - LINE_HEIGHT)
    ]
    boxes.sort(key=lambda box: math.dist((own.x, own.y), box.nearest(own.x, own.y)))
    free = (box for box in boxes if not any(box.overlaps(other) for other in taken))
    box = next(free, None)
    return None if box is None else _label(own, own.texts[-1], box)


def _steps(low: float, high: float) -> list[float]:
    return [low + step * _GRID for step in range(int((high - low) / _GRID) + 1)] if low <= high else []


def _leader(anchor: Anchor, box: Box) -> Segment | None:
    x, y = box.nearest(anchor.x, anchor.y)
    distance = math.dist((anchor.x, anchor.y), (x, y))
    radius = MARK_SIZE / 2
    if distance <= radius + 2 * _GAP:
        return None
    share = radius / distance
    return Segment(anchor.x + share * (x - anchor.x), anchor.y + share * (y - anchor.y), x, y)


def _flaws(label: Label, anchors: Sequence[Anchor], index: int) -> float:
    """Returns the cost of the marks below a label's leader, and of marks that it might belong to."""
    own = anchors[index]
    distance = math.dist((own.x, own.y), label.box.nearest(own.x, own.y))
    cost = 0.0
    for place, other in enumerate(anchors):
        if place == index:
            continue
        apart = math.dist((other.x, other.y), label.box.nearest(other.x, other.y))
        # Marks on the same spot are below every leader of each other, and beside every label.
        if label.leader is not None and not other.box.overlaps(own.box):
            cost += _LEADER_OVER_MARK_COST * other.box.meets(label.leader)
            cost += _BESIDE_ANOTHER_COST * (apart <= MARK_SIZE)
        elif label.leader is None and apart <= distance + 2 * _GAP:
            cost += _AMBIGUOUS_COST
    return cost


def _conflict(one: Label, other: Label) -> float:
    """Returns the cost of leaders that cross each other, or the text of another label."""
    cost = 0.0
    if one.leader is not None:
        cost += _LEADER_OVER_TEXT_COST * other.box.meets(one.leader)
        if other.leader is not None:
            cost += _LEADERS_CROSS_COST * one.leader.crosses(other.leader)
    if other.leader is not None:
        cost += _LEADER_OVER_TEXT_COST * one.box.meets(other.leader)
    return cost
