"""The package's version: that of the engine inside it."""

__version__ = "0.1.0"
