"""Load the sample world through the HTTP API, once: a partition that has it keeps its own stock."""

from __future__ import annotations

from typing import Any

import msgspec

from api.cli.client import Client, Response
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError
from engine.sample.world import World

NDJSON = "application/x-ndjson"
ROWS_PER_REQUEST = 20_000


async def load_world(client: Client, world: World) -> bool:
    """Whether anything was loaded. A world whose last stock row is missing was loaded half, and is loaded again.

    Raises CommandError if the partition holds another merchant's network.
    """
    stored = await client.get("/v1/network")
    if stored.status == 200 and not _same_nodes(stored, world):
        raise CommandError(
            "this store holds another network than the sample; choose an empty --data-dir for the demo", ExitCode.USAGE
        )
    last = world.stock[-1]
    if (
        stored.status == 200
        and (await client.get(f"/v1/stock/{last.sku}")).status == 200
        and await _stocked(client, last.sku)
    ):
        return False
    _expect(await client.put("/v1/network", world.network), "network")
    _expect(await client.put("/v1/skus", _ndjson(list(world.skus)), NDJSON), "SKUs")
    for start in range(0, len(world.stock), ROWS_PER_REQUEST):
        rows = world.stock[start : start + ROWS_PER_REQUEST]
        _expect(await client.put("/v1/stock", _ndjson(list(rows)), NDJSON), "stock")
    return True


def _ndjson(records: list[object]) -> bytes:
    return b"\n".join(map(msgspec.json.encode, records)) + b"\n"


def _same_nodes(stored: Response, world: World) -> bool:
    def ids(document: dict[str, Any]) -> set[str]:
        return {node["node_id"] for node in document["nodes"]}

    return ids(stored.json()["network"]) == ids(msgspec.json.decode(world.network))


async def _stocked(client: Client, sku: str) -> bool:
    """Whether the SKU that is loaded last has stock rows."""
    return bool((await client.get(f"/v1/stock/{sku}")).json().get("nodes"))


def _expect(response: Response, what: str) -> None:
    if response.status >= 300:
        raise CommandError(f"the sample {what} was not taken: {response.problem}", ExitCode.PROBLEMS)
