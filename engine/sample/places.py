"""Real places, to about a kilometre: fulfilment hubs, shopping streets and the metros that order."""

from __future__ import annotations

from typing import NamedTuple


class Site(NamedTuple):
    """A node's place. `kind` dc or store."""

    node_id: str
    kind: str
    lat: float
    lon: float
    region: str
    postal_code: str
    timezone: str


class Metro(NamedTuple):
    """Where customers live: the city's centre and the population of its metropolitan area in thousands (about 2023)."""

    name: str
    region: str
    postal_code: str
    lat: float
    lon: float
    thousands: int
    timezone: str


_ET, _CT, _MT, _PT = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"

SITES = (
    Site("FC-ONT", "dc", 33.88, -117.22, "CA", "92551", _PT),  # Inland Empire: Moreno Valley
    Site("FC-RNO", "dc", 39.54, -119.43, "NV", "89437", _PT),  # Reno-Tahoe: McCarran
    Site("FC-SEA", "dc", 47.39, -122.26, "WA", "98032", _PT),  # Puget Sound: Kent
    Site("FC-DFW", "dc", 32.98, -97.30, "TX", "76177", _CT),  # Fort Worth: Alliance
    Site("FC-MEM", "dc", 35.02, -89.90, "TN", "38118", _CT),  # Memphis: south-east by the airport
    Site("FC-ORD", "dc", 41.48, -88.08, "IL", "60436", _CT),  # Chicago: Joliet
    Site("FC-IND", "dc", 39.70, -86.37, "IN", "46168", "America/Indiana/Indianapolis"),  # Indianapolis: Plainfield
    Site("FC-SDF", "dc", 38.05, -85.67, "KY", "40229", "America/Kentucky/Louisville"),  # Louisville: Shepherdsville
    Site("FC-ATL", "dc", 33.45, -84.15, "GA", "30253", _ET),  # Atlanta: McDonough
    Site("FC-ABE", "dc", 40.56, -75.63, "PA", "18031", _ET),  # Lehigh Valley: Breinigsville
    Site("ST-NYC", "store", 40.75, -73.99, "NY", "10001", _ET),
    Site("ST-BOS", "store", 42.35, -71.08, "MA", "02116", _ET),
    Site("ST-WAS", "store", 38.91, -77.04, "DC", "20036", _ET),
    Site("ST-MIA", "store", 25.77, -80.19, "FL", "33131", _ET),
    Site("ST-CHI", "store", 41.89, -87.62, "IL", "60611", _CT),
    Site("ST-HOU", "store", 29.74, -95.46, "TX", "77056", _CT),
    Site("ST-MSP", "store", 44.86, -93.24, "MN", "55425", _CT),
    Site("ST-DEN", "store", 39.72, -104.95, "CO", "80206", _MT),
    Site("ST-SFO", "store", 37.79, -122.41, "CA", "94108", _PT),
    Site("ST-LAX", "store", 34.07, -118.40, "CA", "90210", _PT),
)

