"""IPFIX out: files, UDP and TCP, judged by libfixbuf, tshark, nfdump and a reader written from RFC 7011."""

import re
import select
import socket
import subprocess
import threading
import time

import pytest
from harness import (
    CAPTURES, MARTLET, PATIENCE, Live, Malformed, Session, UDPCollector, causes, file_messages, free_port, have,
    json_packets_and_octets, nfacctd, nfdump, number, offline, packets_and_octets, read_message, run, tshark, wait_until)

MANY = CAPTURES / "many-flows.pcap"


def expected(*files):
    records = offline(*files).records
    return len(records), *json_packets_and_octets(records)


def seen(session):
    return len(session.records), *packets_and_octets(session.records)


# Files.

def test_file_holds_the_same_flows(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    result = offline(mixed, export=f"ipfix:{path}", options=["--odid", "77", "--mtu", "600"])
    assert result.status == 0, result.err.decode()
    session = Session()
    for message in file_messages(path):
        session.message(message)
    assert seen(session) == expected(mixed)
    assert session.lost == 0 and session.first_sequence == 0
    assert set(session.sequence) == {77}
    assert max(session.lengths) <= 600
    assert session.messages == result.counters["messages"]
    assert session.template_records == result.counters["templates"]
    assert sum(session.lengths) == result.counters["message_bytes"]


def test_messages_are_filled(tmp_path):
    path = tmp_path / "out.ipfix"
    offline(MANY, export=f"ipfix:{path}")
    lengths = [len(message) for message in file_messages(path)]
    assert len(lengths) > 3 and max(lengths) <= 1458
    assert sum(lengths[:-1]) / len(lengths[:-1]) > 1200, "messages go out half empty"


@pytest.mark.skipif(not have("ipfixDump"), reason="needs libfixbuf-tools")
def test_ipfixdump_reads_the_file(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    offline(mixed, export=f"ipfix:{path}")
    done = subprocess.run(
        ["ipfixDump", "--in", path, "--yaf"], capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr, done.stderr
    flows, packets, _ = expected(mixed)
    # Options records are data records, too.
    assert len(re.findall(r"\bflowEndReason\s*:", done.stdout)) == flows
    forward = sum(int(n) for n in re.findall(r"\bpacketDeltaCount\s*:\s*(\d+)", done.stdout))
    backward = sum(int(n) for n in re.findall(r"\breversePacketDeltaCount\s*:\s*(\d+)", done.stdout))
    assert forward + backward == packets


@pytest.mark.parametrize("unit,elements", [
    ("ms", (152, 153)), ("us", (154, 155)), ("ns", (156, 157)), ("us,ms", (152, 153, 154, 155)), (None, (152, 153, 154, 155))])
def test_timestamps_choose_the_elements(tmp_path, mixed, unit, elements):
    path = tmp_path / "out.ipfix"
    offline(mixed, export=f"ipfix:{path}", options=["--timestamps", unit] if unit else [])
    session = Session()
    for message in file_messages(path):
        session.message(message)
    times = {152, 153, 154, 155, 156, 157}
    for record in session.records:
        assert {element for enterprise, element in record if enterprise == 0 and element in times} == set(elements)
    records = offline(mixed).records
    starts = sorted(r["iana:flowStartMicroseconds"] for r in records)
    first = min(number(r, elements[0]) for r in session.records)
    seconds = first / 1000 if elements[0] == 152 else (first >> 32) - 2208988800
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) == starts[0][:19]


# UDP.

@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_udp_collector_gets_every_flow(host, mixed):
    with UDPCollector("127.0.0.1" if host == "localhost" else host) as collector:
        at = f"[{host}]" if ":" in host else host
        if host == "localhost":
            first = socket.getaddrinfo("localhost", 4739, type=socket.SOCK_DGRAM)[0][0]
            if first == socket.AF_INET6:
                collector.socket.close()
                collector.__init__("::1")
        result = offline(mixed, export=f"udp://{at}:{collector.port}")
        assert result.status == 0, result.err.decode()
        session = collector.drain()
    assert seen(session) == expected(mixed)
    assert session.lost == 0 and session.first_sequence == 0
    assert result.counters["export_dropped"] == 0


def test_many_flows_over_udp_lose_nothing():
    with UDPCollector() as collector:
        # Read while they are sent, so that the socket has room for all of them.
        done = threading.Event()

        def read():
            while not done.is_set():
                collector.drain(quiet=0.05)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            assert offline(MANY, export=f"udp://127.0.0.1:{collector.port}").status == 0
        finally:
            done.set()
            thread.join()
        session = collector.drain()
    assert seen(session) == expected(MANY) and session.lost == 0


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
def test_tshark_finds_nothing_wrong_with_udp(loopback_sniffer, mixed):
    port = free_port()
    # A listener, so that no ICMP errors come back.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", port))
        stop = loopback_sniffer(port)
        result = offline(mixed, export=f"udp://127.0.0.1:{port}")
        path = stop(result.counters["messages"])
    decode = ["-d", f"udp.port=={port},cflow"]
    assert len(tshark(path)) == result.counters["messages"]
    assert tshark(path, *decode, "-Y", "_ws.malformed || _ws.expert.severity == error") == []
    text = "\n".join(tshark(path, *decode, "-V"))
    assert "no template found" not in text.lower() and "malformed" not in text.lower()
    # Options records are shown as flows, too.
    assert len(re.findall(r"^\s+Flow \d+( \[.*\])?$", text, re.M)) == expected(mixed)[0] + result.counters["options"]
    sequences = [int(n) for n in tshark(path, *decode, "-T", "fields", "-e", "cflow.sequence")]
    assert sequences == sorted(sequences) and sequences[0] == 0
    packets = [int(n) for line in tshark(path, *decode, "-T", "fields", "-E", "separator=,", "-e", "cflow.packets")
               for n in line.split(",") if n]
    assert sum(packets) in (expected(mixed)[1], sum(
        r["iana:packetDeltaCount"] for r in offline(mixed).records))


def test_absent_udp_collector(mixed):
    result = offline(mixed, export=f"udp://127.0.0.1:{free_port()}")
    # A few datagrams may leave before the first refusal comes back, but those that were refused are known.
    assert result.status in (0, 2), result.err.decode()
    assert (result.counters["export_dropped"] > 0) == (result.status == 2)
    assert set(causes(result.counters)) <= {"unacknowledged"}
    assert result.counters["exported"] == expected(mixed)[0]


def test_collector_without_an_address_is_counted(mixed):
    # RFC 6761 section 6.4: such a name has no address.
    result = offline(mixed, export="udp://collector.invalid", options=["--drain-timeout", "1"])
    assert result.status == 2 and causes(result.counters) == {"no_address": expected(mixed)[0]}


def test_templates_are_repeated_on_udp(mixed):
    with UDPCollector() as collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={mixed}"],
            ["--export", f"udp://127.0.0.1:{collector.port}", "--template-refresh", "1", "--inactive-timeout", "1"]) as live:
        # Until each has come thrice: once with the first record that needs it, then at intervals.
        collector.receive_until(lambda session: session.template_records >= 3 * len(session.templates) > 0, live.process)
        assert live.stop() == 0, live.text()
        session = collector.drain()
    assert session.lost == 0


@pytest.mark.skipif(not have("nfcapd") or not have("nfdump"), reason="needs nfdump")
def test_nfdump_shows_the_same_flows(tmp_path, mixed):
    def send(port):
        assert offline(mixed, export=f"udp://127.0.0.1:{port}").status == 0

    flows = nfdump(tmp_path, send)

    def total(*names):
        return sum(flow.get(name, 0) for flow in flows for name in names)

    records = offline(mixed).records
    count, packets, octets = len(records), *json_packets_and_octets(records)
    assert len(flows) == count
    assert total("in_packets", "out_packets") == packets
    assert total("in_bytes", "out_bytes") == octets
    starts = {f["first"][:23] for f in flows}
    assert starts == {r["iana:flowStartMicroseconds"][:23] for r in records}


# TCP.

class TCPCollector:
    """Takes one connection after another; each is a Session. Closes a connection after `limit` messages."""

    def __init__(self, port=0, limit=None):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.sessions, self.errors, self.limit, self.ended = [], [], limit, 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            session = Session()
            self.sessions.append(session)
            with connection:
                while True:
                    try:
                        message = read_message(connection)
                        if message is None:
                            break
                        session.message(message)
                    except (Malformed, OSError) as error:
                        self.errors.append(error)
                        break
                    if self.limit and session.messages >= self.limit:
                        self.limit = None
                        break
            self.ended += 1

    def close(self):
        """Ends when what came over all connections has been read."""
        wait_until(lambda: self.ended == len(self.sessions) > 0, "connections that have ended")
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_tcp_collector_gets_every_flow():
    collector = TCPCollector()
    result = offline(MANY, export=f"tcp://127.0.0.1:{collector.port}")
    collector.close()
    assert result.status == 0, result.err.decode()
    assert not collector.errors and len(collector.sessions) == 1
    assert seen(collector.sessions[0]) == expected(MANY)
    assert collector.sessions[0].lost == 0 and collector.sessions[0].first_sequence == 0


def test_a_spool_keeps_what_a_stream_says_of_itself(tmp_path):
    """Two runs without a collector and one with: three sessions, each with its own timeouts and the types of its elements."""
    port = free_port()
    options = ["--plugins", "flowstats", "--spool", f"{tmp_path}/spool,16M", "--drain-timeout", "1"]
    export = f"tcp://127.0.0.1:{port}"
    for timeout in ("60", "61"):
        result = offline(MANY, export=export, options=[*options, "--active-timeout", timeout])
        assert result.status == 0 and result.counters["spool_waiting"] > 0
    collector = TCPCollector(port)
    result = offline(MANY, export=export, options=[*options, "--active-timeout", "62"])
    collector.close()
    assert result.status == 0 and not collector.errors
    for timeout, session in zip((60, 61, 62), collector.sessions, strict=True):
        assert session.first_sequence == 0 and session.lost == 0 and seen(session) == expected(MANY)
        # flowActiveTimeout (36), and RFC 5610's privateEnterpriseNumber (346) and informationElementId (303).
        assert {number(record, 36) for _, record in session.options if (0, 36) in record} == {timeout}
        described = {(number(record, 346), number(record, 303)) for _, record in session.options if (0, 303) in record}
        # But for IANA's, and those of RFC 5103, which mean the same in reverse.
        used = {element for record in session.records for element in record if element[0] not in (0, 29305)}
        assert used and used <= described


def test_tcp_collector_goes_away_and_comes_back(tmp_path):
    """Live traffic without end; the collector closes after eight messages: templates again, sequence from 0."""
    collector = TCPCollector(limit=8)
    with Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--export", f"tcp://127.0.0.1:{collector.port}", "--active-timeout", "0.5", "--inactive-timeout", "0.5",
             "--flows", "65536"]) as live:
        live.wait_for(lambda: len(collector.sessions) >= 2 and collector.sessions[1].messages > 5)
        status = live.stop()
        # What the kernel held when the collector reset the first connection is lost or not, as the reset falls: it is said.
        dropped, full = live.counters["export_dropped"], live.counters["ring_full"]
        assert status == (2 if dropped + full else 0), live.text()
        if dropped + full:
            assert f"{dropped + full} records were lost on the way out" in live.text()
        if dropped:
            assert "did not keep up" not in live.text()
        collector.close()
    assert not collector.errors, collector.errors
    for session in collector.sessions[:2]:
        assert session.first_sequence == 0 and session.templates and session.records
    assert collector.sessions[1].lost == 0


