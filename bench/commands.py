"""`apportion bench`: the benchmarks of this package that are commands, found by the entry point of the distribution."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any

import typer
from typer.core import TyperGroup

from api.cli import table_of

LOAD = "load"

HELP = """Measure the engine: under load over HTTP, or on the literature's experiments.

Each has its own options and example: see `apportion bench load --help` and `apportion bench e1 --help`.

Example: apportion bench load --seconds 30

Exit codes: 0 done, 1 a promise does not hold, 2 unusable arguments, 3 service or store not available, 130 Ctrl-C."""


class Benchmarks(TyperGroup):
    """`load`, and each experiment of `bench.papers` under its own name; loaded when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return [LOAD, *_experiments()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name == LOAD:
            from bench.load.__main__ import app as load

            return typer.main.get_command(load)
        if cmd_name not in _experiments():
            return None
        from bench.papers.__main__ import app as papers

        command = copy(typer.main.get_command(papers))
        command.params = [option for option in command.params if option.name != "name"]
        assert command.callback is not None
        command.callback = partial(command.callback, name=cmd_name)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(LOAD, "Speed and cost under load over HTTP."), *_experiments().items()])


def _experiments() -> dict[str, str]:
    from bench.papers.experiments import NAMES

    return NAMES


app = table_of(Benchmarks, HELP)
