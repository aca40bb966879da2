"""Named features of flows as a matrix, for scikit-learn.

A feature is an expression in the language of ``martlet.models``, which computes it: what a pipeline is fitted on is what a
model in the exporter sees. ``packetLength[0:8]`` is short for eight of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._columns import as_table, short
from ._errors import InvalidOption
from ._models.expressions import check, features

_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]", re.A)
_FULL_NAME = re.compile(r"[A-Za-z]\w*(?:@reverse)?:[A-Za-z_]\w*", re.A)


def expand_features(names: Iterable[str]) -> list[str]:
    """Expressions of features: one for each entry of a range, with short names for full ones.

    All ranges of a feature must be the same one, and advance together. Raises InvalidOption for what is no feature.
    """
    found: list[str] = []
    for name in names:
        ranges = {(int(first), int(end)) for first, end in _RANGE.findall(name)}
        if len(ranges) > 1:
            raise InvalidOption(f"{name!r} has different ranges")
        text = _FULL_NAME.sub(lambda match: short(match[0]), name)
        first, end = ranges.pop() if ranges else (0, 1)
        if end <= first:
            raise InvalidOption(f"{name!r} has no element")
        found += [_RANGE.sub(f"[{place}]", text) for place in range(first, end)]
    for text in found:
        check([text])
    return found


class FlowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer that makes a matrix of flows' features.

    It takes what has the records' columns: flows, a table of pyarrow, pandas or polars. ``set_output(transform="pandas")``
    and ``"polars"`` work, with the features' names as columns.

    :param features: expressions, see ``martlet.models``, or ranges such as ``packetLength[0:8]``; where there are none, all
        columns of numbers but addresses, ports, times and others that say which flow it is rather than what it is like (see
        ``IDENTITIES``)
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
        """Finds out which features there are; learns nothing. Raises InvalidOption for what is none."""
        self.features_ = expand_features(self.features if self.features is not None else self._numbers(as_table(X)))
        if not self.features_:
            raise InvalidOption("no features: name some, or give columns of numbers")
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """The features of each row, (flows, features). Raises InvalidOption where a column is not there."""
        check_is_fitted(self, "features_")
        return features(as_table(X), self.features_, missing=self.missing, rounding="float64")

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """The columns' names: the expressions, as ``compile_model`` takes them, too."""
        check_is_fitted(self, "features_")
        return np.array(self.features_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _numbers(self, table: Any) -> list[str]:
        import pyarrow as pa

        return [
            field.name for field in table.schema
            if short(field.name) not in self.IDENTITIES and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
        ]
