"""Live over virtual devices: the packets counted, the flows right, the clock kept, every signal obeyed."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from harness import (
    CAPTURES, MARTLET, NO_HUGE, PATIENCE, TWO_QUEUES, Live, Session, UDPCollector, causes, free_hugepages, free_port, have,
    held_up, is_root, json_packets_and_octets, number, offline, packets_and_octets, read_pcap, stats_lines, unaccounted,
    write_pcap)

pytestmark = [
    pytest.mark.skipif(not is_root(), reason="live tests need root"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="live tests need two CPUs"),
]

HTTP, DNS = CAPTURES / "http.pcap", CAPTURES / "dns.pcap"
#: A capture lasts longer than its replay: without timeouts both make the same flows.
NO_TIMEOUTS = ["--active-timeout", "100000", "--inactive-timeout", "100000"]
KEY = [f"iana:{name}" for name in (
    "ipVersion", "protocolIdentifier", "sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address",
    "destinationIPv6Address", "sourceTransportPort", "destinationTransportPort", "sourceMacAddress",
    "destinationMacAddress", "tcpControlBits", "packetDeltaCount", "octetDeltaCount")] + [
    f"iana@reverse:{name}" for name in ("packetDeltaCount", "octetDeltaCount", "tcpControlBits")]


def flows(records):
    """The records without times and end reasons, in an order of their own."""
    return sorted(json.dumps([record.get(key) for key in KEY]) for record in records)


def load(path):
    return [json.loads(line) for line in open(path)]


def packets_in(*paths):
    return sum(len(read_pcap(path)[1]) for path in paths)


def pcap_device(*paths, name="net_pcap0", more=""):
    return "--vdev=" + name + "".join(f",rx_pcap={path}" for path in paths) + more


# net_pcap

@pytest.mark.parametrize("mem", ["hugepages", "no-huge"])
@pytest.mark.parametrize("number_", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_one_queue_makes_the_flows_that_offline_makes(tmp_path, mixed, mem, number_):
    if mem == "hugepages" and free_hugepages() < 64:
        pytest.skip("no hugepages: run hugepages-setup.sh")
    out = tmp_path / "out.json"
    with Live([pcap_device(mixed)], ["--export", f"json:{out}", "--stats", "0.1", *NO_TIMEOUTS],
              mem=NO_HUGE if mem == "no-huge" else []) as live:
        live.wait_received(packets_in(mixed))
        assert live.stop(number_) == 0, live.text()
        counters, text = live.counters, live.text()
    assert counters["received"] == packets_in(mixed)
    assert unaccounted(counters) == 0 and counters["ring_full"] == counters["export_dropped"] == 0
    records = load(out)
    assert len(records) == counters["exported"] == counters["flows_made"]
    assert {r["iana:flowEndReason"] for r in records} <= {3, 4}
    assert sum(r["iana:flowEndReason"] == 4 for r in records) == counters["forced"] > 0
    assert flows(records) == flows(offline(mixed, options=NO_TIMEOUTS).records)
    for role in ("lcore 0 on CPU 0: control", "lcore 1 on CPU 0: export", "lcore 2 on CPU 1: worker"):
        assert role in text


def test_two_queues_make_the_flows_of_both_captures(tmp_path):
    out = tmp_path / "out.json"
    with Live([pcap_device(HTTP, DNS)], ["--export", f"json:{out}", "--stats", "0.1", *NO_TIMEOUTS],
              lcores=TWO_QUEUES) as live:
        live.wait_received(packets_in(HTTP, DNS))
        assert live.stop() == 0, live.text()
        counters, text = live.counters, live.text()
    assert counters["received"] == packets_in(HTTP, DNS)
    assert unaccounted(counters) == 0
    both = offline(HTTP, options=NO_TIMEOUTS).records + offline(DNS, options=NO_TIMEOUTS).records
    assert flows(load(out)) == flows(both)
    assert "lcore 3 on CPU 0: worker" in text
    columns = next(line for line in text.splitlines() if line.strip().startswith("received")).split()[1:]
    assert [int(n) for n in columns] == [packets_in(HTTP), packets_in(DNS), packets_in(HTTP, DNS)]


def test_two_ports(tmp_path):
    out = tmp_path / "out.json"
    with Live([pcap_device(HTTP), pcap_device(DNS, name="net_pcap1")],
              ["--export", f"json:{out}", "--stats", "0.1", *NO_TIMEOUTS], lcores=TWO_QUEUES) as live:
        live.wait_received(packets_in(HTTP, DNS))
        assert live.stop() == 0, live.text()
    records = load(out)
    # A port without a device in the kernel has its own number and 1.
    for port, path in ((1, HTTP), (2, DNS)):
        mine = [r for r in records if r["iana:ingressInterface"] == port]
        assert flows(mine) == flows(offline(path, options=NO_TIMEOUTS).records)
    assert json_packets_and_octets(records)[0] == sum(
        json_packets_and_octets(offline(path).records)[0] for path in (HTTP, DNS))


def test_an_explicit_map(tmp_path):
    with Live([pcap_device(HTTP, DNS)], ["--config", "(0,0,2),(0,1,2)", "--export", f"json:{tmp_path}/o", "--stats", "0.1",
                                          *NO_TIMEOUTS]) as live:
        live.wait_received(packets_in(HTTP, DNS))
        assert live.stop() == 0, live.text()
        assert live.counters["received"] == packets_in(HTTP, DNS)


def test_one_stream_with_right_sequence_numbers_from_two_workers():
    with UDPCollector() as collector, Live(
            [pcap_device(HTTP, DNS)], ["--export", f"udp://127.0.0.1:{collector.port}", "--stats", "0.1", *NO_TIMEOUTS],
            lcores=TWO_QUEUES) as live:
        live.wait_received(packets_in(HTTP, DNS))
        assert live.stop() == 0, live.text()
        session, counters = collector.drain(), live.counters
    assert session.lost == 0 and session.first_sequence == 0
    assert len(session.records) == counters["exported"]
    assert packets_and_octets(session.records)[0] == counters["packets_in_flows"]


def test_packets_longer_than_one_mbuf_live(tmp_path):
    from harness import write_pcap
    payload = bytes(8000)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    frame = bytes(12) + b"\x08\x00" + ip + struct.pack("!HHHH", 1, 2, 8 + len(payload), 0) + payload
    path, out = tmp_path / "jumbo.pcap", tmp_path / "out.json"
    write_pcap(path, 1, [((1, n), len(frame), frame) for n in range(20)])
    with Live([pcap_device(path)], ["--export", f"json:{out}", "--stats", "0.1"]) as live:
        live.wait_received(20)
        assert live.stop() == 0, live.text()
    assert json_packets_and_octets(load(out)) == (20, 20 * 8028)


# Other devices.

@pytest.mark.parametrize("device", ["net_null0", "net_ring0", "net_null0,size=1500"])
def test_a_device_without_traffic_of_ours_starts_and_stops(device):
    with Live([f"--vdev={device}"], ["--export", "json:/dev/null", "--stats", "0.1"]) as live:
        live.wait_for(lambda: len(stats_lines(live.text())) >= 2)
        assert live.stop() == 0, live.text()
        counters = live.counters
    assert unaccounted(counters) == 0
    assert counters["received"] > 0 or device == "net_ring0"


def test_two_null_queues():
    with Live(["--vdev=net_null0"], ["--queues", "2", "--stats", "0.1", "--export", "json:/dev/null"],
              lcores=TWO_QUEUES) as live:
        live.wait_for(lambda: len(stats_lines(live.text())) >= 2)
        assert live.stop() == 0, live.text()


@contextlib.contextmanager
def namespace():
    """Two network namespaces, and veth between them; nothing else is reachable."""
    if not have("ip"):
        pytest.skip("needs iproute2")
    names = [f"mte{os.getpid()}a", f"mte{os.getpid()}b"]

    def ip(*words, check=True):
        return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)

    try:
        try:
            for name in names:
                ip("netns", "add", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield names, ip
    finally:
        for name in names:
            ip("netns", "del", name, check=False)


SENDER = """
import socket, sys
family, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if family == '6' else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 40001)) if family == '4' else s.bind(('::', 40001))
for n in range(count):
    s.sendto(bytes(100), (address, 5555))