def test_absent_tcp_collector_is_counted(mixed):
    result = offline(mixed, export=f"tcp://127.0.0.1:{free_port()}")
    assert result.status == 2 and f"{expected(mixed)[0]} records were lost" in result.messages[-1]
    assert causes(result.counters) == {"queue_full": expected(mixed)[0]}


def test_tcp_collector_that_comes_late(mixed):
    port = free_port()
    process = subprocess.Popen(
        [MARTLET, "--pcap", mixed, "--export", f"tcp://127.0.0.1:{port}", "--stats", "60"], stderr=subprocess.PIPE)
    # It has begun to try, so it comes back.
    wait_until(lambda: b"refused" in process.stderr.peek(1) if select.select([process.stderr], [], [], 0)[0] else False,
               "a connection that is refused", process)
    collector = TCPCollector(port)
    _, err = process.communicate(timeout=PATIENCE)
    collector.close()
    assert process.returncode == 0
    assert not collector.errors
    assert len(collector.sessions) == 1 and seen(collector.sessions[0]) == expected(mixed), err.decode()


def test_several_exports_at_once(tmp_path, mixed):
    with UDPCollector() as collector:
        result = run(
            "--pcap", mixed, "--export", "json:-", "--export", f"ipfix:{tmp_path}/a", "--export",
            f"udp://127.0.0.1:{collector.port}", "--export", f"csv:{tmp_path}/b")
        assert result.status == 0
        session = collector.drain()
    flows = expected(mixed)
    assert (len(result.records), *json_packets_and_octets(result.records)) == flows == seen(session)
    file = Session()
    for message in file_messages(tmp_path / "a"):
        file.message(message)
    assert seen(file) == flows
    assert len((tmp_path / "b").read_text().splitlines()) == flows[0] + 1


def test_plugin_fields_only_for_flows_that_have_them(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    result = offline(mixed, export=f"ipfix:{path}", options=["--plugins", "pstats"])
    assert result.status == 0
    session = Session()
    for message in file_messages(path):
        session.message(message)
    records = run("--plugins", "pstats", "--pcap", mixed, "--export", "json:-").records
    with_lists = sum("cesnet:packetLength" in r for r in records)
    # A basicList is element 291.
    assert sum((0, 291) in r for r in session.records) == with_lists


@pytest.mark.skipif(not have("nfacctd"), reason="needs pmacct")
def test_pmacct_shows_the_times(tmp_path, mixed):
    records = offline(mixed).records
    # It knows no biflows: of a record with both directions it takes the forward one.
    rows = nfacctd(
        tmp_path, lambda port: offline(mixed, export=f"udp://127.0.0.1:{port}"), "timestamp_start, timestamp_end",
        sum(r["iana:packetDeltaCount"] for r in records))
    shown = {row["TIMESTAMP_START"][:23].replace(" ", "T") for row in rows}
    starts = {r["iana:flowStartMicroseconds"][:23] for r in records}
    assert shown and shown <= starts

