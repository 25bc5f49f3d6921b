"""`apportion export`: orders, decisions or stock changes from the archive, as NDJSON or CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.terminal import CommandError, Terminal, complete
from engine.archive import reading, stock_history
from engine.archive.database import Archive, ArchiveUnavailableError
from engine.assembly import archive_of
from engine.settings import Settings

HELP = f"""Write orders, decisions or stock changes from the archive, oldest first, as NDJSON or CSV.

Works beside a running service and without one. Ctrl-C ends it after a whole line; what is written is good.

Example: apportion export --what stock --format csv --since 2026-11-01T00:00:00Z --output stock.csv

{EPILOG}"""

PAGE = 500


class What(StrEnum):
    """What to write."""

    ORDERS = "orders"
    DECISIONS = "decisions"
    STOCK = "stock"


class Form(StrEnum):
    """How to write it."""

    NDJSON = "ndjson"
    CSV = "csv"


def export(
    what: Annotated[What, typer.Option(help="Orders as they stand, decisions, or stock changes.")] = What.ORDERS,
    form: Annotated[Form, typer.Option("--format", help="NDJSON: all of it; CSV: the flat fields.")] = Form.NDJSON,
    since: Annotated[str | None, typer.Option(help="Only from this instant on (RFC 3339).")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; none: standard output.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The data directory with the archive.")] = None,
    archive_url: Annotated[str | None, typer.Option(help="Read this archive database instead.")] = None,
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    json: Annotated[bool, typer.Option("--json", help="With --output: figures as one JSON line.")] = False,
) -> None:
    terminal = Terminal(json)
    if json and output is None:
        terminal.fail(CommandError("--json needs --output: standard output is the export itself"))
    given = {"data_dir": data_dir, "archive_url": archive_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    if settings.archive_url is None and not (settings.data_dir / "archive.sqlite").is_file():
        terminal.fail(CommandError(f"there is no archive in {settings.data_dir}"))
    try:
        since_ms = 0 if since is None else _since_ms(since)
    except ValueError:
        terminal.fail(CommandError(f"--since {since}: not an instant, as 2026-11-01T00:00:00Z"))
    complete(terminal, _export(terminal, settings, partition, what, form, since_ms, output))


def _since_ms(text: str) -> int:
    instant = datetime.fromisoformat(text)
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


async def _export(
    terminal: Terminal, settings: Settings, partition: str, what: What, form: Form, since_ms: int, output: Path | None
) -> ExitCode:
    archive = archive_of(settings)
    writer = _Writer(form)
    rows = 0
    with terminal.progress(f"exporting {what.value}", None) if output else _Quiet() as progress:
        file: IO[bytes] = output.open("wb") if output else sys.stdout.buffer
        try:
            async for page in _pages(archive, partition, what, since_ms):
                file.write(writer.lines(page))
                rows += len(page)
                progress.advance(len(page))
            file.flush()
        except ArchiveUnavailableError as error:
            raise CommandError(f"the archive does not answer: {error}", ExitCode.UNAVAILABLE) from error
        except BrokenPipeError:
            return ExitCode.OK
        finally:
            if output:
                file.close()
            await archive.close()
    if output:
        terminal.result({"what": what.value, "rows": rows, "file": str(output)}, [f"{rows:,} rows in {output}"])
    return ExitCode.OK


class _Quiet:
    """No progress where the export itself is on the terminal."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, steps: int) -> None:
        """Say nothing."""


async def _pages(archive: Archive, partition: str, what: What, since_ms: int) -> Any:
    """Pages of rows, each a dict; memory is bounded by a page."""
    if what is What.STOCK:
        at = (since_ms, -1, -1)
        while page := await archive.read(stock_history.stock_changes, partition, at, PAGE):
            yield [_stock(change) for change in page]
            at = page[-1].ms, page[-1].number, page[-1].k
        return
    row: Callable[[Any], dict[str, Any]] = _order if what is What.ORDERS else _decision
    place = (since_ms, -1, "")
    while found := await archive.read(reading.documents, partition, place, PAGE):
        yield [row(order) for order in found]
        place = found[-1].decided_ms, found[-1].number, found[-1].order_id
        await asyncio.sleep(0)


def _order(order: Any) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "state": order.state,
        "placed_at": _instant(order.placed_ms),
        "decided_at": _instant(order.decided_ms),
        "changed_at": _instant(order.changed_ms),
        "order": msgspec.Raw(order.document),
    }


def _decision(order: Any) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "decided_at": _instant(order.decided_ms),
        "decision": msgspec.Raw(order.decision),
        "first_decision": msgspec.Raw(order.first_decision),
    }


def _stock(change: stock_history.StockChange) -> dict[str, Any]:
    row = {"at": _instant(change.ms), **change._asdict()}
    return {name: value for name, value in row.items() if name not in ("ms", "number", "k")}


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


class _Writer:
    """Rows as lines; in CSV with a head, and documents as JSON in their field."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._begun = False

    def lines(self, rows: Sequence[dict[str, Any]]) -> bytes:
        """Whole lines for these rows."""
        if self._form is Form.NDJSON:
            return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        text = io.StringIO()
        table = csv.writer(text)
        if not self._begun and rows:
            table.writerow(rows[0])
            self._begun = True
        for row in rows:
            table.writerow(_flat(row.values()))
        return text.getvalue().encode()


def _flat(values: Iterable[Any]) -> list[Any]:
    return [bytes(value).decode() if isinstance(value, msgspec.Raw) else value for value in values]
