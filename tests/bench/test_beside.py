"""What single orders beside a simulation are judged by."""

from __future__ import annotations

from bench.beside.simulations import Figures, Pair
from bench.beside.singles import Times


def pair(quiet_ms: float, beside_ms: float, busy: int = 2) -> Pair:
    """Two phases by their p99; `busy`: how many runs went on."""
    return Pair(Times(100, 1.0, quiet_ms, 99.0), Times(100, 1.0, beside_ms, 99.0), 1_000 * busy, busy, 1.0)


def test_the_median_of_the_pairs_is_judged():
    """One bad pair says nothing of a noisy machine, and one good pair does not help: required is twice at most."""
    assert Figures(2, [pair(10, 90), pair(10, 20), pair(10, 11)], []).wrong == []
    [slow] = Figures(2, [pair(10, 90), pair(10, 21), pair(10, 11)], []).wrong
    assert "2.10 times" in slow


def test_a_phase_in_which_a_worker_did_nothing_is_a_fault():
    """Nothing beside orders is no proof of how little it costs them."""
    [idle] = Figures(2, [pair(10, 10), pair(10, 10, busy=0), pair(10, 10)], []).wrong
    assert idle == "pair 2: 0 of 2 workers simulated 0 orders"
    assert Figures(2, [pair(10, 10)], ["O-1: no decision"]).wrong == ["O-1: no decision"]
