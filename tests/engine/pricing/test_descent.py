"""The price step without a solver: its direction, its floor and its pace."""

from __future__ import annotations

import numpy as np
import pytest

from engine.pricing.descent import stepped


def test_prices_rise_ahead_of_the_pace_and_fall_behind_it():
    """Ten orders of a hundred went by: one unit of ten is the pace, more raises the price, less lowers it."""
    stock, price = np.array([[10, 10, 10]]), np.array([[5.0, 5.0, 5.0]])
    moved = stepped(price, np.array([[3, 1, 0]]), 10, stock, 100, rate=2.0)
    assert moved.tolist() == [[9.0, 5.0, 3.0]]


def test_prices_never_fall_below_nothing():
    """Stock that does not sell is worth nothing to keep, not less."""
    assert stepped(np.array([[0.5]]), np.array([[0]]), 50, np.array([[10]]), 100, rate=1.0).tolist() == [[0.0]]


def test_a_step_needs_time_left():
    """At the replenishment there is nothing to spread the stock over."""
    with pytest.raises(ValueError, match="time"):
        stepped(np.zeros((1, 1)), np.zeros((1, 1), np.int64), 1, np.zeros((1, 1), np.int64), 0, rate=1.0)
