"""`python -m bench.phases FILE`: the figures of `--benchmark-json` as a table, microseconds per order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.phases.registry import ALL

HELP = """Print what pytest-benchmark has written as a table: the median of every phase, in microseconds per order.

Exit codes: 0 done, 2 unusable arguments.

Example: python -m pytest bench/phases --benchmark-json=phases.json && python -m bench.phases phases.json"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def phases(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Of --benchmark-json.")]) -> None:
    try:
        found = json.loads(file.read_bytes())["benchmarks"]
    except (ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{file} was not written by pytest-benchmark") from error
    print(markdown(found))


def markdown(benchmarks: Iterable[Mapping[str, Any]]) -> str:
    """A row for each window, a column for each phase."""
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    for one in benchmarks:
        info = one["extra_info"]
        shape = (info["store"], info["scarcity"], info["lines_max"], info["nodes"], info["orders"])
        rows.setdefault(shape, {})[info["phase"]] = one["stats"]["median"] * 1e6 / info["orders"]
    told = [
        "| store | scarcity | lines | nodes | orders | " + " | ".join(ALL) + " |",
        "|---|---|" + "---:|" * (3 + len(ALL)),
    ]
    for shape, medians in rows.items():
        cells = [f"{medians[verb]:,.1f}" if verb in medians else "" for verb in ALL]
        told.append("| " + " | ".join([*map(str, shape), *cells]) + " |")
    return "\n".join(told)


if __name__ == "__main__":
    app(prog_name="python -m bench.phases")
