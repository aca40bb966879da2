"""Compiled models: the object that a C compiler makes of a forest, its manifest, and what both say of the flows of a table."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._columns import Floats
from .._errors import ModelError
from .expressions import features
from .forest import INTERFACE

#: Version of the manifest.
FORMAT_VERSION = 1


def build(source: str, path: Path, compiler: str) -> None:
    """Makes the object of C. Raises ModelError with what the compiler says."""
    code = path.with_suffix(".c")
    code.write_text(source)
    command = [compiler, "-std=c99", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(path), str(code), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ModelError(f"cannot run the compiler {compiler}: {error.strerror}") from error
    if done.returncode != 0:
        raise ModelError(f"the compiler {compiler} failed: {done.stderr.strip()[:500]}")


def run_object(library: ctypes.CDLL, rows: Floats, outputs: int) -> Floats:
    """What an object says of rows of features, (rows, outputs)."""
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    scores = np.zeros((len(rows), outputs))
    pointer = ctypes.POINTER(ctypes.c_double)
    library.martlet_model_predict_rows(
        rows.ctypes.data_as(pointer), scores.ctypes.data_as(pointer), ctypes.c_size_t(len(rows))
    )
    return scores


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
        if not isinstance(self.manifest, Mapping):
            raise ModelError(f"{path} is no manifest of a model")
        if self.manifest.get("format") != "martlet-model" or self.manifest.get("formatVersion") != FORMAT_VERSION:
            raise ModelError(f"{path} is no manifest of version {FORMAT_VERSION}")
        try:
            self.name: str = self.manifest["name"]
            self.classes: list[str] = self.manifest["classes"]
            self.feature_names: list[str] = self.manifest["features"]
            self.missing: float = math.nan if self.manifest["missing"] is None else float(self.manifest["missing"])
            shape = (int(self.manifest["interface"]), len(self.feature_names), int(self.manifest["outputs"]))
            _ = self.manifest["sha256"], self.manifest["rounding"]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path} is no manifest of a model: {error}") from error
        octets = manifest_path.with_suffix(".so").read_bytes()
        if hashlib.sha256(octets).hexdigest() != self.manifest["sha256"]:
            raise ModelError(f"{path} does not match its object {manifest_path.with_suffix('.so').name}")
        # A copy under a name of its own: the loader takes a path that it knows for the object that it has.
        folder = tempfile.mkdtemp(prefix="martlet-model-")
        try:
            copy = Path(folder) / "model.so"
            copy.write_bytes(octets)
            self._library = ctypes.CDLL(str(copy))
            found = tuple((ctypes.c_uint32 * 3).in_dll(self._library, "martlet_model_shape"))
        except (OSError, ValueError) as error:
            raise ModelError(f"the object of {path} cannot be loaded: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        # It reads and writes as many numbers as it says, whatever the manifest does.
        if found != shape or shape[0] != INTERFACE:
            raise ModelError(f"{path} says {shape} of its interface, features and outputs, and its object {found}")
        if self.classes and shape[2] != len(self.classes) and not (shape[2] == 1 and len(self.classes) == 2):
            raise ModelError(f"{path} has {shape[2]} outputs and {len(self.classes)} classes, which do not fit")

    def features(self, table: Any) -> Floats:
        """The features of a table's flows, as the exporter computes them."""
        return features(table, self.feature_names, missing=self.missing, rounding=self.manifest["rounding"])

    def scores(self, table: Any) -> Floats:
        """The outputs for each flow: a probability for each class, that of the second of two, or a value."""
        return self.run(self.features(table))

    def run(self, rows: Floats) -> Floats:
        """The outputs for rows of features. Raises ModelError where these are not as many as the model's."""
        if rows.ndim != 2 or rows.shape[1] != len(self.feature_names):
            raise ModelError(f"a row has {len(self.feature_names)} features, and these are {rows.shape}")
        return run_object(self._library, rows, self.manifest["outputs"])

    def predict(self, table: Any) -> list[tuple[str, float]]:
        """Label and score of each flow, as records have them; an empty label where the model has no classes."""
        scores = self.scores(table)
        if not self.classes:
            return [("", float(np.float32(row[0]))) for row in scores]
        if scores.shape[1] == 1:
            scores = np.hstack([1 - scores, scores])
        best = np.argmax(scores, axis=1)
        return [(self.classes[index], float(np.float32(row[index]))) for index, row in zip(best, scores)]
