"""Columns of record batches as NumPy arrays: numbers, times, and lists as values with the row that each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._require import require

if TYPE_CHECKING:
    import pyarrow as pa

Floats: TypeAlias = "npt.NDArray[np.float64]"
Integers: TypeAlias = "npt.NDArray[np.int64]"
Booleans: TypeAlias = "npt.NDArray[np.bool_]"


def as_table(data: Any) -> pa.Table:
    """Anything that is a table: of pyarrow, pandas or polars, or what has an Arrow C stream, such as Flows."""
    pa = require("pyarrow", "this function")
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    if hasattr(data, "iloc"):
        return pa.Table.from_pandas(data, preserve_index=False)
    raise TypeError(f"a table of pyarrow, pandas or polars, or flows, not {type(data).__name__}")


def find(names: Sequence[str], wanted: str) -> str | None:
    """The column of that name, short or full (``cesnet:packetLength`` where ``packetLength`` is wanted)."""
    if wanted in names:
        return wanted
    for name in names:
        scope, colon, rest = name.partition(":")
        if not colon:
            continue
        if scope.endswith("@reverse"):
            rest = "reverse" + rest[:1].upper() + rest[1:]
        if rest == wanted:
            return name
    return None


def column(table: Any, wanted: str) -> pa.Array | None:
    """A column as one array, or None where the table has none of that name."""
    import pyarrow as pa

    name = find(table.schema.names, wanted)
    if name is None:
        return None
    found = table.column(name)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
        if isinstance(found, pa.ChunkedArray):
            found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    if isinstance(found, pa.DictionaryArray):
        found = found.dictionary_decode()
    return found


def integers(array: pa.Array, missing: int = 0) -> Integers:
    """An array of whole numbers, or of times in nanoseconds, as int64; what is missing is ``missing``."""
    import pyarrow as pa

    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ns", array.type.tz)).cast(pa.int64())
    elif array.type == pa.uint64():
        # Beyond 2^63 there are only hashes and bit masks: their bits are kept.
        return np.asarray(array.fill_null(missing).to_numpy(zero_copy_only=False)).view(np.int64)
    elif array.type != pa.int64():
        array = array.cast(pa.int64())
    if array.null_count:
        array = array.fill_null(missing)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def floats(array: pa.Array, missing: float = np.nan) -> Floats:
    """An array of numbers as float64; what is missing is ``missing``, times are nanoseconds."""
    import pyarrow as pa

    if pa.types.is_timestamp(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.int64())
    found = np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
    if array.null_count:
        found = np.where(array.is_valid().to_numpy(zero_copy_only=False), found, missing)
    return found


@dataclass(frozen=True)
class Lists:
    """A column of lists: all elements one behind the other, and for each its row and its place in the list."""

    rows: Integers
    places: Integers
    counts: Integers
    #: Where there is a list, be it empty.
    there: Booleans
    values: Any

    @property
    def starts(self) -> Integers:
        """Where each row's elements begin."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)[:-1]]) if len(self.counts) else self.counts


def lists(array: pa.Array) -> Lists:
    """A column of lists of numbers or times; where the list is missing it is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type)):
        raise TypeError(f"a column of lists, not of {array.type}")
    counts = integers(pc.list_value_length(array))
    values = array.flatten()
    total = int(counts.sum())
    if len(values) != total:  # lists that are missing but have elements behind them
        values = array.fill_null(pa.scalar([], array.type)).flatten()
    rows = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    places = np.arange(total) - np.repeat(starts, counts)
    there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    return Lists(rows, places, counts, there, integers(values))


@dataclass(frozen=True)
class Statistics:
    """Statistics of values by row; where a row has none everything is 0, and a deviation of one value is 0."""

    count: Integers
    total: Floats
    minimum: Floats
    maximum: Floats
    mean: Floats
    #: That of a sample: divided by count - 1.
    deviation: Floats


def statistics(rows: Integers, values: npt.NDArray[Any], length: int) -> Statistics:
    """Statistics of ``values`` by their row, of which there are ``length``; rows are sorted."""
    numbers = values.astype(np.float64)
    count = np.bincount(rows, minlength=length).astype(np.int64)
    total = np.bincount(rows, numbers, minlength=length).astype(np.float64)
    some = count > 0
    minimum, maximum, mean = (np.zeros(length) for _ in range(3))
    if len(numbers):
        starts = (np.cumsum(count) - count)[some]
        minimum[some] = np.minimum.reduceat(numbers, starts)
        maximum[some] = np.maximum.reduceat(numbers, starts)
    np.divide(total, count, out=mean, where=some)
    squares = np.bincount(rows, (numbers - mean[rows]) ** 2, minlength=length)
    deviation = np.zeros(length)
    np.divide(squares, count - 1, out=deviation, where=count > 1)
    return Statistics(count, total, minimum, maximum, mean, np.sqrt(deviation))
