"""A forest as C: the trees that treelite reads of an estimator, as tables and the loop that walks them.

Treelite's own code generator is not used: its code is a branch for each node, and hard to predict for a processor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._errors import ModelError
from . import limits

#: Nodes of a tree: an object counts them in 20 bits. Trees: it notes on the stack where each ended.
MOST_NODES, MOST_TREES = 1 << 20, 1 << 16
#: Version of the object's interface: `MARTLET_MODEL_ABI` in CModels.h.
INTERFACE = 1

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


class Forest:
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
        if self.feature_count > limits.MODEL_FEATURES:
            raise ModelError(f"{self.feature_count} features are more than {limits.MODEL_FEATURES}")
        if self.outputs > limits.MODEL_OUTPUTS:
            raise ModelError(f"{self.outputs} outputs are more than {limits.MODEL_OUTPUTS}")
        if self.postprocessor not in _POSTPROCESSORS:
            raise ModelError(f"models that end in {self.postprocessor} cannot be compiled")
        if not self.trees:
            raise ModelError("the estimator has no trees")
        if len(self.trees) > MOST_TREES:
            raise ModelError(f"{len(self.trees)} trees are more than {MOST_TREES}")
        if not all(math.isfinite(number) for number in (*self.bases, self.alpha)):
            raise ModelError("the estimator begins with what is no number")
        if len(self.bases) != self.outputs or (not self.is_vector and max(self.classes) >= self.outputs):
            raise ModelError("the estimator's trees are of more classes than it has")

    def above(self, threshold: float, is_strict: bool) -> float:
        """The finite number above which is what goes to the right; strict where the threshold itself does, too."""
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
        field: dict[str, list[Any]] = {
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
            # A tree in which a node is reached twice would not end.
            if len(order) > len(field["node_type"]) or not 0 <= node < len(field["node_type"]):
                raise ModelError("the nodes of a tree do not make one")
            if len(order) >= MOST_NODES:
                raise ModelError(f"a tree of more than {MOST_NODES} nodes cannot be compiled")
            if field["node_type"][node] == 0:
                first, last = field["leaf_vector_begin"][node], field["leaf_vector_end"][node]
                values = field["leaf_vector"][first:last] or [field["leaf_value"][node]]
                if len(values) not in (1, self.outputs) or not all(math.isfinite(value) for value in values):
                    raise ModelError("a leaf's values are no numbers, or not as many as there are classes")
                leaves.append(values)
                nodes.append(f"{{INFINITY,{len(nodes) << 12}u}}")
                continue
            # Treelite's numbers of "less than" and "not more than".
            if field["node_type"][node] != 1 or field["cmp"][node] not in (2, 3):
                raise ModelError("models with categories among their features cannot be compiled: encode them as numbers")
            if not 0 <= field["split_index"][node] < self.feature_count or math.isnan(field["threshold"][node]):
                raise ModelError("a tree asks for a feature that the estimator does not have, or compares with what is no number")
            feature = field["split_index"][node] + (0 if field["default_left"][node] else self.feature_count)
            above = self.above(field["threshold"][node], field["cmp"][node] == 2)
            suffix = "f" if self.rounding == "float32" else ""
            nodes.append(f"{{{_literal(above, suffix)},{len(order) << 12 | feature}u}}")
            leaves.append([0.0])
            order += [(field["cleft"][node], level + 1), (field["cright"][node], level + 1)]
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
