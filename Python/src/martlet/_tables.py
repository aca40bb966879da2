"""Tables of flows, whoever made them, and their columns by either of their names."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import pyarrow.csv


def as_table(source: Any, delimiter: str = ",") -> pa.Table:
    """An Arrow table of a file of CSV, a data frame, or whatever Arrow takes."""
    if isinstance(source, (str, os.PathLike)):
        return pa.csv.read_csv(source, parse_options=pa.csv.ParseOptions(delimiter=delimiter))
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    return pa.Table.from_pandas(source, preserve_index=False)


def find(table: pa.Table, *names: str) -> pa.ChunkedArray | None:
    """The first of these columns, by its short or full name."""
    for name in names:
        for tried in (name, f"iana:{name}", f"cesnet:{name}"):
            if tried in table.column_names:
                return table[tried]
    return None


def plain(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, without a dictionary."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
