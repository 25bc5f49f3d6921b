"""What a command prints: rich text on a terminal, plain lines elsewhere, one JSON document for scripts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from api.cli.codes import ExitCode


class CommandError(Exception):
    """Ends a command with a message for the person who typed it."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


class Terminal:
    """Standard output and error of one command. With `json` only `result` writes to standard output."""

    def __init__(self, json: bool = False) -> None:
        self.json = json
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @property
    def live(self) -> bool:
        """Whether a person watches: then progress may be redrawn in place."""
        return self.out.is_terminal and not self.json

    def say(self, text: str, style: str | None = None) -> None:
        """A line for people."""
        if not self.json:
            self.out.print(text, style=style, markup=False)

    def warn(self, text: str) -> None:
        """A line on standard error, in every mode."""
        self.err.print(text, style="yellow", markup=False)

    def result(self, document: dict[str, Any], lines: list[str]) -> None:
        """The command's outcome: `lines` for people, or `document` as one line of JSON."""
        if self.json:
            sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
            sys.stdout.flush()
        else:
            for line in lines:
                self.say(line)

    def fail(self, error: CommandError) -> NoReturn:
        """Print the error and end with its code."""
        if self.json:
            self.result({"error": str(error), "code": int(error.code)}, [])
        self.err.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(int(error.code))

    @contextmanager
    def progress(self, task: str, total: int | None) -> Iterator[ProgressLine]:
        """A bar on a terminal, a line every so often elsewhere, nothing with `json`."""
        if not self.live:
            yield ProgressLine(self, task, total, None)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.out, transient=True) as bar:
            yield ProgressLine(self, task, total, bar)


class ProgressLine:
    """How far one task is. Elsewhere than on a terminal it prints at each tenth of the way."""

    def __init__(self, terminal: Terminal, task: str, total: int | None, bar: Progress | None) -> None:
        self._terminal = terminal
        self._task = task
        self._total = total
        self._bar = bar
        self._id = bar.add_task(task, total=total) if bar is not None else None
        self._done = 0
        self._said = 0

    def extend(self, steps: int) -> None:
        """There is more to do than was known."""
        self._total = (self._total or 0) + steps
        if self._bar is not None and self._id is not None:
            self._bar.update(self._id, total=self._total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So much more is done."""
        self._done += steps
        if self._bar is not None and self._id is not None:
            self._bar.update(self._id, completed=self._done, description=f"{self._task} {note}".rstrip())
        elif self._total and (tenth := 10 * self._done // self._total) > self._said:
            self._said = tenth
            self._terminal.say(f"{self._task}: {self._done:,} of {self._total:,} {note}".rstrip())


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def complete(
    terminal: Terminal, work: Coroutine[Any, Any, ExitCode], loop_factory: LoopFactory | None = None
) -> NoReturn:
    """Run a command to its end: its exit code, a clear message, or a quiet end by Ctrl-C."""
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            code = runner.run(work)
    except KeyboardInterrupt:
        terminal.err.print("interrupted", style="yellow")
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
    except CommandError as error:
        terminal.fail(error)
    raise typer.Exit(int(code))
