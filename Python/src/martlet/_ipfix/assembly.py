"""From decoded records of many templates to record batches of one schema, which grows as elements come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from .counters import Counters
from .columns import hexadecimal
from .elements import DIGESTS, Element
from .records import Table

#: Cells of a batch, so that many columns of nulls do not make few octets of a stream into much memory.
MOST_CELLS = 1 << 24
#: Octets of decoded records that are gathered before they are given out, however few rows they are.
MOST_OCTETS = 128 << 20

#: What each record has besides its own fields.
ABOUT = [
    pa.field("exporter", pa.dictionary(pa.int32(), pa.string())),
    pa.field("observationDomainId", pa.uint32()),
    pa.field("exportTime", pa.timestamp("ns", "UTC")),
]


class Assembly:
    """Collects decoded records and gives them out as batches.

    `names` is `short` or `full`; with a `schema` batches have that and no other. Otherwise columns come in the order in which
    they are first seen, `columns` at most.
    """

    def __init__(self, counters: Counters, names: str, schema: pa.Schema | None, batch_rows: int, columns: int) -> None:
        self.counters, self.names, self.fixed, self.batch_rows, self.limit = counters, names, schema, batch_rows, columns
        self.schema = schema if schema is not None else pa.schema(ABOUT)
        self.rows = self.octets = 0
        self._tables: list[pa.Table] = []
        self._names: dict[tuple[Element, int, pa.DataType], str | None] = {}

    def add(self, exporter: str, table: Table) -> None:
        """Takes the records of one template from one exporter."""
        rows = table.rows
        arrays = {
            "exporter": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([exporter])),
            "observationDomainId": pa.array(table.domain),
            "exportTime": pa.array(table.exported * 10**9).cast(pa.timestamp("ns", "UTC")),
        }
        for element, which, array in table.columns:
            # Octets alone: lists of digests, and what a stream says is another type (RFC 5610), are what they are.
            is_digest = (element.enterprise, element.number) in DIGESTS and pa.types.is_binary(array.type)
            if is_digest and self.names == "short":
                array = hexadecimal(array)
            name = self._name(element, which, array.type)
            if name is None or name in arrays:
                self.counters.values_left_out += rows - array.null_count
            else:
                arrays[name] = array
        if self.fixed is not None:
            arrays = {name: array for name, array in arrays.items() if name in self.fixed.names}
        fields = [self.schema.field(name) for name in arrays]
        made = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields)) if fields else None
        if made is None:
            made = pa.Table.from_arrays([pa.nulls(rows, self.schema.field(0).type)], schema=pa.schema([self.schema.field(0)]))
        self._tables.append(made)
        self.rows += rows
        self.octets += made.nbytes

    @property
    def is_full(self) -> bool:
        """Whether what there is should be given out."""
        return self.rows >= self.batch_rows or self.octets >= MOST_OCTETS

    def _name(self, element: Element, which: int, kind: pa.DataType) -> str | None:
        """The column of a field; None where there is none. A name that another element or another type has is made longer."""
        key = element, which, kind
        if key in self._names:
            return self._names[key]
        name: str | None = None
        full = element.column("full", which)
        for tried in (element.column(self.names, which), full, f"{full}({kind})"):
            place = self.schema.get_field_index(tried)
            if self.fixed is not None:
                if place >= 0 and self.schema.field(place).type == kind:
                    name = tried
                    break
            elif place < 0:
                if len(self.schema) < self.limit:
                    name = tried
                    self.schema = self.schema.append(pa.field(tried, kind))
                break
        if len(self._names) < 16 * self.limit:
            self._names[key] = name
        return name

    def take(self) -> Iterator[pa.RecordBatch]:
        """Gives out all there is."""
        tables, self._tables = self._tables, []
        self.rows = self.octets = 0
        if not tables:
            return
        step = max(1, min(self.batch_rows, MOST_CELLS // max(len(self.schema), 1)))
        whole: list[pa.Table] = []
        rows = 0
        for table in tables:
            offset = 0
            while offset < table.num_rows:
                part = table.slice(offset, step - rows)
                whole.append(part)
                rows += part.num_rows
                offset += part.num_rows
                if rows == step:
                    yield from self._batches(whole)
                    whole, rows = [], 0
        if whole:
            yield from self._batches(whole)

    def _batches(self, tables: list[pa.Table]) -> list[pa.RecordBatch]:
        """One batch, or more where a column's texts have more than the 2 GiB of one array."""
        joined = pa.concat_tables([self.schema.empty_table(), *tables], promote_options="default")
        batches: list[pa.RecordBatch] = joined.unify_dictionaries().combine_chunks().to_batches()
        return batches
