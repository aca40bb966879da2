"""IP flows of captures as Arrow tables, with the fields that machine learning on encrypted traffic needs.

    import martlet

    frame = martlet.flows("captures/", plugins="pstats,tls").to_pandas()
    values, mask = martlet.flows("captures/").sequences(30)

The engine is that of the exporter ``martlet``, in the package as a library: the columns are the exporter's, value for value.
docs/python.md of the project walks through it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
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
#: Modules whose ``__all__`` says what else there is.
_MORE = ("collect", "labels", "models", "report")

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
    if place := _MODULES.get(name):
        module, package = place
        require(package, f"martlet.{name}")
        value = getattr(_module(module), name)
    else:
        for module in _MORE:
            if importlib.util.find_spec(f"{__name__}.{module}") and name in (found := _module(module)).__all__:
                value = getattr(found, name)
                break
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _module(name: str) -> types.ModuleType:
    return importlib.import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


class _Package(types.ModuleType):
    """Import binds ``martlet.collect``, a module, to the name that its function of the same name is called by."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, getattr(value, name, value) if isinstance(value, types.ModuleType) else value)


sys.modules[__name__].__class__ = _Package
