"""The geometry of the experiments: fulfilment centres and metros, from a directory outside the project.

The files are those that Ma (2023) published with "Order-Optimal Correlated Rounding for Fulfilling Multi-Item
E-Commerce Orders", M&SOM 25(4); nothing of them is part of the project.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.uci.source import DEFAULT, ENVIRONMENT

Floats = NDArray[np.float64]

FOLDER = Path("multi_item_fulfillment_paper")
FILES = ("cities.csv", "cities_warmup.csv", "fulfillment_centers.csv", "fulfillment_centers_warmup.csv")
RADIUS_KM = 6371.0
KM_OF_A_MILE = 1.61
"""As in the published code."""


class Geometry(NamedTuple):
    """`miles` float64[nodes, metros], and `share` float64[metros] of the population; metros by descending share."""

    miles: Floats
    share: Floats


def data_directory(option: Path | None) -> Path | None:
    """The directory given, else that of the environment, else the default; None if the files are not there."""
    named = option or (Path(os.environ[ENVIRONMENT]) if ENVIRONMENT in os.environ else DEFAULT)
    return named if all((named / FOLDER / each).is_file() for each in FILES) else None


def geometry(data: Path, *, warmup: bool, metros: int | None = None) -> Geometry:
    """The small network (5 nodes, 10 metros) or the large one (10 nodes), with only its largest `metros`."""
    suffix = "_warmup" if warmup else ""
    centres = _places(data / FOLDER / f"fulfillment_centers{suffix}.csv")
    cities = _places(data / FOLDER / f"cities{suffix}.csv")
    people = np.array([float(row["Population"]) for row in cities])
    largest = np.argsort(-people, kind="stable")[:metros]
    here, there = _radians(centres)[:, None], _radians([cities[at] for at in largest.tolist()])[None, :]
    half = np.sin((there - here) / 2) ** 2
    arc = half[..., 0] + np.cos(here[..., 0]) * np.cos(there[..., 0]) * half[..., 1]
    kilometres = 2 * RADIUS_KM * np.arcsin(np.sqrt(arc))
    return Geometry(kilometres / KM_OF_A_MILE, people[largest] / people[largest].sum())


def _places(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def _radians(rows: list[dict[str, str]]) -> Floats:
    return np.radians([[float(row["Latitude"]), float(row["Longitude"])] for row in rows])
