"""`apportion simulate`: what a simulation document asks, answered here or by a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.codes import EPILOG
from api.cli.simulate_here import Here, simulate_here
from api.cli.simulate_there import simulate_there
from api.cli.simulate_told import refused
from api.cli.terminal import CommandError, Terminal, complete
from engine.errors import InvalidInputError
from engine.simulation.scenario import Simulation, parse_simulation

HELP = f"""Answer a simulation document (YAML or JSON; docs/simulation.md): scenarios beside a baseline.

Without --url it runs here, on the sample merchant or on --network and --catalogue, in processes that stand back behind
all others. Results are written as they come: after Ctrl-C or a power cut, --resume DIR goes on where it was.
With --url a running service answers it, on its own network and stock; Ctrl-C cancels it there.

DIR then has report.html, report.json and decisions/*.parquet.

Example: apportion simulate docs/simulations/close-a-node.yaml --output close-a-node

{EPILOG}"""


def simulate(
    file: Annotated[Path | None, typer.Argument(help="The document; not needed with --resume.")] = None,
    url: Annotated[str | None, typer.Option(help="Let this running service answer it.")] = None,
    partition: Annotated[str, typer.Option(help="With --url: the stock partition.")] = "default",
    output: Annotated[Path | None, typer.Option(help="Directory to write; default here: FILE.simulation.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on in this directory, which --output wrote before.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that run scenarios here.")] = 2,
    network: Annotated[Path | None, typer.Option(help="A network document (JSON) in place of the sample.")] = None,
    catalogue: Annotated[Path | None, typer.Option(help="With --network: its SKUs, .csv or .ndjson.")] = None,
    sample_skus: Annotated[int, typer.Option(min=1, max=100_000, help="SKUs of the sample merchant.")] = 500,
    json: Annotated[bool, typer.Option("--json", help="The answer as one JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    try:
        if url is not None:
            if resume is not None or network is not None or catalogue is not None:
                raise CommandError("--resume, --network and --catalogue are for simulations that run here")
            work = simulate_there(terminal, _read(file), _beside(file), url, partition, output)
        else:
            simulation = None if resume is not None else _read(file)
            directory = resume or output or Path(f"{_beside(file).stem}.simulation")
            here = Here(_beside(file), directory, workers, network, catalogue, sample_skus)
            work = simulate_here(terminal, simulation, here)
    except CommandError as error:
        terminal.fail(error)
    complete(terminal, work)


def _beside(file: Path | None) -> Path:
    return Path() if file is None else file


def _read(file: Path | None) -> Simulation:
    """The document. Raises CommandError."""
    if file is None:
        raise CommandError("a document is needed: apportion simulate FILE.yaml")
    try:
        return parse_simulation(file.read_bytes(), as_yaml=file.suffix.lower() != ".json")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except InvalidInputError as error:
        raise refused(str(file), error) from error
