#!/usr/bin/env python3
"""Small clients and servers for traffic that no ordinary program makes on request.

    clients.py serve                    TCP 7001 (server closes first), 7002 (echo); UDP and UDP-Lite 7000
    clients.py tcp HOST                 refused, reset, half-closed, reused, kept alive
    clients.py udp HOST                 plain, large, IP options or extension headers
    clients.py udplite HOST             protocol 136, with full and partial checksum coverage
    clients.py large HOST               UDP of several thousand bytes (fragments)
    clients.py many HOST N              N flows of one UDP packet each
    clients.py slow-http HOST           requests with odd headers, several on one connection
    clients.py tls-split HOST PORT      ClientHellos cut in several ways
    clients.py tls-old HOST PORT        a TLS 1.0 ClientHello without any extension
"""
import contextlib
import selectors
import socket
import ssl
import struct
import sys
import time

IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV = 136, 10


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def tcp_socket(host, timeout=10):
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    return sock


# --- the server -----------------------------------------------------------------------------------

def serve():
    chosen = selectors.DefaultSelector()

    def listen(family, kind, protocol, port, tag):
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            sock.listen(64)
        chosen.register(sock, selectors.EVENT_READ, tag)

    for family in (socket.AF_INET, socket.AF_INET6):
        listen(family, socket.SOCK_STREAM, 0, 7001, "close")
        listen(family, socket.SOCK_STREAM, 0, 7002, "echo")
        listen(family, socket.SOCK_DGRAM, socket.IPPROTO_UDP, 7000, "datagram")
        listen(family, socket.SOCK_DGRAM, IPPROTO_UDPLITE, 7000, "datagram")
    while True:
        for ready, _ in chosen.select():
            sock, tag = ready.fileobj, ready.data
            try:
                if tag == "datagram":
                    data, address = sock.recvfrom(65535)
                    if not data.startswith(b"silent"):
                        sock.sendto(b"ack " + data, address)
                elif tag == "close":
                    connection, _ = sock.accept()
                    connection.sendall(b"hello from the side that closes first\n")
                    connection.close()
                elif tag == "echo":
                    connection, _ = sock.accept()
                    chosen.register(connection, selectors.EVENT_READ, "stream")
                else:
                    data = sock.recv(65535)
                    if data:
                        sock.sendall(data)
                    else:
                        chosen.unregister(sock)
                        sock.sendall(b"bye\n")      # the client has closed its half, we still talk
                        sock.close()
            except OSError:
                if tag == "stream":
                    chosen.unregister(sock)
                    sock.close()


# --- the clients ----------------------------------------------------------------------------------

def tcp(host):
    with contextlib.suppress(ConnectionRefusedError):   # SYN, RST
        tcp_socket(host).connect((host, 7999))
    with tcp_socket(host) as sock:                  # data, then RST by SO_LINGER 0
        sock.connect((host, 7002))
        sock.sendall(b"then a reset\n")
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with tcp_socket(host) as sock:                  # half-closed: the server talks after our FIN
        sock.connect((host, 7002))
        sock.sendall(b"half of it\n")
        sock.recv(100)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(100):
            pass
    for _ in range(3):                              # the same five-tuple three times, each ended by FIN
        with tcp_socket(host) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::" if ":" in host else "0.0.0.0", 40001))
            sock.connect((host, 7001))
            while sock.recv(100):
                pass
        time.sleep(0.05)
    with tcp_socket(host) as sock:                  # keep-alive probes: empty segments
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.connect((host, 7002))
        for number in range(12):
            sock.sendall(b"x" * (10 + 90 * number))
            received = 0
            while received < 10 + 90 * number:
                received += len(sock.recv(2000))
        time.sleep(2.3)


def exchange(host, payload, options=(), protocol=socket.IPPROTO_UDP, port=7000):
    with socket.socket(family_of(host), socket.SOCK_DGRAM, protocol) as sock:
        sock.settimeout(5)
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        sock.connect((host, port))
        sock.send(payload)
        return sock.recv(65535)