"""


def send(namespace_name, family, address, count):
    subprocess.run(
        ["ip", "netns", "exec", namespace_name, sys.executable, "-c", SENDER, family, address, str(count)], check=True,
        timeout=PATIENCE, capture_output=True)


def udp_records(path):
    """The records of what `send` sent; a line that is not whole yet is left out."""
    text = path.read_text() if path.exists() else ""
    records = map(json.loads, text[:text.rfind("\n") + 1].splitlines())
    return [r for r in records if r.get("iana:destinationTransportPort") == 5555]


def sums(records):
    """(IP version, packets, octets) of all records of each version, however many flows they are."""
    return [(version, *json_packets_and_octets([r for r in records if r["iana:ipVersion"] == version]))
            for version in sorted({r["iana:ipVersion"] for r in records})]


#: Flows are exported while the run goes on, so that a test sees what has been received.
EARLY = ["--active-timeout", "100000", "--inactive-timeout", "1"]


def test_af_packet_over_veth_receives_kernel_traffic(tmp_path):
    out = tmp_path / "out.json"
    with namespace() as ((a, b), ip):
        ip("link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b)
        for name, device, last in ((a, "va", 1), (b, "vb", 2)):
            ip("-n", name, "addr", "add", f"10.99.0.{last}/24", "dev", device)
            ip("-n", name, "addr", "add", f"fd99::{last}/64", "dev", device, "nodad")
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
        with Live(["--vdev=net_af_packet0,iface=vb"], ["--export", f"json:{out}", "--stats", "0.1", *EARLY],
                  prefix=["ip", "netns", "exec", b]) as live:
            live.wait_for(lambda: stats_lines(live.text()))
            send(a, "4", "10.99.0.2", 50)
            send(a, "6", "fd99::2", 30)
            ping = subprocess.run(
                ["ip", "netns", "exec", a, "ping", "-c", "3", "-i", "0.1", "-W", "1", "10.99.0.2"], capture_output=True,
                timeout=20) if have("ping") else None
            # All else that was sent is in the records when nothing is left in the table.
            live.wait_for(lambda: sum(packets for _, packets, _ in sums(udp_records(out))) >= 80 and live.latest["in_table"] == 0)
            assert live.stop() == 0, live.text()
            counters = live.counters
    assert unaccounted(counters) == 0
    records = udp_records(out)
    assert sums(records) == [(4, 50, 50 * 128), (6, 30, 30 * 148)]
    assert {r.get("iana:sourceIPv4Address") for r in records} == {"10.99.0.1", None}
    assert {r.get("iana:destinationIPv6Address") for r in records} == {"fd99::2", None}
    if ping is not None and ping.returncode == 0:
        # "Port unreachable" has the same key, and its sender was first.
        icmp = [r for r in load(out) if r["iana:protocolIdentifier"] == 1]
        assert sum(r["iana@reverse:packetDeltaCount" if r["iana:sourceIPv4Address"] == "10.99.0.2" else
                     "iana:packetDeltaCount"] for r in icmp) >= 3


def test_tap_receives_kernel_traffic(tmp_path):
    out = tmp_path / "out.json"
    with namespace() as ((a, _), ip):
        with Live(["--vdev=net_tap0,iface=mtap0"], ["--export", f"json:{out}", "--stats", "0.1", *EARLY],
                  prefix=["ip", "netns", "exec", a]) as live:
            live.wait_for("worker")
            ip("-n", a, "addr", "add", "10.98.0.1/24", "dev", "mtap0")
            ip("-n", a, "link", "set", "mtap0", "up")
            ip("-n", a, "neigh", "replace", "10.98.0.2", "lladdr", "02:00:00:00:00:02", "dev", "mtap0")
            send(a, "4", "10.98.0.2", 40)
            live.wait_for(lambda: sum(packets for _, packets, _ in sums(udp_records(out))) >= 40)
            assert live.stop() == 0, live.text()
            assert unaccounted(live.counters) == 0
    records = udp_records(out)
    assert sums(records) == [(4, 40, 40 * 128)]
    assert {r["iana:destinationMacAddress"] for r in records} == {"02:00:00:00:00:02"}


# The clock.

def test_flows_time_out_by_the_clock_on_an_idle_link():
    """The capture is over at once; each flow must arrive within a second after its last packet's timeout, later only by as
    long as a thread of martlet's was kept from its CPU."""
    delays, late = [], []
    # Three runs, since what comes just after a sweep or a message waits longest.
    for _ in range(3):
        with UDPCollector() as collector, Live(
                [pcap_device(DNS)],
                ["--export", f"udp://127.0.0.1:{collector.port}", "--inactive-timeout", "1", "--stats", "0.05"]) as live:
            # The kernel says when a datagram arrived, whenever this process comes to read it.
            collector.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            collector.socket.settimeout(PATIENCE)
            live.wait_received(packets_in(DNS))
            before = held_up(live.process)
            expected = live.latest["flows_made"]
            records = collector.session.records
            while len(records) < expected:
                known = len(records)
                message, ((_, _, stamp),), _, _ = collector.socket.recvmsg(65535, 256)
                collector.session.message(message)
                seconds, nanoseconds = struct.unpack("qq", stamp)
                # flowEndMicroseconds is an NTP time.
                delays += [seconds - (number(r, 155) / 2**32 - 2208988800) - 1 + nanoseconds / 1e9 for r in records[known:]]
                late += [held_up(live.process) - before] * (len(records) - known)
            assert stats_lines(live.text())[-1]["received"] == packets_in(DNS), "the link was not idle"
            assert live.stop() == 0, live.text()
        assert {number(r, 136) for r in records} <= {1, 3}
    assert min(delays) >= 0
    assert all(delay <= 1.1 + excuse for delay, excuse in zip(delays, late)), list(zip(delays, late))


