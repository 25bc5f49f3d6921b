"""Which names of a map are written, and where: each beside its point where it has room, the others not at all.

A name keeps its size whatever the size of the map, so more of them fit on a wide one. What fits is worked out for some
widths; the page's script takes the widest that the map has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from unicodedata import east_asian_width

WIDTHS = (260, 320, 400, 500, 620, 770, 950)
"""Pixels of a map: each step is a quarter wider, so that what has room at one has it up to the next."""
LETTER, LETTER_WIDE, LINE = 0.62, 1.05, 1.25
"""Of a letter's size: how wide most letters are at most, Chinese ones too, and how high a line is."""
GAP, AIR = 2.0, 1.0
"""Pixels between a point's edge and its name, and around a name."""
SIDES = ("none", "top center", "bottom center", "middle right", "middle left")
"""Where a name stands, by its number in what `placed` returns; `none`: it is not written."""


class Point(NamedTuple):
    """A point in pixels (x to the right, y downwards), how wide it is drawn, and its name with the letters' size.

    A `firm` name covers points where it must.
    """

    x: float
    y: float
    size: float
    name: str
    letters: float
    firm: bool = False


class _Box(NamedTuple):
    left: float
    right: float
    top: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def placed(points: Sequence[Point], width: float, height: float) -> list[int]:
    """For each point the number of its side in `SIDES`. The first points have their names before others.

    Names lie within the map, over no other name and over no point.
    """
    spots = [_spot(point) for point in points]
    taken: list[_Box] = []
    found = []
    for k, point in enumerate(points):
        free = [
            (number, box)
            for number, box in enumerate(_boxes(point), start=1)
            if box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height
            if not _meets(box, taken)
        ]
        beside = (each for each in free if not _meets(each[1], (*spots[:k], *spots[k + 1 :])))
        side, box = next(beside, free[0] if free and point.firm else (0, None))
        if box is not None:
            taken.append(box)
        found.append(side)
    return found


def _meets(box: _Box, others: Iterable[_Box]) -> bool:
    return any(box.meets(other) for other in others)


def _spot(point: Point) -> _Box:
    half = point.size / 2
    return _Box(point.x - half, point.x + half, point.y - half, point.y + half)


def _boxes(point: Point) -> Iterable[_Box]:
    """Where the name would be, in the sequence of `SIDES`."""
    wide = sum(LETTER_WIDE if east_asian_width(each) in "WF" else LETTER for each in point.name) * point.letters
    high = LINE * point.letters
    away = point.size / 2 + GAP
    for left, top in (
        (point.x - wide / 2, point.y - away - high),
        (point.x - wide / 2, point.y + away),
        (point.x + away, point.y - high / 2),
        (point.x - away - wide, point.y - high / 2),
    ):
        yield _Box(left - AIR, left + wide + AIR, top - AIR, top + high + AIR)


class Frame(NamedTuple):
    """What a map shows, in degrees, more than none either way; `stretch`: how much longer a degree of latitude is drawn
    than one of longitude."""

    west: float
    east: float
    south: float
    north: float
    stretch: float

    @property
    def ratio(self) -> float:
        """Height by width."""
        return (self.north - self.south) * self.stretch / (self.east - self.west)

    def pixels(self, lon: float, lat: float, width: float, height: float) -> tuple[float, float]:
        """Where a place is drawn on a map of this size, which shows all of the frame in its middle."""
        scale = min(width, height / self.ratio) / (self.east - self.west)
        return (
            width / 2 + (lon - (self.west + self.east) / 2) * scale,
            height / 2 - (lat - (self.south + self.north) / 2) * scale * self.stretch,
        )
