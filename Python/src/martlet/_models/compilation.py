"""From a fitted estimator to the two files of a model, which are written once their scores are the estimator's."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import tempfile
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._columns import Floats
from .._errors import ModelError
from . import limits
from .expressions import check
from .forest import INTERFACE, Forest
from .object import FORMAT_VERSION, build, run_object


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
    forest = Forest(*_treelite(estimator))
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
    name = name or path.stem
    check(features)
    _check_texts(name, version, labels)
    if math.isinf(missing):
        raise ModelError("missing is a number or NaN: infinity is missing itself")

    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "model.so"
        build(forest.source(), built, compiler)
        if verify:
            _verify(built, forest, estimator)
        octets = built.read_bytes()
    manifest = {
        "format": "martlet-model",
        "formatVersion": FORMAT_VERSION,
        "interface": INTERFACE,
        "name": name,
        "version": version,
        "classes": labels,
        "features": list(features),
        "missing": None if math.isnan(missing) else missing,
        "rounding": forest.rounding,
        "outputs": outputs,
        "sha256": hashlib.sha256(octets).hexdigest(),
    }
    text = (json.dumps(manifest, indent=2) + "\n").encode()
    if len(text) > limits.MODEL_MANIFEST:
        raise ModelError(f"the manifest has {len(text)} octets, more than {limits.MODEL_MANIFEST}")
    _replace(path.with_suffix(".so"), octets, 0o755)
    _replace(path, text, 0o644)
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


def _check_texts(name: str, version: str, classes: Sequence[str]) -> None:
    """Raises ModelError for names that the exporter would refuse."""
    for text in (name, version, *classes):
        if len(text.encode(errors="replace")) > limits.MODEL_TEXT:
            raise ModelError(f"a name is longer than {limits.MODEL_TEXT} octets: {text[:20]!r}…")
        if any(ord(one) < 0x20 or ord(one) == 0x7F or 0xD800 <= ord(one) < 0xE000 for one in text):
            raise ModelError(f"a name has characters that are none of a text: {text!r}")
    if len({unicodedata.normalize("NFC", one) for one in classes}) < len(classes):
        raise ModelError("two classes have one name")
    if len(classes) > limits.MODEL_OUTPUTS:
        raise ModelError(f"{len(classes)} classes are more than {limits.MODEL_OUTPUTS}")


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


def _verify(library: Path, forest: Forest, estimator: Any) -> None:
    """Compares an object's scores with the estimator's, on rows near what its trees compare with."""
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
    found = run_object(ctypes.CDLL(str(library)), rows, forest.outputs)
    if wanted.shape != found.shape and forest.outputs == 1:
        wanted = wanted[:, 1:]
    difference = float(np.max(np.abs(wanted - found) / np.maximum(1, np.abs(wanted))))
    if not difference <= 1e-5:
        raise ModelError(f"the compiled model's scores differ from the estimator's by {difference:g}: it cannot be used")


def _scores(estimator: Any, forest: Forest, rows: Floats) -> Floats:
    """What the estimator itself says of rows of features."""
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