def udp(host):
    exchange(host, b"plain")
    if family_of(host) == socket.AF_INET:
        # Router alert behind four NOPs: a header of 28 bytes.
        exchange(host, b"ip options", [(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x01\x94\x04\x00\x00")])
        exchange(host, b"tos and ttl", [(socket.IPPROTO_IP, socket.IP_TOS, 0xB8), (socket.IPPROTO_IP, socket.IP_TTL, 7)])
    else:
        padding = b"\x01\x04" + bytes(4)            # PadN filling the rest of eight bytes
        hop = (socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, b"\x00\x00" + padding)
        destination = (socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, b"\x00\x01" + b"\x1e\x0c" + b"experimental")
        exchange(host, b"hop by hop", [hop])
        exchange(host, b"destination options", [destination])
        exchange(host, b"both", [hop, destination])
        exchange(host, b"class and hops", [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB8),
                                           (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 7)])


def udplite(host):
    exchange(host, b"full coverage", protocol=IPPROTO_UDPLITE)
    exchange(host, b"partial coverage", [(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 8)], protocol=IPPROTO_UDPLITE)


def large(host):
    exchange(host, bytes(range(256)) * 20)          # 5120 bytes: four fragments each way
    exchange(host, b"one more byte than fits, so two fragments".ljust(1473 if "." in host else 1453))


def many(host, count):
    for number in range(int(count)):
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as sock:
            sock.bind(("::" if ":" in host else "0.0.0.0", 20000 + number))
            sock.sendto(b"silent %d" % number, (host, 7000))
        if number % 50 == 49:
            time.sleep(0.01)                        # so that tcpdump keeps up


def slow_http(host):
    def ask(sock, *pieces):
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.03)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(65535)
        time.sleep(0.03)

    with tcp_socket(host) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((host, 80))
        # Lower-case names, no blank behind the colon, blanks at the end.
        ask(sock, b"GET /lower HTTP/1.1\r\nhost:lower.martlet.test\r\nuser-agent: odd/1.0  \r\n\r\n")
        # The header in three segments, cut in the middle of a name.
        ask(sock, b"GET /pieces HTTP/1.1\r\nHo", b"st: pieces.martlet.test\r\nUser-A", b"gent: odd/2.0\r\n\r\n")
        # A URI, an agent and a referer longer than any field.
        ask(sock, b"GET /" + b"long/" * 60 + b" HTTP/1.1\r\nHost: long.martlet.test\r\nUser-Agent: " + b"U" * 300
            + b"\r\nReferer: http://long.martlet.test/" + b"r" * 300 + b"\r\n\r\n")
        # A method that is in no list.
        ask(sock, b"BREW /pot HTTP/1.1\r\nHost: brew.martlet.test\r\n\r\n")
    with tcp_socket(host) as sock:                  # two requests in one segment
        sock.connect((host, 80))
        request = (
            b"GET /first HTTP/1.1\r\nHost: first.martlet.test\r\n\r\n"
            b"GET /second HTTP/1.1\r\nHost: second.martlet.test\r\nConnection: close\r\n\r\n")
        sock.sendall(request)
        while sock.recv(65535):
            pass


def hello_connection(host, port, name, cut, before_connect=None, alpn=None):
    """A TLS connection whose first flight is sent as `cut` (bytes → list of pieces) says."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(alpn or ["http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with tcp_socket(host) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if before_connect:
            before_connect(sock)
        sock.connect((host, int(port)))
        first = True

        def flush():
            nonlocal first
            data = outgoing.read()
            for piece in cut(data) if first and data else [data]:
                if piece:
                    sock.sendall(piece)
                    if first:
                        time.sleep(0.03)            # one segment each
            first = False

        def run(action):
            while True:
                try:
                    result = action()
                    flush()
                    return result
                except ssl.SSLWantReadError:
                    flush()
                    data = sock.recv(65535)
                    if not data:
                        raise SystemExit("clients.py: the TLS server closed early") from None
                    incoming.write(data)

        run(tls.do_handshake)
        run(lambda: tls.write(b"GET / HTTP/1.1\r\nHost: " + name.encode() + b"\r\nConnection: close\r\n\r\n"))
        run(lambda: tls.read(4096))


def tls_split(host, port):
    def every(size):
        return lambda data: [data[n:n + size] for n in range(0, len(data), size)]

    def inside_name(data):
        middle = data.index(b"split-name") + 4
        return [data[:middle], data[middle:]]

    def as_records(data):
        # Two TLS records instead of one: the handshake message is cut, not the segment alone.
        body, half = data[5:], (len(data) - 5) // 2
        return [data[:3] + struct.pack("!H", len(part)) + part for part in (body[:half], body[half:])]

    def small_mss(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 300)

    hello_connection(host, port, "split-100.martlet.test", every(100))
    hello_connection(host, port, "split-header.martlet.test", lambda data: [data[:5], data[5:]])
    hello_connection(host, port, "split-byte.martlet.test", lambda data: [data[:1], data[1:]])
    hello_connection(host, port, "split-name.martlet.test", inside_name)
    hello_connection(host, port, "split-records.martlet.test", as_records)
    hello_connection(host, port, "split-mss.martlet.test", lambda data: [data], before_connect=small_mss,
                     alpn=["http/1.1"] + [f"martlet-alpn-{n:03d}" for n in range(80)])
    hello_connection(host, port, "split-large.martlet.test", lambda data: [data],
                     alpn=["http/1.1"] + [f"martlet-alpn-{n:03d}" for n in range(130)])


def tls_old(host, port):
    ciphers = struct.pack("!3H", 0x002F, 0x0035, 0x000A)
    body = b"\x03\x01" + bytes(range(32)) + b"\x00" + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\x00"
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    with tcp_socket(host) as sock:
        sock.connect((host, int(port)))
        sock.sendall(b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake)
        if sock.recv(65535)[:1] != b"\x16":
            raise SystemExit("clients.py: no ServerHello for the old ClientHello")


COMMANDS = {"serve": serve, "tcp": tcp, "udp": udp, "udplite": udplite, "large": large, "many": many,
            "slow-http": slow_http, "tls-split": tls_split, "tls-old": tls_old}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