#: Not among Python's names.
SO_TIMESTAMPNS = 35


def test_active_timeout_by_the_clock():
    with UDPCollector() as collector, Live(
            [pcap_device(CAPTURES / "udp.pcap", more=",infinite_rx=1")],
            ["--export", f"udp://127.0.0.1:{collector.port}", "--active-timeout", "1", "--stats", "0.2"]) as live:
        collector.receive_until(lambda session: sum(number(r, 136) == 2 for r in session.records) >= 2, live.process)
        late = held_up(live.process)
        assert live.stop() == 0, live.text()
        session, counters = collector.drain(), live.counters
    assert unaccounted(counters) == 0
    active = [r for r in session.records if number(r, 136) == 2]
    assert active and counters["active"] >= len(active)
    for record in active:
        start, end = (number(record, element) for element in (154, 155))
        assert (end - start) / 2**32 <= 2.0 + late


# Collectors that are away.

@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_absent_collector_does_not_stop_live(kind):
    port = free_port()
    with Live([pcap_device(HTTP)], ["--export", f"{kind}://127.0.0.1:{port}", "--stats", "0.1", *NO_TIMEOUTS]) as live:
        live.wait_received(packets_in(HTTP))
        start = time.monotonic()
        # A datagram that was sent may have been refused just after the last look.
        assert live.stop() in ((2,) if kind == "tcp" else (0, 2)), live.text()
        counters = live.counters
    assert time.monotonic() - start < 20
    if kind == "tcp":
        assert causes(counters) == {"queue_full": counters["flows_made"]} and counters["flows_made"] > 0
    assert counters["received"] == packets_in(HTTP)


