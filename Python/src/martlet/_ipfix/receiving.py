"""Where messages come from: files, datagrams, connections. What one sender can make a collector keep has a bound."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa

from .columns import Malformed
from .counters import Counters
from .session import Session

MakeSession = Callable[[str, bool, bool], Session]
FilePath = str | os.PathLike[str]

#: Octets that are read at once.
READ = 1 << 18
#: Datagrams that are taken before others get their turn.
DATAGRAMS = 512
MOST_CONNECTIONS = 512
RECEIVE_BUFFER = 32 << 20
#: Linux's number of it, which Python has no name for.
SO_RCVBUFFORCE = 33
#: Sessions over UDP, where a sender's address may be forged; the longest silent is forgotten.
MOST_UDP_SESSIONS = 512
#: Seconds for a TLS handshake, and until the first message of a connection.
HANDSHAKE = 10.0
FIRST_MESSAGE = 60.0


class Receiver(Protocol):
    """What `Collector` asks of a source."""

    address: tuple[str, int]

    def receive(self, wait: float) -> bool:
        """Takes what is there, or comes within `wait` seconds, into sessions; false at the end."""

    def sessions(self) -> Iterable[Session]: ...

    def waiting(self) -> int:
        """Octets that wait in all sessions."""

    def end(self, session: Session) -> None:
        """Closes what a session comes from, because it cannot go on."""

    def wake(self) -> None: ...

    def close(self) -> None: ...


def split(buffer: bytearray, session: Session, counters: Counters, now: float) -> bool:
    """Takes the whole messages at a stream's front out of `buffer`; false where the stream cannot go on."""
    offset, going = 0, True
    while len(buffer) - offset >= 4:
        version = buffer[offset] << 8 | buffer[offset + 1]
        length = buffer[offset + 2] << 8 | buffer[offset + 3]
        if version != 10:
            counters.not_ipfix += 1
            going = False
            break
        if length >= 16 and len(buffer) - offset < length:
            break
        try:
            session.take(bytes(buffer[offset:offset + max(length, 4)]), now)
        except Malformed:
            counters.malformed_messages += 1
            going = False
            break
        offset += length
    del buffer[:offset]
    return going


