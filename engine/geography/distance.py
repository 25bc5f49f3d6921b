"""Great-circle distance on a sphere, by the haversine formula (exact for near and far points alike)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of the Earth (IUGG)."""


def distances_m(lat_to: Floats, lon_to: Floats, lat_from: Floats, lon_from: Floats) -> Floats:
    """Metres from every origin to every destination; NaN where a coordinate is. Degrees [O], [N] -> float64[O, N]."""
    lat_o, lon_o = np.radians(lat_to)[:, None], np.radians(lon_to)[:, None]
    lat_n, lon_n = np.radians(lat_from)[None, :], np.radians(lon_from)[None, :]
    half = np.sin((lat_o - lat_n) / 2) ** 2 + np.cos(lat_o) * np.cos(lat_n) * np.sin((lon_o - lon_n) / 2) ** 2
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return result
