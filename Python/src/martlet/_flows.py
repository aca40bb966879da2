"""The flows of captures as an object that hands them on: to pandas, polars, Arrow, Parquet, and to arrays for models."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from . import _plugins
from ._captures import Captures, expand
from ._errors import InvalidOption, MartletError, MartletWarning, Problem
from ._library import Run
from ._plugins import Chosen, OptionValue, Plugins
from ._progress import ProgressChoice, display
from ._reading import batches
from ._require import available, require
from .schemas import Schema, by_name

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

    from .arrays import Histograms, Sequences

#: A value of an option: a list gives the option several times.
Value: TypeAlias = "OptionValue | Sequence[OptionValue]"


def _text(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _seconds(name: str, seconds: float) -> str:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise InvalidOption(f"{name} is a number of seconds, not {seconds!r}")
    # Without an exponent, which the engine does not take.
    return f"{seconds:.9f}".rstrip("0").rstrip(".")


def _cpus() -> int:
    return max(1, len(os.sched_getaffinity(0)))


class Flows:
    """The flows of captures: one record each, in columns. ``martlet.flows`` makes it.

    Nothing is read before records are asked for, and whatever asks for them reads the captures from their beginning: a
    second ``to_pandas()`` is a second run. An Arrow stream that was handed out (``__arrow_c_stream__``) is consumed once, as
    that interface has it; asking for another one starts another run. Only standard input (``"-"``) cannot be read twice.

    With several threads the records of different captures come in the order in which they are ready; ``source_file`` says
    whose they are, and within a capture the order is always the same.
    """

    def __init__(
        self,
        source: Sequence[str] | tuple[bytes, str],
        chosen: Chosen,
        options: Sequence[tuple[str, str]],
        schema: Schema | None,
        progress: ProgressChoice,
    ) -> None:
        self._source = source
        self._chosen = chosen
        self._options = list(options)
        self._schema_choice = schema
        self._progress = progress
        self._problems: list[Problem] | None = None
        self._counters: dict[str, Any] = {}
        self._runs = 0
        #: A run that was opened to check the options, and one whose stream was taken for the schema: the next run.
        self._checked: Run | None = None
        self._opened: tuple[Run, pa.RecordBatchReader] | None = None
        self._known_schema: pa.Schema | None = None

    def __repr__(self) -> str:
        named = f"<{len(self._source[0])} octets>" if isinstance(self._source, tuple) else f"{len(self._source)} captures"
        plugins = ", ".join(self._chosen) or "no plugins"
        return f"<martlet.Flows of {named}, {plugins}>"

    # What came of the last run.

    @property
    def captures(self) -> list[str]:
        """The captures' paths, in the order in which they are begun."""
        return [self._source[1]] if isinstance(self._source, tuple) else list(self._source)

    @property
    def problems(self) -> list[Problem]:
        """Captures that could not be opened, or not be read to their end, in the last run; empty where all was well.

        Raises MartletError before records were read, because nothing is known then.
        """
        if self._problems is None:
            raise MartletError("problems are known when records have been read: ask for them first, by to_arrow() for example")
        return list(self._problems)

    @property
    def counters(self) -> dict[str, Any]:
        """The engine's counters at the end of the last run, as ``--stats-format json`` has them; empty before."""
        return dict(self._counters)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; reads no packet."""
        require("pyarrow", "Flows.schema")
        if self._known_schema is None:
            run, reader = self._opened or self._open(self._chosen)
            # The first run goes on from here: to open many captures takes a while.
            self._opened = run, reader
            self._known_schema = self._converted(reader.schema)
        return self._known_schema

    # Records.

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Record batches, as they are ready. Leaving the loop ends the run."""
        require("pyarrow", "iterating over flows")
        return self._batches(self._chosen, self._schema_choice)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with an Arrow C stream, to be consumed once; each call is a run of its own.

        ``pyarrow.table(flows)``, ``polars.DataFrame(flows)``, DuckDB and others take it.
        """
        if not available("pyarrow"):
            if self._schema_choice is not None:
                require("pyarrow", "schema=")
            self._runs += 1
            return self._begin(self._chosen).stream()
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def to_reader(self) -> pa.RecordBatchReader:
        """A ``pyarrow.RecordBatchReader``, for what takes one; consumed once."""
        pa = require("pyarrow", "Flows.to_reader")
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def to_arrow(self) -> pa.Table:
        """All records as a ``pyarrow.Table``."""
        pa = require("pyarrow", "Flows.to_arrow")
        schema = self.schema
        return pa.Table.from_batches(list(self), schema)

    def to_pandas(self, dtype_backend: Literal["numpy", "numpy_nullable", "pyarrow"] = "numpy") -> pandas.DataFrame:
        """All records as a ``pandas.DataFrame``.

        What a flow does not have is NaN, NaT or None, so that integers of which some are missing become float64 with
        ``numpy``; ``numpy_nullable`` and ``pyarrow`` keep them integers, as in ``pandas.read_parquet``. Lists are arrays.
        """
        loaded = require("pandas", "Flows.to_pandas")
        mappers = {"numpy": None, "pyarrow": loaded.ArrowDtype, "numpy_nullable": _nullable(loaded).get}
        if dtype_backend not in mappers:
            raise InvalidOption(f"dtype_backend is numpy, numpy_nullable or pyarrow, not {dtype_backend!r}")
        frame: pandas.DataFrame = self.to_arrow().to_pandas(types_mapper=mappers[dtype_backend])
        return frame

    def to_polars(self) -> polars.DataFrame:
        """All records as a ``polars.DataFrame``."""
        frame: polars.DataFrame = require("polars", "Flows.to_polars").DataFrame(self)
        return frame

    def to_parquet(
        self,
        directory: str | os.PathLike[str],
        partition_by: str | Sequence[str] | None = None,
        *,
        rows_per_file: int = 4_000_000,
        compression: str = "zstd",
        overwrite: bool = False,
    ) -> list[str]:
        """Writes all records into Parquet files in a folder, and returns their paths.

        ``partition_by`` names columns whose values become folders (``protocolIdentifier=6/``); ``"day"`` and ``"hour"`` are
        those of the flow's start in UTC. The files are complete or absent: they are written under another name and get theirs
        when the last record is in, so that an error and Ctrl-C leave nothing.

        Raises FileExistsError where the folder has Parquet files already, unless ``overwrite`` says that they go.
        """
        require("pyarrow", "Flows.to_parquet")
        from ._parquet import write

        return write(self, os.fspath(directory), partition_by, rows_per_file, compression, overwrite)

    # Arrays.

    def sequences(self, length: int = 30) -> Sequences:
        """Sizes, gaps, directions and flags of each flow's first packets: float32, (flows, 4, length), with a mask.

        Needs plugin pstats: where it was not chosen it is added, with ``length`` packets and times in microseconds. The rows
        are in the order of ``to_arrow()`` where one capture is read or ``threads=1``; else take both from one table:
        ``martlet.sequences(flows.to_arrow(), 30)``.
        """
        require("pyarrow", "Flows.sequences")
        from .arrays import concatenate_sequences, sequences

        chosen = self._with_packets(length)
        names = ["packetLength", "packetTime", "packetTimeMicroseconds", "packetFlag", "packetDirection"]
        return concatenate_sequences((sequences(part, length) for part in self._parts(chosen, names)), length)

    def histograms(self) -> Histograms:
        """Histograms of payload sizes and gaps by direction, as uint32 of the shape (flows, 4, 8).

        Needs plugin phists, which is added where it was not chosen. See ``sequences`` for the order of rows.
        """
        require("pyarrow", "Flows.histograms")
        from .arrays import concatenate_histograms, histograms

        chosen = _plugins.require(self._chosen, {"phists": {}}, "histograms()")
        names = ["phistSrcSizes", "phistDstSizes", "phistSrcInterPacketTime", "phistDstInterPacketTime"]
        return concatenate_histograms(histograms(part) for part in self._parts(chosen, names))

    def with_packets(self, length: int) -> Iterator[pa.RecordBatch]:
        """Record batches that have the first ``length`` packets of each flow, as for ``sequences``."""
        return self._batches(self._with_packets(length), None)

    def _with_packets(self, length: int) -> Chosen:
        if "pstats" not in self._chosen:
            return _plugins.require(self._chosen, {"pstats": {"packets": str(length), "time": "us"}}, "sequences()")
        kept = int(self._chosen["pstats"].get("packets") or _default(("pstats", "packets")))
        if kept < length:
            raise InvalidOption(f"pstats keeps {kept} packets of a flow: choose pstats:packets={length} for sequences({length})")
        return self._chosen

    # Runs.

    def _check(self) -> None:
        """Raises what is wrong with the options, before anything is read."""
        self._checked = Run(self._source, self._all_options(self._chosen))

    def _parts(self, chosen: Chosen, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of a run without a schema, with those columns of ``names`` that there are."""
        for batch in self._batches(chosen, None):
            there = [name for name in batch.schema.names if name.partition(":")[2] in names or name in names]
            yield batch.select(there)

    def _all_options(self, chosen: Chosen) -> list[tuple[str, str]]:
        return [*_plugins.as_options(chosen), *self._options]

    def _begin(self, chosen: Chosen) -> Run:
        """A run whose stream was not taken yet: the first time that which the options were checked with."""
        first, self._checked = self._checked, None
        if first is not None and chosen == self._chosen:
            return first
        if self._runs and "-" in self._source:
            raise MartletError("standard input was read already")
        return Run(self._source, self._all_options(chosen))

    def _open(self, chosen: Chosen) -> tuple[Run, pa.RecordBatchReader]:
        run = self._begin(chosen)
        return run, _reader(run)

    def _batches(self, chosen: Chosen, schema: Schema | None) -> Iterator[pa.RecordBatch]:
        opened, self._opened = self._opened, None
        if opened is None or chosen != self._chosen:
            opened = self._open(chosen)
        run, reader = opened
        self._runs += 1

        def ended() -> None:
            self._problems, self._counters = run.problems(), run.counters()
            run.close()

        for batch in batches(run, reader, display(self._progress), ended):
            yield batch if schema is None else schema.convert(batch)
        self._warn()

    def _warn(self) -> None:
        if self._problems:
            first = str(self._problems[0])
            more = f", and {len(self._problems) - 1} more: see .problems" if len(self._problems) > 1 else ""
            warnings.warn(f"{first}{more}", MartletWarning, stacklevel=4)

    def _converted(self, schema: pa.Schema) -> pa.Schema:
        import pyarrow as pa

        if self._schema_choice is None:
            return schema
        empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
        return self._schema_choice.convert(empty).schema


