"""Parquet files that are complete or absent: written in a folder of their own, moved when the last record is in.

Arrow's own writer of data sets is not used: its threads call for records after it has ended by an error, also while Python ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ._columns import find
from ._errors import InvalidOption

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ._flows import Flows

#: Parts of the flow's start that records can be partitioned by, as strftime has them.
TIMES = {"day": "%Y-%m-%d", "hour": "%H"}
#: Octets of a column's dictionary: what has more values than fit is written as it is, which for ports, times and addresses takes
#: less time and less room than a dictionary of nearly as many values as there are rows.
DICTIONARY = 1 << 14
#: Rows of a row group, the part of a file that is read at once.
ROW_GROUP = 1 << 18
#: Rows that wait in all partitions together; beyond that the fullest one is written.
MOST_WAITING = 1 << 21
#: Files that are open at the same time; beyond that the one that was written to the longest ago is closed.
MOST_OPEN = 128
#: Octets of a folder's name, of which file systems have 255; a longer one is cut, and ends in ~ and a digest of the whole.
LONGEST_NAME = 200
#: What Hive calls the folder of rows without a value.
NONE = "__HIVE_DEFAULT_PARTITION__"

Key: TypeAlias = "tuple[str, ...]"


def writer(path: Path, schema: pa.Schema, compression: str = "zstd") -> pq.ParquetWriter:
    """A writer of a file of flows, as all files of this package are written."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression=compression, dictionary_pagesize_limit=DICTIONARY)


def write(
    flows: Flows,
    directory: str,
    partition_by: str | Sequence[str] | None,
    rows_per_file: int,
    compression: str,
    overwrite: bool,
) -> list[str]:
    """What Flows.to_parquet does."""
    if rows_per_file < 1:
        raise InvalidOption(f"a file has 1 row or more, not {rows_per_file}")
    keys = [partition_by] if isinstance(partition_by, str) else list(partition_by or ())
    schema = flows.schema
    times = [key for key in keys if key in TIMES and key not in schema.names]
    if missing := [key for key in keys if key not in schema.names and key not in times]:
        raise InvalidOption(f"there is no column {missing[0]} to partition by; there are: {', '.join(schema.names)}")
    if nested := [key for key in keys if key in schema.names and _is_nested(schema.field(key).type)]:
        raise InvalidOption(f"column {nested[0]} has lists, which are no names of folders")
    start = _start(schema.names) if times else ""
    target = Path(directory)
    before = sorted(target.rglob("*.parquet")) if target.is_dir() else []
    if before and not overwrite:
        raise FileExistsError(f"{target} has Parquet files already: choose another folder, or overwrite=True")
    target.mkdir(parents=True, exist_ok=True)
    # Inside the target, so that moving is renaming; hidden, so that readers of a folder pass over it.
    staging = Path(tempfile.mkdtemp(prefix=".martlet-", dir=target))
    try:
        with _Files(staging, rows_per_file, compression) as files:
            for batch in flows:
                for key, rows in _split(batch, keys, start) if keys else [((), batch)]:
                    files.add(key, rows)
            if not keys:
                files.add((), _none(schema))
        with _uninterrupted():
            moved = sorted(_move(staging, target))
            for old in before:
                if str(old) not in moved:
                    old.unlink()
        return moved
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Has Ctrl-C wait until this is done: of the files of a run there are all, or none."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    noted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if noted:
            signal.raise_signal(signal.SIGINT)


