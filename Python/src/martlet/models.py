"""Models that run inside the exporter: from an estimator to a file that ``martlet --plugin model:file=NAME.model`` takes.

``compile_model`` makes two files of a fitted ensemble of trees: ``NAME.model``, a manifest in JSON, and ``NAME.so``, the object
that computes the scores. ``features`` makes of a table of flows the very numbers that the exporter makes of its records, so
that a model is trained on what it will see. ``Model`` runs a compiled model on a table.

Features are expressions of fields, by the short names of CSV's columns (``martlet --csv-names short``)::

    octetDeltaCount                          a number
    packetLength[3]                          an entry of a list, from 0
    flowEndMicroseconds, packetTime[2]       a time: microseconds since the flow's first packet
    count(packetLength)                      how many entries a list has
    log1p(octetDeltaCount) / duration        + - * /, log1p, sqrt, abs, min, max, clip(x, low, high)

What a flow does not have, and what is no finite number, is missing: NaN, or the number that the model has for it.

numpy and treelite are imported where they are needed; a C compiler makes the object.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from collections.abc import Callable, Iterable, Mapping, Sequence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

__all__ = ["Model", "ModelError", "compile_model", "features"]

#: Version of the manifest, and of the object's interface: `MARTLET_MODEL_ABI` in CModels.h.
FORMAT_VERSION = 1
INTERFACE = 1

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
_START = "flowStartMicroseconds"


class ModelError(ValueError):
    """What keeps an estimator or a table from being used; one line."""


# Features


class _Column:
    """One column of a table: its values as numbers, or those of the entries of its lists."""

    def __init__(self, table: Any, name: str) -> None:
        import numpy as np

        try:
            column = table[name]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(f"the table has no column {name}") from error
        self.name, self.table = name, table
        if hasattr(column, "to_numpy"):
            try:
                column = column.to_numpy(zero_copy_only=False)  # Arrow's arrays
            except TypeError:
                column = column.to_numpy()
        elif hasattr(column, "to_pylist"):
            column = column.to_pylist()
        self.values = column if isinstance(column, np.ndarray) else np.array(list(column), dtype=object)
        if self.values.dtype.kind in "UST":
            self.values = self.values.astype(object)

    def numbers(self) -> Numbers:
        """The values as float64; NaN where there is none."""
        import numpy as np

        if self.values.dtype.kind == "M" or self._holds(_is_time):
            return self._since_start(_microseconds(self.values))
        if self.values.dtype.kind == "O":
            numbers = np.array([_number(value, self.name) for value in self.values], dtype=np.float64)
        else:
            numbers = self.values.astype(np.float64)
        if self.name in FLOAT32:
            numbers = numbers.astype(np.float32).astype(np.float64)
        numbers[~np.isfinite(numbers)] = np.nan
        return numbers

    def lists(self) -> list[Any]:
        """The lists; None where there is none."""
        lists = [_entries(value, self.name) for value in self.values]
        if any(entries is not None and len(entries) and _is_time(entries[0]) for entries in lists):
            import numpy as np

            times = [None if entries is None else _microseconds(np.array(entries, dtype=object)) for entries in lists]
            starts = _microseconds(_Column(self.table, _START).values)
            return [None if one is None else one - start for one, start in zip(times, starts)]
        return lists

    def _holds(self, test: Callable[[Any], bool]) -> bool:
        first = next((value for value in self.values if value is not None and value == value), None)
        return self.values.dtype.kind == "O" and first is not None and test(first)

    def _since_start(self, times: Numbers) -> Numbers:
        if self.name == _START:
            return times - times
        return times - _microseconds(_Column(self.table, _START).values)


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        return re.match(r"\d{4}-\d\d-\d\d[T ]", value) is not None
    return hasattr(value, "timestamp") or type(value).__name__ == "datetime64"


def _microseconds(values: Any) -> Numbers:
    """Times as whole microseconds since 1970, which float64 holds exactly until 2255; NaN where there is none."""
    import numpy as np

    if values.dtype.kind != "M":
        texts = [
            "NaT"
            if value is None or value != value or value == ""
            else re.sub(r"(Z|\+00:00)$", "", str(value)).replace(" ", "T")
            for value in values
        ]
        values = np.array(texts, dtype="datetime64[ns]")
    whole = values.astype("datetime64[ns]").astype(np.int64)
    result: Numbers = (whole // 1000).astype(np.float64)
    result[np.isnat(values)] = np.nan
    return result


def _number(value: Any, name: str) -> float:
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ModelError(f"column {name} has {value!r}, which is no number") from error


def _entries(value: Any, name: str) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value):
        return None
    if isinstance(value, str):
        value = json.loads(value)
    if not hasattr(value, "__len__"):
        raise ModelError(f"column {name} is no list: leave out the index")
    return value


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d[\d.]*(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/()\[\],])|(?P<end>$))", re.A
)
_FUNCTIONS = {"log1p": 1, "sqrt": 1, "abs": 1, "min": 2, "max": 2, "clip": 3}


def _log1p(values: Numbers) -> Numbers:
    # The C library's, which the exporter calls, too: numpy's own may differ in the last bit.
    import numpy as np

    def one(value: float) -> float:
        if value == -1:
            return -math.inf
        return math.log1p(value) if value > -1 else math.nan

    return np.array([one(value) for value in values.tolist()], dtype=np.float64)


class _Expression:
    """A feature's expression, as the exporter reads it (FeatureExpression.swift), on the columns of a table."""

    def __init__(self, text: str, columns: Callable[[str], _Column]) -> None:
        self.text, self.columns, self.position = text, columns, 0
        self._next()

    def evaluate(self) -> Any:
        value = self._sum()
        if self.kind != "end":
            raise self._wrong("goes on behind its end")
        return value

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
        value = self._product()
        while True:
            if self._skip("+"):
                value = value + self._product()
            elif self._skip("-"):
                value = value - self._product()
            else:
                return value

    def _product(self) -> Any:
        value = self._unary()
        while True:
            if self._skip("*"):
                value = value * self._unary()
            elif self._skip("/"):
                value = value / self._unary()
            else:
                return value

    def _unary(self) -> Any:
        import numpy as np

        if self._skip("-"):
            return -self._unary()
        if self._skip("("):
            value = self._sum()
            self._expect(")")
            return value
        if self.kind == "number":
            return np.float64(float(self._take("number")))
        name = self._take("name")
        if self._skip("("):
            return self._call(name)
        if not self._skip("["):
            return self.columns(name).numbers()
        index = int(self._take("number"))
        self._expect("]")
        lists = self.columns(name).lists()
        return np.array(
            [math.nan if entries is None or index >= len(entries) else float(entries[index]) for entries in lists],
            dtype=np.float64,
        )

    def _call(self, name: str) -> Any:
        import numpy as np

        if name == "count":
            lists = self.columns(self._take("name")).lists()
            self._expect(")")
            return np.array([math.nan if entries is None else float(len(entries)) for entries in lists])
        if name not in _FUNCTIONS:
            raise self._wrong(f"calls '{name}', which is none of log1p, sqrt, abs, min, max, clip, count")
        arguments = [self._sum()]
        for _ in range(_FUNCTIONS[name] - 1):
            self._expect(",")
            arguments.append(self._sum())
        self._expect(")")

        def least(one: Any, other: Any) -> Any:
            return np.where(np.isnan(one) | np.isnan(other), np.nan, np.where(one < other, one, other))

        def greatest(one: Any, other: Any) -> Any:
            return np.where(np.isnan(one) | np.isnan(other), np.nan, np.where(one > other, one, other))

        if name == "log1p":
            return _log1p(np.atleast_1d(arguments[0]))
        if name == "sqrt":
            return np.sqrt(arguments[0])
        if name == "abs":
            return np.abs(arguments[0])
        if name == "min":
            return least(arguments[0], arguments[1])
        if name == "max":
            return greatest(arguments[0], arguments[1])
        return least(greatest(arguments[0], arguments[1]), arguments[2])


