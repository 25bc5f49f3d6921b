"""How a shipment over a service's weight limit is divided into boxes: first-fit, in closed form.

Units go by descending unit weight, then line order, each into the first open box that still holds it. Identical boxes
are kept as one group with a count, so a line of 2**31 - 1 units costs as much work as a line of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_BOXES = 10_000
"""Boxes one shipment may have. Each is a row of `Boxes` and a label to print: above it the option cannot carry it."""


class BoxGroup(NamedTuple):
    """`boxes` consecutive boxes with the same contents: `units` per line and `weight_g` are of one box."""

    boxes: int
    units: tuple[int, ...]
    weight_g: int


def pack(
    weight_g: Sequence[int], units: Sequence[int], limit_g: int, alone: Sequence[bool] | None = None
) -> list[BoxGroup] | None:
    """First-fit boxes of a shipment in opening order, or None if it cannot go.

    weight_g: of one unit, per line; units: per line, not all zero; limit_g: per box. Every unit of a line that is
    `alone` gets a box of its own; these follow the others, in line order.
    None where one unit is over the limit or more than MAX_BOXES boxes would be needed.
    """
    if alone is None or not any(alone):
        return _first_fit(weight_g, units, limit_g)
    together = [0 if single else int(count) for count, single in zip(units, alone, strict=True)]
    boxes = _first_fit(weight_g, together, limit_g) if any(together) else []
    if boxes is None:
        return None
    for line, (count, single) in enumerate(zip(units, alone, strict=True)):
        if single and count:
            if weight_g[line] > limit_g:
                return None
            unit = tuple(int(at == line) for at in range(len(units)))
            boxes.append(BoxGroup(int(count), unit, int(weight_g[line])))
    return boxes if sum(group.boxes for group in boxes) <= MAX_BOXES else None


def _first_fit(weight_g: Sequence[int], units: Sequence[int], limit_g: int) -> list[BoxGroup] | None:
    total = sum(int(w) * int(u) for w, u in zip(weight_g, units, strict=True))
    if total <= limit_g:
        return [BoxGroup(1, tuple(int(u) for u in units), total)]
    open_boxes: list[tuple[int, int, dict[int, int]]] = []  # (count, grams free, units by line)
    boxes = 0
    for line in sorted(range(len(units)), key=lambda at: -weight_g[at]):
        left, weight = int(units[line]), int(weight_g[line])
        if left == 0:
            continue
        if weight > limit_g:
            return None
        after: list[tuple[int, int, dict[int, int]]] = []
        for count, free, content in open_boxes:
            placed, left = _fill(count, free, content, line, weight, left)
            after += placed
        if left:
            per_box = limit_g // weight if weight else left
            needed = -(-left // per_box)
            boxes += needed
            if boxes > MAX_BOXES:
                return None
            placed, left = _fill(needed, limit_g, {}, line, weight, left)
            after += placed
        open_boxes = after
    return [
        BoxGroup(count, tuple(content.get(line, 0) for line in range(len(units))), limit_g - free)
        for count, free, content in open_boxes
    ]


def _fill(
    count: int, free: int, content: dict[int, int], line: int, weight: int, left: int
) -> tuple[list[tuple[int, int, dict[int, int]]], int]:
    """Put up to `left` units of a line into a group of equal boxes: full, one partial, untouched; and what is left."""
    per_box = left if weight == 0 else free // weight
    if left == 0 or per_box == 0:
        return [(count, free, content)], left
    full = min(count, left // per_box)
    left -= full * per_box
    placed = []
    if full:
        placed.append((full, free - per_box * weight, {**content, line: per_box}))
    untouched = count - full
    if untouched and left:
        placed.append((1, free - left * weight, {**content, line: left}))
        untouched, left = untouched - 1, 0
    if untouched:
        placed.append((untouched, free, content))
    return placed, left
