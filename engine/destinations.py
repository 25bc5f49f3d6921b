"""Destinations as tariffs name them: `*`, `US`, `US-NY`, `US:100` (postal prefix), or an order's own `ship_to.zone`."""

from __future__ import annotations

import re
from collections.abc import Collection

from engine.domain import Order

_POSTAL = re.compile(r"([A-Z]{2}):(.+)")


def plain_postal(postal_code: str) -> str:
    """A postal code as prefixes compare it: upper case, without spaces and hyphens."""
    return postal_code.upper().replace(" ", "").replace("-", "")


def plain_place(name: str) -> str:
    """A place as it is compared: postal prefixes in plain form, everything else as it is."""
    match = _POSTAL.fullmatch(name)
    return f"{match[1]}:{plain_postal(match[2])}" if match else name


class Destinations:
    """The places, in plain form, that one tariff names."""

    def __init__(self, places: Collection[str]) -> None:
        self._places = frozenset(places)
        lengths: dict[str, set[int]] = {}
        for place in self._places:
            if match := _POSTAL.fullmatch(place):
                lengths.setdefault(match[1], set()).add(len(match[2]))
        self._prefix_lengths = {country: sorted(found) for country, found in lengths.items()}

    def of(self, order: Order) -> tuple[str, ...]:
        """The places that an order's destination is in, the least specific first.

        That is `*`, the country, the region, postal prefixes by length, the order's own zone.
        """
        if not self._places:
            return ()
        ship_to = order.ship_to
        found = ["*", ship_to.country]
        if ship_to.region is not None:
            found.append(f"{ship_to.country}-{ship_to.region}")
        if ship_to.postal_code is not None:
            found += self.prefixes_of(ship_to.country, ship_to.postal_code)
        if ship_to.zone is not None:
            zone = plain_place(ship_to.zone)
            found = [*(place for place in found if place != zone), zone]
        return tuple(place for place in found if place in self._places)

    def prefixes_of(self, country: str, postal_code: str) -> list[str]:
        """The named postal prefixes of a country that a code begins with, the shortest first."""
        postal = plain_postal(postal_code)
        lengths = self._prefix_lengths.get(country, ())
        prefixes = (f"{country}:{postal[:length]}" for length in lengths if length <= len(postal))
        return [prefix for prefix in prefixes if prefix in self._places]
