"""`python -m bench.uci.scenarios DIR`: the UCI orders as files that `apportion simulate` runs.

Writes the network, the catalogue, the orders, the stock of the first delivery, and two documents with the deliveries to
come: `delay.json` (windows and holds, late re-optimisation on) and `closings.json` (each centre closed alone). Places,
weights and stock are those of the replay for the same seed; SKUs that no order asks for are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bench.uci.hold import work_of
from bench.uci.recipe import Workload
from bench.uci.replaying import paced
from bench.uci.source import data_directory
from engine.domain import StockRow
from engine.simulation.scenario import parse_simulation

WINDOWS_S = [10, 60, 600, 3_600, 14_400]
HOLDS_HOURS = [0.5, 1, 2, 4, 8]
REOPTIMISE = {"every_seconds": 1_800, "min_saving": "0.50"}
"""Of held orders, as `bench.uci.hold` has it."""


def files(work: Workload) -> dict[str, bytes]:
    """What is written, by name. The documents are sound by themselves."""
    wanted = {line.sku for order in work.orders for line in order.lines}
    first, *later = work.deliveries
    last = work.orders[-1].placed_at
    assert last is not None, "recorded orders have a time"
    stock = [
        StockRow(node_id=move.node_id, sku=move.sku, on_hand=move.quantity)
        for move in first.movements
        if move.sku in wanted
    ]
    arrivals = [
        {"at": delivery.at, "node_id": move.node_id, "sku": move.sku, "quantity": move.quantity}
        for delivery in later
        if delivery.at <= last
        for move in delivery.movements
        if move.sku in wanted
    ]
    common: dict[str, Any] = {
        "demand": {"upload": {"file": "orders.ndjson"}},
        "stock": {"upload": {"file": "stock.ndjson"}, "replenishment": {"arrivals": arrivals}},
        "pricing": {"on": False},
    }
    found = {
        "network.json": work.network,
        "catalogue.ndjson": _lines([sku for sku in work.skus if sku.sku in wanted]),
        "orders.ndjson": _lines(work.orders),
        "stock.ndjson": _lines(stock),
        "delay.json": msgspec.json.encode({"name": "delay curve", **common, **_delay()}),
        "closings.json": msgspec.json.encode({"name": "closing a centre", **common, **_closings()}),
    }
    for name in ("delay.json", "closings.json"):
        parse_simulation(found[name])
    return found


def _delay() -> dict[str, Any]:
    """What is saved by deciding later: orders wait before they are decided, or after it."""
    return {
        "baseline": [{"window": {"seconds": 1}}, {"policy": {"merge": {"reoptimise": REOPTIMISE}}}],
        "questions": {
            "sweeps": [
                {"name": "window of seconds", "parameter": "window", "values": WINDOWS_S},
                {"name": "held for hours", "parameter": "hold", "values": HOLDS_HOURS},
            ]
        },
    }


def _closings() -> dict[str, Any]:
    return {"baseline": [{"window": {"seconds": 60}}], "questions": {"closings": True}}


def _lines(rows: Any) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def scenarios(
    directory: Annotated[Path, typer.Argument(help="Where to write.")],
    data: Annotated[Path | None, typer.Option(help="The data directory.")] = None,
    cut: Annotated[str, typer.Option(help="retail or wholesale.")] = "retail",
    days: Annotated[int, typer.Option(min=1, help="Stock for k days.")] = 3,
    limit: Annotated[int, typer.Option(min=1, help="The first so many orders.")] = 600,
    lines_max: Annotated[int | None, typer.Option(min=1, help="Only orders of so many lines, and stock for them.")] = 4,
    pace: Annotated[int, typer.Option(min=1, help="So many times as fast as recorded.")] = 10,
    seed: Annotated[int, typer.Option(help="Of places, weights and stock.")] = 7,
) -> None:
    source = data_directory(data)
    if source is None:
        print("bench.uci.scenarios: the UCI data is not here (see python -m bench.uci --help); skipped")
        return
    work = paced(work_of(source, cut, days, seed, limit, lines_max), pace)
    directory.mkdir(parents=True, exist_ok=True)
    for name, body in files(work).items():
        (directory / name).write_bytes(body)
    parts = f"--network {directory / 'network.json'} --catalogue {directory / 'catalogue.ndjson'}"
    for name in ("delay", "closings"):
        print(f"apportion simulate {directory / name}.json {parts} --output {directory / name}")


if __name__ == "__main__":
    app()
