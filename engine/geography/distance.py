"""Great-circle distance on a sphere, by the haversine formula (exact for near and far points alike)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of the Earth (IUGG)."""


@dataclass(frozen=True, slots=True)
class Distances:
    """Metres from N origins to O destinations, worked out only where they are asked for: few pairs of many matter.

    Degrees, float64[O] and float64[N], NaN where a place is unknown.
    """

    lat_to: Floats
    lon_to: Floats
    lat_from: Floats
    lon_from: Floats

    def known(self) -> NDArray[np.bool_]:
        """Whether both places are known, bool[O, N]."""
        known: NDArray[np.bool_] = np.isfinite(self.lat_to + self.lon_to)[:, None] & np.isfinite(
            self.lat_from + self.lon_from
        )
        return known

    def of(self, destination: Ints, origin: Ints) -> Floats:
        """Metres of some pairs of indexes, NaN where unknown."""
        at = (self.lat_to[destination], self.lon_to[destination], self.lat_from[origin], self.lon_from[origin])
        return _haversine(*map(np.radians, at))

    def every(self) -> Floats:
        """Metres of all pairs, float64[O, N], NaN where unknown."""
        return distances_m(self.lat_to, self.lon_to, self.lat_from, self.lon_from)


def distances_m(lat_to: Floats, lon_to: Floats, lat_from: Floats, lon_from: Floats) -> Floats:
    """Metres from every origin to every destination; NaN where a coordinate is. Degrees [O], [N] -> float64[O, N]."""
    lat_o, lon_o = np.radians(lat_to)[:, None], np.radians(lon_to)[:, None]
    lat_n, lon_n = np.radians(lat_from)[None, :], np.radians(lon_from)[None, :]
    return _haversine(lat_o, lon_o, lat_n, lon_n)


def _haversine(lat_o: Floats, lon_o: Floats, lat_n: Floats, lon_n: Floats) -> Floats:
    """Metres between places in radians."""
    half = np.sin((lat_o - lat_n) / 2) ** 2 + np.cos(lat_o) * np.cos(lat_n) * np.sin((lon_o - lon_n) / 2) ** 2
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return result
