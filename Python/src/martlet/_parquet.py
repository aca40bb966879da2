"""Parquet files that are complete or absent: written in a folder of their own, moved when the last record is in."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._columns import find
from ._errors import InvalidOption
from ._require import require

if TYPE_CHECKING:
    import pyarrow as pa

    from ._flows import Flows

#: Parts of the flow's start that records can be partitioned by, as strftime has them.
TIMES = {"day": "%Y-%m-%d", "hour": "%H"}
#: Rows of a row group, the part of a file that is read at once.
ROW_GROUP = 1 << 18


def _with_times(batches: Iterator[Any], schema: pa.Schema, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        columns = [batch.column(name) for name in batch.schema.names]
        start = batch.column(_start(batch.schema.names))
        columns += [pc.strftime(start, TIMES[name]) for name in names]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _start(names: Sequence[str]) -> str:
    for wanted in ("flowStartMicroseconds", "TIME_FIRST", "Timestamp"):
        if name := find(names, wanted):
            return name
    raise InvalidOption("these columns have no start of the flow to make day and hour of")


def write(
    flows: Flows,
    directory: str,
    partition_by: str | Sequence[str] | None,
    rows_per_file: int,
    compression: str,
    overwrite: bool,
) -> list[str]:
    """What Flows.to_parquet does."""
    pa = require("pyarrow", "Flows.to_parquet")
    dataset = require("pyarrow.dataset", "Flows.to_parquet")
    keys = [partition_by] if isinstance(partition_by, str) else list(partition_by or ())
    schema = flows.schema
    times = [key for key in keys if key in TIMES and key not in schema.names]
    if missing := [key for key in keys if key not in schema.names and key not in times]:
        raise InvalidOption(f"there is no column {missing[0]} to partition by; there are: {', '.join(schema.names)}")
    if times:
        _start(schema.names)
    target = Path(directory)
    before = sorted(target.rglob("*.parquet")) if target.is_dir() else []
    if before and not overwrite:
        raise FileExistsError(f"{target} has Parquet files already: choose another folder, or overwrite=True")
    target.mkdir(parents=True, exist_ok=True)
    # Inside the target, so that moving is renaming; hidden, so that readers of a folder pass over it.
    staging = Path(tempfile.mkdtemp(prefix=".martlet-", dir=target))
    try:
        written = schema
        records: Iterator[Any] = iter(flows)
        for name in times:
            written = written.append(pa.field(name, pa.string()))
        if times:
            records = _with_times(records, written, times)
        partitioning = None
        if keys:
            kinds = pa.schema([pa.field(key, _plain(written.field(key).type)) for key in keys])
            partitioning = dataset.partitioning(kinds, flavor="hive")
        _interruptible(
            records,
            lambda taken: dataset.write_dataset(
                pa.RecordBatchReader.from_batches(written, taken),
                staging,
                format="parquet",
                partitioning=partitioning,
                basename_template="flows-{i}.parquet",
                max_rows_per_file=rows_per_file,
                max_rows_per_group=min(ROW_GROUP, rows_per_file),
                file_options=dataset.ParquetFileFormat().make_write_options(compression=compression),
                existing_data_behavior="overwrite_or_ignore",
            ),
        )
        moved = sorted(_move(staging, target))
        for old in before:
            if str(old) not in moved:
                old.unlink()
        return moved
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _interruptible(records: Iterator[Any], work: Callable[[Iterator[Any]], object]) -> None:
    """Works on a thread of its own: Arrow's writer cannot be interrupted, but it ends when its records do with an error."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def taken() -> Iterator[Any]:
        for record in records:
            if ended.is_set():
                raise RuntimeError("interrupted")
            yield record

    def run() -> None:
        try:
            work(taken())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="martlet-parquet")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
    except BaseException:
        ended.set()
        thread.join()
        raise
    if failed:
        raise failed[0]


def _plain(kind: Any) -> Any:
    """The type of a folder's name: a dictionary's values."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _move(staging: Path, target: Path) -> Iterator[str]:
    for file in sorted(staging.rglob("*.parquet")):
        place = target / file.relative_to(staging)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
        yield str(place)
