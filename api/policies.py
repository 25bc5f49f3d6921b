"""Policies: how windows are decided."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import document
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, invalid, partition_of, path_id, query_of
from api.problems import MalformedBodyError, TooLargeError
from engine.assembly import Engine
from engine.errors import InvalidInputError, NotFoundError
from engine.policy import Policy

VERSION_MAX = 2**53 - 1


class PolicyVersion(Struct, frozen=True, kw_only=True):
    """A policy and its version. Once a write has answered it, no later commit rests on an older one."""

    policy_id: str
    policy_version: int


class PolicyAnswer(Struct, frozen=True, kw_only=True):
    """A stored policy with its defaults filled in, and its version."""

    policy_id: str
    policy_version: int
    policy: Policy


class PolicyList(Struct, frozen=True, kw_only=True):
    """Every policy of the partition, `default` among them, by id."""

    policies: list[PolicyVersion]


class PolicyDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, request: Request) -> Response:
        """Add or replace a policy."""
        partition, policy_id = partition_of(request), path_id(request, "policy_id")
        body = await document(request, self._engine.settings.body_bytes_max)
        version = await self._engine.registry.put_policy(partition, policy_id, body)
        return _json(PolicyVersion(policy_id=policy_id, policy_version=version))

    async def show(self, request: Request) -> Response:
        """A policy as stored."""
        partition, policy_id = partition_of(request), path_id(request, "policy_id")
        asked = query_of(request, {"version"}).get("version")
        version = _version(asked) if asked is not None else None
        edition = await self._engine.registry.policy(partition, policy_id, version)
        return _json(PolicyAnswer(policy_id=policy_id, policy_version=edition.version, policy=edition.policy))

    async def show_all(self, request: Request) -> Response:
        """Which policies there are."""
        query_of(request, ())
        versions = await self._engine.registry.policy_versions(partition_of(request))
        return _json(
            PolicyList(policies=[PolicyVersion(policy_id=each, policy_version=n) for each, n in versions.items()])
        )

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        policy_id = Parameter("policy_id", "path", schema, "A policy; `default` exists from the start", required=True)
        number = {"type": "integer", "minimum": 1, "maximum": VERSION_MAX}
        version = Parameter("version", "query", number, "An earlier version; the last 100 are kept")
        return [
            Endpoint(
                "PUT", "/v1/policies/{policy_id}", self.put, "put_policy", "Add or replace a policy",
                (Reply(200, "Stored", PolicyVersion),),
                "Every field has a default, so `{}` is a policy. All faults are reported, at most 100: unknown nodes, "
                "rules of one name, rules that leave no node, alone or with those that hold whenever they do, ranges "
                "without an inside, modes that a later rule always overrides. A refused document changes nothing. "
                "Should a node leave the network later, rules pass its name over. A partition has at most 100 "
                "policies. `objective.stock_price` weighs the prices that `GET /v1/prices` shows; 0 switches them off.",
                "policies", Body({JSON: Policy}, "The whole policy"), (policy_id,),
                (InvalidInputError, MalformedBodyError, TooLargeError),
            ),
            Endpoint(
                "GET", "/v1/policies/{policy_id}", self.show, "get_policy", "A policy as stored",
                (Reply(200, "Document and version", PolicyAnswer),), tag="policies", parameters=(policy_id, version),
                problems=(InvalidInputError, NotFoundError),
            ),
            Endpoint(
                "GET", "/v1/policies", self.show_all, "get_policies", "Which policies there are",
                (Reply(200, "Ids and versions", PolicyList),), tag="policies", problems=(InvalidInputError,),
            ),
        ]  # fmt: skip


def _version(asked: str) -> int:
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 16 and 1 <= int(asked) <= VERSION_MAX):
        raise invalid("query version", f"must be an integer from 1 to {VERSION_MAX}")
    return int(asked)


def _json(answer: Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type=JSON)
