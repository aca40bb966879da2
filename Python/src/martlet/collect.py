"""Records from running probes: IPFIX (RFC 7011) over UDP, TCP or TLS, or from a file, as Arrow record batches.

    for batch in martlet.collect("tcp://0.0.0.0:4739"):
        print(batch.to_pandas())

Whatever speaks IPFIX will do. Elements of enterprises get their names and types from the stream (RFC 5610); Martlet's `--export`
sends them unless told not to.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from ._ipfix.assembly import Assembly
from ._ipfix.columns import Decoder
from ._ipfix.counters import Counters
from ._ipfix.receiving import Files, Receiver, Sockets
from ._ipfix.session import Limits, Session
from ._ipfix.templates import Budget
from .rotation import write_parquet

__all__ = ["Collector", "Counters", "Limits", "collect", "write_parquet"]

#: Octets of messages that wait in all sessions together; beyond that they are decoded at once.
MOST_WAITING = 64 << 20
#: Options records that are kept to be looked at.
OPTIONS = 1000


class Collector:
    """An iterator over record batches; made by `collect`. It is a context manager, and `close` frees its sockets.

    One thread iterates; `stop`, `counters` and `options` may be used from others and from handlers of signals.
    """

    def __init__(
            self, receiver: Receiver, assembly: Assembly, counters: Counters, options: deque[dict[str, Any]],
            latency: float, heartbeat: float | None) -> None:
        self._receiver, self._assembly, self._options, self._latency = receiver, assembly, options, latency
        self._heartbeat = heartbeat
        #: What came and what did not; grows while batches are taken.
        self.counters = counters
        self._stopped = False
        self._batches = self._run()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: useful where the port was 0, any that is free. Of a file its name and 0."""
        return self._receiver.address

    @property
    def schema(self) -> pa.Schema:
        """The columns seen so far; the next batch has these, or more."""
        return self._assembly.schema

    @property
    def options(self) -> list[dict[str, Any]]:
        """The latest options records of all sessions: exporter and values by full names (`iana:exportedMessageTotalCount`)."""
        return list(self._options)

    def stop(self) -> None:
        """Ends the iteration behind what has come until now."""
        self._stopped = True
        self._receiver.wake()

    def close(self) -> None:
        """Ends it at once; what waits is lost."""
        self._batches.close()
        self._receiver.close()

    def _run(self) -> Generator[pa.RecordBatch, None, None]:
        since: float | None = None
        given = time.monotonic()
        longest = min(self._latency, self._heartbeat or self._latency)
        try:
            while True:
                wait = longest if since is None else max(0.0, since + self._latency - time.monotonic())
                more = self._receiver.receive(wait) and not self._stopped
                now = time.monotonic()
                waiting = self._receiver.waiting()
                if since is None and (waiting or self._assembly.rows):
                    since = now
                due = not more or waiting > MOST_WAITING or (since is not None and now >= since + self._latency)
                for session in self._receiver.sessions():
                    if session.waiting and (due or session.waiting >= session.limits.octets):
                        self._decode(session)
                        if self._assembly.is_full:
                            yield from self._assembly.take()
                            given = time.monotonic()
                if due:
                    since = None
                    for batch in self._assembly.take():
                        yield batch
                        given = time.monotonic()
                if self._heartbeat is not None and time.monotonic() - given >= self._heartbeat:
                    yield pa.RecordBatch.from_arrays([pa.nulls(0, one.type) for one in self.schema], schema=self.schema)
                    given = time.monotonic()
                if not more:
                    return
        finally:
            self._receiver.close()

    def _decode(self, session: Session) -> None:
        for table in session.flush():
            self._assembly.add(session.name, table)
        if session.ended:
            self._receiver.end(session)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def __enter__(self) -> Collector:
        return self

    def __exit__(
            self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def collect(
        source: str | os.PathLike[str], *, names: str = "short", addresses: str = "text", schema: pa.Schema | None = None,
        batch_rows: int = 65536, latency: float = 1.0, heartbeat: float | None = None, columns: int = 1024,
        template_lifetime: float = 1800.0, limits: Limits = Limits(),  # noqa: B008 (frozen)
        certificate: str | os.PathLike[str] | None = None, key: str | os.PathLike[str] | None = None,
        ca: str | os.PathLike[str] | None = None) -> Collector:
    """Listens for IPFIX, or reads a file of it, and gives what comes as record batches.

    Args:
        source: `tcp://HOST:PORT`, `udp://HOST:PORT` or `tls://HOST:PORT` to listen at (port 4739, tls 4740, where none is given;
            0 for any that is free, see `Collector.address`), or a file of messages (RFC 5655; `.gz` and `.zst` are unpacked).
        names: `short` (`octetDeltaCount`, `reverseOctetDeltaCount`, `TLSSNI`) or `full` (`iana:octetDeltaCount`,
            `iana@reverse:octetDeltaCount`, `cesnet:TLSSNI`). Where two elements have one short name, the second has its full one.
        addresses: `text`, or `binary` for fixed-size binaries of 4, 16 and (MAC) 6 octets.
        schema: the columns to give; without it all that comes, and batches grow by columns as these come.
        batch_rows: rows of a batch at most.
        latency: seconds that a record may wait for others.
        heartbeat: seconds after which an empty batch comes where no other did, for those who have something to do by the clock.
        columns: columns at most; values of others are counted (`values_left_out`).
        template_lifetime: seconds after which a template that was not sent again is forgotten, over UDP.
        limits: what each session may make the collector keep.
        certificate, key: the collector's own, PEM, for `tls://`; the key may be in the certificate's file.
        ca: whom exporters' certificates must be from; without it they need none.

    Each batch has the columns `exporter` (address and port, or the file), `observationDomainId` and `exportTime` (whole seconds)
    before those of the records' elements. Octets become binaries, texts UTF-8 (what is none is replaced), times
    `timestamp[ns, UTC]`, basicLists Arrow lists under their element's name; a list of lists, and structured data of RFC 6313
    otherwise, stays octets.

    Raises:
        ValueError: for a source or an option that is none.
        OSError: where the address or the file cannot be opened; `ssl.SSLError` for a certificate that cannot be used.
    """
    if names not in ("short", "full") or addresses not in ("text", "binary"):
        raise ValueError("names is 'short' or 'full', addresses 'text' or 'binary'")
    # Written so that NaN is none either.
    if not (batch_rows >= 1 and latency > 0 and columns >= 1 and (heartbeat is None or heartbeat > 0)):
        raise ValueError("batch_rows and columns are at least 1, latency and heartbeat more than 0")
    counters, decoder = Counters(), Decoder(addresses)
    options: deque[dict[str, Any]] = deque(maxlen=OPTIONS)
    budget = Budget()

    def session(name: str, is_stream: bool, is_file: bool) -> Session:
        counters.sessions += 1
        return Session(
            name, decoder, counters, limits, options, budget, is_stream=is_stream, is_file=is_file, lifetime=template_lifetime)

    place = os.fspath(source)
    receiver: Receiver
    if "://" in place:
        receiver = Sockets(place, session, counters, certificate, key, ca)
    else:
        receiver = Files(Path(place), session, counters)
    return Collector(receiver, Assembly(counters, names, schema, batch_rows, columns), counters, options, latency, heartbeat)