def features(
    table: Any, features: Sequence[str], *, missing: float = math.nan, rounding: str = "float32"
) -> Numbers:
    """The features of a table of flows, a row for each flow, as the exporter computes them.

    Args:
        table: what gives a column for a short name: a data frame of pandas or polars, an Arrow table, a dictionary of lists.
        features: expressions, see the module's text.
        missing: what stands for a feature without a value.
        rounding: ``float32`` rounds each to 32 bits, as models of scikit-learn and XGBoost take them; ``float64`` does not, as
            those of LightGBM do.

    Raises:
        ModelError: an expression that is none, or a column that the table lacks.
    """
    import numpy as np

    if rounding not in ("float32", "float64"):
        raise ModelError(f"rounding is float32 or float64, not {rounding!r}")
    known: dict[str, _Column] = {}

    def column(name: str) -> _Column:
        if name not in known:
            known[name] = _Column(table, name)
        return known[name]

    count = len(_Column(table, _any_column(table)).values)
    result = np.full((count, len(features)), np.nan)
    with np.errstate(all="ignore"):
        for index, text in enumerate(features):
            result[:, index] = _Expression(text, column).evaluate()
        if rounding == "float32":
            result = result.astype(np.float32).astype(np.float64)
    result[~np.isfinite(result)] = missing
    return result


