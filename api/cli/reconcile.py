"""`apportion reconcile`: does the store hold exactly what its log of changes says, and was nothing ever oversold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.store import any_store
from api.cli.terminal import CommandError, Terminal, complete
from engine.archive.database import ArchiveUnavailableError
from engine.archive.history import Witness
from engine.assembly import archive_of, build
from engine.ledger.port import LedgerUnavailableError
from engine.ledger.reconcile import Report
from engine.ledger.reconcile import reconcile as audit
from engine.ledger.retention import LogTrimmedError
from engine.settings import Settings

HELP = f"""Replay the log of every change and compare it with the live store; nothing is changed. What has
left the log is represented by the checkpoint in the archive.

Works beside a running service. Without one, the embedded store of the data directory is started for the check.

Example: apportion reconcile --check --data-dir ./data

{EPILOG}"""


def reconcile(
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of the embedded store.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Check this Redis or Valkey instead.")] = None,
    archive_url: Annotated[str | None, typer.Option(help="The archive database, if not in the data directory.")] = None,
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    check: Annotated[bool, typer.Option("--check", help="Only check, which is all this version does.")] = True,  # noqa: ARG001
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    given = {"data_dir": data_dir, "redis_url": redis_url, "archive_url": archive_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    complete(terminal, _reconcile(terminal, settings, partition))


async def _reconcile(terminal: Terminal, settings: Settings, partition: str) -> ExitCode:
    async with any_store(terminal, settings.data_dir, settings.redis_url) as url:
        ledger, archive = build(settings, url).ledger, archive_of(settings)
        archived = settings.archive_url is not None or (settings.data_dir / "archive.sqlite").is_file()
        try:
            report = await audit(ledger, partition, past=Witness(archive) if archived else None)
        except ArchiveUnavailableError as error:
            raise CommandError(f"the archive does not answer: {error}", ExitCode.UNAVAILABLE) from error
        except LogTrimmedError as error:
            raise CommandError(f"{error}, and the archive that has them is not here: see --archive-url") from error
        except LedgerUnavailableError as error:
            raise CommandError(f"the store does not answer: {error}", ExitCode.UNAVAILABLE) from error
        finally:
            await ledger.close()
            await archive.close()
    terminal.result(document(report, partition), lines(report, partition))
    return ExitCode.OK if report.clean else ExitCode.PROBLEMS


def document(report: Report, partition: str) -> dict[str, object]:
    """The report as JSON."""
    return {
        "partition": partition,
        "clean": report.clean,
        "entries": report.entries,
        "cells": report.cells,
        "loads": report.loads,
        "orders": report.orders,
        "moving": report.moving,
        "wrong": report.wrong,
        "differences": [difference._asdict() for difference in report.differences],
    }


def lines(report: Report, partition: str) -> list[str]:
    """The report for people: the verdict first."""
    verdict = "clean" if report.clean else f"{report.wrong} differences"
    told = [
        f"partition {partition!r}: {verdict}; {report.entries:,} log entries, {report.cells:,} cells, "
        f"{report.orders:,} orders, {report.loads:,} node days"
    ]
    if report.moving:
        told.append(f"{report.moving:,} cells were changing all the while; their holds were not summed over orders")
    told += [f"{each.place}: expected {each.expected}, found {each.found}" for each in report.differences]
    return told
