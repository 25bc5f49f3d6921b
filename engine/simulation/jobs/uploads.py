"""Files that a partition's jobs may name as demand or stock: a record a line, as `POST /v1/orders` and `PUT /v1/stock`
take them. A job takes a copy of what it needs, so a file may be replaced or removed at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from engine.documents import FAULTS_MAX
from engine.domain import Order, StockRow
from engine.errors import Fault, InvalidInputError, NotFoundError
from engine.simulation.demand_document import Upload
from engine.simulation.jobs.folder import COMING, write
from engine.simulation.jobs.shelf import STALE_MS
from engine.simulation.recorded import Spool, Spooling

T = TypeVar("T")


ABOUT = ".json"
"""What is known of a file stands beside it."""
HEAD_BYTES, BLOCK_BYTES = 1 << 16, 1 << 20
"""How much of a file is looked at to see whether it holds orders, and at once to count them."""


class About(Struct, frozen=True):
    """What a file does not say itself: its name, and how many orders it holds; None if it holds none."""

    name: str
    orders: int | None


class Entry(NamedTuple):
    """One file of a list. `orders`: lines of a file whose first record is an order; None of any other."""

    name: str
    bytes: int
    orders: int | None
    created_ms: float


class Uploads:
    """The uploaded files of one partition."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def file(self, name: str) -> Path:
        """Where a file of this name is, or would be."""
        return self.directory / blake2b(name.encode(), digest_size=16).hexdigest()

    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self._files())

    def _files(self) -> Iterator[Path]:
        """Those that are there wholly."""
        if self.directory.is_dir():
            yield from (path for path in self.directory.iterdir() if not path.suffix)

    def coming(self, name: str) -> Path:
        """Where a file is written before it is `placed`; each time another place."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.file(name).with_suffix(f"{COMING}-{token_hex(4)}")

    def place(self, name: str, coming: Path) -> None:
        """From now on the file is there, in place of an earlier one."""
        file = self.file(name)
        write(file.with_suffix(ABOUT), msgspec.json.encode(About(name=name, orders=_orders_in(coming))), settled=False)
        coming.replace(file)

    def listed(self) -> list[Entry]:
        """All of them by name; not those that an earlier version left, whose names nobody knows."""
        found = []
        for file in self._files():
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile, or has no name
                about = msgspec.json.decode(file.with_suffix(ABOUT).read_bytes(), type=About)
                told = file.stat()
                found.append(Entry(about.name, told.st_size, about.orders, told.st_mtime * 1000))
        return sorted(found)

    def remove(self, name: str) -> int:
        """Remove a file, and tell how many bytes it had. Raises NotFoundError."""
        file = self.file(name)
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            raise NotFoundError(f"there is no upload {name!r} in this partition") from None
        file.with_suffix(ABOUT).unlink(missing_ok=True)
        return size

    def clear_up(self, oldest_ms: float, now_ms: float) -> None:
        """Remove what came before that instant, and what has been coming for a day: its writer is dead."""
        for path in list(self.directory.iterdir()):
            before_ms = now_ms - STALE_MS if path.suffix.startswith(COMING) else oldest_ms
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime * 1000 < before_ms:
                    path.unlink()

    def require(self, upload: Upload, path: str) -> None:
        """Raise InvalidInputError, below this path, if there is no such file or it is to be mapped."""
        if upload.mapping:
            reason = "a service reads records in its own form: `apportion simulate --url` maps files and uploads them"
            raise InvalidInputError.at(f"{path}.mapping", reason)
        if not self.file(upload.file).exists():
            raise _missing(upload, path)

    def orders(self, upload: Upload, spool: Path, orders_max: int) -> Spool:
        """The orders of a file, written down by instant. Raises InvalidInputError with the lines of all faults."""
        spooling = Spooling(spool, orders_max)
        for order in self._records(upload, Order, "$.demand.upload"):
            spooling.add(order)
        return spooling.finish()

    def stock(self, upload: Upload) -> tuple[StockRow, ...]:
        """The stock of a file; the last row of a cell counts. Raises InvalidInputError as `orders` does."""
        rows = self._records(upload, StockRow, "$.stock.upload")
        return tuple({(row.node_id, row.sku): row for row in rows}.values())

    def _records(self, upload: Upload, kind: type[T], path: str) -> Iterator[T]:
        """The records of a file; after a bad line the rest is only looked through for others."""
        self.require(upload, path)
        decode = msgspec.json.Decoder(kind).decode
        faults: list[Fault] = []
        try:
            with self.file(upload.file).open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.strip():
                        continue
                    try:
                        record = decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                        faults.append(Fault(f"{upload.file}, line {number}", str(error)))
                        if len(faults) == FAULTS_MAX:
                            break
                        continue
                    if not faults:
                        yield record
        except FileNotFoundError:
            raise _missing(upload, path) from None
        if faults:
            raise InvalidInputError(f"{upload.file} has lines that cannot be used", faults)


class _First(Struct, frozen=True):
    """What only orders have."""

    order_id: str


def _orders_in(file: Path) -> int | None:
    """How many lines a file of orders has."""
    with file.open("rb") as lines:
        head = lines.read(HEAD_BYTES).lstrip().partition(b"\n")[0]
        try:
            msgspec.json.decode(head, type=_First)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        lines.seek(0)
        count, last = 0, b""
        while block := lines.read(BLOCK_BYTES):
            count, last = count + block.count(b"\n"), block[-1:]
        return count + (last != b"\n")


def _missing(upload: Upload, path: str) -> InvalidInputError:
    reason = f"there is no upload {upload.file!r}: PUT /v1/simulation-uploads/{{file}} first"
    return InvalidInputError.at(f"{path}.file", reason)
