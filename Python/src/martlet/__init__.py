"""IP flows of captures as Arrow tables, with the fields that machine learning on encrypted traffic needs.

    import martlet

    frame = martlet.flows("captures/", plugins="pstats,tls").to_pandas()
    values, mask = martlet.flows("captures/").sequences(30)

The engine is that of the exporter ``martlet``, in the package as a library: the columns are the exporter's, value for value.
docs/python.md of the project walks through it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import InvalidOption, MartletError, MartletWarning, Problem
from ._flows import Flows, flows
from ._library import Progress
from ._plugins import Field, Plugin, PluginOption, plugins
from ._require import require
from ._version import __version__

if TYPE_CHECKING:
    from .arrays import Sequences, histograms, sequences
    from .datasets import FlowDataset
    from .scale import capture_batches, capture_frame, capture_table, spark_flows
    from .transformer import FlowFeatures

#: What is imported when it is asked for, by module, because it needs a package that not everybody has.
_LATER = {
    "arrays": ("numpy", ("Sequences", "sequences", "histograms")),
    "transformer": ("sklearn", ("FlowFeatures",)),
    "datasets": ("torch", ("FlowDataset",)),
    "scale": ("pyarrow", ("capture_batches", "capture_frame", "capture_table", "spark_flows")),
}
_MODULES = {name: (module, package) for module, (package, names) in _LATER.items() for name in names}
#: Modules whose ``__all__`` says what else there is, with the package that each needs.
_MORE = {"collect": "pyarrow", "labels": "pyarrow", "models": "numpy", "report": "pyarrow"}

__all__ = [
    "Field",
    "FlowDataset",
    "FlowFeatures",
    "Flows",
    "InvalidOption",
    "MartletError",
    "MartletWarning",
    "Plugin",
    "PluginOption",
    "Problem",
    "Progress",
    "Sequences",
    "__version__",
    "capture_batches",
    "capture_frame",
    "capture_table",
    "flows",
    "histograms",
    "plugins",
    "sequences",
    "spark_flows",
]


def __getattr__(name: str) -> Any:
    place = _MODULES.get(name) or (None if name.startswith("_") else _more().get(name))
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, package = place
    require(package, f"martlet.{name}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


@functools.lru_cache(maxsize=1)
def _more() -> dict[str, tuple[str, str]]:
    """Names of the other modules, read from their text: importing them takes packages that may not be there."""
    found: dict[str, tuple[str, str]] = {}
    for module, package in _MORE.items():
        path = Path(__file__).with_name(f"{module}.py")
        for node in ast.parse(path.read_text()).body if path.is_file() else ():
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found |= dict.fromkeys(ast.literal_eval(node.value), (module, package))
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_more()})


class _Package(types.ModuleType):
    """Import binds ``martlet.collect``, a module, to the name that its function of the same name is called by."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, getattr(value, name, value) if isinstance(value, types.ModuleType) else value)


sys.modules[__name__].__class__ = _Package