def _none(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without a row: a run without records has a file, too, with its columns."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _is_nested(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(kind))


def _folder(key: str, value: object) -> str:
    """What the folder of a value is called. What comes from packets may be longer than a name in a file system."""
    name = f"{key}={urllib.parse.quote(str(value), safe='')}"
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{name[:LONGEST_NAME - len(digest) - 1]}~{digest}"


def _start(names: Sequence[str]) -> str:
    for wanted in ("flowStartMicroseconds", "TIME_FIRST", "Timestamp"):
        if name := find(names, wanted):
            return name
    raise InvalidOption("these columns have no start of the flow to make day and hour of")


def _split(batch: pa.RecordBatch, keys: Sequence[str], start: str) -> Iterator[tuple[Key, pa.RecordBatch]]:
    """A batch's rows by the folder that they belong into, without the columns that the folder says."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = np.zeros(batch.num_rows, np.int64)
    words: list[list[str]] = []
    for key in keys:
        made = key in TIMES and key not in batch.schema.names
        array = pc.strftime(batch.column(start), TIMES[key]) if made else batch.column(key)
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        # A code behind the last one stands for no value.
        values = [_folder(key, value) for value in array.dictionary.to_pylist()]
        values.append(f"{key}={NONE}")
        place = array.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        codes = codes * len(values) + place
        words.append(values)
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    rest = batch.select([name for name in batch.schema.names if name not in keys]).take(pa.array(order))
    for code, first, end in zip(found.tolist(), starts.tolist(), [*starts[1:].tolist(), batch.num_rows]):
        key_words = []
        for values in reversed(words):
            code, place = divmod(code, len(values))
            key_words.append(values[place])
        yield tuple(reversed(key_words)), rest.slice(first, end - first)


class _Partition:
    """What is known of one folder's files."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.rows_waiting = 0
        self.writer: Any = None
        self.rows_written = 0
        self.files = 0


class _Files:
    """Files in folders by key, with rows that wait to become row groups."""

    def __init__(self, root: Path, rows_per_file: int, compression: str) -> None:
        self._root, self._rows_per_file, self._compression = root, rows_per_file, compression
        self._group = min(ROW_GROUP, rows_per_file)
        #: In the order in which they were written to last.
        self._partitions: dict[Key, _Partition] = {}
        self._waiting = 0
        self._open = 0

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for key, partition in list(self._partitions.items()):
            if kind is None:
                self._write(key, partition, partition.rows_waiting)
            self._close(partition)

    def add(self, key: Key, rows: pa.RecordBatch) -> None:
        """Rows for a folder."""
        partition = self._partitions.setdefault(key, _Partition())
        if not rows.num_rows and (partition.waiting or partition.files):
            return
        partition.waiting.append(rows)
        partition.rows_waiting += rows.num_rows
        self._waiting += rows.num_rows
        if partition.rows_waiting >= self._group:
            self._write(key, partition, partition.rows_waiting // self._group * self._group)
        while self._waiting > MOST_WAITING:
            fullest = max(self._partitions, key=lambda one: self._partitions[one].rows_waiting)
            self._write(fullest, self._partitions[fullest], self._partitions[fullest].rows_waiting)

    def _write(self, key: Key, partition: _Partition, count: int) -> None:
        """Writes the first ``count`` waiting rows as row groups, into as many files as that takes."""
        import pyarrow as pa

        if not partition.waiting:
            return
        table = pa.Table.from_batches(partition.waiting)
        rest = table.slice(count)
        partition.waiting, partition.rows_waiting = rest.to_batches() if rest.num_rows else [], rest.num_rows
        self._waiting -= count
        self._partitions[key] = self._partitions.pop(key)
        place = 0
        while place < count or (count == 0 and not partition.files):
            room = min(self._rows_per_file - partition.rows_written, self._group, count - place)
            self._writer(key, partition, table.schema).write_table(table.slice(place, room), row_group_size=self._group)
            partition.rows_written += room
            place += room
            if partition.rows_written == self._rows_per_file:
                self._close(partition)

    def _writer(self, key: Key, partition: _Partition, schema: pa.Schema) -> Any:
        if partition.writer is None:
            if self._open >= MOST_OPEN:
                self._close(next(one for one in self._partitions.values() if one.writer is not None))
            folder = self._root.joinpath(*key)
            folder.mkdir(parents=True, exist_ok=True)
            partition.writer = writer(folder / f"flows-{partition.files}.parquet", schema, self._compression)
            partition.files += 1
            self._open += 1
        return partition.writer

    def _close(self, partition: _Partition) -> None:
        open_writer, partition.writer, partition.rows_written = partition.writer, None, 0
        if open_writer is not None:
            self._open -= 1
            open_writer.close()


def _move(staging: Path, target: Path) -> Iterator[str]:
    for file in sorted(staging.rglob("*.parquet")):
        place = target / file.relative_to(staging)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
        yield str(place)
