"""How records leave: sockets with a source, an interface and a DSCP; LZ4 over TCP; Unix sockets; what is not there."""

import random
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest
from harness import (
    CAPTURES, MARTLET, PATIENCE, Live, Session, file_messages, free_port, is_root, run, wait_until, write_pcap)

MANY = CAPTURES / "many-flows.pcap"  # 1000 flows
FLOWS = 1000
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")


def offline(url, *more, captures=(MANY,)):
    return run("--pcap", *captures, "--stats", "60", "--export", url, *more)


def said(url, reason):
    """What a run says that cannot get rid of its records; it is ended when it has said `reason`."""
    # Without a buffer, of which `communicate` would not know what is in it.
    process = subprocess.Popen([MARTLET, "--pcap", MANY, "--drain-timeout", "1", "--export", url], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, bufsize=0)
    text = ""
    while not re.search(reason, text):
        line = process.stderr.readline().decode()
        assert line, f"no '{reason}' in {text}"
        text += line
    process.send_signal(signal.SIGTERM)
    text += process.communicate(timeout=PATIENCE)[1].decode()
    # It may not have read the whole capture yet.
    assert process.returncode == 2 and re.search(r"\d+ records were lost", text), text


class Collector:
    """Takes one TCP connection after another and keeps what comes."""

    def __init__(self, host="127.0.0.1", serve=None):
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.peers, self.data, self.ended = [], [], 0
        self.serve = serve or self.read_all
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[0])
            self.data.append(bytearray())
            with connection:
                self.serve(connection, self.data[-1])
            self.ended += 1

    def read_all(self, connection, data):
        while part := connection.recv(65536):
            data += part

    def wait(self):
        wait_until(lambda: self.ended == len(self.data) > 0, "connections that have ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def decoded(data):
    """A session of the messages that lie in `data` one after the other."""
    session = Session()
    while data:
        length = struct.unpack_from("!H", data, 2)[0]
        session.message(bytes(data[:length]))
        data = data[length:]
    return session


# Source, interface, Differentiated Services.

@pytest.mark.parametrize("host,source", [("127.0.0.1", "127.0.0.2"), ("::1", "::1")])
def test_a_connection_comes_from_the_source(host, source):
    with Collector(host) as collector:
        name = f"[{host}]" if ":" in host else host
        assert offline(f"tcp://{name}:{collector.port}?source={source}&interface=lo").status == 0
        collector.wait()
        assert collector.peers == [source] and len(decoded(collector.data[0]).records) == FLOWS


@pytest.mark.parametrize("host,level,option,kind", [
    ("127.0.0.1", socket.IPPROTO_IP, socket.IP_RECVTOS, socket.IP_TOS),
    ("::1", socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, socket.IPV6_TCLASS)])
def test_datagrams_carry_the_code_point(host, level, option, kind):
    """RFC 2597: AF41 is 34, the upper six bits of the octet."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind((host, 0))
        collector.setsockopt(level, option, 1)
        name = f"[{host}]" if ":" in host else host
        source = "::1" if ":" in host else "127.0.0.3"
        assert offline(f"udp://{name}:{collector.getsockname()[1]}?dscp=af41&source={source}").status == 0
        collector.settimeout(PATIENCE)
        message, control, _, peer = collector.recvmsg(2000, 100)
        assert message[:2] == b"\0\x0a" and peer[0] == source
        assert [value[0] for at, what, value in control if (at, what) == (level, kind)] == [34 << 2]


@pytest.mark.skipif(not is_root(), reason="tcpdump needs root")
def test_a_connection_carries_the_code_point(tmp_path):
    with Collector() as collector:
        sniffer = subprocess.Popen(["tcpdump", "-i", "lo", "-v", "-n", "-l", f"dst port {collector.port}"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        sniffer.stderr.readline()
        assert offline(f"tcp://127.0.0.1:{collector.port}?dscp=46").status == 0
        # Expedited forwarding from the first packet on.
        assert b"tos 0xb8" in sniffer.stdout.readline()
        sniffer.kill()
        sniffer.wait()


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("parameters,reason", [
    ("source=192.0.2.77", "the source address 192.0.2.77 is not this machine's"),
    ("interface=nowhere0", "there is no interface 'nowhere0'")])
def test_a_source_that_is_not_there_is_said_and_tried_again(scheme, parameters, reason):
    said(f"{scheme}://127.0.0.1:{free_port()}?{parameters}", reason)


@pytest.mark.parametrize("url,reason", [
    ("sctp://127.0.0.1", "no SCTP; use tcp://"), ("tcp://127.0.0.1?source=::1", "another IP version"),
    ("udp://[::1]?source=127.0.0.1", "another IP version"), ("tcp://127.0.0.1?dscp=hurry", "0 to 63"),
    ("tcp://127.0.0.1?compress=zip", "none of lz4"), ("udp://127.0.0.1?compress=lz4", "udp takes no parameter 'compress'"),
    ("json:out?source=127.0.0.1", "json takes no parameter 'source'"), ("tcp://127.0.0.1?ca=x", "tcp takes no parameter 'ca'"),
    (f"json:unix:/{'x' * 107}", "at most 107 octets"), ("json:unix:", "name a file"),
])
def test_what_means_nothing_is_said(url, reason):
    result = run("--pcap", MANY, "--export", url)
    assert result.status == 64 and result.err.count(b"\n") == 1 and reason in result.err.decode(), result.err


# LZ4, read by hand from its block format (github.com/lz4/lz4, doc/lz4_Block_format.md) and ipfixcol2's TCP input.

def lz4_block(data, window):
    """The octets of a block, with those before it at hand."""
    out, place = bytearray(), 0

    def more(length):
        nonlocal place
        if length == 15:
            while True:
                length += (octet := data[place])
                place += 1
                if octet < 255:
                    break
        return length

    while True:
        token = data[place]
        place += 1
        literals = more(token >> 4)
        out += data[place:place + literals]
        place += literals
        if place == len(data):
            return bytes(out)
        distance = data[place] | data[place + 1] << 8
        place += 2
        length = more(token & 15) + 4
        assert 0 < distance <= len(out) + len(window), "a match before the beginning"
        for _ in range(length):
            out.append(out[-distance] if distance <= len(out) else window[len(out) - distance])


def lz4_decoded(data):
    """The octets of a connection, decoded; the window is what a ring of the announced length still has."""
    magic, ring = struct.unpack_from("!4sI", data)
    assert magic == b"LZ4c" and 1 << 16 < ring <= 1 << 24
    place, whole = 8, bytearray()
    while place < len(data):
        length, size = struct.unpack_from("!HH", data, place)
        place += 4
        assert 0 < size <= len(data) - place
        block = lz4_block(data[place:place + size], bytes(whole[-65536:]))
        assert len(block) == length
        whole += block
        place += size
    return whole


def flows_without_end(path):
    """A capture of datagrams that are a flow each, with what compresses and what does not in them."""
    ethernet, noise = bytes(12) + b"\x08\0", random.Random(7)
    write_pcap(path, 1, [((index, 0), 142, ethernet + struct.pack(
        "!BBHHHBBH4s4sHHHH", 0x45, 0, 128, 0, 0, 64, 17, 0, b"\x0a\0\0\1", struct.pack("!I", index), 1000, 2000, 108, 0)
        + noise.randbytes(100)) for index in range(6000)])
    return path


@pytest.mark.parametrize("captures,options", [
    ([MANY], []), ([], ["--mtu", "65535"]), ([], ["--plugins", "idpcontent"]),
    ([path for path in sorted(CAPTURES.glob("*.pcap")) if not path.name.startswith("link-")], ["--plugins", "all"])],
    ids=["few", "long messages", "what does not compress", "all plugins"])
def test_lz4(tmp_path, captures, options):
    captures = captures or [flows_without_end(tmp_path / "flows.pcap")]
    with Collector() as collector:
        result = offline(f"tcp://127.0.0.1:{collector.port}?compress=lz4", "--export", f"ipfix:{tmp_path}/plain", *options,
                         captures=captures)
        assert result.status == 0, result.err.decode()
        collector.wait()
        whole = lz4_decoded(collector.data[0])
        session, plain = decoded(whole), Session()
        for message in file_messages(tmp_path / "plain"):
            plain.message(message)
        assert session.records == plain.records and session.first_sequence == 0 and session.lost == 0
        assert len(collector.data[0]) < len(whole)
        # The ring of 256 KiB was filled once at least.
        assert captures == [MANY] or len(whole) > 1 << 18


@live
def test_lz4_begins_anew_in_every_connection():
    def leave_once(connection, data):
        while part := connection.recv(65536):
            data += part
            if len(collector.data) == 1 and len(data) > 100_000:
                return
    collector = Collector(serve=leave_once)
    with collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--export", f"tcp://127.0.0.1:{collector.port}?compress=lz4", "--active-timeout", "0.5", "--inactive-timeout", "0.5",
             "--flows", "65536"]) as martlet:
        martlet.wait_for(lambda: len(collector.data) >= 2 and len(collector.data[1]) > 100_000)
        martlet.stop()
        collector.wait()
        session = decoded(lz4_decoded(collector.data[1]))
        assert session.first_sequence == 0 and session.lost == 0 and len(session.records) > 1000


# Unix sockets.

class Listener:
    """Listens at a name in the file system."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(PATIENCE)

    def read(self, least=None):
        """What comes over the next connection up to its end, or at least so many octets, after which it is closed."""
        connection, _ = self.socket.accept()
        data = b""
        with connection:
            while (least is None or len(data) < least) and (part := connection.recv(65536)):
                data += part
        return data


def test_lines_into_a_unix_socket(tmp_path):
    listener = Listener(tmp_path / "socket")
    process = subprocess.Popen([MARTLET, "--pcap", MANY, "--export", f"csv:unix:{tmp_path}/socket"], stdin=subprocess.DEVNULL)
    lines = listener.read().decode().splitlines()
    assert process.wait(PATIENCE) == 0
    # A heading, and a line for each flow with as many cells.
    assert len(lines) == FLOWS + 1 and {line.count(",") for line in lines} == {lines[0].count(",")}


def test_messages_into_a_unix_socket(tmp_path):
    listener = Listener(tmp_path / "socket")
    process = subprocess.Popen([MARTLET, "--pcap", MANY, "--export", f"ipfix:unix:{tmp_path}/socket"], stdin=subprocess.DEVNULL)
    assert len(decoded(listener.read()).records) == FLOWS
    assert process.wait(PATIENCE) == 0


def test_a_unix_socket_that_nobody_listens_at_is_waited_for(tmp_path):
    process = subprocess.Popen([MARTLET, "--pcap", MANY, "--export", f"json:unix:{tmp_path}/socket"], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    assert b"nobody reads it; waiting for a reader" in process.stderr.readline()
    assert Listener(tmp_path / "socket").read().count(b"\n") == FLOWS
    assert process.communicate(timeout=PATIENCE)[1].endswith(b"goes on\n") and process.returncode == 0


def test_a_unix_socket_without_reader_loses_what_is_counted(tmp_path):
    (tmp_path / "socket").write_text("no socket\n")
    said(f"json:unix:{tmp_path}/socket", "nobody reads it")
    assert (tmp_path / "socket").read_text() == "no socket\n"


@live
def test_a_unix_sockets_reader_that_leaves_is_waited_for(tmp_path):
    """Every reader begins with the heading and whole lines, and none of these comes twice."""
    listener = Listener(tmp_path / "socket")
    with Live([f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
              ["--export", f"csv:unix:{tmp_path}/socket", "--active-timeout", "0.5", "--inactive-timeout", "0.5", "--flows",
               "65536", "--stats", "0.1", "--drain-timeout", "1"]) as martlet:
        first = listener.read(200_000).decode().splitlines()
        second = listener.read(200_000).decode().splitlines()
        assert first[0] == second[0] and first[0].startswith("iana:")
        assert second[1].count(",") == second[0].count(",")
        assert "waiting for another reader" in martlet.text()
        martlet.stop()
