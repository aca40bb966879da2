"""Fields of a table of flows as the exporter has them when it makes features: numbers, times since the flow's start, lists.

A table may be Arrow's, of pandas or polars, or a dictionary of lists, and its values those of ``martlet.flows`` or the texts of
CSV: times in ISO 8601, lists in brackets. Columns of Arrow are read without a look at each value.
"""

from __future__ import annotations

import json
import math
import re
import sys
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from .. import _columns
from .._columns import Floats, Lists
from .._errors import ModelError

#: Fields of 32-bit floating point (`martlet --list-plugins`): CSV and JSON have the shortest decimals that name these, which as
#: float64 would be other numbers than the exporter's.
FLOAT32 = frozenset(
    [
        "ntsMeanPacketPayload", "ntsStdevPacketPayload", "ntsRootMeanSquarePacketPayload",
        "ntsAverageDispersionPacketPayload", "ntsKurtosisPacketPayload", "ntsMeanScaledTime", "ntsMeanDifftimes",
        "ntsMinDifftimes", "ntsMaxDifftimes", "ntsTimeDistribution", "ntsSwitchingRatio",
        "meanIpTotalLength", "deviationIpTotalLength", "meanPacketGap", "deviationPacketGap",
        "reverseMeanIpTotalLength", "reverseDeviationIpTotalLength", "reverseMeanPacketGap", "reverseDeviationPacketGap",
        "biflowMeanIpTotalLength", "biflowDeviationIpTotalLength", "biflowMeanPacketGap", "biflowDeviationPacketGap",
        "modelScore", "model2Score", "model3Score", "model4Score",
    ]
)  # fmt: skip
#: The field that times are counted from.
START = "flowStartMicroseconds"


class Field(ABC):
    """One field of all flows."""

    def __init__(self, name: str, fields: Fields) -> None:
        self.name, self.fields = name, fields

    @cached_property
    def numbers(self) -> Floats:
        """The field's numbers, of times microseconds since the flow's start; NaN where there is none."""
        if self._is_time:
            return self.moments() - self.fields.start
        numbers = self._numbers()
        if self.name in FLOAT32:
            numbers = numbers.astype(np.float32).astype(np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    @cached_property
    def lists(self) -> Lists:
        """The field's lists, of numbers as those of ``numbers``."""
        return self._lists()

    def entries(self, index: int) -> Floats:
        """An entry of each list; NaN where the list is shorter, or not there."""
        lists = self.lists
        result = np.full(len(lists.counts), np.nan)
        longer = lists.counts > index
        result[longer] = lists.values[lists.starts[longer] + index]
        return result

    @abstractmethod
    def moments(self) -> Floats:
        """Times in microseconds since 1970, which float64 has exactly until 2255; NaN where there is none."""

    @property
    @abstractmethod
    def _is_time(self) -> bool: ...

    @abstractmethod
    def _numbers(self) -> Floats: ...

    @abstractmethod
    def _lists(self) -> Lists: ...

    def _is_a_list(self) -> ModelError:
        return ModelError(f"column {self.name} is a list: say {self.name}[0]")

    def _is_no_list(self) -> ModelError:
        return ModelError(f"column {self.name} is no list: say {self.name}")


class _ArrowField(Field):
    """A column of Arrow that has numbers, times, or lists of these."""

    def __init__(self, name: str, fields: Fields, array: Any) -> None:
        super().__init__(name, fields)
        self.array = array

    @staticmethod
    def takes(array: Any) -> bool:
        import pyarrow as pa

        kind = array.type.value_type if _columns.is_list(array.type) else array.type
        tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_timestamp)
        return any(test(kind) for test in tests)

    def moments(self) -> Floats:
        whole = (_columns.integers(self.array) // 1000).astype(np.float64)
        return np.where(self.array.is_valid().to_numpy(zero_copy_only=False), whole, np.nan)

    @property
    def _is_time(self) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_timestamp(self.array.type))

    def _numbers(self) -> Floats:
        if _columns.is_list(self.array.type):
            raise self._is_a_list()
        return _columns.floats(self.array)

    def _lists(self) -> Lists:
        import pyarrow as pa

        if not _columns.is_list(self.array.type):
            raise self._is_no_list()
        if not pa.types.is_timestamp(self.array.type.value_type):
            return _columns.lists(self.array, _columns.floats)
        return _columns.lists(self.array).map(lambda rows, times: times // 1000 - self.fields.start[rows])


class _ObjectField(Field):
    """A column of whatever Python has: numbers, texts of CSV, lists, times."""

    def __init__(self, name: str, fields: Fields, column: Any) -> None:
        super().__init__(name, fields)
        if hasattr(column, "to_numpy"):
            try:
                column = column.to_numpy(zero_copy_only=False)  # Arrow's arrays
            except TypeError:
                column = column.to_numpy()
        elif hasattr(column, "to_pylist"):
            column = column.to_pylist()
        if not isinstance(column, np.ndarray):
            # Filled one by one: of lists of one length NumPy would make a matrix.
            column, listed = np.empty(len(column), dtype=object), column
            for index, value in enumerate(listed):
                column[index] = value
        self.values = column.astype(object) if column.dtype.kind in "UST" else column

    def moments(self) -> Floats:
        return _microseconds(self.values)

    @property
    def _is_time(self) -> bool:
        if self.values.dtype.kind != "O":
            return bool(self.values.dtype.kind == "M")
        return _is_time(next((value for value in self.values if not _is_missing(value)), None))

    def _numbers(self) -> Floats:
        if self.values.dtype.kind == "O":
            return np.array([self._number(value) for value in self.values], dtype=np.float64)
        return np.asarray(self.values.astype(np.float64))

    def _lists(self) -> Lists:
        lists = [self._entries(value) for value in self.values]
        flat = [entry for entries in lists if entries is not None for entry in entries]
        is_time = any(entries is not None and len(entries) and _is_time(entries[0]) for entries in lists)
        found = Lists.of(
            np.array([0 if entries is None else len(entries) for entries in lists], np.int64),
            np.array([entries is not None for entries in lists], np.bool_),
            _microseconds(np.array(flat, dtype=object)) if is_time else np.array([self._number(one) for one in flat], np.float64),
        )
        return found.map(lambda rows, times: times - self.fields.start[rows]) if is_time else found

    def _number(self, value: Any) -> float:
        if value is None or (isinstance(value, str) and not value):
            return math.nan
        if hasattr(value, "__len__") and (not isinstance(value, (str, bytes)) or value[:1] == "["):
            raise self._is_a_list()
        try:
            if not isinstance(value, bytes):
                return float(value)
        except (TypeError, ValueError):
            pass
        raise ModelError(f"column {self.name} has {value!r}, which is no number")

    def _entries(self, value: Any) -> Any:
        if _is_missing(value):
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise self._is_no_list() from None
        if not hasattr(value, "__len__") or isinstance(value, (str, bytes)):
            raise self._is_no_list()
        return value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, float)) and (value == "" or value != value))


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        return re.match(r"\d{4}-\d\d-\d\d[T ]", value) is not None
    return hasattr(value, "timestamp") or isinstance(value, np.datetime64)


