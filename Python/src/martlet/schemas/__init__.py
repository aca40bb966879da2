"""Columns as other tools and published data sets have them, made of Martlet's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .._errors import InvalidOption

if TYPE_CHECKING:
    import pyarrow as pa

    from .._plugins import Chosen


class Schema(Protocol):
    """A way to make records' columns into others."""

    #: The name, for messages.
    @property
    def name(self) -> str: ...

    #: The plugins with the options that it needs.
    @property
    def plugins(self) -> Chosen: ...

    def convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns made of a batch; the same names and types for every batch."""
        ...


def by_name(name: str) -> Schema:
    """The schema of that name; InvalidOption where there is none."""
    if name == "datazoo":
        from .datazoo import DataZoo

        return DataZoo()
    if name == "nfstream":
        from .nfstream import NFStream

        return NFStream()
    if name == "cicflowmeter":
        from .cicflowmeter import CICFlowMeter

        return CICFlowMeter()
    raise InvalidOption(f"there is no schema {name!r}; there are: datazoo, nfstream, cicflowmeter")
