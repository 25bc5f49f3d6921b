"""`python -m bench.whatif DIR`: a large simulation as files that `apportion simulate` runs, to see how long that takes.

The sample merchant with 50 nodes and 2,000 SKUs, orders of three lines, windows that 500 orders fill, prices on; one
scenario, a closed node, beside the baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bench.merchant import merchant
from engine.sample.world import World
from engine.simulation.scenario import parse_simulation

SINCE = "2026-11-30T00:00:00Z"
ROOM = 5.0
"""Parcels that each node can send a day, as a multiple of its even share of the orders."""


def document(world: World, orders: int, days: float) -> dict[str, Any]:
    """A sound document: so many orders over so many days, in the mean, and the merchant's first node closed."""
    closed = msgspec.json.decode(world.network)["nodes"][0]["node_id"]
    generator = {"since": SINCE, "days": days, "orders_per_day": orders / days, "lines": [0, 0, 1]}
    found: dict[str, Any] = {
        "name": "what-if at size",
        "demand": {"generator": generator},
        "stock": {"generator": {"cover_days": 1.3 * days, "carried": 0.3}},
        "pricing": {"minutes": 30, "programme_hours": 12},
        "baseline": [{"window": {"seconds": 600, "max_orders": 500}}],
        "scenarios": [{"name": f"{closed} closed", "patches": [{"close_node": {"node_id": closed}}]}],
    }
    parse_simulation(msgspec.json.encode(found))
    return found


def files(orders: int, days: float, nodes: int, skus: int) -> dict[str, bytes]:
    """What is written, by name: network, catalogue and document."""
    world = merchant(nodes, skus)
    network = msgspec.json.decode(world.network)
    for node in network["nodes"]:  # stock lies evenly, and is not to be out of reach behind a shop's few parcels a day
        node["capacity"]["parcels_per_day"] = max(600, round(ROOM * orders / days / nodes))
    return {
        "network.json": msgspec.json.encode(network),
        "catalogue.ndjson": b"".join(msgspec.json.encode(sku) + b"\n" for sku in world.skus),
        "large.json": msgspec.json.encode(document(world, orders, days)),
    }


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def whatif(
    directory: Annotated[Path, typer.Argument(help="Where to write.")],
    orders: Annotated[int, typer.Option(min=1, help="Of each run, in the mean.")] = 1_000_000,
    days: Annotated[float, typer.Option(min=0.1, help="Over which they come.")] = 10.0,
    nodes: Annotated[int, typer.Option(min=2, max=2_000)] = 50,
    skus: Annotated[int, typer.Option(min=3)] = 2_000,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, body in files(orders, days, nodes, skus).items():
        (directory / name).write_bytes(body)
    parts = f"--network {directory / 'network.json'} --catalogue {directory / 'catalogue.ndjson'}"
    print(f"apportion simulate {directory / 'large.json'} {parts} --output {directory / 'large'}")


if __name__ == "__main__":
    app()
