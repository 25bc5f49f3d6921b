"""Files that a partition's jobs may name as demand or stock: a record a line, as `POST /v1/orders` and `PUT /v1/stock`
take them. A job takes a copy of what it needs, so a file may be replaced or removed at any time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.documents import FAULTS_MAX
from engine.domain import Order, StockRow
from engine.errors import Fault, InvalidInputError, NotFoundError
from engine.simulation.demand_document import Upload
from engine.simulation.recorded import Spool, Spooling

T = TypeVar("T")


class Uploads:
    """The uploaded files of one partition."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def file(self, name: str) -> Path:
        """Where a file of this name is, or would be."""
        return self.directory / blake2b(name.encode(), digest_size=16).hexdigest()

    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self.directory.iterdir()) if self.directory.is_dir() else 0

    def remove(self, name: str) -> int:
        """Remove a file, and tell how many bytes it had. Raises NotFoundError."""
        file = self.file(name)
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            raise NotFoundError(f"there is no upload {name!r} in this partition") from None
        return size

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


def _missing(upload: Upload, path: str) -> InvalidInputError:
    reason = f"there is no upload {upload.file!r}: PUT /v1/simulation-uploads/{{file}} first"
    return InvalidInputError.at(f"{path}.file", reason)
