"""Named features of flows as a matrix, for scikit-learn: numbers of a record, elements of its lists, functions of these.

A feature's name says how it is made of a record, in the words in which a compiled model's manifest asks for it:
``octetDeltaCount``, ``packetLength[3]``, ``log1p(octetDeltaCount)``, ``log1p(packetLength[3])``, ``count(packetLength)``. Times
are microseconds since the flow's first packet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._columns import Lists, as_table, column, floats, integers, lists
from ._errors import InvalidOption


def _log1p(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """That of the C library, as the exporter has it: NumPy's own differs in the last bit of some."""
    some, where = np.unique(values, return_inverse=True)
    made = np.array([math.log1p(one) if one > -1 else math.nan for one in some.tolist()], np.float64)
    return made[where.reshape(-1)] if len(values) else values


#: Functions of a value. Outside of their domain they give NaN, which counts as missing.
FUNCTIONS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "log1p": _log1p, "sqrt": np.sqrt, "abs": np.abs}

_FEATURE = re.compile(
    r"(?:(?P<function>\w+)\()?(?P<column>[\w:@]+)(?:\[(?P<first>\d+)(?::(?P<end>\d+))?\])?(?P<close>\))?$")


class _Feature:
    """One feature's parts."""

    def __init__(self, function: str | None, name: str, place: int | None) -> None:
        self.function, self.column, self.place = function, name, place

    @property
    def is_list(self) -> bool:
        """Whether the column must be one of lists."""
        return self.place is not None or self.function == "count"

    def __str__(self) -> str:
        inner = self.column if self.place is None else f"{self.column}[{self.place}]"
        return inner if self.function is None else f"{self.function}({inner})"


def expand_features(names: Iterable[str]) -> list[_Feature]:
    """Features by their names; ``packetLength[0:8]`` stands for eight of them. Raises InvalidOption for what is none."""
    found = []
    for name in names:
        match = _FEATURE.match(name.replace(" ", ""))
        if match is None or (match["function"] is None) != (match["close"] is None):
            raise InvalidOption(f"{name!r} is no feature: octetDeltaCount, packetLength[3], packetLength[0:8] or log1p(…) are")
        function = match["function"]
        if function is not None and function not in FUNCTIONS and function != "count":
            raise InvalidOption(f"{name!r}: there is no function {function}; there are: {', '.join(FUNCTIONS)}, count")
        if match["first"] is None:
            found.append(_Feature(function, match["column"], None))
            continue
        first = int(match["first"])
        end = int(match["end"]) if match["end"] else first + 1
        if end <= first:
            raise InvalidOption(f"{name!r} has no element")
        found += [_Feature(function, match["column"], place) for place in range(first, end)]
    return found


class FlowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer that makes a matrix of flows' features.

    It takes what has the records' columns: flows, a table of pyarrow, pandas or polars. ``set_output(transform="pandas")``
    and ``"polars"`` work, with the features' names as columns.

    :param features: names of features; where there are none, all columns of numbers but addresses, ports, times and
        others that say which flow it is rather than what it is like (see ``IDENTITIES``)
    :param missing: what stands where a flow does not have the field: 0, or ``float("nan")`` for models that know NaN
    """

    #: Columns of numbers that are not taken by themselves: a model would learn hosts and services by heart.
    IDENTITIES = frozenset({
        "sourceTransportPort", "destinationTransportPort", "ingressInterface", "flowId", "vlanId", "quicServerPort",
        "DNSTransactionID", "WGSrcPeer", "WGDstPeer", "protocolIdentifier", "ipVersion",
        "flowLabelIPv6", "reverseFlowLabelIPv6",
    })

    def __init__(self, features: Iterable[str] | None = None, missing: float = 0.0) -> None:
        self.features = features
        self.missing = missing

    def fit(self, X: Any, y: object = None) -> FlowFeatures:
        """Finds out which features there are; learns nothing."""
        names = list(self.features) if self.features is not None else self._numbers(as_table(X))
        self.features_ = expand_features(names)
        if not self.features_:
            raise InvalidOption("no features: name some, or give columns of numbers")
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """The features of each row, (flows, features). Raises InvalidOption where a column is not there."""
        check_is_fitted(self, "features_")
        table = as_table(X)
        made = np.full((table.num_rows, len(self.features_)), self.missing, np.float64)
        read: dict[tuple[str, bool], Any] = {}
        for place, feature in enumerate(self.features_):
            key = (feature.column, feature.is_list)
            if key not in read:
                read[key] = self._read(table, feature)
            if feature.function == "count":
                made[:, place] = np.where(read[key].there, read[key].counts, self.missing)
                continue
            values = read[key] if feature.place is None else _elements(read[key], feature.place, table.num_rows)
            if feature.function is not None:
                with np.errstate(invalid="ignore"):
                    values = FUNCTIONS[feature.function](values)
            made[:, place] = np.where(np.isfinite(values), values, self.missing)
        return made

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """The columns' names."""
        check_is_fitted(self, "features_")
        return np.array([str(feature) for feature in self.features_], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _numbers(self, table: Any) -> list[str]:
        import pyarrow as pa

        return [
            field.name for field in table.schema
            if field.name.partition(":")[2] not in self.IDENTITIES and field.name not in self.IDENTITIES
            and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
        ]

    def _read(self, table: Any, feature: _Feature) -> Any:
        array = column(table, feature.column)
        if array is None:
            raise InvalidOption(f"feature {feature} needs column {feature.column}, which is not there: choose its plugin")
        import pyarrow as pa

        is_list = hasattr(array.type, "value_field") and not pa.types.is_dictionary(array.type)
        if is_list != feature.is_list:
            wanted = f"{feature.column}[0]" if is_list else feature.column
            raise InvalidOption(f"feature {feature}: the column's type is {array.type}; say {wanted}")
        kind = array.type.value_type if is_list else array.type
        tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_timestamp)
        if not any(test(kind) for test in tests):
            raise InvalidOption(f"feature {feature} is no number: the column's type is {array.type}")
        is_time = pa.types.is_timestamp(kind)
        start = self._start(table, feature) if is_time else np.zeros(0, np.int64)
        if is_list:
            found = lists(array)
            return replace(found, values=found.values // 1000 - start[found.rows]) if is_time else found
        if is_time:
            return np.where(array.is_valid().to_numpy(zero_copy_only=False), integers(array) // 1000 - start, np.nan)
        return floats(array)

    def _start(self, table: Any, feature: _Feature) -> npt.NDArray[np.int64]:
        """Each flow's beginning in microseconds."""
        array = column(table, "flowStartMicroseconds")
        if array is None:
            raise InvalidOption(f"feature {feature} is a time, which needs column flowStartMicroseconds")
        return integers(array) // 1000


def _elements(found: Lists, place: int, count: int) -> npt.NDArray[np.float64]:
    values = np.full(count, np.nan)
    chosen = found.places == place
    values[found.rows[chosen]] = found.values[chosen]
    return values
