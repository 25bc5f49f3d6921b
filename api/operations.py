"""What an operator and a browser ask for: alive, ready, metrics, the documents of this API."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

import msgspec
import swagger_ui_bundle  # type: ignore[import-untyped]
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from api.door import HttpMetrics
from api.endpoint import JSON, Endpoint, Parameter, Reply
from api.problems import STATUS
from engine.assembly import Engine
from engine.errors import EngineError, NotFoundError, UnavailableError
from engine.metrics import exposition

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Apportion API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
});
"""
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
"""The files of the bundled Swagger UI that the page uses; nothing comes from another host."""
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


class Alive(Struct, frozen=True):
    """The process runs."""

    status: str = "alive"


class Ready(Struct, frozen=True):
    """The process takes orders."""

    status: str = "ready"


class ProblemKind(Struct, frozen=True):
    """What a problem's `type` stands for."""

    type: str
    title: str
    status: int
    text: str


class OperationsDesk:
    """The handlers. `closing` is set when the process is to stop."""

    def __init__(self, engine: Engine, metrics: HttpMetrics, closing: asyncio.Event) -> None:
        self._engine = engine
        self._metrics = metrics
        self._closing = closing
        self.openapi = b"{}"

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002
        """Alive, whatever the store does."""
        return Response(msgspec.json.encode(Alive()), media_type=JSON)

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Ready, or why not."""
        reasons = ["stopping"] if self._closing.is_set() else self._engine.unready()
        if reasons:
            raise UnavailableError("not ready: " + "; ".join(reasons))
        return Response(msgspec.json.encode(Ready()), media_type=JSON)

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """The engine's and HTTP's, in Prometheus' text form; those of all processes behind the port."""
        text = await asyncio.to_thread(exposition, self._engine.metrics, self._metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def document(self, request: Request) -> Response:  # noqa: ARG002
        """The OpenAPI document."""
        return Response(self.openapi, media_type=JSON)

    async def page(self, request: Request) -> Response:  # noqa: ARG002
        """Swagger UI."""
        return Response(PAGE, headers={"content-security-policy": POLICY}, media_type="text/html")

    async def asset(self, request: Request) -> Response:
        """One file of Swagger UI."""
        name = request.path_params["asset"]
        if name == "start.js":
            return Response(START, media_type="text/javascript")
        if name not in ASSETS:
            raise NotFoundError("the documentation has no such file")
        return Response(_asset(name), headers={"cache-control": "max-age=86400"}, media_type=ASSETS[name])

    async def problem(self, request: Request) -> Response:
        """What a problem type means."""
        slug = request.path_params["slug"]
        for kind, status in STATUS.items():
            if kind.slug == slug:
                text = " ".join((kind.__doc__ or "").split())
                return Response(
                    msgspec.json.encode(ProblemKind(f"/problems/{slug}", kind.title, status, text or kind.title)),
                    media_type=JSON,
                )
        raise NotFoundError("there is no such kind of problem")

    def endpoints(self) -> list[Endpoint]:
        """The routes. None of them acts in a partition, and none is ever shed."""
        text = {"type": "string"}
        asset = Parameter("asset", "path", {"type": "string", "enum": ["start.js", *ASSETS]}, "A file", required=True)
        slugs = {"type": "string", "enum": sorted({kind.slug for kind in STATUS})}
        slug = Parameter("slug", "path", slugs, "The last part of a problem's `type`", required=True)
        page = (Reply(200, "The page", text, "text/html"),)
        return [
            _plain("/healthz", self.healthz, "healthz", "The process is alive", (Reply(200, "It is", Alive),)),
            _plain(
                "/readyz", self.readyz, "readyz", "The process takes orders", (Reply(200, "It does", Ready),),
                problems=(UnavailableError,),
            ),
            _plain(
                "/metrics", self.metrics, "metrics", "Prometheus metrics", (Reply(200, "Metrics", text, "text/plain"),)
            ),
            _plain(
                "/openapi.json", self.document, "openapi", "This document",
                (Reply(200, "OpenAPI 3.0", {"type": "object"}),),
            ),
            _plain("/docs", self.page, "docs", "These pages, without internet", page),
            _plain(
                "/docs/{asset}", self.asset, "docs_asset", "A file of these pages",
                tuple(Reply(200, "The file", text, kind) for kind in sorted(set(ASSETS.values()))),
                parameters=(asset,), problems=(NotFoundError,),
            ),
            _plain(
                "/problems/{slug}", self.problem, "problem", "What a problem's `type` stands for",
                (Reply(200, "Its meaning", ProblemKind),), parameters=(slug,), problems=(NotFoundError,),
            ),
        ]  # fmt: skip


def _plain(
    path: str,
    handler: object,
    name: str,
    summary: str,
    replies: tuple[Reply, ...],
    parameters: tuple[Parameter, ...] = (),
    problems: tuple[type[EngineError], ...] = (),
) -> Endpoint:
    """A GET outside all partitions."""
    return Endpoint(
        "GET", path, handler, name, summary, replies,  # type: ignore[arg-type]
        parameters=parameters, problems=problems, partitioned=False,
    )  # fmt: skip


@cache
def _asset(name: str) -> bytes:
    return (Path(swagger_ui_bundle.swagger_ui_path) / name).read_bytes()