def test_a_stuck_collector_does_not_take_the_others_time_at_the_end(tmp_path):
    """The first one never reads; the second one reads four million octets a second at most, which is enough for it."""
    flows, data = 60_000, []
    frames = [bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBHIIHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, flow, 1, 1, 2, 8, 0)
              for flow in range(1, flows + 1)]
    write_pcap(tmp_path / "in.pcap", 1, [((1_700_000_000, 0), len(frame), frame) for frame in frames])
    with socket.create_server(("127.0.0.1", 0)) as stuck, socket.create_server(("127.0.0.1", 0)) as slow:

        def read():
            with slow.accept()[0] as connection:
                while part := connection.recv(40_000):
                    data.append(part)
                    time.sleep(0.01)
        thread = threading.Thread(target=read)
        thread.start()
        urls = [f"tcp://127.0.0.1:{listener.getsockname()[1]}" for listener in (stuck, slow)]
        with Live([pcap_device(tmp_path / "in.pcap")],
                  ["--export", urls[0], "--export", urls[1], "--flows", "131072", "--drain-timeout", "8", "--stats",
                   "0.5"]) as live:
            live.wait_received(flows)
            assert live.stop() == 2, live.text()
            text = live.text()
        thread.join()
    session, octets, start = Session(), b"".join(data), 0
    while start < len(octets):
        length = struct.unpack_from("!H", octets, start + 2)[0]
        session.message(octets[start:start + length])
        start += length
    assert len(session.records) == flows
    assert f"at {urls[0]}" in text.splitlines()[-1] and f"at {urls[1]}" not in text.splitlines()[-1]