def _any_column(table: Any) -> str:
    names = getattr(table, "column_names", None) or getattr(table, "columns", None)
    if names is None:
        names = list(table)
    if not len(names):
        raise ModelError("the table has no columns")
    return str(names[0])


# Compilation


def compile_model(
    estimator: Any,
    features: Sequence[str],
    out: str | os.PathLike[str],
    *,
    classes: Sequence[Any] | None = None,
    name: str | None = None,
    version: str = "",
    missing: float = math.nan,
    compiler: str = "cc",
    verify: bool = True,
) -> Path:
    """Makes ``NAME.model`` and ``NAME.so`` of a fitted ensemble of trees.

    Args:
        estimator: XGBoost's, LightGBM's and scikit-learn's classifiers and regressors, their boosters, or a ``treelite.Model``.
        features: the expressions of its features, in the order in which it was fitted.
        out: ``NAME.model``; the object lies beside it.
        classes: what its outputs are called; the estimator's ``classes_`` where it has them.
        name: what records call the model; the file's name.
        version: shown behind the name.
        missing: what stood for a feature without a value when it was fitted.
        compiler: the C compiler.
        verify: compare the object's scores with the estimator's on rows made up at random.

    Returns:
        The path of the manifest.

    Raises:
        ModelError: an estimator that cannot be compiled, numbers of features or classes that do not fit, a compiler that fails,
            or an object whose scores are not the estimator's.
    """
    path = Path(out)
    if path.suffix != ".model":
        path = path.with_name(path.name + ".model")
    forest = _Forest(*_treelite(estimator))
    if classes is None:
        classes = list(getattr(estimator, "classes_", []))
    labels = [str(getattr(label, "item", lambda label=label: label)()) for label in classes]
    if len(features) != forest.feature_count:
        raise ModelError(f"the estimator takes {forest.feature_count} features, not {len(features)}")
    outputs = forest.outputs
    if labels and outputs != len(labels) and not (outputs == 1 and len(labels) == 2):
        raise ModelError(f"the estimator has {outputs} outputs, which do not fit {len(labels)} classes")
    if not labels and outputs != 1:
        raise ModelError(f"the estimator has {outputs} outputs: name their classes")
    for text in features:
        _Expression(text, lambda _: _Anything()).evaluate()

    source = forest.source()
    with tempfile.TemporaryDirectory() as folder:
        code, built = Path(folder) / "model.c", Path(folder) / "model.so"
        code.write_text(source)
        command = [compiler, "-std=c99", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(built), str(code), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ModelError(f"cannot run the compiler {compiler}: {error.strerror}") from error
        if done.returncode != 0:
            raise ModelError(f"the compiler {compiler} failed: {done.stderr.strip()[:500]}")
        if verify:
            _verify(built, forest, estimator, missing)
        octets = built.read_bytes()
    manifest = {
        "format": "martlet-model",
        "formatVersion": FORMAT_VERSION,
        "interface": INTERFACE,
        "name": name or path.stem,
        "version": version,
        "classes": labels,
        "features": list(features),
        "missing": None if math.isnan(missing) else missing,
        "rounding": forest.rounding,
        "outputs": outputs,
        "sha256": hashlib.sha256(octets).hexdigest(),
    }
    _replace(path.with_suffix(".so"), octets, 0o755)
    _replace(path, (json.dumps(manifest, indent=2) + "\n").encode(), 0o644)
    return path


def _replace(path: Path, octets: bytes, mode: int) -> None:
    """Writes a file whole: a running martlet has the one before, or this one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(octets)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class _Anything(_Column):
    """A column of any kind, to see whether an expression is one."""

    def __init__(self) -> None:
        pass

    def numbers(self) -> Numbers:
        import numpy as np

        return np.array([1.0])

    def lists(self) -> list[Any]:
        return [[1.0]]


def _treelite(estimator: Any) -> tuple[Any, bool]:
    """The estimator as treelite has it, and whether it rounds features to 32 bits."""
    import treelite

    if isinstance(estimator, treelite.Model):
        return estimator, str(estimator.input_type) == "float32"
    home = type(estimator).__module__.split(".")[0]
    try:
        if home == "xgboost":
            booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
            if getattr(estimator, "early_stopping_rounds", None):
                booster = booster[: estimator.best_iteration + 1]
            return treelite.frontend.from_xgboost(booster), True
        if home == "lightgbm":
            return treelite.frontend.from_lightgbm(getattr(estimator, "booster_", estimator)), False
        if home == "sklearn":
            return treelite.sklearn.import_model(estimator), "HistGradient" not in type(estimator).__name__
    except (treelite.TreeliteError, NotImplementedError, ValueError) as error:
        raise ModelError(f"treelite cannot read the estimator: {error}") from error
    raise ModelError(f"{type(estimator).__name__} is no estimator of xgboost, lightgbm or sklearn")


#: What is done with the sums of the trees, by treelite's name for it: C for `r`, an array of COUNT.
_POSTPROCESSORS = {
    "identity": "",
    "identity_multiclass": "",
    "sigmoid": "for (int i = 0; i < COUNT; i++) r[i] = 1 / (1 + EXP(-ALPHA * r[i]));",
    "multiclass_ova": "for (int i = 0; i < COUNT; i++) r[i] = 1 / (1 + EXP(-ALPHA * r[i]));",
    "exponential": "for (int i = 0; i < COUNT; i++) r[i] = EXP(r[i]);",
    "softmax": """\
  value most = r[0], sum = 0;
  for (int i = 1; i < COUNT; i++) if (r[i] > most) most = r[i];
  for (int i = 0; i < COUNT; i++) { r[i] = EXP(r[i] - most); sum += r[i]; }
  for (int i = 0; i < COUNT; i++) r[i] /= sum;""",
}

#: A tree is walked from its root down, in its deepest leaf's number of steps, eight trees at a time and without a branch that
#: could be predicted wrongly. A leaf leads to itself: no number is above infinity. What is missing is minus infinity among the
#: first features and infinity among the second ones, and a node names that of the two which leads where it wants it.
_TEMPLATE = """\
#include <math.h>
#include <stdint.h>
#include <stddef.h>
typedef @NUMBER@ number;
typedef @VALUE@ value;
#define FEATURES @FEATURES@
#define TREES @TREES@
#define COUNT @COUNT@
#define ALPHA ((value)@ALPHA@)
#define EXP @EXP@
#define AT_ONCE 8
#define AVERAGES @AVERAGES@
typedef struct { number above; uint32_t next; } node;
/* Where the next node is, counted from the tree's root, in the upper bits, and the feature in the lower 12. */
static const node nodes[] = {
@NODES@
};
static const uint32_t roots[] = {@ROOTS@};
static const uint16_t depths[] = {@DEPTHS@};
@LEAVES@
static const int16_t classes[] = {@CLASSES@};
static const value factors[] = {@FACTORS@};
static const value bases[] = {@BASES@};
const uint32_t martlet_model_shape[3] = {@INTERFACE@, FEATURES, COUNT};
void martlet_model_predict(const double *features, double *scores);
void martlet_model_predict_rows(const double *features, double *scores, size_t rows);

void martlet_model_predict(const double *features, double *scores) {
  number x[2 * FEATURES];
  uint32_t at[TREES + AT_ONCE];
  for (int i = 0; i < FEATURES; i++) {
    int is_missing = features[i] != features[i];
    x[i] = is_missing ? -INFINITY : (number)features[i];
    x[FEATURES + i] = is_missing ? INFINITY : (number)features[i];
  }
  for (int tree = 0; tree < TREES; tree += AT_ONCE) {
    const node *root[AT_ONCE];
    uint32_t place[AT_ONCE];
#pragma GCC unroll 8
    for (int k = 0; k < AT_ONCE; k++) { root[k] = nodes + roots[tree + k]; place[k] = 0; }
    for (int step = depths[tree / AT_ONCE]; step > 0; step--) {
      @BEFORE@
#pragma GCC unroll 8
      for (int k = 0; k < AT_ONCE; k++) {
        const node here = root[k][place[k]];
        place[k] = (here.next >> 12) + (x[here.next & 4095] > here.above);
      }
      @MOVED@
    }
#pragma GCC unroll 8
    for (int k = 0; k < AT_ONCE; k++) at[tree + k] = roots[tree + k] + place[k];
  }
  /* Where trees add to a base they do so one by one, as the programs do that trained them. */
  value r[COUNT];
  for (int i = 0; i < COUNT; i++) r[i] = AVERAGES ? 0 : bases[i];
  for (int tree = 0; tree < TREES; tree++) {
@SUM@
  }
  for (int i = 0; i < COUNT; i++) if (AVERAGES) r[i] = r[i] / factors[i] + bases[i];
  @POSTPROCESSOR@
  for (int i = 0; i < COUNT; i++) scores[i] = r[i];
}

void martlet_model_predict_rows(const double *features, double *scores, size_t rows) {
  for (size_t row = 0; row < rows; row++) martlet_model_predict(features + row * FEATURES, scores + row * COUNT);
}
"""


_BEFORE = "uint32_t before[AT_ONCE];\n      for (int k = 0; k < AT_ONCE; k++) before[k] = place[k];"
_MOVED = """\
uint32_t moved = 0;
      for (int k = 0; k < AT_ONCE; k++) moved |= place[k] ^ before[k];
      if (moved == 0) break;"""


class _Forest:
    """A model of treelite as C."""

    def __init__(self, model: Any, rounds: bool) -> None:
        self.treelite = model
        header = model.get_header_accessor()

        def one(name: str) -> Any:
            value = header.get_field(name)
            return value if isinstance(value, str) else value[0]

        self.trees = [model.get_tree_accessor(index) for index in range(model.num_tree)]
        self.feature_count = int(one("num_feature"))
        self.rounding = "float32" if rounds else "float64"
        self.is_float = str(model.input_type) == "float32"
        self.value = "float" if str(model.output_type) == "float32" else "double"
        self.averages = bool(one("average_tree_output"))
        self.postprocessor = str(one("postprocessor"))
        self.alpha = float(one("sigmoid_alpha"))
        self.bases = [float(base) for base in header.get_field("base_scores")]
        self.classes = [max(0, int(number)) for number in header.get_field("class_id")]
        self.outputs = int(one("num_class"))
        self.is_vector = int(header.get_field("leaf_vector_shape")[1]) > 1
        if one("num_target") != 1:
            raise ModelError("models of several targets cannot be compiled")
        if self.feature_count > 2048:
            raise ModelError(f"{self.feature_count} features are more than 2048")
        if self.postprocessor not in _POSTPROCESSORS:
            raise ModelError(f"models that end in {self.postprocessor} cannot be compiled")
        if not self.trees:
            raise ModelError("the estimator has no trees")

    def above(self, threshold: float, is_strict: bool) -> float:
        """The finite number above which is what goes to the right; strict where the threshold itself does, too."""
        import numpy as np

        kind = np.float32 if self.rounding == "float32" else np.float64
        with np.errstate(over="ignore"):
            above = kind(threshold)
        if float(above) > threshold or (is_strict and float(above) == threshold):
            above = np.nextafter(above, kind(-np.inf))
        return float(min(above, np.finfo(kind).max))

    def thresholds(self) -> dict[int, list[float]]:
        """What each feature is compared with."""
        found: dict[int, list[float]] = {}
        for tree in self.trees:
            for kind, feature, threshold in zip(*map(tree.get_field, ("node_type", "split_index", "threshold"))):
                if kind == 1 and math.isfinite(threshold):
                    found.setdefault(int(feature), []).append(float(threshold))
        return found

    def _tree(self, tree: Any) -> tuple[list[str], list[list[float]], int]:
        """The nodes of a tree, each one's children side by side, what its leaves say, and how deep it is."""
        field = {
            name: tree.get_field(name).tolist()
            for name in ("node_type", "cleft", "cright", "split_index", "default_left", "leaf_value", "threshold", "cmp",
                         "leaf_vector", "leaf_vector_begin", "leaf_vector_end")
        }  # fmt: skip
        order, depth = [(0, 0)], 0
        nodes: list[str] = []
        leaves: list[list[float]] = []
        while len(nodes) < len(order):
            node, level = order[len(nodes)]
            depth = max(depth, level)
            if field["node_type"][node] == 0:
                first, last = field["leaf_vector_begin"][node], field["leaf_vector_end"][node]
                leaves.append(field["leaf_vector"][first:last] or [field["leaf_value"][node]])
                nodes.append(f"{{INFINITY,{len(nodes) << 12}u}}")
                continue
            # Treelite's numbers of "less than" and "not more than".
            if field["node_type"][node] != 1 or field["cmp"][node] not in (2, 3):
                raise ModelError("models with categories among their features cannot be compiled: encode them as numbers")
            feature = field["split_index"][node] + (0 if field["default_left"][node] else self.feature_count)
            above = self.above(field["threshold"][node], field["cmp"][node] == 2)
            suffix = "f" if self.rounding == "float32" else ""
            nodes.append(f"{{{_literal(above, suffix)},{len(order) << 12 | feature}u}}")
            leaves.append([0.0])
            order += [(field["cleft"][node], level + 1), (field["cright"][node], level + 1)]
        if len(nodes) >= 1 << 20:
            raise ModelError("a tree of more than a million nodes cannot be compiled")
        return nodes, leaves, depth

    def source(self) -> str:
        """The C."""
        suffix = "f" if self.value == "float" else ""
        width = self.outputs if self.is_vector else 1
        nodes: list[str] = []
        leaves: list[str] = []
        roots: list[int] = []
        depths: list[int] = []
        for tree in self.trees:
            own, values, depth = self._tree(tree)
            roots.append(len(nodes))
            depths.append(depth)
            nodes += own
            for value in values:
                texts = [_literal(one, suffix) for one in (value if len(value) == width else value * width)]
                leaves.append(f"{{{','.join(texts)}}}" if self.is_vector else texts[0])
        trees = len(roots)
        roots += [0] * 8
        groups = [max(depths[first : first + 8]) for first in range(0, trees, 8)]
        counts = [1] * self.outputs
        if self.averages:
            counts = [trees if self.is_vector else max(1, self.classes.count(index)) for index in range(self.outputs)]
        replacements = {
            "NUMBER": "float" if self.rounding == "float32" else "double",
            "VALUE": self.value,
            "FEATURES": str(self.feature_count),
            "TREES": str(trees),
            "COUNT": str(self.outputs),
            "ALPHA": _literal(self.alpha, ""),
            "EXP": "expf" if self.value == "float" else "exp",
            "NODES": _lines(nodes),
            "ROOTS": _lines(map(str, roots)),
            "DEPTHS": _lines(map(str, groups)),
            "LEAVES": f"static const value leaves[]{f'[{width}]' if self.is_vector else ''} = {{\n{_lines(leaves)}\n}};",
            "CLASSES": _lines(map(str, self.classes)),
            "FACTORS": ", ".join(f"{count}" for count in counts),
            "BASES": ", ".join(_literal(base, suffix) for base in self.bases),
            "AVERAGES": "1" if self.averages else "0",
            "INTERFACE": str(INTERFACE),
            # In deep trees few leaves are as deep as the deepest: worth a look at each step.
            "BEFORE": _BEFORE if max(groups) > 12 else "",
            "MOVED": _MOVED if max(groups) > 12 else "",
            "SUM": "for (int i = 0; i < COUNT; i++) r[i] += leaves[at[tree]][i];"
            if self.is_vector
            else "r[classes[tree]] += leaves[at[tree]];",
            "POSTPROCESSOR": _POSTPROCESSORS[self.postprocessor],
        }
        return re.sub(r"@([A-Z]+)@", lambda found: replacements[found[1]], _TEMPLATE)


def _literal(value: float, suffix: str) -> str:
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return float(value).hex() + suffix


def _lines(words: Iterable[str]) -> str:
    words = list(words)
    return ",\n".join(",".join(words[first : first + 16]) for first in range(0, len(words), 16))


def _verify(library: Path, forest: _Forest, estimator: Any, missing: float) -> None:
    """Compares an object's scores with the estimator's, on rows near what its trees compare with."""
    import numpy as np

    chance = np.random.default_rng(1)
    rows = chance.normal(size=(512, forest.feature_count))
    for feature, thresholds in forest.thresholds().items():
        near = chance.choice(np.array(thresholds), size=len(rows))
        rows[:, feature] = near + chance.choice([0, 0, 1e-6, -1e-6, 1, -1], size=len(rows)) * np.abs(near)
    # LightGBM takes what is next to zero for zero, which no feature is.
    rows[np.abs(rows) < 1e-30] = 0
    if forest.rounding == "float32":
        rows = rows.astype(np.float32).astype(np.float64)
    wanted = _scores(estimator, forest, rows)
    found = _run(ctypes.CDLL(str(library)), rows, forest.outputs)
    if wanted.shape != found.shape and forest.outputs == 1:
        wanted = wanted[:, 1:]
    difference = float(np.max(np.abs(wanted - found) / np.maximum(1, np.abs(wanted))))
    if not difference <= 1e-5:
        raise ModelError(f"the compiled model's scores differ from the estimator's by {difference:g}: it cannot be used")


def _scores(estimator: Any, forest: _Forest, rows: Numbers) -> Numbers:
    """What the estimator itself says of rows of features."""
    import warnings

    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(estimator, "predict_proba"):
            scores = estimator.predict_proba(rows)
        elif hasattr(estimator, "get_params"):
            scores = estimator.predict(rows)
        else:
            import treelite

            kind = np.float32 if forest.is_float else np.float64
            scores = treelite.gtil.predict(forest.treelite, rows.astype(kind))
    return np.asarray(scores, dtype=np.float64).reshape(len(rows), -1)


def _run(library: Any, rows: Numbers, outputs: int) -> Numbers:
    import numpy as np

    rows = np.ascontiguousarray(rows, dtype=np.float64)
    scores = np.zeros((len(rows), outputs))
    pointer = ctypes.POINTER(ctypes.c_double)
    library.martlet_model_predict_rows(
        rows.ctypes.data_as(pointer), scores.ctypes.data_as(pointer), ctypes.c_size_t(len(rows))
    )
    return scores


# Compiled models


class Model:
    """A compiled model, for tables: what the exporter would say of their flows.

    Args:
        path: ``NAME.model``, with ``NAME.so`` beside it, which is run: load only what you trust.

    Raises:
        ModelError: a manifest that is none, or that does not match its object.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        manifest_path = Path(path)
        try:
            self.manifest: Mapping[str, Any] = json.loads(manifest_path.read_text())
        except ValueError as error:
            raise ModelError(f"{path} is no manifest of a model in JSON") from error
        if self.manifest.get("format") != "martlet-model" or self.manifest.get("formatVersion") != FORMAT_VERSION:
            raise ModelError(f"{path} is no manifest of version {FORMAT_VERSION}")
        self.name: str = self.manifest["name"]
        self.classes: list[str] = self.manifest["classes"]
        self.feature_names: list[str] = self.manifest["features"]
        self.missing: float = math.nan if self.manifest["missing"] is None else self.manifest["missing"]
        octets = manifest_path.with_suffix(".so").read_bytes()
        if hashlib.sha256(octets).hexdigest() != self.manifest["sha256"]:
            raise ModelError(f"{path} does not match its object {manifest_path.with_suffix('.so').name}")
        # A copy under a name of its own: the loader takes a path that it knows for the object that it has.
        self._folder = tempfile.mkdtemp(prefix="martlet-model-")
        try:
            copy = Path(self._folder) / "model.so"
            copy.write_bytes(octets)
            self._library = ctypes.CDLL(str(copy))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def features(self, table: Any) -> Numbers:
        """The features of a table's flows, as the exporter computes them."""
        return features(table, self.feature_names, missing=self.missing, rounding=self.manifest["rounding"])

    def scores(self, table: Any) -> Numbers:
        """The outputs for each flow: a probability for each class, that of the second of two, or a value."""
        return self.run(self.features(table))

    def run(self, rows: Numbers) -> Numbers:
        """The outputs for rows of features."""
        return _run(self._library, rows, self.manifest["outputs"])

    def predict(self, table: Any) -> list[tuple[str, float]]:
        """Label and score of each flow, as records have them; an empty label where the model has no classes."""
        import numpy as np

        scores = self.scores(table)
        if not self.classes:
            return [("", float(np.float32(row[0]))) for row in scores]
        if scores.shape[1] == 1:
            scores = np.hstack([1 - scores, scores])
        best = np.argmax(scores, axis=1)
        return [(self.classes[index], float(np.float32(row[index]))) for index, row in zip(best, scores)]
