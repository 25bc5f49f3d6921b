"""A simulation that a running service answers: files uploaded, submitted, followed, fetched."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import msgspec

from api.cli.client import Client, Response, ServiceUnreachableError
from api.cli.codes import ExitCode
from api.cli.replay import connect
from api.cli.simulate_here import table_name
from api.cli.simulate_told import Far, as_file, refused, show
from api.cli.terminal import CommandError, Terminal
from api.cli.uploads import orders_of, stock_of
from engine.errors import InvalidInputError
from engine.simulation.answering import Answer
from engine.simulation.demand_document import Upload
from engine.simulation.jobs.intake import orders_max
from engine.simulation.scenario import Simulation

LOOK_SECONDS = 0.5
SUBMIT_SECONDS = 600.0
"""How long the service may take to check it: a long period of history is written down first."""
NDJSON = "application/x-ndjson"


async def simulate_there(
    terminal: Terminal, simulation: Simulation, file: Path, url: str, partition: str, output: Path | None
) -> ExitCode:
    """Have it answered; Ctrl-C cancels it."""
    client = connect(url, partition, 2)
    try:
        async with _uploaded(client, simulation, file) as ready:
            body = msgspec.json.encode(ready)
            taken = await client.request("POST", "/v1/simulations", body, timeout_s=SUBMIT_SECONDS)
        path = _taken(taken)
        found = await _followed(terminal, client, path)
        if found["state"] != "done":
            faults = [f"  {fault['path']}: {fault['reason']}" for fault in found["errors"]]
            lines = [f"the simulation {found['state']}: {found['problem'] or 'by somebody else'}", *faults]
            raise CommandError("\n".join(lines), ExitCode.PROBLEMS)
        if output is not None:
            await _fetch(client, path, found, output)
    except ServiceUnreachableError as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from error
    except InvalidInputError as error:
        raise refused(str(file), error) from error
    finally:
        client.close()
    if not terminal.json:
        show(terminal, msgspec.convert(found["answer"], Answer, strict=False))
    kept = [f"kept by the service: {url}{path}"]
    lines = kept if output is None else [*kept, f"report: {output / 'report.html'}"]
    terminal.result({"simulation_id": found["simulation_id"], "answer": found["answer"]}, lines)
    return ExitCode.OK


@asynccontextmanager
async def _uploaded(client: Client, simulation: Simulation, file: Path) -> AsyncIterator[Simulation]:
    """The simulation with its files at the service, in our own form; they go again, for the service takes a copy."""
    demand, stock, names = simulation.demand, simulation.stock, []
    try:
        with TemporaryDirectory(prefix="apportion-simulate-") as directory:
            if demand.upload is not None:
                spool = Path(directory) / "orders"
                orders_of(demand.upload, file.parent / demand.upload.file, spool, orders_max(simulation))
                names.append(await _put(client, spool))
                demand = msgspec.structs.replace(demand, upload=Upload(file=names[-1]))
            if stock.upload is not None:
                rows = stock_of(stock.upload, file.parent / stock.upload.file)
                file_of_stock = Path(directory) / "stock"
                with file_of_stock.open("wb") as lines:
                    lines.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
                names.append(await _put(client, file_of_stock))
                stock = msgspec.structs.replace(stock, upload=Upload(file=names[-1]))
        yield msgspec.structs.replace(simulation, demand=demand, stock=stock)
    finally:
        for name in names:
            await client.request("DELETE", f"/v1/simulation-uploads/{name}")


async def _put(client: Client, records: Path) -> str:
    name = f"simulate-{secrets.token_hex(8)}"
    answer = await client.put(f"/v1/simulation-uploads/{name}", records, NDJSON)
    if answer.status != 200:
        raise _refusal(answer)
    return name


def _taken(answer: Response) -> str:
    """Where it is. Raises CommandError."""
    if answer.status != 202:
        raise _refusal(answer)
    return answer.headers["location"]


def _refusal(answer: Response) -> CommandError:
    if answer.status in (429, 503):
        return CommandError(answer.problem, ExitCode.UNAVAILABLE)
    try:
        faults = [f"  {fault['path']}: {fault['reason']}" for fault in answer.json()["errors"]]
        return CommandError("\n".join([answer.json()["detail"], *faults]), ExitCode.USAGE)
    except (msgspec.DecodeError, KeyError, TypeError):
        return CommandError(answer.problem, ExitCode.USAGE)


async def _followed(terminal: Terminal, client: Client, path: str) -> dict[str, Any]:
    """The simulation once it has ended. Cancelled, it is cancelled there too."""
    try:
        found = await _look(client, path)
        with terminal.progress("simulating", found["orders_expected"]) as line:
            far = Far(line)
            while found["state"] in ("queued", "running"):
                far.tell(found["orders"], found["runs_done"], found["runs_total"], found["eta_seconds"])
                await asyncio.sleep(LOOK_SECONDS)
                found = await _look(client, path)
            far.tell(found["orders"], found["runs_done"], found["runs_total"], None)
        return found
    except asyncio.CancelledError:
        await client.request("DELETE", path)
        terminal.warn("cancelled at the service, too")
        raise


async def _look(client: Client, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    if answer.status != 200:
        raise CommandError(f"the simulation cannot be followed: {answer.problem}", ExitCode.UNAVAILABLE)
    found: dict[str, Any] = answer.json()
    return found


async def _fetch(client: Client, path: str, found: dict[str, Any], output: Path) -> None:
    """Report and tables, as a simulation that ran here has them."""
    tables = output / "decisions"
    await asyncio.to_thread(tables.mkdir, parents=True, exist_ok=True)
    targets = {"report": output / "report.html"}
    for number, run in enumerate(found["runs"]):
        at = f"decisions/{quote(run['scenario'], safe='')}/{run['seed']}"
        targets[at] = tables / table_name(number, run["scenario"], run["seed"])
    for at, target in targets.items():
        answer = await client.get(f"{path}/{at}")
        if answer.status != 200:
            raise CommandError(f"{at} cannot be fetched: {answer.problem}", ExitCode.PROBLEMS)
        await asyncio.to_thread(target.write_bytes, answer.body)
    told = as_file(msgspec.json.encode(found["answer"]))
    await asyncio.to_thread((output / "report.json").write_bytes, told)
