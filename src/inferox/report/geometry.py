"""Boxes and segments on a plane whose y axis points down, as in SVG."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line between two points.

    Attributes:
        x1: The x coordinate of its start.
        y1: The y coordinate of its start.
        x2: The x coordinate of its end.
        y2: The y coordinate of its end.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def crosses(self, other: Segment) -> bool:
        """Returns whether each of two segments has the ends of the other on different sides."""
        return self._separates(other) and other._separates(self)

    def _separates(self, other: Segment) -> bool:
        return self._side(other.x1, other.y1) * self._side(other.x2, other.y2) < 0

    def _side(self, x: float, y: float) -> float:
        return (self.x2 - self.x1) * (y - self.y1) - (self.y2 - self.y1) * (x - self.x1)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle.

    Attributes:
        left: Its least x coordinate.
        top: Its least y coordinate.
        right: Its greatest x coordinate.
        bottom: Its greatest y coordinate.
    """

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Box:
        """Makes a box from its centre and its size."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def overlaps(self, other: Box) -> bool:
        """Returns whether two boxes share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Returns whether another box lies within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Returns the point of this box that is closest to another point."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)

    def meets(self, segment: Segment) -> bool:
        """Returns whether a segment goes through this box (Liang and Barsky's clipping)."""
        start, end = 0.0, 1.0
        for place, step, low, high in (
            (segment.x1, segment.x2 - segment.x1, self.left, self.right),
            (segment.y1, segment.y2 - segment.y1, self.top, self.bottom),
        ):
            if step == 0:
                if not low <= place <= high:
                    return False
                continue
            first, last = sorted(((low - place) / step, (high - place) / step))
            start, end = max(start, first), min(end, last)
        return start <= end
