"""Where places are: great-circle distance, and the centroids of postal areas."""

from engine.geography.centroids import CentroidTable, centroids
from engine.geography.distance import EARTH_RADIUS_M, distances_m

__all__ = ["EARTH_RADIUS_M", "CentroidTable", "centroids", "distances_m"]
