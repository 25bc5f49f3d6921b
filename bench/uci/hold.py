"""`python -m bench.uci.hold`: the UCI orders decided as they come, and again until they are handed over, hours later.

The orders come at the recorded time, divided by --pace (see `replaying`). "known" and "floor" (see `hindsight`) are for
whoever knows all orders and deliveries beforehand and ships the same units: plans that were found and are judged like
any other, and what no plans cost less than. Every run is compared with the same orders held for no time without prices.
Exit code 1 if the judge found any fault.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer
from msgspec import Struct

from bench.uci.hindsight import Shipped, foresee, horizon
from bench.uci.recipe import Workload, workload
from bench.uci.replaying import HOUR_MS, Held, Replay, Terms, paced
from bench.uci.source import data_directory, read_centres, read_invoices, read_regions
from bench.uci.wire import judged


class Known(Struct, kw_only=True):
    """What hindsight makes of one run's orders. Money in currency units; `parcels_per_order`, `extra`: of the plans.

    `exact`: orders that are priced exactly in the floor.
    """

    days: int
    hold: str
    orders: int
    floor_per_order: float
    spent_per_order: float
    parcels_per_order: float
    extra: int
    exact: int
    faults: int
    oversold: int


def foreseen(work: Workload, shipped: Shipped, days: int, hold: str) -> Known:
    """Hindsight on the orders of a run that shipped these units."""
    hold_ms = int(float(hold) * HOUR_MS)
    ahead = asyncio.run(horizon(work, shipped, hold_ms))
    found = foresee(ahead)
    judge, parcels, shipping = judged(ahead, found, work, shipped)
    count = len(work.orders)
    return Known(
        days=days,
        hold=hold,
        orders=count,
        floor_per_order=round(found.floor / 1000 / count, 4),
        spent_per_order=round(found.cost / 1000 / count, 4),
        parcels_per_order=round(parcels / max(1, shipping), 4),
        extra=parcels - shipping,
        exact=found.exact,
        faults=len(judge.faults),
        oversold=judge.oversold,
    )


def markdown(results: Sequence[Held | Known]) -> str:
    """One row per run; what is saved and removed is against the same orders held for no time without prices."""
    lines = [
        "| k days | held | orders | spent/order | saved | of what is possible | parcels/order | extra shipments "
        "| removed | fill | moves | faults |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for base in (each for each in results if isinstance(each, Held) and each.hold == "0" and not each.prices):
        same = [each for each in results if each.days == base.days]
        known = {each.hold: each for each in same if isinstance(each, Known)}
        for each in same:
            possible = base.spent_per_order - known[each.hold].spent_per_order if each.hold in known else 0.0
            lines.append(_row(each, base, possible))
            if isinstance(each, Known):
                saved = 1 - each.floor_per_order / base.spent_per_order
                lines.append(
                    f"| {each.days} | {each.hold} h, floor ({each.exact} exact) | {each.orders:,} "
                    f"| {each.floor_per_order:.3f} | {saved:.2%} | | | | | | | |"
                )
    return "\n".join(lines) + "\n"


def _row(each: Held | Known, base: Held, possible: float) -> str:
    name = f"{each.hold} h" + (", known" if isinstance(each, Known) else ", prices" if each.prices else "")
    saved, of = f"{1 - each.spent_per_order / base.spent_per_order:.2%}", ""
    removed = f"{1 - each.extra / max(1, base.extra):.1%}"
    if possible > 0 and isinstance(each, Held):
        of = f"{(base.spent_per_order - each.spent_per_order) / possible:.0%}"
    if each is base:
        saved = of = removed = ""
    rest, faults = " | ", each.faults + each.oversold
    if isinstance(each, Held):
        rest, faults = f"{each.fill:.2%} | {each.moves:,}", faults + each.stock_differs
    return (
        f"| {each.days} | {name} | {each.orders:,} | {each.spent_per_order:.3f} | {saved} | {of} "
        f"| {each.parcels_per_order:.3f} | {each.extra:,} | {removed} | {rest} | {faults} |"
    )


def work_of(directory: Path, cut: str, days: int, seed: int, limit: int, lines_max: int | None) -> Workload:
    """The first `limit` orders of the recipe; `lines_max`: only orders of so many lines, and stock for them."""
    invoices = read_invoices(directory)
    if lines_max is not None:
        invoices = [invoice for invoice in invoices if len(invoice.items) <= lines_max]
    whole = workload(invoices, read_regions(directory), read_centres(directory), cut, days, seed)
    return replace(whole, orders=whole.orders[:limit])


def _differing(one: Shipped, two: Shipped) -> int:
    """Orders that shipped other units, in all or of some line."""
    return sum(_by_line(one[order]) != _by_line(two[order]) for order in one)


def _by_line(sent: dict[str, dict[str, int]]) -> dict[str, int]:
    return {line_id: sum(by_node.values()) for line_id, by_node in sent.items()}


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def hold(
    data: Annotated[Path | None, typer.Option(help="The data directory.")] = None,
    cut: Annotated[str, typer.Option(help="retail or wholesale.")] = "retail",
    days: Annotated[list[int] | None, typer.Option(min=1, help="Stock for k days; default 3, 10 and 30.")] = None,
    hours: Annotated[list[str] | None, typer.Option(help="Hours held; default 0, 1, 4. 0 is always run.")] = None,
    hindsight: Annotated[
        list[str] | None, typer.Option(help="Hours held for which everything is known; default 0, 4; none for none.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many orders.")] = 1_000,
    lines_max: Annotated[
        int | None, typer.Option(min=1, help="Only orders of so many lines, and stock for them.")
    ] = None,
    prices: Annotated[list[str] | None, typer.Option(help="Prices of stock: off, on; default both.")] = None,
    programme: Annotated[int, typer.Option(min=5, help="Minutes between two programmes of prices.")] = 240,
    orders_min: Annotated[int, typer.Option(min=1, help="Orders seen before there are prices.")] = 50,
    pace: Annotated[int, typer.Option(min=1, help="So many times as fast as recorded.")] = 1,
    every: Annotated[int, typer.Option(min=1, help="Minutes between two looks.")] = 30,
    min_saving: Annotated[str, typer.Option(help="As in a policy.")] = "0.50",
    max_orders: Annotated[int, typer.Option(min=1, max=2_000, help="Decided together.")] = 200,
    work: Annotated[int, typer.Option(min=1, help="As in a policy, of windows and looks.")] = 20_000_000,
    seed: Annotated[int, typer.Option(help="Of places, weights and stock.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
) -> None:
    directory = data_directory(data)
    if directory is None:
        print("bench.uci.hold: the UCI data is not here (see python -m bench.uci --help); skipped")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: list[Held | Known] = []

    def tell(result: Held | Known) -> None:
        results.append(result)
        print(msgspec.json.encode(result).decode(), file=sys.stderr, flush=True)

    for k in days or (3, 10, 30):
        paced_work = paced(work_of(directory, cut, k, seed, limit, lines_max), pace)
        runs = list(product(hours or ("0", "1", "4"), prices or ("off", "on")))
        shipped: Shipped | None = None
        for held, by_price in [("0", "off"), *(run for run in runs if run != ("0", "off"))]:
            terms = Terms(every, min_saving, max_orders, work, by_price == "on", programme, orders_min)
            replay = Replay(paced_work, held, terms)
            figures = asyncio.run(replay.run(k))
            shipped = replay.shipped if shipped is None else shipped
            tell(msgspec.structs.replace(figures, differing=_differing(shipped, replay.shipped)))
        assert shipped is not None, "the first run is always there"
        for held in [each for each in hindsight or ("0", "4") if each != "none"]:
            tell(foreseen(paced_work, shipped, k, held))
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    print(markdown(results))
    faults = sum(each.faults + each.oversold for each in results)
    faults += sum(each.stock_differs for each in results if isinstance(each, Held))
    raise typer.Exit(1 if faults else 0)


if __name__ == "__main__":
    app()
