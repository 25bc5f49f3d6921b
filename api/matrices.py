"""Zone matrices, as CSV."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import whole
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id
from api.problems import TooLargeError
from engine.assembly import Engine
from engine.errors import InvalidInputError, NotFoundError
from engine.matrices import MATRICES_MAX
from engine.zones import ROWS_MAX, ZONES_MAX

CSV = "text/csv"
MATRIX_BYTES_MAX = 8 * 2**20

TEXT = f"""Rows `origin,destination,zone`; a first line with these names may stand above them.

An origin is a node id or a postal prefix of a node's country (`US:923`); destinations are written as those of lanes:
`*`, `US`, `US-NY`, `US:100`, or an order's own `ship_to.zone`. Zones count from 1 to {ZONES_MAX}: zone z is the z-th
entry of `by_zone` and `transit_days` of every service that zones by this matrix.

The most specific origin that has the destination wins (the node itself, then the longest prefix), and of its rows the
most specific destination; without a row the service does not go there.

At most {ROWS_MAX} rows, and {MATRICES_MAX} matrices. Faults come with their lines, at most 100, and nothing is changed.
A matrix that the network uses may name only zones that all its services have; replacing it makes a new version of the
network."""


class MatrixVersion(Struct, frozen=True, kw_only=True):
    """What a write made. `zones`: the highest zone. `network_version`: with this matrix in use, if it is."""

    matrix_id: str
    matrix_version: int
    network_version: int
    rows: int
    zones: int


class MatrixEntry(Struct, frozen=True, kw_only=True):
    """A matrix in the list."""

    matrix_id: str
    matrix_version: int


class MatrixList(Struct, frozen=True, kw_only=True):
    """All matrices, by id."""

    matrices: list[MatrixEntry]


class MatrixDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._matrices = engine.registry.matrices

    async def put(self, request: Request) -> Response:
        """Insert or replace a matrix."""
        partition, matrix_id = partition_of(request), path_id(request, "matrix_id")
        body = await whole(request, MATRIX_BYTES_MAX)
        version, network, matrix = await self._matrices.put(partition, matrix_id, body)
        written = MatrixVersion(
            matrix_id=matrix_id, matrix_version=version, network_version=network,
            rows=len(matrix.zone), zones=matrix.zones,
        )  # fmt: skip
        return Response(msgspec.json.encode(written), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """A matrix as stored."""
        found = await self._matrices.document(partition_of(request), path_id(request, "matrix_id"))
        return Response(found.body, media_type=CSV)

    async def index(self, request: Request) -> Response:
        """All matrices."""
        versions = await self._matrices.versions(partition_of(request))
        entries = [MatrixEntry(matrix_id=name, matrix_version=version) for name, version in versions.items()]
        return Response(msgspec.json.encode(MatrixList(matrices=entries)), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        matrix_id = Parameter("matrix_id", "path", schema, "A zone matrix", required=True)
        text = {"type": "string", "example": "origin,destination,zone\nUS:923,US:100,8\nFC-ONT6,US,5\n"}
        return [
            Endpoint(
                "GET", "/v1/zone-matrices", self.index, "list_zone_matrices", "All zone matrices",
                (Reply(200, "Ids and versions", MatrixList),), tag="network",
            ),
            Endpoint(
                "PUT", "/v1/zone-matrices/{matrix_id}", self.put, "put_zone_matrix", "Insert or replace a zone matrix",
                (Reply(200, "Stored", MatrixVersion),), TEXT, "network", Body({CSV: text}, "The rows"), (matrix_id,),
                (InvalidInputError, TooLargeError),
            ),
            Endpoint(
                "GET", "/v1/zone-matrices/{matrix_id}", self.show, "get_zone_matrix", "A zone matrix as stored",
                (Reply(200, "The rows", text, CSV),), tag="network", parameters=(matrix_id,),
                problems=(NotFoundError,),
            ),
        ]  # fmt: skip