def end_point(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Files:
    """A file of IPFIX messages (RFC 5655), one behind the other, or a pipe that they come through."""

    def __init__(self, path: Path, make: MakeSession, counters: Counters) -> None:
        self.address = (str(path), 0)
        self._is_pipe = not path.is_file()
        # Without a buffer a pipe gives what there is.
        self._file = open(path, "rb", buffering=0)
        self._unpacked: Any = self._file
        if not self._is_pipe:
            compression = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(self._file.read(2))
            self._file.seek(0)
            if compression:
                self._unpacked = pa.CompressedInputStream(self._file, compression)
        self._session = make(str(path), True, True)
        self._counters, self._buffer, self._open = counters, bytearray(), True

    def receive(self, wait: float) -> bool:
        if not self._open:
            return False
        if self._is_pipe and not select.select([self._file], [], [], wait)[0]:
            return True
        try:
            data = self._unpacked.read(READ)
        except OSError:  # packed octets that are damaged
            data = b""
            self._counters.truncated += 1
        self._buffer += data
        self._open = split(self._buffer, self._session, self._counters, time.monotonic()) and bool(data)
        if not data and self._buffer:
            self._counters.truncated += 1
        return self._open

    def sessions(self) -> Iterable[Session]:
        return [self._session]

    def waiting(self) -> int:
        return self._session.waiting

    def end(self, session: Session) -> None:
        self._open = False

    def wake(self) -> None:
        self._open = False

    def close(self) -> None:
        self._file.close()


class Connection:
    """A TCP or TLS connection and its session."""

    def __init__(self, peer: socket.socket, session: Session, now: float, is_ready: bool) -> None:
        self.socket, self.session, self.since, self.is_ready = peer, session, now, is_ready
        self.buffer = bytearray()
        self.has_message = False


class Sockets:
    """Listens at a URL."""

    def __init__(
            self, url: str, make: MakeSession, counters: Counters, certificate: FilePath | None, key: FilePath | None,
            ca: FilePath | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("tcp", "udp", "tls") or parts.hostname is None or parts.path.strip("/") or parts.query:
            raise ValueError(f"{url}: a source is tcp://HOST[:PORT], udp://HOST[:PORT], tls://HOST[:PORT] or a file")
        if (parts.scheme == "tls") != (certificate is not None):
            raise ValueError("tls:// needs a certificate, and nothing else does")
        self._make, self._counters, self._is_udp = make, counters, parts.scheme == "udp"
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context.load_cert_chain(certificate, key)
            if ca is not None:
                self._context.verify_mode = ssl.CERT_REQUIRED
                self._context.load_verify_locations(ca)
        kind = socket.SOCK_DGRAM if self._is_udp else socket.SOCK_STREAM
        port = parts.port if parts.port is not None else 4740 if parts.scheme == "tls" else 4739
        family, _, protocol, _, place = socket.getaddrinfo(parts.hostname, port, type=kind, flags=socket.AI_PASSIVE)[0]
        self._listener = socket.socket(family, kind, protocol)
        try:
            if self._is_udp:
                # Bursts wait in the kernel while batches are made; root may have more than the system's limit.
                try:
                    self._listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
                except OSError:
                    self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            else:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(place)
            if not self._is_udp:
                self._listener.listen(64)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        name = self._listener.getsockname()
        self.address = (str(name[0]), int(name[1]))
        self._connections: dict[int, Connection] = {}
        self._datagrams: dict[tuple[str, int], tuple[Session, float]] = {}
        self._closed: list[Session] = []
        self._space = bytearray(65536)
        self._lifetime = 0.0
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def sessions(self) -> Iterable[Session]:
        live = [one.session for one in list(self._connections.values())] or [one for one, _ in list(self._datagrams.values())]
        return [*self._closed, *live]

    def waiting(self) -> int:
        return sum(session.waiting for session in self.sessions())

    def receive(self, wait: float) -> bool:
        # Sessions whose connections are gone have been decoded since the last call.
        self._closed = [session for session in self._closed if session.waiting]
        for ready, _ in self._selector.select(wait):
            if ready.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(64)
                self._drain()
                return False
            if ready.fileobj is not self._listener:
                self._read(ready.fd)
            elif self._is_udp:
                self._take_datagrams(DATAGRAMS)
            else:
                self._accept()
        self._end_idle(time.monotonic())
        return True

    def _drain(self) -> None:
        """Takes what the kernel has at the end."""
        if self._is_udp:
            while self._take_datagrams(DATAGRAMS) == DATAGRAMS and self.waiting() < self._most_at_end:
                pass
        for number in list(self._connections):
            for _ in range(64):
                if not self._read(number):
                    break

    _most_at_end = 64 << 20

    # Datagrams

    def _take_datagrams(self, most: int) -> int:
        now = time.monotonic()
        taken = 0
        while taken < most:
            try:
                size, sender = self._listener.recvfrom_into(self._space)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of what was sent by nobody
                continue
            taken += 1
            self._take_datagram(bytes(self._space[:size]), (str(sender[0]), int(sender[1])), now)
        return taken

    def _take_datagram(self, data: bytes, sender: tuple[str, int], now: float) -> None:
        if data[:2] != b"\x00\x0a":
            self._counters.not_ipfix += 1
            return
        known = self._datagrams.pop(sender, None)
        # Only what is a message makes a session, so that noise forgets none.
        session = known[0] if known else self._make(end_point(*sender), False, False)
        try:
            session.take(data, now)
        except Malformed:
            self._counters.malformed_messages += 1
            if known is None:
                self._counters.sessions -= 1
                return
            now = known[1]
        self._datagrams[sender] = (session, now)
        while len(self._datagrams) > MOST_UDP_SESSIONS or (session.templates.budget.is_spent and len(self._datagrams) > 1):
            self._forget(self._datagrams.pop(next(iter(self._datagrams)))[0])
            self._counters.sessions_forgotten += 1

    def _forget(self, session: Session) -> None:
        """What a session has still waiting is decoded; its templates go at once."""
        session.templates.clear()
        self._closed.append(session)

    # Connections

    def _accept(self) -> None:
        try:
            peer, address = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MOST_CONNECTIONS:
            self._counters.connections_refused += 1
            peer.close()
            return
        peer.setblocking(False)
        # Who goes away without a word gives its place back.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context:
            peer = self._context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
        session = self._make(end_point(address[0], address[1]), True, False)
        self._connections[peer.fileno()] = Connection(peer, session, time.monotonic(), self._context is None)
        self._selector.register(peer, selectors.EVENT_READ)

    def _read(self, number: int) -> bool:
        """Reads from a connection; false where there is nothing more for now."""
        connection = self._connections.get(number)
        if connection is None:
            return False
        try:
            if not connection.is_ready:
                self._shake_hands(connection)
            data = connection.socket.recv(READ)
            # What TLS has unpacked already does not make the socket readable.
            while data and isinstance(connection.socket, ssl.SSLSocket) and (left := connection.socket.pending()):
                data += connection.socket.recv(left)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            self._selector.modify(connection.socket, selectors.EVENT_READ)
            return False
        except ssl.SSLWantWriteError:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE)
            return False
        except OSError:  # reset, or a handshake that failed
            self._counters.handshakes_failed += not connection.is_ready
            data = b""
        connection.buffer += data
        going = split(connection.buffer, connection.session, self._counters, time.monotonic())
        connection.has_message |= connection.session.waiting > 0
        if not data or not going:
            if going and connection.buffer:
                self._counters.truncated += 1
            self._disconnect(connection)
            return False
        return True

    def _shake_hands(self, connection: Connection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        connection.socket.do_handshake()
        connection.is_ready = True
        self._selector.modify(connection.socket, selectors.EVENT_READ)

    def _disconnect(self, connection: Connection) -> None:
        number = connection.socket.fileno()
        self._selector.unregister(connection.socket)
        del self._connections[number]
        connection.socket.close()
        self._forget(connection.session)

    def _end_idle(self, now: float) -> None:
        """Ends connections that hold a place and say nothing, and forgets senders that have been silent for longer than their
        templates live."""
        for connection in list(self._connections.values()):
            limit = FIRST_MESSAGE if connection.is_ready else HANDSHAKE
            if not connection.has_message and now - connection.since > limit:
                self._counters.connections_idle += 1
                self._disconnect(connection)
        for sender, (session, heard) in list(self._datagrams.items()):
            # The longest silent come first.
            if now - heard <= session.lifetime:
                break
            del self._datagrams[sender]
            self._forget(session)
            self._counters.sessions_forgotten += 1

    def end(self, session: Session) -> None:
        for connection in list(self._connections.values()):
            if connection.session is session:
                self._disconnect(connection)

    def wake(self) -> None:
        # It may have ended meanwhile, on another thread.
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._disconnect(connection)
        self._selector.close()
        for one in (self._listener, self._wake, self._woken):
            one.close()
