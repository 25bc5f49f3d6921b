"""The centroid of a postal area, for addresses that come without coordinates.

A table maps (country, postal prefix) to degrees; the longest prefix of a code that is listed wins. The built-in table
knows the first three digits of US ZIP codes; its version stands in its file and in `GET /v1/network`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

UNKNOWN = (float("nan"), float("nan"))
"""Where nobody knows: distances from there are NaN, and services priced by distance do not apply."""


class CentroidTable:
    """Immutable; `version` names its content."""

    def __init__(self, version: str, places: Mapping[tuple[str, str], tuple[float, float]]) -> None:
        self.version = version
        self._places = dict(places)
        self._lengths: dict[str, tuple[int, ...]] = {}
        for country in {country for country, _ in self._places}:
            lengths = {len(prefix) for other, prefix in self._places if other == country}
            self._lengths[country] = tuple(sorted(lengths, reverse=True))

    def locate(self, country: str, postal_code: str | None) -> tuple[float, float]:
        """(lat, lon) in degrees; `UNKNOWN` if no prefix of the code is listed."""
        if postal_code is None:
            return UNKNOWN
        plain = postal_code.upper().replace(" ", "").replace("-", "")
        for length in self._lengths.get(country, ()):
            place = self._places.get((country, plain[:length]))
            if place is not None and len(plain) >= length:
                return place
        return UNKNOWN


def read(lines: Iterable[str]) -> CentroidTable:
    """A table from CSV lines `country,prefix,lat,lon`; of the comment lines the one `# version: ...` is read."""
    version, places = "0", {}
    for line in lines:
        if line.startswith("#"):
            name, _, value = line.lstrip("# ").partition(":")
            version = value.strip() if name == "version" else version
            continue
        country, prefix, lat, lon = line.strip().split(",")
        places[country, prefix] = (float(lat), float(lon))
    return CentroidTable(version, places)


@lru_cache(maxsize=1)
def centroids() -> CentroidTable:
    """The built-in table."""
    return read(files("engine.geography").joinpath("us_zip3.csv").read_text().splitlines())
