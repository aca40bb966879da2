"""The language of features, and what its expressions are for each flow of a table.

It is that of the exporter (FeatureExpression.swift), value for value, so that a model sees what it was trained on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .._columns import Floats, Lists
from .._errors import ModelError
from . import limits
from .fields import Fields

_TOKEN = re.compile(
    r" *(?:(?P<number>\d[\d.]*(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/()\[\],])|(?P<end>$))", re.A
)
_FUNCTIONS = {"log1p": 1, "sqrt": 1, "abs": 1, "min": 2, "max": 2, "clip": 3}


def features(
    table: Any, features: Sequence[str], *, missing: float = math.nan, rounding: str = "float32"
) -> Floats:
    """The features of a table of flows, a row for each flow, as the exporter computes them.

    Args:
        table: what gives a column for a name: a data frame of pandas or polars, an Arrow table, a dictionary of lists.
        features: expressions, see the text of ``martlet.models``.
        missing: what stands for a feature without a value.
        rounding: ``float32`` rounds each to 32 bits, as models of scikit-learn and XGBoost take them; ``float64`` does not, as
            those of LightGBM do.

    Raises:
        ModelError: an expression that is none, or a column that the table lacks.
    """
    if rounding not in ("float32", "float64"):
        raise ModelError(f"rounding is float32 or float64, not {rounding!r}")
    fields = Fields(table)
    result = np.full((fields.rows, len(features)), np.nan)
    with np.errstate(all="ignore"):
        for index, text in enumerate(features):
            result[:, index] = _Expression(text, fields).evaluate()
        if rounding == "float32":
            result = result.astype(np.float32).astype(np.float64)
    result[~np.isfinite(result)] = missing
    return result


def check(features: Sequence[str]) -> None:
    """Raises ModelError where an expression is none, whatever the table, or where the exporter would refuse them all together."""
    if len(features) > limits.MODEL_FEATURES:
        raise ModelError(f"{len(features)} features are more than {limits.MODEL_FEATURES}")
    operands: set[str] = set()
    with np.errstate(all="ignore"):
        for feature in features:
            expression = _Expression(feature, _AnyFields())
            expression.evaluate()
            operands |= expression.operands
    if len(operands) > limits.MODEL_INPUTS:
        raise ModelError(f"the features are made of {len(operands)} different numbers, more than {limits.MODEL_INPUTS}")


class _Field(Protocol):
    """What an expression asks of a field."""

    @property
    def numbers(self) -> Floats: ...

    @property
    def lists(self) -> Lists: ...

    def entries(self, index: int) -> Floats: ...


class _Fields(Protocol):
    def __getitem__(self, name: str) -> _Field: ...


class _AnyField:
    """A field of any kind, with one flow."""

    numbers = np.ones(1)
    lists = Lists.of(np.ones(1, np.int64), np.ones(1, np.bool_), np.ones(1))

    def entries(self, index: int) -> Floats:
        return self.numbers


class _AnyFields:
    """Fields of any name."""

    def __getitem__(self, name: str) -> _Field:
        return _AnyField()


class _Expression:
    """A feature's expression, which is evaluated while it is read."""

    def __init__(self, text: str, fields: _Fields) -> None:
        self.text, self.fields, self.position = text, fields, 0
        #: How many parts there are so far, in how many brackets the next one is, and what is taken of fields.
        self._parts = self._brackets = 0
        self.operands: set[str] = set()
        if len(text.encode(errors="replace")) > limits.FEATURE_OCTETS:
            raise self._wrong(f"is longer than {limits.FEATURE_OCTETS} octets")
        self._next()

    def evaluate(self) -> Any:
        """The value for each flow, or one for all."""
        value = self._sum()
        if self.kind != "end":
            raise self._wrong("goes on behind its end")
        return value

    def _part(self) -> None:
        self._parts += 1
        if self._parts > limits.FEATURE_PARTS:
            raise self._wrong(f"has more than {limits.FEATURE_PARTS} parts")

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"feature '{self.text[:60]}' {what}")

    def _next(self) -> None:
        found = _TOKEN.match(self.text, self.position)
        if not found:
            raise self._wrong(f"has a '{self.text[self.position]}' where a field or a number is expected")
        self.position = found.end()
        self.kind = found.lastgroup or "end"
        self.word = found[self.kind]

    def _skip(self, sign: str) -> bool:
        if self.kind != "sign" or self.word != sign:
            return False
        self._next()
        return True

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._wrong(f"lacks a '{sign}'")

    def _take(self, kind: str) -> str:
        if self.kind != kind:
            raise self._wrong("ends where a field or a number is expected")
        word = str(self.word)
        self._next()
        return word

    def _sum(self) -> Any:
        self._brackets += 1
        if self._brackets > limits.FEATURE_BRACKETS:
            raise self._wrong("has too many brackets in each other")
        value = self._product()
        while True:
            if self._skip("+"):
                value = value + self._product()
            elif self._skip("-"):
                value = value - self._product()
            else:
                self._brackets -= 1
                return value
            self._part()

    def _product(self) -> Any:
        value = self._unary()
        while True:
            if self._skip("*"):
                value = value * self._unary()
            elif self._skip("/"):
                value = value / self._unary()
            else:
                return value
            self._part()

    def _unary(self) -> Any:
        is_negative = False
        while self._skip("-"):
            is_negative = not is_negative
        value = self._positive()
        if not is_negative:
            return value
        self._part()
        return -value

    def _positive(self) -> Any:
        if self._skip("("):
            value = self._sum()
            self._expect(")")
            return value
        if self.kind == "number":
            word = self._take("number")
            if word.count(".") > 1 or not math.isfinite(float(word)):
                raise self._wrong(f"has the wrong number {word}")
            self._part()
            return np.float64(word)
        name = self._take("name")
        if self._skip("("):
            return self._call(name)
        self._part()
        if not self._skip("["):
            self.operands.add(name)
            return self.fields[name].numbers
        index = self._take("number")
        self._expect("]")
        if not index.isdigit() or int(index) > limits.FEATURE_INDEX:
            raise self._wrong(f"has the index {index}, which is no whole number from 0 to {limits.FEATURE_INDEX}")
        self.operands.add(f"{name}[{int(index)}]")
        return self.fields[name].entries(int(index))

    def _call(self, name: str) -> Any:
        if name == "count":
            self._part()
            counted = self._take("name")
            lists = self.fields[counted].lists
            self._expect(")")
            self.operands.add(f"count({counted})")
            return np.where(lists.there, lists.counts, np.nan)
        if name not in _FUNCTIONS:
            raise self._wrong(f"calls '{name}', which is none of log1p, sqrt, abs, min, max, clip, count")
        arguments = [self._sum()]
        for _ in range(_FUNCTIONS[name] - 1):
            self._expect(",")
            arguments.append(self._sum())
            self._part()
        self._expect(")")
        if len(arguments) == 1:
            self._part()
        if name == "log1p":
            return _log1p(np.atleast_1d(arguments[0]))
        if name == "sqrt":
            return np.sqrt(arguments[0])
        if name == "abs":
            return np.abs(arguments[0])
        if name == "min":
            return _least(arguments[0], arguments[1])
        if name == "max":
            return _greatest(arguments[0], arguments[1])
        return _least(_greatest(arguments[0], arguments[1]), arguments[2])


def _least(one: Any, other: Any) -> Any:
    return np.where(np.isnan(one) | np.isnan(other), np.nan, np.where(one < other, one, other))


def _greatest(one: Any, other: Any) -> Any:
    return np.where(np.isnan(one) | np.isnan(other), np.nan, np.where(one > other, one, other))


def _log1p(values: Floats) -> Floats:
    # The C library's, which the exporter calls, too: numpy's own may differ in the last bit.
    def one(value: float) -> float:
        if value == -1:
            return -math.inf
        return math.log1p(value) if value > -1 else math.nan

    return np.array([one(value) for value in values.tolist()], dtype=np.float64)
