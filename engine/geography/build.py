"""Derive the built-in centroid table from the PyPI package `zipcodes`: `python -m engine.geography.build`.

Each ZIP3 is the unweighted mean of the coordinates of its ZIP codes, rounded to 4 decimals (about 10 m). Only this
script needs the package; the service reads the CSV it writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

TARGET = Path(__file__).with_name("us_zip3.csv")


def table(zips: Iterable[Mapping[str, str]]) -> list[str]:
    """CSV rows `US,prefix,lat,lon`, ascending; ZIP codes without a place (0, 0) are left out."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in zips:
        lat, lon = float(entry["lat"] or 0), float(entry["long"] or 0)
        if (lat, lon) != (0.0, 0.0):
            points[entry["zip_code"][:3]].append((lat, lon))
    return [
        f"US,{prefix},{_mean(lat for lat, _ in found)},{_mean(lon for _, lon in found)}"
        for prefix, found in sorted(points.items())
    ]


def _mean(values: Iterable[float]) -> str:
    numbers = list(values)
    return f"{sum(numbers) / len(numbers):.4f}"


def main() -> None:
    """Write the table beside this module."""
    import zipcodes  # only this script needs it

    source = version("zipcodes")
    head = [
        f"# source: unweighted mean of the ZIP code points in PyPI zipcodes {source} (MIT)",
        f"# version: us-zip3-{source}",
    ]
    entries: list[dict[str, str]] = zipcodes.list_all()  # type: ignore[no-untyped-call]
    TARGET.write_text("\n".join([*head, *table(entries)]) + "\n")


if __name__ == "__main__":
    main()
