"""Simulations: submitted, listed, looked at, cancelled and forgotten; the tables of their decisions."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api.bodies import document
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.paging import cursor_of, foreign_cursor, limit_of, sealed
from api.partition import IDENTIFIER_PATTERN, invalid, partition_of, path_id, query_of
from api.problems import MalformedBodyError, TooLargeError
from api.report import page
from api.simulations.views import SimulationEntry, SimulationList, SimulationView, entry_of, view_of
from engine.assembly import Engine
from engine.errors import (
    InvalidInputError,
    NoNetworkError,
    NotFoundError,
    OverloadedError,
    TooManyError,
    UnavailableError,
)
from engine.simulation.answering import Answer
from engine.simulation.jobs.job import State
from engine.simulation.jobs.shelf import JOB_ID_PATTERN
from engine.simulation.scenario import Run, Simulation, parse_simulation

LIMIT_DEFAULT, LIMIT_MAX = 20, 100
PARQUET = "application/vnd.apache.parquet"
PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The page has all it needs within; whatever a name in it may hold, nothing is fetched and nothing is sent."""

_ANSWER = msgspec.json.Decoder(Answer)

TEXT = """Orders (of a period of history, uploaded, or generated), stock (as it is now, uploaded, or generated) and
scenarios, each a list of patches. The baseline always runs beside them; every scenario runs with every seed. Everything
that is wrong with the document is told at once, each with its JSON path, and then nothing was taken.

It is performed in time that nobody else wants, and changes nothing: it reads the network, policies, catalogue and stock
as they are when it is submitted."""

SIMULATION_ID = Parameter(
    "simulation_id", "path", {"type": "string", "pattern": JOB_ID_PATTERN}, "A simulation", required=True
)


class SimulationDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._simulations = engine.simulations

    async def submit(self, request: Request) -> Response:
        """Take one, or say all that is wrong with it."""
        partition = partition_of(request)
        body = await document(request, self._engine.settings.body_bytes_max)
        simulation = await asyncio.to_thread(parse_simulation, body)
        standing = await self._simulations.submit(partition, simulation)
        location = {"location": f"/v1/simulations/{standing.job.job_id}"}
        return Response(view_of(standing, self._engine.clock.epoch_ms()), 202, location, JSON)

    async def index(self, request: Request) -> Response:
        """A page of them."""
        partition = partition_of(request)
        query = query_of(request, ("cursor", "limit"))
        limit = limit_of(query.get("limit"), LIMIT_DEFAULT, LIMIT_MAX)
        before = cursor_of(query.get("cursor"))
        if before and not before[:1].isdigit():
            raise foreign_cursor()
        found = await self._simulations.page(partition, before, limit)
        now_ms = self._engine.clock.epoch_ms()
        cursor = sealed(found[-1].job.job_id) if len(found) == limit else None
        items = [entry_of(standing, now_ms) for standing in found]
        return Response(msgspec.json.encode(SimulationList(items=items, next_cursor=cursor)), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """One of them, with its answer."""
        partition, job_id = partition_of(request), path_id(request, "simulation_id")
        query_of(request, ())
        standing = await self._simulations.look(partition, job_id)
        body = await asyncio.to_thread(view_of, standing, self._engine.clock.epoch_ms())
        return Response(body, media_type=JSON)

    async def let_go(self, request: Request) -> Response:
        """Cancel it, or forget it once it has ended."""
        standing = await self._simulations.let_go(partition_of(request), path_id(request, "simulation_id"))
        return Response(msgspec.json.encode(entry_of(standing, self._engine.clock.epoch_ms())), media_type=JSON)

    async def report(self, request: Request) -> Response:
        """The answer for people, as one page that opens without a network."""
        partition, job_id = partition_of(request), path_id(request, "simulation_id")
        query_of(request, ())
        standing = await self._simulations.look(partition, job_id)
        if standing.progress.state is not State.DONE:
            raise NotFoundError(f"the simulation has no report: it is {standing.progress.state}")
        body = await asyncio.to_thread(lambda: page(_ANSWER.decode(standing.folder.answer.read_bytes())))
        return Response(body, headers={"content-security-policy": PAGE_POLICY}, media_type="text/html")

    async def decisions(self, request: Request) -> Response:
        """Every decision of one run."""
        partition, job_id = partition_of(request), path_id(request, "simulation_id")
        scenario, seed = path_id(request, "scenario"), path_id(request, "seed")
        if not (seed.isascii() and seed.isdigit() and len(seed) <= 10):
            raise invalid("path seed", "must be a whole number")
        job, _, folder = await self._simulations.look(partition, job_id)
        runs = [planned.run for planned in job.runs]
        wanted = Run(scenario, int(seed))
        if wanted not in runs:
            raise NotFoundError(f"the simulation has no run of scenario {scenario!r} with seed {seed}")
        if not folder.has_run(runs.index(wanted)):
            raise NotFoundError(f"the run of scenario {scenario!r} with seed {seed} is not done")
        # A part of a table is of no use, and the framework's errors about ranges are no problem documents.
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
        response = FileResponse(folder.decisions(runs.index(wanted)), media_type=PARQUET)
        del response.headers["accept-ranges"]
        return response

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        limits = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
        page = (
            Parameter("cursor", "query", {"type": "string", "maxLength": 512}, "`next_cursor` of the page before"),
            Parameter("limit", "query", limits, "How many a page has at most"),
        )
        names = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        run = (
            Parameter("scenario", "path", names, "A scenario by name, or `baseline`", required=True),
            Parameter("seed", "path", {"type": "integer", "minimum": 0}, "One of its seeds", required=True),
        )
        told = (Reply(200, "The page", {"type": "string"}, "text/html"),)
        shed = (OverloadedError, TooManyError, UnavailableError)
        return [
            Endpoint(
                "POST", "/v1/simulations", self.submit, "submit_simulation", "Ask what would be",
                (Reply(202, "Taken; `Location` is where to look", SimulationView),), TEXT, "simulations",
                Body({JSON: Simulation}, "The simulation"),
                problems=(InvalidInputError, MalformedBodyError, TooLargeError, NoNetworkError, *shed),
            ),
            Endpoint(
                "GET", "/v1/simulations", self.index, "list_simulations", "Simulations, the latest first",
                (Reply(200, "A page", SimulationList),), tag="simulations", parameters=page,
                problems=(InvalidInputError,),
            ),
            Endpoint(
                "GET", "/v1/simulations/{simulation_id}", self.show, "get_simulation", "How far one is, and its answer",
                (Reply(200, "The simulation", SimulationView),), tag="simulations", parameters=(SIMULATION_ID,),
                problems=(NotFoundError,),
            ),
            Endpoint(
                "DELETE", "/v1/simulations/{simulation_id}", self.let_go, "delete_simulation", "Cancel or forget one",
                (Reply(200, "Cancelled; or as it was before it was forgotten", SimulationEntry),),
                "One that waits or runs is cancelled, and stays to be looked at. One that has ended is forgotten with "
                "all its files.", "simulations", parameters=(SIMULATION_ID,), problems=(NotFoundError,),
            ),
            Endpoint(
                "GET", "/v1/simulations/{simulation_id}/report", self.report, "get_simulation_report",
                "The answer for people", told, "One page with charts and tables that opens without a network.",
                "simulations", parameters=(SIMULATION_ID,), problems=(NotFoundError,),
            ),
            Endpoint(
                "GET", "/v1/simulations/{simulation_id}/decisions/{scenario}/{seed}", self.decisions,
                "get_simulation_decisions", "Every decision of one run",
                (Reply(200, "A Parquet table, a row an order", {"type": "string", "format": "binary"}, PARQUET),),
                "Each run's table is there as soon as the run is done.", "simulations",
                parameters=(SIMULATION_ID, *run), problems=(NotFoundError, InvalidInputError),
            ),
        ]  # fmt: skip
