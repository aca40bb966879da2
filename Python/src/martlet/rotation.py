"""Record batches into Parquet files that begin anew after a time or so many rows; each is complete or not there."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from ._parquet import writer

#: Rows that are gathered before they are written: a row group.
ROW_GROUP = 65536
#: Octets that are gathered at most.
MOST_WAITING = 256 << 20
#: Files that wait for the disk at most; beyond that batches wait, too.
MOST_SETTLING = 8


class ParquetRotation:
    """Writes record batches to `flows-TIME-NUMBER.parquet` in a folder, TIME being when the file began, in UTC.

    A file is written under a hidden name (readers of data sets pass over names with a dot in front) and gets its own when it is
    whole and on the disk. It ends after `rotate` seconds or `rows` rows, or where batches have other columns than before.

    Raises OSError where the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], *, rotate: float | None = None, rows: int | None = None,
                 compression: str = "zstd") -> None:
        # Written so that NaN is none either.
        if not ((rotate is None or rotate > 0) and (rows is None or rows >= 1)):
            raise ValueError("rotate is more than 0 seconds, rows at least 1")
        self.folder, self.rotate, self.rows, self.compression = Path(folder), rotate, rows, compression
        self.folder.mkdir(parents=True, exist_ok=True)
        #: The files that are whole.
        self.files: list[Path] = []
        self._number = 0
        # A disk that is busy takes a minute for a file; batches do not wait for that.
        self._settler = ThreadPoolExecutor(1, thread_name_prefix="martlet-parquet")
        self._settling: deque[Future[Path]] = deque()
        self._writer: pq.ParquetWriter | None = None
        self._clear()

    def _clear(self) -> None:
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_octets = self._rows = 0
        self._began: float | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Takes a batch, in slices where it has more rows than are left in a file."""
        self.tick()
        while batch.num_rows:
            if self._began is None:
                self._began = time.monotonic()
                self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            room = batch.num_rows if self.rows is None else self.rows - self._rows
            part, batch = batch.slice(0, room), batch.slice(room)
            self._waiting.append(part)
            self._rows += part.num_rows
            self._waiting_rows += part.num_rows
            self._waiting_octets += part.get_total_buffer_size()
            if self._rows == self.rows:
                self.finish()
            elif self._waiting_rows >= ROW_GROUP or self._waiting_octets >= MOST_WAITING:
                self._write_group()

    def tick(self) -> None:
        """Ends the file whose time is over; to be called now and then where no batches come."""
        self._settled()
        if self.rotate is not None and self._began is not None and time.monotonic() - self._began >= self.rotate:
            self.finish()

    def _write_group(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables([pa.Table.from_batches([one]) for one in self._waiting], promote_options="default")
        self._waiting, self._waiting_rows, self._waiting_octets = [], 0, 0
        if self._writer is not None and not table.schema.equals(self._writer.schema):
            self._close()
        if self._writer is None:
            self._number += 1
            self._path = self.folder / f"flows-{self._stamp}-{os.getpid()}-{self._number:06}.parquet"
            self._hidden = self._path.with_name(f".{self._path.name}.part")
            self._writer = writer(self._hidden, table.schema, self.compression)
        self._writer.write_table(table, row_group_size=ROW_GROUP)

    def _close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        self._settling.append(self._settler.submit(_settle, self._hidden, self._path))
        self._settled()

    def _settled(self, *, wait: bool = False) -> None:
        """Takes note of the files that are on the disk by now, or with `wait` of all; raises what went wrong with them."""
        while self._settling and (wait or self._settling[0].done() or len(self._settling) > MOST_SETTLING):
            self.files.append(self._settling.popleft().result())

    def finish(self) -> None:
        """Ends the file that is being written; the next batch begins another. It gets its name when the disk has it."""
        self._write_group()
        self._close()
        self._clear()

    def abandon(self) -> None:
        """Ends without a file for what is not in a whole one yet."""
        self._clear()
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
            self._hidden.unlink(missing_ok=True)
        self._settler.shutdown()
        with contextlib.suppress(OSError):
            self._settled(wait=True)

    def close(self) -> None:
        """Ends the last file, and waits until all are on the disk."""
        self.finish()
        self._settler.shutdown()
        self._settled(wait=True)

    def __enter__(self) -> ParquetRotation:
        return self

    def __exit__(
            self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def _settle(hidden: Path, path: Path) -> Path:
    """Gives a file its name when it is on the disk: whoever sees the name finds the whole file behind it, also after the power
    went."""
    with open(hidden, "rb") as file:
        os.fsync(file.fileno())
    os.replace(hidden, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def write_parquet(
        batches: Iterable[pa.RecordBatch], folder: str | os.PathLike[str], *, rotate: float | None = None,
        rows: int | None = None) -> list[Path]:
    """Writes all batches; the files. Where the iteration fails, files that are whole stay, and nothing else."""
    with ParquetRotation(folder, rotate=rotate, rows=rows) as rotation:
        for batch in batches:
            rotation.write(batch)
    return rotation.files
