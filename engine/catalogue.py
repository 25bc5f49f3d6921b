"""The SKU catalogue: kits are made of plain parts, whatever is written by whom at the same time.

A kit is an entry with components. Kits do not nest, so no kit may be a component and no component may become a kit;
that forbids cycles, too. Only entries with components can break the rule: all others are written as they come.
Lines count from 1, as the caller sent the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.domain import Sku
from engine.errors import Fault
from engine.ledger.port import Ledger, SupersededError

ROWS_PER_CALL = 400
"""Kits, and what replaces kits, written in one step."""

PARTS_MAX = 500_000
"""The most components of all kits of one upload, which are kept until its end."""

NAMED_MAX = 5
"""How many other kits a reason names."""

Rows = Sequence[tuple[int, Sku]]
Faults = dict[int, list[Fault]]
"""What is wrong by line."""


def own_faults(sku: Sku) -> list[Fault]:
    """Everything wrong with an entry by itself."""
    faults: list[Fault] = []
    seen: set[str] = set()
    for i, component in enumerate(sku.components):
        if component.sku == sku.sku:
            faults.append(Fault(f"$.components[{i}].sku", "a kit cannot contain itself"))
        elif component.sku in seen:
            faults.append(Fault(f"$.components[{i}].sku", f"{component.sku!r} is a component already; add quantities"))
        seen.add(component.sku)
    seen = set()
    for i, substitute in enumerate(sku.substitutes):
        if substitute.sku == sku.sku:
            faults.append(Fault(f"$.substitutes[{i}].sku", "a SKU cannot be its own substitute"))
        elif substitute.sku in seen:
            faults.append(Fault(f"$.substitutes[{i}].sku", f"{substitute.sku!r} is a substitute already"))
        seen.add(substitute.sku)
    return faults


class _Part(msgspec.Struct):
    sku: str


class _Entry(msgspec.Struct):
    """What of a stored entry concerns kits."""

    components: list[_Part] = []


_decode = msgspec.json.Decoder(_Entry).decode


class Kits:
    """The kits of a stored catalogue as of a version: the parts of each, and the kits that use a SKU."""

    def __init__(self) -> None:
        self.version = 0
        self.parts: dict[str, tuple[str, ...]] = {}
        self.users: dict[str, set[str]] = {}

    def put(self, sku: str, parts: Sequence[str]) -> None:
        """An entry was written; without parts it is no kit (any more)."""
        for part in self.parts.pop(sku, ()):
            self.users[part].discard(sku)
        if parts:
            self.parts[sku] = tuple(parts)
            for part in parts:
                self.users.setdefault(part, set()).add(sku)


class _Row(NamedTuple):
    line: int
    sku: Sku


def nesting(rows: Rows, kits: Kits) -> Faults:
    """Why which of these entries (each SKU once) cannot be written together: every row involved is named.

    A row that is refused does not replace what is stored, which may refuse others: looked at until nothing changes.
    """
    refused: Faults = {}
    standing = {sku.sku: _Row(line, sku) for line, sku in rows}
    while True:
        found: Faults = {}
        for line, fault in _nested(standing, kits):
            found.setdefault(line, []).append(fault)
        if not found:
            return refused
        refused |= found
        standing = {name: row for name, row in standing.items() if row.line not in refused}


def _nested(standing: Mapping[str, _Row], kits: Kits) -> Iterator[tuple[int, Fault]]:
    for name, (line, sku) in standing.items():
        if not sku.components:
            continue
        for i, component in enumerate(sku.components):
            path, part = f"$.components[{i}].sku", component.sku
            other = standing.get(part)
            if other is not None and other.sku.components:
                yield line, Fault(path, f"{part!r} is itself a kit (line {other.line}); kits do not nest")
                yield other.line, Fault("$.components", f"{part!r} is a component of the kit {name!r} (line {line})")
            elif other is None and part in kits.parts:
                yield line, Fault(path, f"{part!r} is itself a kit; kits do not nest")
        users = sorted(user for user in kits.users.get(name, ()) if user not in standing)
        if users:
            named = ", ".join(repr(user) for user in users[:NAMED_MAX])
            more = f" and {len(users) - NAMED_MAX} more" if len(users) > NAMED_MAX else ""
            yield line, Fault("$.components", f"{name!r} is a component of the kits {named}{more}; kits do not nest")


def _sequence(rows: Rows, kits: Kits) -> list[tuple[int, Sku]]:
    """The entries so that the catalogue is sound after each: plain ones, kits that are kits already, new kits."""
    return sorted(rows, key=lambda row: bool(row[1].components) * (2 - (row[1].sku in kits.parts)))


class Catalogue:
    """Writes the catalogue of every partition. Keeps the stored kits of those that kits were written to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kits: dict[str, Kits] = {}
        self._writing: dict[str, asyncio.Lock] = {}

    async def put(self, partition: str, rows: Rows) -> tuple[int, Faults]:
        """Insert or replace entries without `own_faults`, each SKU once; returns the new version (0: none written).

        Rows that would nest kits are not written. What was checked still stands when it is written: the store refuses
        a write that was checked against another version of the catalogue.
        """
        if not any(sku.components for _, sku in rows):
            entries = {sku.sku: msgspec.json.encode(sku) for _, sku in rows}
            return await self._ledger.put_skus(partition, entries) if entries else 0, {}
        async with self._writing.setdefault(partition, asyncio.Lock()):
            return await self._put_kits(partition, rows)

    async def _put_kits(self, partition: str, rows: Rows) -> tuple[int, Faults]:
        refused: Faults = {}
        version, checked = 0, False
        pending: Sequence[tuple[int, Sku]] = rows
        kits = self._kits.setdefault(partition, Kits())
        while pending:
            if not checked:
                await self._catch_up(partition, kits)
                refused |= await asyncio.to_thread(nesting, pending, kits)
                pending = _sequence([row for row in pending if row[0] not in refused], kits)
                checked = True
            chunk, rest = pending[:ROWS_PER_CALL], pending[ROWS_PER_CALL:]
            entries = {sku.sku: msgspec.json.encode(sku) for _, sku in chunk}
            if not entries:
                break
            try:
                version = await self._ledger.put_skus(partition, entries, replaces=kits.version)
            except SupersededError:
                checked = False  # somebody else wrote: what they wrote may forbid what is left
                continue
            for _, sku in chunk:
                kits.put(sku.sku, [component.sku for component in sku.components])
            kits.version, pending = version, rest
        return version, refused

    async def _catch_up(self, partition: str, kits: Kits) -> None:
        while True:
            reached, changed = await self._ledger.skus_since(partition, kits.version)
            for sku, body in changed.items():
                kits.put(sku, [part.sku for part in _decode(body).components])
            if reached == kits.version:
                return
            kits.version = reached


