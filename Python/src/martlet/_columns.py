"""Columns of record batches as NumPy arrays: numbers, times, and lists as values with the row that each belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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


def read_table(data: Any, delimiter: str = ",") -> pa.Table:
    """A table as ``as_table`` takes it, or that of a file of CSV."""
    if not isinstance(data, (str, os.PathLike)):
        return as_table(data)
    import pyarrow.csv

    return pyarrow.csv.read_csv(data, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter))


def find(names: Sequence[str], wanted: str) -> str | None:
    """The column of that name, short or full (``cesnet:packetLength`` where ``packetLength`` is wanted)."""
    if wanted in names:
        return wanted
    return next((name for name in names if short(name) == wanted), None)


def short(name: str) -> str:
    """A column's short name: ``reverseOctetDeltaCount`` of ``iana@reverse:octetDeltaCount``."""
    scope, colon, rest = name.rpartition(":")
    return "reverse" + rest[:1].upper() + rest[1:] if colon and scope.endswith("@reverse") else rest


def plain(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without a dictionary."""
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def column(table: Any, *wanted: str) -> pa.Array | None:
    """The first of these columns that the table has, as one array, or None where it has none of them."""
    for name in wanted:
        if (found := find(table.schema.names, name)) is not None:
            return plain(table.column(found))
    return None


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

    @classmethod
    def of(cls, counts: Integers, there: Booleans, values: npt.NDArray[Any]) -> Lists:
        """Lists of so many elements each."""
        rows = np.repeat(np.arange(len(counts)), counts)
        return cls(rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts), counts, there, values)

    def map(self, function: Callable[[Integers, Any], Any]) -> Lists:
        """These lists with other elements, which a function makes of each one's row and value."""
        return replace(self, values=function(self.rows, self.values))

    @property
    def starts(self) -> Integers:
        """Where each row's elements begin."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)[:-1]]) if len(self.counts) else self.counts


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def lists(array: pa.Array, numbers: Callable[[pa.Array], npt.NDArray[Any]] = integers) -> Lists:
    """A column of lists of numbers or times, which ``numbers`` reads; where the list is missing it is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_list(array.type):
        raise TypeError(f"a column of lists, not of {array.type}")
    counts = integers(pc.list_value_length(array))
    values = array.flatten()
    if len(values) != int(counts.sum()):  # lists that are missing but have elements behind them
        values = array.fill_null(pa.scalar([], array.type)).flatten()
    there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    return Lists.of(counts, there, numbers(values))


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
