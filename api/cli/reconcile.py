"""`apportion reconcile`: does the store hold exactly what its log of changes says, and was nothing ever oversold?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.store import any_store
from api.cli.terminal import CommandError, Terminal, complete
from engine.archive.database import ArchiveUnavailableError
from engine.archive.history import Witness
from engine.assembly import archive_of, build
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.reconcile import Report
from engine.ledger.reconcile import reconcile as audit
from engine.ledger.retention import LogTrimmedError
from engine.settings import Settings

DIFFERENCES_MAX = 100
"""The most differences told, of all partitions together; all are counted."""
_FIGURES = ("entries", "cells", "loads", "orders", "moving", "wrong")

HELP = f"""Replay the log of every change and compare it with the live store; nothing is changed. What has
left the log is represented by the checkpoint in the archive. All stock partitions are checked, or the one named.

Works beside a running service. Without one, the embedded store of the data directory is started for the check.

Example: apportion reconcile --check --data-dir ./data

{EPILOG}"""


def reconcile(
    data_dir: Annotated[Path | None, typer.Option(help="The data directory of the embedded store.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Check this Redis or Valkey instead.")] = None,
    archive_url: Annotated[str | None, typer.Option(help="The archive database, if not in the data directory.")] = None,
    partition: Annotated[str | None, typer.Option(help="Only this stock partition.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check, which is all this version does.")] = True,  # noqa: ARG001
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    given = {"data_dir": data_dir, "redis_url": redis_url, "archive_url": archive_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    complete(terminal, _reconcile(terminal, settings, partition))


async def _reconcile(terminal: Terminal, settings: Settings, partition: str | None) -> ExitCode:
    async with any_store(terminal, settings.data_dir, settings.redis_url) as url:
        ledger, archive = build(settings, url).ledger, archive_of(settings)
        archived = settings.archive_url is not None or (settings.data_dir / "archive.sqlite").is_file()
        reports: dict[str, Report] = {}
        try:
            for name in await ledger.partitions() if partition is None else [partition]:
                left = DIFFERENCES_MAX - sum(len(report.differences) for report in reports.values())
                past = Witness(archive) if archived else None
                reports[name] = await audit(ledger, name, past=past, differences_max=left)
        except ArchiveUnavailableError as error:
            raise CommandError(f"the archive does not answer: {error}", ExitCode.UNAVAILABLE) from error
        except LogTrimmedError as error:
            raise CommandError(f"{error}, and the archive that has them is not here: see --archive-url") from error
        except (LedgerUnavailableError, LedgerRefusedError) as error:
            raise CommandError(f"the store does not answer: {error}", ExitCode.UNAVAILABLE) from error
        finally:
            await ledger.close()
            await archive.close()
    terminal.result(document(reports), [line for name, report in reports.items() for line in lines(report, name)])
    return ExitCode.OK if all(report.clean for report in reports.values()) else ExitCode.PROBLEMS


def document(reports: Mapping[str, Report]) -> dict[str, object]:
    """The reports as JSON: sums over all partitions, and each partition's own."""
    every = [_figures(report) for report in reports.values()]
    return {
        "clean": all(report.clean for report in reports.values()),
        **{name: sum(figures[name] for figures in every) for name in _FIGURES},
        "partitions": [
            {
                "partition": name,
                "clean": report.clean,
                **_figures(report),
                "differences": [difference._asdict() for difference in report.differences],
            }
            for name, report in reports.items()
        ],
    }


def _figures(report: Report) -> dict[str, int]:
    return {name: getattr(report, name) for name in _FIGURES}


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
