"""Where places are: great-circle distance, and the centroids of postal areas."""

from engine.geography.centroids import CentroidTable, centroids
from engine.geography.distance import EARTH_RADIUS_M, Distances, distances_m

__all__ = ["EARTH_RADIUS_M", "CentroidTable", "Distances", "centroids", "distances_m"]