def _reader(run: Run) -> pa.RecordBatchReader:
    import pyarrow as pa

    class Stream:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return run.stream()

    return pa.RecordBatchReader.from_stream(Stream())


def _default(option: tuple[str, str]) -> str:
    declared = _plugins.plugins()[option[0]].options
    return next(one.default for one in declared if one.name == option[1])


def _nullable(pandas: Any) -> dict[Any, Any]:
    import pyarrow as pa

    kinds = {pa.bool_(): "boolean", pa.string(): "string", pa.float32(): "Float32", pa.float64(): "Float64"}
    for size in (8, 16, 32, 64):
        kinds[getattr(pa, f"int{size}")()] = f"Int{size}"
        kinds[getattr(pa, f"uint{size}")()] = f"UInt{size}"
    return {kind: pandas.api.types.pandas_dtype(name) for kind, name in kinds.items()}


def flows(
    captures: Captures,
    plugins: Plugins | None = None,
    *,
    preset: str | Iterable[str] | None = None,
    active_timeout: float | None = None,
    inactive_timeout: float | None = None,
    threads: int | None = None,
    progress: ProgressChoice = None,
    schema: str | Schema | None = None,
    **options: Value,
) -> Flows:
    """The flows of captures, read when they are asked for.

    :param captures: a path, a list of paths, a folder (its captures and those of folders below), a pattern, or a capture's
        octets.
    :param plugins: what extends the records: ``"pstats,tls"``, ``"pstats:packets=50,tls"``, a list of such, or
        ``{"pstats": {"packets": 50}, "tls": None}``; ``martlet.plugins()`` has them.
    :param preset: a set of plugins besides: ``"ml"``, ``"security"``, ``"all"``.
    :param active_timeout: seconds after which a flow that goes on is a record (300).
    :param inactive_timeout: seconds without packets after which a flow ends (30).
    :param threads: captures that are read at the same time; all CPUs of this process where nothing is said.
    :param progress: a bar where standard error is a terminal (None), always (True), never (False), or a function that is
        called with a ``Progress`` ten times a second.
    :param schema: columns of another tool or data set: ``"datazoo"``, ``"nfstream"``, ``"cicflowmeter"``.
    :param options: others of martlet's command line, with ``_`` for ``-``: ``filter="tcp port 443"``, ``sample="flow:1/10"``,
        ``tunnels="all"``, ``uniflow=True``, ``flows=1_000_000``; and the library's: ``addresses="binary"``,
        ``names="full"`` (columns by their names everywhere), ``batch_rows``, ``joined=True`` (all captures are one time line).
    :raises InvalidOption: an option, a plugin or a value that there is not
    :raises FileNotFoundError: no capture at all
    :raises ImportError: no library for this machine in the package
    """
    chosen = _plugins.parse(plugins)
    shape = by_name(schema) if isinstance(schema, str) else schema
    if shape is not None:
        chosen = _plugins.require(chosen, shape.plugins, f"schema {shape.name}")
        for key in ("names", "addresses", "uniflow"):
            if key in options:
                raise InvalidOption(f"{key}= does not go with schema=")
    source: Sequence[str] | tuple[bytes, str]
    source = (bytes(captures), "bytes") if isinstance(captures, (bytes, bytearray, memoryview)) else expand(captures)
    if threads is not None and threads < 1:
        raise InvalidOption(f"threads is 1 or more, not {threads}")
    count = 1 if isinstance(source, tuple) else len(source)
    named: list[tuple[str, str]] = [("threads", str(min(threads or _cpus(), count)))]
    for name, seconds in (("active-timeout", active_timeout), ("inactive-timeout", inactive_timeout)):
        if seconds is not None:
            named.append((name, _seconds(name, seconds)))
    for one in [preset] if isinstance(preset, str) else preset or ():
        named.append(("preset", one))
    for key, value in options.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        named += [(key.replace("_", "-"), _text(one)) for one in several]
    made = Flows(source, chosen, named, shape, progress)
    made._check()
    return made

