"""A collector of its own process, to be stopped, paused and killed: one line in a file for each record it has read.

    outage_collector.py PORT STORE [CERTIFICATE]

A line is `SESSION NUMBER`: the session counts from the start of the process, the number is the record's sourceIPv4Address, by
which the tests make each flow unique. With a certificate (a chain file with its key) it speaks TLS. SIGTERM ends it in order:
what was sent until then is read first.
"""

import os
import select
import signal
import socket
import ssl
import struct
import sys

from harness import Malformed, Session, number

SOURCE = 8  # sourceIPv4Address


class Connection:
    """A session: its octets become messages, its messages lines."""

    def __init__(self, stream, session, store):
        self.stream, self.number, self.store = stream, session, store
        self.session, self.data = Session(), b""

    def read(self):
        """Takes what came, a part of it where it does not end; False at the end."""
        for _ in range(64):
            try:
                part = self.stream.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if not part:
                return False
            self.data += part
            self._parse()
        return True

    def _parse(self):
        start = 0
        while len(self.data) - start >= 4:
            length = struct.unpack_from("!HH", self.data, start)[1]
            if length < 16:
                raise Malformed(f"a message of {length} octets")
            if len(self.data) - start < length:
                break
            self.session.message(self.data[start:start + length])
            start += length
        self.data = self.data[start:]
        if self.session.first_sequence not in (None, 0) or self.session.lost:
            raise Malformed(f"sequence from {self.session.first_sequence}, {self.session.lost} missing")
        if self.session.records:
            # One call, so that a kill leaves no half line.
            os.write(
                self.store, "".join(f"{self.number} {number(record, SOURCE)}\n" for record in self.session.records).encode())
            self.session.records.clear()


def main():
    port, place = int(sys.argv[1]), sys.argv[2]
    context = None
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
    store = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ending, wake = socket.socketpair()
    signal.signal(signal.SIGTERM, lambda *_: wake.send(b"x"))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    connections, count = {}, 0
    while True:
        ready = select.select([listener, ending, *connections], [], [])[0]
        for stream in ready:
            if stream in connections and not connections[stream].read():
                stream.close()
                del connections[stream]
        if ending in ready and not select.select([listener], [], [], 0)[0]:
            for stream, connection in connections.items():
                connection.read()
                stream.close()
            return
        if listener in ready:
            stream, _ = listener.accept()
            try:
                if context:
                    stream.settimeout(10)
                    stream = context.wrap_socket(stream, server_side=True)
                stream.setblocking(False)
            except OSError:
                continue
            connections[stream] = Connection(stream, count, store)
            count += 1


if __name__ == "__main__":
    main()
