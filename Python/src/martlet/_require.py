"""Packages that only some functions need, with a text that says what to install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

#: What brings a package, besides its own name.
_EXTRAS = {
    "numpy": "arrow", "pyarrow": "arrow", "pandas": "pandas", "polars": "polars", "sklearn": "learn", "torch": "torch",
    "pyspark": "spark",
}


def require(module: str, what: str) -> Any:
    """The module; ImportError says that ``what`` needs it and how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name != top:
            raise
        extra = _EXTRAS[top]
        raise ImportError(f"{what} needs {top}: pip install 'martlet[{extra}]'", name=top) from error


def available(module: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(module) is not None
