"""What the schemas share: columns of a batch by name, and batches made of arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .._columns import Booleans, Floats, Integers, column, floats, integers
from .._errors import InvalidOption


class Columns:
    """A batch's columns."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows

    def array(self, name: str) -> pa.Array:
        """A column that must be there."""
        found = column(self.batch, name)
        if found is None:
            raise InvalidOption(f"there is no column {name}")
        return found

    def whole(self, name: str, missing: int = 0) -> Integers:
        return integers(self.array(name), missing)

    def number(self, name: str, missing: float = 0.0) -> Floats:
        return floats(self.array(name), missing)

    def has(self, name: str) -> Booleans:
        """Where the column has a value."""
        found: Booleans = np.asarray(self.array(name).is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
        return found

    def text(self, *names: str) -> pa.Array:
        """The first of the columns that has a value; octets as hexadecimal digits, empty text as none."""
        found = [_text(array) for name in names if (array := column(self.batch, name)) is not None]
        if not found:
            return pa.nulls(self.rows, pa.string())
        return pc.coalesce(*found) if len(found) > 1 else found[0]

    def address(self, side: str) -> pa.Array:
        """Addresses as text: side is "source" or "destination"."""
        return self.text(f"{side}IPv4Address", f"{side}IPv6Address")


def _text(array: pa.Array) -> pa.Array:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        text = array.cast(pa.string())
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    return pa.array([None if one is None else one.hex() or None for one in array.to_pylist()], pa.string())


def whole_numbers(values: npt.NDArray[Any], kind: pa.DataType | None = None, there: Booleans | None = None) -> pa.Array:
    """An array of whole numbers; without a value where ``there`` is false."""
    made = pa.array(values, mask=None if there is None else ~there)
    return made if kind is None else made.cast(kind)


def numbers(values: npt.NDArray[Any], there: Booleans | None = None) -> pa.Array:
    """An array of float64; without a value where ``there`` is false."""
    return pa.array(values.astype(np.float64), pa.float64(), mask=None if there is None else ~there)


def fixed_lists(values: npt.NDArray[Any], there: Booleans | None = None) -> pa.Array:
    """A matrix as a column of lists of the same length."""
    width = values.shape[1]
    offsets = np.arange(0, values.size + 1, width, dtype=np.int32)
    mask = None if there is None else pa.array(~there)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)), mask=mask)


def batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Columns as a batch."""
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
