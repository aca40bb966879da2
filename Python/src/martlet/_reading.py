"""Takes a run's record batches on a thread of their own, so that Ctrl-C and the progress bar need not wait for one.

While the engine works inside the library, Python cannot act on a signal: the thread that asks for batches is therefore not
the one that waits for them.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ._errors import MartletError
from ._library import Run
from ._progress import Display

if TYPE_CHECKING:
    import pyarrow as pa

#: Batches that wait to be taken.
AHEAD = 4
#: Seconds between two looks at the progress.
LOOK = 0.1


class _Ended(Exception):
    """The producer's last word: no more batches."""


class _Producer(threading.Thread):
    def __init__(self, reader: pa.RecordBatchReader) -> None:
        super().__init__(name="martlet", daemon=True)
        self.batches: queue.Queue[pa.RecordBatch | BaseException] = queue.Queue(AHEAD)
        self._reader = reader
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._put(self._reader.read_next_batch())
        except StopIteration:
            self._put(_Ended())
        except BaseException as error:
            self._put(error)

    def _put(self, item: pa.RecordBatch | BaseException) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self.batches.put(item, timeout=LOOK)
                return

    def stop(self) -> None:
        """Ends the thread; the run must have been stopped before."""
        self._stopped.set()
        self.join()


def batches(run: Run, reader: pa.RecordBatchReader, display: Display, ended: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    """The run's batches. When the iterator ends, also early or by an exception, the run is stopped; then ``ended`` is called.

    Raises MartletError where the stream has an error.
    """
    import pyarrow as pa

    producer = _Producer(reader)
    producer.start()
    try:
        while True:
            try:
                item = producer.batches.get(timeout=LOOK)
            except queue.Empty:
                display.show(run.progress())
                continue
            display.show(run.progress())
            if isinstance(item, _Ended):
                return
            if isinstance(item, (pa.ArrowException, OSError)):
                raise MartletError(str(item)) from item
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        run.stop()
        producer.stop()
        display.close()
        ended()
