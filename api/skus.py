"""The SKU catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, NDJSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id
from api.problems import MalformedBodyError, TooLargeError
from api.rows import LineFault, Upload
from engine.assembly import Engine
from engine.catalogue import Faults, Intake
from engine.domain import Sku
from engine.errors import InvalidInputError, NotFoundError
from engine.stock import RowFault, Tally


class SkusWritten(Struct, frozen=True, kw_only=True):
    """What became of an upload. `errors` names at most 1,000 of the `faulty` rows."""

    catalog_version: int
    accepted: int
    faulty: int
    errors: list[LineFault]


class SkuDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder = msgspec.json.Decoder(Sku)

    async def put(self, request: Request) -> Response:
        """Insert or replace entries."""
        partition = partition_of(request)
        intake = Intake(self._engine.registry.catalogue, partition)

        async def apply(rows: Sequence[tuple[int, Sku]]) -> Tally:
            return _tally(len(rows), await intake.take(rows))

        async def finish() -> Tally:
            return _tally(0, await intake.finish())

        upload = Upload(self._decoder, apply, finish)
        await upload.run(request, self._engine.settings.bulk_bytes_max)
        version = intake.version or (await self._engine.ledger.versions(partition)).catalog
        written = SkusWritten(
            catalog_version=version, accepted=upload.applied, faulty=upload.faulty, errors=upload.listed()
        )
        return Response(msgspec.json.encode(written), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """One entry."""
        sku = await self._engine.registry.sku(partition_of(request), path_id(request, "sku"))
        return Response(msgspec.json.encode(sku), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        sku = Parameter("sku", "path", schema, "A SKU", required=True)
        return [
            Endpoint(
                "PUT", "/v1/skus", self.put, "put_skus", "Insert or replace SKUs",
                (Reply(200, "Accepted entries, and refused ones with their line", SkusWritten),),
                "One entry, an array, or an entry a line. Good entries apply whatever the others do, kits at the end "
                "of the upload. Kits do not nest: where one would be a component of another, in the upload or with "
                "what is stored, every row involved is refused and says why.",
                "catalogue", Body({JSON: Sku | list[Sku], NDJSON: Sku}, "Catalogue entries"),
                problems=(InvalidInputError, MalformedBodyError, TooLargeError),
            ),
            Endpoint(
                "GET", "/v1/skus/{sku}", self.show, "get_sku", "One catalogue entry", (Reply(200, "The entry", Sku),),
                tag="catalogue", parameters=(sku,), problems=(InvalidInputError, NotFoundError),
            ),
        ]  # fmt: skip


def _tally(rows: int, faults: Faults) -> Tally:
    """Rows that are taken until a later tally takes them back."""
    named = [RowFault(line, *fault) for line, found in faults.items() for fault in found]
    return Tally(applied=rows - len(faults), faults=named)