def _microseconds(values: Any) -> Floats:
    """Times as whole microseconds since 1970; NaN where there is none."""
    if values.dtype.kind != "M":
        texts = [
            "NaT"
            if value is None or value != value or value == ""
            else re.sub(r"(Z|\+00:00)$", "", str(value)).replace(" ", "T")
            for value in values
        ]
        values = np.array(texts, dtype="datetime64[ns]")
    whole = values.astype("datetime64[ns]").astype(np.int64)
    return np.where(np.isnat(values), np.nan, whole // 1000)


class Fields:
    """The fields of a table by name, short or full; each column is read once."""

    def __init__(self, table: Any) -> None:
        self.table = table
        names = getattr(table, "column_names", None)
        if names is None:
            names = getattr(table, "columns", table)
        self.names = list(names)
        if not self.names:
            raise ModelError("the table has no columns")
        self._known: dict[str, Field] = {}

    def __getitem__(self, name: str) -> Field:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    @property
    def rows(self) -> int:
        """How many flows there are."""
        return len(self.table[self.names[0]])

    @cached_property
    def start(self) -> Floats:
        """Each flow's start in microseconds since 1970."""
        return self[START].moments()

    def _read(self, name: str) -> Field:
        found = _columns.find([str(one) for one in self.names], name)
        if found is None:
            raise ModelError(f"the table has no column {name}: choose its plugin")
        # Who has a table of Arrow has imported it, and without one it is not needed.
        arrow = sys.modules.get("pyarrow")
        if arrow is not None and isinstance(self.table, (arrow.Table, arrow.RecordBatch)):
            array = _columns.plain(self.table[found])
            return _ArrowField(name, self, array) if _ArrowField.takes(array) else _ObjectField(name, self, array)
        return _ObjectField(name, self, self.table[found])
