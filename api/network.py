"""The network document and its nodes."""

from __future__ import annotations

from datetime import date

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import document
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, invalid, partition_of, path_id, query_of
from api.problems import MalformedBodyError, TooLargeError
from engine.admission import YEAR_MAX, YEAR_MIN
from engine.assembly import Engine
from engine.errors import InvalidInputError, NodeInUseError, NotFoundError
from engine.loads import NodeLoad, node_load
from engine.network_document import NetworkDocument, Node, is_date

DATE_TEXT = "A ship date, YYYY-MM-DD; today at the node unless given"
MERGE_PATCH = "application/merge-patch+json"


class NetworkVersion(Struct, frozen=True, kw_only=True):
    """The version that a write made. Once it is answered, no later commit rests on an older one."""

    network_version: int


class NetworkView(Struct, frozen=True, kw_only=True):
    """What `GET` answers, made of stored bytes; `NetworkAnswer` describes it."""

    network_version: int
    centroid_version: str
    network: Raw


class NetworkAnswer(Struct, frozen=True, kw_only=True):
    """The stored network with its defaults filled in, its version, and that of the centroid table in use."""

    network_version: int
    centroid_version: str
    network: NetworkDocument


NodePatch = msgspec.defstruct(
    "NodePatch",
    [(each.name, each.type | None, None) for each in msgspec.structs.fields(Node)],
    namespace={"__doc__": "Fields of a node to change; null brings a field's default back."},
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
"""Describes the merge patch; `engine.network_document` applies it."""


class NetworkDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, request: Request) -> Response:
        """Replace the network."""
        partition = partition_of(request)
        body = await document(request, self._engine.settings.body_bytes_max)
        return _version(await self._engine.registry.put_network(partition, body))

    async def patch_node(self, request: Request) -> Response:
        """Change one node."""
        partition, node_id = partition_of(request), path_id(request, "node_id")
        body = await document(request, self._engine.settings.body_bytes_max)
        return _version(await self._engine.registry.patch_node(partition, node_id, body))

    async def show(self, request: Request) -> Response:
        """The network as stored."""
        version, stored, centroids = await self._engine.registry.network(partition_of(request))
        view = NetworkView(network_version=version, centroid_version=centroids, network=Raw(stored))
        return Response(msgspec.json.encode(view), media_type=JSON)

    async def load(self, request: Request) -> Response:
        """The load of one node on one day."""
        partition, node_id = partition_of(request), path_id(request, "node_id")
        engine, written = self._engine, query_of(request, ("date",)).get("date")
        day = None if written is None else _date(written)
        found = await node_load(engine.ledger, engine.registry, engine.clock, partition, node_id, day)
        return Response(msgspec.json.encode(found), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        node_id = Parameter("node_id", "path", schema, "A node of the network", required=True)
        version = (Reply(200, "Stored", NetworkVersion),)
        refused = (InvalidInputError, MalformedBodyError, TooLargeError, NodeInUseError)
        return [
            Endpoint(
                "PUT", "/v1/network", self.put, "put_network", "Replace the network", version,
                "All faults are reported, at most 100; a refused document changes nothing. Zone matrices that carriers "
                "name must be there first. Removing a node that has stock or holds is 409.",
                "network", Body({JSON: NetworkDocument}, "The whole network"), problems=refused,
            ),
            Endpoint(
                "GET", "/v1/network", self.show, "get_network", "The network as stored",
                (Reply(200, "Document and versions", NetworkAnswer),), tag="network", problems=(NotFoundError,),
            ),
            Endpoint(
                "PATCH", "/v1/nodes/{node_id}", self.patch_node, "patch_node", "Change fields of one node", version,
                "A JSON merge patch (RFC 7396): null brings a field's default back. Deactivating a node keeps its "
                "stock and holds.",
                "network", Body({JSON: NodePatch, MERGE_PATCH: NodePatch}, "Fields of the node"), (node_id,),
                (*refused, NotFoundError),
            ),
            Endpoint(
                "GET", "/v1/nodes/{node_id}/load", self.load, "get_node_load", "What a node ships on a day",
                (Reply(200, "Load, capacity and room", NodeLoad),),
                "Load counts on the ship date in the node's own calendar.", "network",
                parameters=(node_id, Parameter("date", "query", {"type": "string", "format": "date"}, DATE_TEXT)),
                problems=(NotFoundError,),
            ),
        ]  # fmt: skip


def _date(text: str) -> date:
    """A date of the calendar, in years that calendars reach."""
    if is_date(text) and YEAR_MIN <= (day := date.fromisoformat(text)).year <= YEAR_MAX:
        return day
    raise invalid("query date", f"not a date YYYY-MM-DD between the years {YEAR_MIN} and {YEAR_MAX}")


def _version(version: int) -> Response:
    return Response(msgspec.json.encode(NetworkVersion(network_version=version)), media_type=JSON)
