"""Distances and centroids: what zones and the nearest-node rule rest on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import zipcodes
from hypothesis import given
from hypothesis import strategies as st

from engine.geography import Distances, centroids, distances_m
from engine.geography.build import table
from engine.geography.centroids import CentroidTable, read

LAT = st.floats(-90, 90)
LON = st.floats(-180, 180)


def one(lat_to, lon_to, lat_from, lon_from):
    return distances_m(*(np.array([value]) for value in (lat_to, lon_to, lat_from, lon_from)))[0, 0]


def test_a_quarter_of_the_equator():
    """The radius is the contract's: a right angle is a quarter of 2 * pi * 6371.0088 km."""
    assert one(0, 90, 0, 0) == pytest.approx(6_371_008.8 * math.pi / 2, rel=1e-12)


@given(LAT, LON, LAT, LON)
def test_distance_is_that_of_unit_vectors(lat_a, lon_a, lat_b, lon_b):
    """The vectorised haversine agrees with the angle between two vectors from the centre of the Earth."""

    def vector(lat, lon):
        lat, lon = math.radians(lat), math.radians(lon)
        return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

    a, b = vector(lat_a, lon_a), vector(lat_b, lon_b)
    angle = math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))
    assert one(lat_a, lon_a, lat_b, lon_b) == pytest.approx(6_371_008.8 * angle, rel=1e-6, abs=1.0)


def test_an_unknown_place_makes_unknown_distances_only_to_itself():
    """One address without coordinates must not spoil the others of its window."""
    found = distances_m(np.array([np.nan, 40.0]), np.array([np.nan, -74.0]), np.array([34.0]), np.array([-117.0]))
    assert np.isnan(found).tolist() == [[True], [False]]


def test_the_us_table_places_manhattan_and_los_angeles():
    """A ZIP code of a known city lands in it, with and without its extension."""
    for code, lat, lon in (("10001", 40.75, -73.99), ("10001-1234", 40.75, -73.99), ("90012", 34.05, -118.24)):
        assert centroids().locate("US", code) == pytest.approx((lat, lon), abs=0.15)


def test_what_the_table_does_not_know_is_unknown():
    """No code, another country, a prefix of no place, half a prefix: NaN, never a guess."""
    for country, code in (("US", None), ("CA", "10001"), ("US", "00001"), ("US", "1")):
        assert all(math.isnan(value) for value in centroids().locate(country, code))


def test_the_longest_prefix_wins():
    """A finer table may be laid over a coarser one."""
    finer = CentroidTable("t", {("GB", "SW"): (51.0, 0.0), ("GB", "SW1A"): (51.5, -0.1)})
    assert finer.locate("GB", "sw1a 1aa") == (51.5, -0.1)
    assert finer.locate("GB", "SW9 9ZZ") == (51.0, 0.0)


def test_the_committed_table_is_what_the_generator_makes():
    """The derived file can be derived again, and its version says from what."""
    again = read(["# version: again", *table(zipcodes.list_all())])
    committed = centroids()
    assert committed.version.startswith("us-zip3-")
    assert again._places == committed._places
    assert len(again._places) > 900


def test_distances_of_some_pairs_are_those_of_all():
    """Lowering asks for few pairs of many: they must be what a matrix of all would say, unknown places included."""
    rng = np.random.default_rng(3)
    lat_to, lon_to, lat_from, lon_from = (rng.uniform(-80, 80, size) for size in (6, 6, 9, 9))
    lat_to[2], lon_from[5] = np.nan, np.nan
    found = Distances(lat_to, lon_to, lat_from, lon_from)
    destination, origin = np.divmod(np.arange(54), 9)
    np.testing.assert_array_equal(found.of(destination, origin).reshape(6, 9), found.every())
    np.testing.assert_array_equal(found.known(), np.isfinite(found.every()))
