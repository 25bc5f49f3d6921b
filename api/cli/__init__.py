"""The command line. Each command is a module; `main` is the entry point of the distribution."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from api.cli.codes import EPILOG, ExitCode

COMMANDS = {
    "serve": ("api.cli.serve", "serve", "Serve the HTTP API, with an embedded store or one by URL."),
    "demo": ("api.cli.demo", "demo", "Serve the sample US network and stream realistic orders through it."),
    "import": ("api.cli.importing", "import_", "Load orders, SKUs or stock from a CSV or NDJSON file."),
    "replay": ("api.cli.replay", "replay", "Send an order file to a running service and report the figures."),
    "quote": ("api.cli.quote", "quote", "Show what an order would get now, without taking anything."),
    "explain": ("api.cli.explain", "explain", "Show why an order went where it went."),
    "simulate": ("api.cli.simulate", "simulate", "Answer what-if scenarios, here or by a running service."),
    "reconcile": ("api.cli.reconcile", "reconcile", "Check a store against its own log of changes."),
    "export": ("api.cli.export", "export", "Write orders, decisions or stock changes from the archive."),
    "doctor": ("api.cli.doctor", "doctor", "Check that a service can run on this machine."),
}
"""Name -> (module, function, one line). A module is imported when its command is used, so that help is quick."""

GROUP = "apportion.commands"
"""Entry points by which other packages add commands: a Typer application, or a function with options in a module with a
HELP."""

HELP = f"""Apportion decides which fulfilment nodes ship which lines of which orders.

Example: apportion demo

{EPILOG}"""


class CommandTable(TyperGroup):
    """The commands of `COMMANDS` and those that other packages add, each loaded on its first use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return [*COMMANDS, *_added()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name in COMMANDS:
            module_name, function, _ = COMMANDS[cmd_name]
        elif cmd_name in _added():
            module_name, function = _added()[cmd_name].module, _added()[cmd_name].attr
        else:
            return None
        module = import_module(module_name)
        command = getattr(module, function)
        if isinstance(command, typer.Typer):
            return typer.main.get_command(command)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(cmd_name, help=module.HELP)(command)
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            own = [(name, line) for name, (_, _, line) in COMMANDS.items()]
            formatter.write_dl([*own, *((name, f"Added by {one.module}.") for name, one in _added().items())])


def _added() -> dict[str, EntryPoint]:
    return {one.name: one for one in sorted(entry_points(group=GROUP)) if one.name not in COMMANDS}


def table_of(commands: type[TyperGroup], text: str) -> typer.Typer:
    """An application that is a table of commands; `text`: its help, told too where no command is named."""
    made = typer.Typer(
        cls=commands,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help=text,
    )
    made.callback()(_root)
    return made


def _root() -> None:
    pass


app = table_of(CommandTable, HELP)


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback wherever it is."""
    # The last collection of the interpreter frees the types of msgspec records in an order that they do not survive
    # (a crash in StructInfo_clear, after all work is done); what is frozen it leaves alone.
    atexit.register(gc.freeze)
    try:
        app(prog_name="apportion")
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))
