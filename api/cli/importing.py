"""`apportion import`: load orders, SKUs or stock from a CSV or NDJSON file into a running service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from api.cli.client import Client, ServiceUnreachableError
from api.cli.codes import EPILOG, ExitCode
from api.cli.mapping import load_mapping
from api.cli.orderfile import OrderFile, ReadOrder, read_records
from api.cli.rejects import RejectFile
from api.cli.replay import connect
from api.cli.rows import Rejected, RowReader
from api.cli.terminal import CommandError, Terminal, complete

HELP = f"""Load orders, SKUs or stock from a file, foreign columns renamed by a mapping file.

Bad rows are reported with their line number and kept in FILE.rejected.ndjson; the others are loaded.
Orders are decided by the service as they arrive; the same file imported twice changes nothing the second time.

Example: apportion import orders.csv --mapping shop.toml --dry-run

{EPILOG}"""

NDJSON = "application/x-ndjson"
CHUNK = {"orders": 500, "skus": 5_000, "stock": 20_000}
"""Records per request."""


class Kind(StrEnum):
    """What a file holds."""

    ORDERS = "orders"
    SKUS = "skus"
    STOCK = "stock"


@dataclass(slots=True)
class Item:
    """One record ready to be sent, and the lines that it came from."""

    record: Any
    lines: tuple[int, ...]


@dataclass(slots=True)
class Totals:
    """What became of the records."""

    records: int = 0
    sent: int = 0
    refused: int = 0
    told: list[str] = field(default_factory=list)
    """What the service said of those it refused."""


def import_(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON (may end in .gz), or - for standard input.")],
    kind: Annotated[Kind, typer.Option(help="What the file holds.")] = Kind.ORDERS,
    mapping: Annotated[Path | None, typer.Option(help="TOML or JSON: how foreign columns become ours.")] = None,
    url: Annotated[str, typer.Option(help="The running service.")] = "http://127.0.0.1:8080",
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read and check; needs no service.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write the records as NDJSON in our format.")] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where bad rows go; default FILE.rejected.ndjson.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    reader, items = open_source(file, kind.value, mapping)
    complete(terminal, _import(terminal, file, kind, reader, items, url, partition, dry_run, output, rejects))


def open_source(file: Path, kind: str, mapping: Path | None) -> tuple[RowReader, Iterator[Item | Rejected]]:
    """The file's records, of any kind, and the reader that counts its rows."""
    field_map = load_mapping(mapping, kind)
    if kind == "orders":
        source = OrderFile(file, field_map)
        return source.rows, (Item(e.order, e.lines) if isinstance(e, ReadOrder) else e for e in source)
    reader, records = read_records(file, kind, field_map)
    return reader, (e if isinstance(e, Rejected) else Item(e.record, (e.line,)) for e in records)


async def _import(
    terminal: Terminal,
    file: Path,
    kind: Kind,
    reader: RowReader,
    items: Iterator[Item | Rejected],
    url: str,
    partition: str,
    dry_run: bool,
    output: Path | None,
    rejects: Path | None,
) -> ExitCode:
    totals = Totals()
    client = None if dry_run else connect(url, partition, 4)
    with RejectFile(file, rejects) as bad, _open_output(output) as out, terminal.progress("importing", None) as line:
        for chunk in _chunks(items, bad, CHUNK[kind.value]):
            totals.records += len(chunk)
            if out is not None:
                out.writelines(msgspec.json.encode(item.record).decode() + "\n" for item in chunk)
            if client is not None:
                await _send(client, kind, chunk, totals)
            line.advance(len(chunk))
    _report(terminal, reader, bad, totals, dry_run)
    return ExitCode.PROBLEMS if bad.count or totals.refused else ExitCode.OK


def _open_output(path: Path | None) -> Any:
    try:
        return nullcontext() if path is None else path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror})") from error


def _chunks(items: Iterator[Item | Rejected], bad: RejectFile, size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        if isinstance(item, Rejected):
            bad.add(item)
            continue
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _send(client: Client, kind: Kind, chunk: list[Item], totals: Totals) -> None:
    """One request; what the service refuses comes back with the line of the file."""
    body = b"\n".join(msgspec.json.encode(item.record) for item in chunk) + b"\n"
    try:
        if kind is Kind.ORDERS:
            response = await client.request("POST", "/v1/orders/bulk", body, NDJSON, timeout_s=600)
        else:
            response = await client.put(f"/v1/{kind.value}", body, NDJSON)
    except ServiceUnreachableError as error:
        raise CommandError(f"{error}; {totals.sent} records had been loaded", ExitCode.UNAVAILABLE) from error
    if response.status >= 300 and (kind is Kind.ORDERS or response.status != 422):
        raise CommandError(f"the service refused: {response.problem}", ExitCode.PROBLEMS)
    totals.sent += len(chunk)
    if kind is Kind.ORDERS:
        for index, answer in enumerate(response.body.splitlines()):
            document = msgspec.json.decode(answer)
            if "parcels" not in document:
                item = chunk[document.get("index", index)]
                detail = document.get("detail") or document.get("title")
                totals.refused += 1
                totals.told.append(f"line {item.lines[0]}, order {item.record.order_id}: {detail}")
        return
    document = response.json()
    faults = document.get("errors") or ()
    totals.refused += document.get("faulty", len(chunk) if response.status == 422 else 0)
    for fault in faults:
        item = _item_of(chunk, fault)
        place = f"line {item.lines[0]}" if item is not None else str(fault.get("path"))
        totals.told.append(f"{place}: {fault.get('reason')}")


def _item_of(chunk: list[Item], fault: dict[str, Any]) -> Item | None:
    """The record that a fault of an upload speaks of: by its line in the request, which has one record a line."""
    line = fault.get("line")
    if line is None:
        _, _, number = str(fault.get("path", "")).partition("line ")
        line = int(number.split()[0].rstrip(":,")) if number[:1].isdigit() else None
    return chunk[line - 1] if line is not None and 1 <= line <= len(chunk) else None


def _report(terminal: Terminal, reader: RowReader, bad: RejectFile, totals: Totals, dry_run: bool) -> None:
    skipped = sum(reader.skipped.values())
    document = {
        "rows": reader.read,
        "records": totals.records,
        "loaded": totals.sent - totals.refused,
        "rows_rejected": bad.count,
        "rows_skipped": skipped,
        "refused_by_service": totals.refused,
        "columns_not_used": reader.unused,
        "rejects_file": str(bad.path) if bad.count else None,
    }
    loaded = "nothing sent (dry run)" if dry_run else f"{document['loaded']:,} loaded"
    lines = [
        f"{reader.read:,} rows: {totals.records:,} records, {loaded}; "
        f"{bad.count:,} rows rejected, {skipped:,} skipped by rule, {totals.refused:,} refused by the service"
    ]
    if reader.unused:
        lines.append("columns not used: " + ", ".join(reader.unused))
    lines += bad.lines() + totals.told[:20]
    if bad.count:
        lines.append(f"rejected rows are in {bad.path}")
    terminal.result(document, lines)