class Intake:
    """One upload: plain entries are written as they come, kits at its end, when all rows are known.

    A later row of the same SKU replaces an earlier one.
    """

    def __init__(self, catalogue: Catalogue, partition: str) -> None:
        self.version = 0
        self._catalogue = catalogue
        self._partition = partition
        self._kept: list[tuple[int, Sku]] = []
        self._names: set[str] = set()
        self._parts = 0

    async def take(self, rows: Rows) -> Faults:
        """Write what can be written yet; returns what is refused already."""
        faults: Faults = {}
        plain: dict[str, tuple[int, Sku]] = {}
        for line, sku in rows:
            if found := own_faults(sku):
                faults[line] = found
            elif not sku.components and sku.sku not in self._names:
                plain[sku.sku] = line, sku
            elif self._parts + 1 + len(sku.components) > PARTS_MAX:
                faults[line] = [Fault("$.components", f"an upload may have at most {PARTS_MAX} components of kits")]
            else:
                self._parts += 1 + len(sku.components)
                self._names.add(sku.sku)
                self._kept.append((line, sku))
        await self._put(list(plain.values()))
        return faults

    async def finish(self) -> Faults:
        """Write the kits; returns what is refused of them."""
        last = {sku.sku: (line, sku) for line, sku in self._kept}
        faults = await self._put(list(last.values()))
        for line, sku in self._kept:
            final = last[sku.sku][0]
            if line != final and final in faults:
                faults[line] = [Fault("$.sku", f"replaced by line {final}, which is refused")]
        return faults

    async def _put(self, rows: Rows) -> Faults:
        version, faults = await self._catalogue.put(self._partition, rows)
        self.version = max(self.version, version)
        return faults