def test_a_fast_source_and_a_slow_collector_lose_only_counted_records():
    """A TCP collector that accepts and never reads."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.listen()
        with Live([pcap_device(CAPTURES / "many-flows.pcap", more=",infinite_rx=1")],
                  ["--export", f"tcp://127.0.0.1:{listener.getsockname()[1]}", "--active-timeout", "0.2", "--stats", "0.2",
                   "--flows", "65536", "--drain-timeout", "2"]) as live:
            # The connection takes nothing more, while records go on to come.
            def is_stuck():
                lines = stats_lines(live.text())[-3:]
                sent, exported = ({line[name] for line in lines} for name in ("message_bytes", "exported"))
                return len(lines) == len(exported) == 3 and len(sent) == 1 and sent != {0}
            live.wait_for(is_stuck)
            assert live.stop() == 2, live.text()
            counters = live.counters
    assert unaccounted(counters) == 0 and counters["export_dropped"] > 0
    assert set(causes(counters)) <= {"queue_full", "unacknowledged"}
    assert counters["exported"] + counters["ring_full"] >= counters["flows_made"] - counters["in_table"]


# EAL's own telemetry.

def test_eal_telemetry_counts_packets():
    with Live([pcap_device(HTTP)], ["--export", "json:/dev/null", "--stats", "0.1"]) as live:
        live.wait_received(packets_in(HTTP))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(PATIENCE)
            client.connect(f"/var/run/dpdk/{live.file_prefix}/dpdk_telemetry.v2")
            assert "version" in json.loads(client.recv(16384))
            client.send(b"/ethdev/stats,0")
            stats = json.loads(client.recv(16384))["/ethdev/stats"]
        assert live.stop() == 0, live.text()
    assert stats["ipackets"] == packets_in(HTTP)


def test_an_ordinary_user_runs_live_without_hugepages():
    if not have("setpriv"):
        pytest.skip("needs setpriv")
    directory = tempfile.mkdtemp(prefix="martlet-live.", dir="/tmp")
    try:
        for path in (MARTLET, HTTP):
            shutil.copy(path, directory)
        os.chown(directory, 65534, 65534)
        os.chmod(f"{directory}/{HTTP.name}", 0o644)
        out = f"{directory}/out.json"
        with Live([pcap_device(f"{directory}/{HTTP.name}"), "--no-shconf", "--no-telemetry"],
                  ["--export", f"json:{out}", "--stats", "0.1", *NO_TIMEOUTS], mem=["--no-huge", "-m", "256"],
                  prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"XDG_RUNTIME_DIR={directory}"],
                  binary=f"{directory}/martlet") as live:
            live.wait_received(packets_in(HTTP))
            assert live.stop() == 0, live.text()
        assert flows(load(out)) == flows(offline(HTTP, options=NO_TIMEOUTS).records)
    finally:
        shutil.rmtree(directory)


def test_two_instances_at_once():
    with Live([pcap_device(HTTP)], ["--export", "json:/dev/null", "--stats", "0.1"]) as first, \
            Live([pcap_device(DNS)], ["--export", "json:/dev/null", "--stats", "0.1"]) as second:
        first.wait_received(packets_in(HTTP))
        second.wait_received(packets_in(DNS))
        assert first.stop() == 0 and second.stop() == 0
