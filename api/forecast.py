"""The forecast of a partition."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, NDJSON, Body, Endpoint, Reply
from api.partition import partition_of, query_of
from api.problems import MalformedBodyError, TooLargeError
from api.rows import Upload
from engine.assembly import Engine
from engine.errors import InvalidInputError
from engine.forecast import ROWS_MAX, ForecastIntake, ForecastRow, forecast_of, put_forecast
from engine.pricing.demand import FORECAST_WORTH
from engine.stock import Tally

FORECAST_BYTES_MAX = 8 * 2**20

TEXT = f"""An array of rows, or a row a line: units of a SKU ordered on a day, by destination. It replaces the forecast
before it; `[]` takes it back. Where anything is wrong with any row nothing is changed, and every fault comes with its
line.

A destination is written as in `ship_to`: `zone` is the merchant's own, else `postal_code` (its first three characters
count), `region`, or the country alone. Carriers that go by distance serve only destinations whose place is known: give
a postal code. A SKU and destination may stand once; at most {ROWS_MAX} rows.

It moves the choice between nodes only by the prices that `GET /v1/prices` shows. It weighs as much as
{FORECAST_WORTH:.0f} orders that came as it says, so those that really come outweigh it, and with it there are prices
before any came."""


class ForecastVersion(Struct, frozen=True, kw_only=True):
    """What a write made."""

    forecast_version: int
    rows: int


class ForecastAnswer(Struct, frozen=True, kw_only=True):
    """The forecast as stored; version 0 and no rows while there is none."""

    forecast_version: int
    rows: tuple[ForecastRow, ...]


class ForecastDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder = msgspec.json.Decoder(ForecastRow)

    async def put(self, request: Request) -> Response:
        """Replace the forecast."""
        partition, intake = partition_of(request), ForecastIntake()

        async def take(rows: Sequence[tuple[int, ForecastRow]]) -> Tally:
            # Rows count as applied only when all of them are sound: so one fault refuses the upload.
            faults = intake.take(rows)
            if len(intake.rows) > ROWS_MAX:
                raise TooLargeError(f"a forecast may have at most {ROWS_MAX} rows; nothing was changed")
            return Tally(faults=faults)

        await Upload(self._decoder, take).run(request, FORECAST_BYTES_MAX)
        version = await put_forecast(self._engine.ledger, partition, intake.rows)
        return _json(ForecastVersion(forecast_version=version, rows=len(intake.rows)))

    async def show(self, request: Request) -> Response:
        """The forecast as stored."""
        query_of(request, ())
        version, rows = await forecast_of(self._engine.ledger, partition_of(request))
        return _json(ForecastAnswer(forecast_version=version, rows=rows))

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "PUT", "/v1/forecast", self.put, "put_forecast", "Replace the forecast of orders to come",
                (Reply(200, "Stored", ForecastVersion),), TEXT, "prices",
                Body({JSON: ForecastRow | list[ForecastRow], NDJSON: ForecastRow}, "Rows"),
                problems=(InvalidInputError, MalformedBodyError, TooLargeError),
            ),
            Endpoint(
                "GET", "/v1/forecast", self.show, "get_forecast", "The forecast as stored",
                (Reply(200, "Rows and version", ForecastAnswer),), tag="prices", problems=(InvalidInputError,),
            ),
        ]  # fmt: skip


def _json(answer: Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type=JSON)
