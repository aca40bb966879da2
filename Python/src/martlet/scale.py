"""Many captures on many machines: functions that Spark, Dask and Ray call with a capture's path.

A capture is the unit of work: its flows are made where it is read, by one thread, so that tasks share nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ._captures import Captures, expand
from ._errors import MartletWarning
from ._flows import flows
from ._require import require

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa
    import pyspark.sql


def capture_table(path: str, **options: Any) -> pa.Table:
    """The flows of one capture as a ``pyarrow.Table``; options are those of ``martlet.flows``.

    For Ray: ``ray.data.from_items(paths).flat_map(…)``, or ``map_batches`` over a column of paths, with this function.
    """
    options.setdefault("threads", 1)
    options.setdefault("progress", False)
    return flows(path, **options).to_arrow()


def capture_frame(path: str, **options: Any) -> pandas.DataFrame:
    """The flows of one capture as a ``pandas.DataFrame``, for ``dask.dataframe.from_map(martlet.capture_frame, paths)``.

    Every capture's frame has the same types: names that repeat are text, not categories, which would differ.
    """
    import pyarrow as pa

    require("pandas", "capture_frame")
    table = capture_table(path, **options)
    plain = [
        pa.field(field.name, field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    frame: pandas.DataFrame = table.cast(pa.schema(plain)).to_pandas()
    return frame


def capture_batches(paths: Iterable[str], **options: Any) -> Iterator[pa.RecordBatch]:
    """The flows of captures as record batches, one capture after the other. One that cannot be read is warned of."""
    options.setdefault("progress", False)
    options["threads"] = 1
    for path in paths:
        try:
            yield from flows(path, **options)
        except FileNotFoundError as error:
            warnings.warn(f"{path}: {error.strerror}", MartletWarning, stacklevel=2)


def spark_flows(
    spark: pyspark.sql.SparkSession, captures: Captures, *, partitions: int | None = None, **options: Any
) -> pyspark.sql.DataFrame:
    """The flows of captures as a Spark ``DataFrame``, by ``mapInArrow`` over their paths.

    :param spark: the session
    :param captures: as in ``martlet.flows``; paths must be valid on the workers, which need the package, too
    :param partitions: tasks among which captures are dealt out; one for each capture where nothing is said
    :param options: as in ``martlet.flows``

    Spark knows no unsigned numbers and no nanoseconds: ``uint8`` … ``uint32`` become the next larger signed type, ``uint64``
    the ``bigint`` with the same bits (``flowId`` and ``tcpOptions`` may be negative), times ``timestamp`` in microseconds.
    """
    require("pyspark", "spark_flows")
    pa = require("pyarrow", "spark_flows")
    from pyspark.sql.pandas.types import from_arrow_schema

    paths = expand(captures)  # type: ignore[arg-type]
    options = {**options, "progress": False, "threads": 1}
    schema = spark_schema(flows(paths, **options).schema)
    rows = spark.createDataFrame([(path,) for path in paths], "path string")
    spread = rows.repartition(partitions or len(paths))
    return spread.mapInArrow(_mapper(schema, options, pa), from_arrow_schema(schema))


def _mapper(schema: pa.Schema, options: dict[str, Any], _: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def mapper(batches: Iterator[Any]) -> Iterator[Any]:
        for paths in batches:
            for batch in capture_batches(paths.column(0).to_pylist(), **options):
                yield spark_batch(batch, schema)

    return mapper


def _spark_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _spark_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_spark_type(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return {
        pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(),
        pa.large_string(): pa.string(), pa.large_binary(): pa.binary(),
    }.get(kind, kind)


def spark_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with types that Spark has."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _spark_type(field.type)) for field in schema])


def spark_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the types of ``spark_schema``."""
    import pyarrow as pa

    columns = []
    for array, field in zip(batch.columns, schema):
        if array.type == pa.uint64():
            array = array.view(pa.int64())
        elif array.type != field.type:
            # Nanoseconds are cut to microseconds.
            array = array.cast(field.type, safe=False)
        columns.append(array)
    return pa.RecordBatch.from_arrays(columns, schema=schema)
