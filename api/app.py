"""The ASGI application: every route of the service, behind one door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.bulk import BulkDesk
from api.commands import CommandDesk
from api.door import ROUTE, Door, HttpMetrics
from api.endpoint import Endpoint, Handler
from api.events import EventDesk
from api.forecast import ForecastDesk
from api.history import HistoryDesk
from api.inquiries import InquiryDesk
from api.logs import configure
from api.matrices import MatrixDesk
from api.network import NetworkDesk
from api.openapi import document
from api.operations import OperationsDesk
from api.orders import OrderDesk
from api.policies import PolicyDesk
from api.prices import PriceDesk
from api.problems import MethodNotAllowedError
from api.reoptimisation import ReoptimisationDesk
from api.simulations.desk import SimulationDesk
from api.simulations.progress import ProgressDesk
from api.simulations.uploads import UploadDesk
from api.skus import SkuDesk
from api.stock import StockDesk
from engine.assembly import Engine


class Application(FastAPI):
    """What a server runs. Starts and stops the engine with its lifespan.

    Bodies are decoded by msgspec, so routes are plain ones and describe themselves (`Endpoint`); the framework's own
    pages and error answers give way to `Door`, which speaks problem documents only.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(
            openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=self._lifespan
        )
        self.engine = engine
        self.closing = asyncio.Event()
        self._http_metrics = HttpMetrics()
        operations = OperationsDesk(engine, self._http_metrics, self.closing)
        # The hot path first: routes are tried in order.
        desks = (
            OrderDesk(engine), CommandDesk(engine), BulkDesk(engine), InquiryDesk(engine), StockDesk(engine),
            SkuDesk(engine), NetworkDesk(engine), MatrixDesk(engine), PolicyDesk(engine), PriceDesk(engine),
            ForecastDesk(engine),
            HistoryDesk(engine), EventDesk(engine, self.closing), ReoptimisationDesk(engine),
            SimulationDesk(engine), ProgressDesk(engine, self.closing), UploadDesk(engine), operations,
        )  # fmt: skip
        self.endpoints = [endpoint for desk in desks for endpoint in desk.endpoints()]
        self._document = document(self.endpoints, _version())
        operations.openapi = msgspec.json.encode(self._document)
        self.router.routes.extend(_routes(self.endpoints))

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made from the same records as the routes."""
        return self._document

    def build_middleware_stack(self) -> ASGIApp:
        """One door instead of the framework's layers."""
        return Door(self.router, self._http_metrics)

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002
        try:
            await self.engine.start()
            yield
        finally:
            self.retire()
            await self.engine.stop()

    def retire(self) -> None:
        """Say that the process is about to stop: not ready any more, event streams end; all else goes on."""
        self.closing.set()


def create_app(engine: Engine) -> Application:
    """The application over an engine that is not started yet."""
    configure()
    return Application(engine)


def _routes(endpoints: Sequence[Endpoint]) -> list[Route]:
    """One route for each path, so that 405 names all methods of the path. Fixed paths come before those with ids."""
    paths: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, []).append(endpoint)
    ordered = sorted(paths, key=lambda path: "{" in path)
    return [Route(path, _dispatch(path, paths[path]), methods=None) for path in ordered]


class _Dispatch:
    """The methods of one path, as ASGI."""

    def __init__(self, path: str, handlers: dict[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._allow = ", ".join(sorted(handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ROUTE] = self._path
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise MethodNotAllowedError(f"{self._path} knows {self._allow}", self._allow)
        response: Response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)


def _dispatch(path: str, endpoints: Sequence[Endpoint]) -> _Dispatch:
    handlers = {endpoint.method: endpoint.handler for endpoint in endpoints}
    for endpoint in endpoints:
        if endpoint.method == "GET" and not endpoint.streams:
            handlers["HEAD"] = endpoint.handler
    return _Dispatch(path, handlers)


def _version() -> str:
    try:
        return version("apportion")
    except PackageNotFoundError:
        return "0"
