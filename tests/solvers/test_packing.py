"""First-fit boxes in closed form."""

from __future__ import annotations

import numpy as np

from solvers.packing import MAX_BOXES, pack


def plain_first_fit(weight: list[int], units: list[int], limit: int) -> list[list[int]] | None:
    """Unit by unit: heaviest first, then line order, each into the first box with room."""
    boxes: list[tuple[int, list[int]]] = []
    for line in sorted(range(len(units)), key=lambda at: -weight[at]):
        for _ in range(units[line]):
            if weight[line] > limit:
                return None
            at = next((i for i, (grams, _) in enumerate(boxes) if grams + weight[line] <= limit), None)
            if at is None:
                boxes.append((0, [0] * len(units)))
                at = len(boxes) - 1
            grams, inside = boxes[at]
            inside[line] += 1
            boxes[at] = (grams + weight[line], inside)
    return [inside for _, inside in boxes]


def test_groups_are_the_boxes_of_unit_by_unit_first_fit() -> None:
    """The arithmetic must give the very boxes that placing one unit after another gives."""
    rng = np.random.default_rng(7)
    for _ in range(1500):
        lines = int(rng.integers(1, 5))
        weight, units = rng.integers(0, 9, lines).tolist(), rng.integers(0, 7, lines).tolist()
        limit = int(rng.integers(1, 20))
        if not any(units):
            continue
        groups = pack(weight, units, limit)
        expected = plain_first_fit(weight, units, limit)
        got = None if groups is None else [list(g.units) for g in groups for _ in range(g.boxes)]
        assert got == expected, (weight, units, limit)


def test_a_line_of_two_billion_units_is_packed_at_once() -> None:
    """Huge quantities cost arithmetic, not a step per unit."""
    # 2147483647 units of 1 g in boxes of 1,000,000 g: 2147 full boxes and one with 483647 units.
    groups = pack([1], [2**31 - 1], 1_000_000)
    assert groups is not None
    assert [(g.boxes, g.units, g.weight_g) for g in groups] == [
        (2147, (1_000_000,), 1_000_000),
        (1, (483_647,), 483_647),
    ]


def test_too_many_boxes_or_too_heavy_a_unit_cannot_go() -> None:
    """A shipment of more boxes than can be labelled, or with a unit over the limit, is refused, not cut short."""
    assert pack([10], [MAX_BOXES], 10) is not None
    assert pack([10], [MAX_BOXES + 1], 10) is None
    assert pack([11], [1], 10) is None


def test_a_unit_that_ships_alone_has_a_box_of_its_own() -> None:
    """The others are packed as if it were not there; its boxes follow, in line order."""
    groups = pack([100, 250, 100], [2, 2, 1], 300, [False, True, False])
    assert groups is not None
    assert [(g.boxes, g.units, g.weight_g) for g in groups] == [(1, (2, 0, 1), 300), (2, (0, 1, 0), 250)]
    assert pack([100, 250], [0, 1], 300, [False, True]) == [(1, (0, 1), 250)]
    assert pack([9, 5], [1, 1], 9, [True, True]) == [(1, (1, 0), 9), (1, (0, 1), 5)]


def test_units_that_ship_alone_obey_the_limits_of_boxes() -> None:
    """Weight and number of boxes count for them too, together with the boxes of the others."""
    assert pack([301], [1], 300, [True]) is None
    assert pack([1, 301], [1, 0], 300, [False, True]) is not None
    assert pack([1], [MAX_BOXES], 300, [True]) == [(MAX_BOXES, (1,), 1)]
    assert pack([1, 1], [1, MAX_BOXES], 300, [False, True]) is None