METROS = (
    Metro("New York", "NY", "10001", 40.71, -74.01, 19498, _ET),
    Metro("Los Angeles", "CA", "90012", 34.05, -118.24, 12799, _PT),
    Metro("Chicago", "IL", "60601", 41.88, -87.63, 9263, _CT),
    Metro("Dallas", "TX", "75201", 32.78, -96.80, 8100, _CT),
    Metro("Houston", "TX", "77002", 29.76, -95.37, 7510, _CT),
    Metro("Atlanta", "GA", "30303", 33.75, -84.39, 6307, _ET),
    Metro("Washington", "DC", "20001", 38.90, -77.04, 6305, _ET),
    Metro("Philadelphia", "PA", "19103", 39.95, -75.17, 6246, _ET),
    Metro("Miami", "FL", "33130", 25.76, -80.19, 6183, _ET),
    Metro("Phoenix", "AZ", "85004", 33.45, -112.07, 5070, "America/Phoenix"),
    Metro("Boston", "MA", "02108", 42.36, -71.06, 4919, _ET),
    Metro("Riverside", "CA", "92501", 33.95, -117.40, 4688, _PT),
    Metro("San Francisco", "CA", "94103", 37.77, -122.42, 4567, _PT),
    Metro("Detroit", "MI", "48226", 42.33, -83.05, 4342, "America/Detroit"),
    Metro("Seattle", "WA", "98101", 47.61, -122.33, 4045, _PT),
    Metro("Minneapolis", "MN", "55401", 44.98, -93.27, 3712, _CT),
    Metro("Tampa", "FL", "33602", 27.95, -82.46, 3343, _ET),
    Metro("San Diego", "CA", "92101", 32.72, -117.16, 3270, _PT),
    Metro("Denver", "CO", "80202", 39.74, -104.99, 3005, _MT),
    Metro("Baltimore", "MD", "21201", 39.29, -76.61, 2834, _ET),
    Metro("Orlando", "FL", "32801", 28.54, -81.38, 2818, _ET),
    Metro("Charlotte", "NC", "28202", 35.23, -80.84, 2805, _ET),
    Metro("St. Louis", "MO", "63101", 38.63, -90.20, 2796, _CT),
    Metro("San Antonio", "TX", "78205", 29.42, -98.49, 2704, _CT),
    Metro("Portland", "OR", "97204", 45.52, -122.68, 2508, _PT),
    Metro("Austin", "TX", "78701", 30.27, -97.74, 2474, _CT),
    Metro("Pittsburgh", "PA", "15222", 40.44, -80.00, 2422, _ET),
    Metro("Sacramento", "CA", "95814", 38.58, -121.49, 2421, _PT),
    Metro("Las Vegas", "NV", "89101", 36.17, -115.14, 2337, _PT),
    Metro("Cincinnati", "OH", "45202", 39.10, -84.51, 2271, _ET),
    Metro("Kansas City", "MO", "64106", 39.10, -94.58, 2221, _CT),
    Metro("Columbus", "OH", "43215", 39.96, -83.00, 2180, _ET),
    Metro("Cleveland", "OH", "44114", 41.50, -81.69, 2158, _ET),
    Metro("Indianapolis", "IN", "46204", 39.77, -86.16, 2139, "America/Indiana/Indianapolis"),
    Metro("Nashville", "TN", "37203", 36.16, -86.78, 2103, _CT),
    Metro("San Jose", "CA", "95113", 37.34, -121.89, 1946, _PT),
    Metro("Virginia Beach", "VA", "23451", 36.85, -75.98, 1788, _ET),
    Metro("Jacksonville", "FL", "32202", 30.33, -81.66, 1713, _ET),
    Metro("Providence", "RI", "02903", 41.82, -71.41, 1678, _ET),
    Metro("Milwaukee", "WI", "53202", 43.04, -87.91, 1560, _CT),
    Metro("Raleigh", "NC", "27601", 35.78, -78.64, 1509, _ET),
    Metro("Oklahoma City", "OK", "73102", 35.47, -97.52, 1478, _CT),
    Metro("Louisville", "KY", "40202", 38.25, -85.76, 1365, "America/Kentucky/Louisville"),
    Metro("Richmond", "VA", "23219", 37.54, -77.44, 1350, _ET),
    Metro("Memphis", "TN", "38103", 35.15, -90.05, 1336, _CT),
    Metro("Salt Lake City", "UT", "84101", 40.76, -111.89, 1267, _MT),
    Metro("Birmingham", "AL", "35203", 33.52, -86.80, 1184, _CT),
    Metro("Fresno", "CA", "93721", 36.74, -119.79, 1180, _PT),
    Metro("Grand Rapids", "MI", "49503", 42.96, -85.67, 1162, "America/Detroit"),
    Metro("Buffalo", "NY", "14202", 42.89, -78.88, 1155, _ET),
    Metro("Hartford", "CT", "06103", 41.77, -72.67, 1151, _ET),
    Metro("Tucson", "AZ", "85701", 32.22, -110.97, 1063, "America/Phoenix"),
    Metro("Rochester", "NY", "14604", 43.16, -77.61, 1052, _ET),
    Metro("Tulsa", "OK", "74103", 36.15, -95.99, 1045, _CT),
    Metro("Honolulu", "HI", "96813", 21.31, -157.86, 989, "Pacific/Honolulu"),
    Metro("Omaha", "NE", "68102", 41.26, -95.94, 983, _CT),
    Metro("New Orleans", "LA", "70112", 29.95, -90.07, 962, _CT),
    Metro("Albuquerque", "NM", "87102", 35.08, -106.65, 923, _MT),
    Metro("El Paso", "TX", "79901", 31.76, -106.49, 873, _MT),
    Metro("Boise", "ID", "83702", 43.62, -116.20, 825, "America/Boise"),
    Metro("Des Moines", "IA", "50309", 41.59, -93.62, 738, _CT),
    Metro("Spokane", "WA", "99201", 47.66, -117.43, 600, _PT),
    Metro("Anchorage", "AK", "99501", 61.22, -149.90, 401, "America/Anchorage"),
    Metro("Sioux Falls", "SD", "57104", 43.55, -96.73, 304, _CT),
    Metro("Fargo", "ND", "58102", 46.88, -96.79, 263, _CT),
    Metro("Burlington", "VT", "05401", 44.48, -73.21, 228, _ET),
    Metro("Billings", "MT", "59101", 45.78, -108.50, 191, _MT),
    Metro("Cheyenne", "WY", "82001", 41.14, -104.82, 101, _MT),
)
