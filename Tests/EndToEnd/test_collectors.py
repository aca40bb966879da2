"""Several collectors and several export lcores: who gets which records, and what happens when one goes."""

import collections
import contextlib
import itertools
import json
import os
import socket
import struct
import subprocess
import threading

import pytest
from harness import (
    CAPTURES, MARTLET, NO_HUGE, Live, Session, UDPCollector, free_port, is_root, number, offline, packets_and_octets,
    read_message, read_pcap, run, wait_until, write_pcap)

#: Flows of the capture, and how often each has a packet: with more than the inactive timeout in between each is a record.
FLOWS, ROUNDS = 300, 3
GAP = 40


def frame(flow):
    """A UDP packet of flow number `flow`."""
    payload = struct.pack("!HHHH", 10_000 + flow, 4242, 8, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0, bytes([10, 0, flow >> 8, flow & 0xFF]),
                         bytes([192, 0, 2, 1]))
    return bytes(12) + b"\x08\x00" + header + payload


def rounds(count=FLOWS, first=0, of=range(ROUNDS)):
    """Packets of `count` flows, once a round."""
    packets = [((GAP * turn, 1000 * index), frame(first + index)) for turn in of for index in range(count)]
    return [(time, len(data), data) for time, data in packets]


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "flows.pcap"
    write_pcap(path, 1, rounds())
    return path


def ports(session):
    return [number(record, 7) for record in session.records]


class Server:
    """A TCP collector in a thread; `close` breaks its connections off."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), reuse_port=True)
        self.port = self.listener.getsockname()[1]
        self.sessions, self.connections = [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections.append(connection)
                self.sessions.append(Session())
                threading.Thread(target=self._read, args=(connection, self.sessions[-1]), daemon=True).start()

    @staticmethod
    def _read(connection, session):
        with contextlib.suppress(OSError):
            while (message := read_message(connection)) is not None:
                session.message(message)

    @property
    def ports(self):
        return [port for session in self.sessions for port in ports(session)]

    def close(self):
        # Wakes the thread that accepts; the port is free when it is gone.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def export(*names):
    return [argument for name in names for argument in ("--export", name)]


def test_mirrored_records_come_to_each_collector(capture):
    with UDPCollector() as one, UDPCollector() as other:
        run("--pcap", capture, *export(*(f"udp://127.0.0.1:{c.port}" for c in (one, other))))
        got = [sorted(ports(c.drain())) for c in (one, other)]
    assert got[0] == got[1] and len(got[0]) == FLOWS * ROUNDS


def test_each_flow_has_one_collector_and_files_get_all(capture, tmp_path):
    with contextlib.ExitStack() as stack:
        collectors = [stack.enter_context(UDPCollector()) for _ in range(3)]
        result = run("--pcap", capture, "--export-mode", "distribute",
                     *export(f"json:{tmp_path}/all.json", *(f"udp://127.0.0.1:{c.port}" for c in collectors)))
        assert result.status == 0, result.err
        got = [collections.Counter(ports(c.drain())) for c in collectors]
    # All records of a flow are with one collector, and no record is with two.
    assert sum(got, collections.Counter()) == {10_000 + flow: ROUNDS for flow in range(FLOWS)}
    assert all(count == ROUNDS for counter in got for count in counter.values())
    # A hundred each, give or take five standard deviations of 8.
    assert all(60 <= len(counter) <= 140 for counter in got)
    assert len(open(tmp_path / "all.json").readlines()) == FLOWS * ROUNDS


@pytest.mark.parametrize("mode", ["failover", "distribute"])
def test_more_collectors_than_can_be_chosen_from(capture, mode):
    collectors = export(*(f"udp://127.0.0.1:{port}" for port in range(10_000, 10_065)))
    result = run("--pcap", capture, "--export-mode", mode, *collectors)
    assert result.status == 64
    assert result.messages == [f"martlet: --export-mode {mode} is for at most 64 collectors, not 65"]
    assert run("--pcap", capture, *collectors[2:], "--export-mode", mode, "--drain-timeout", "1").status in (0, 2)


def test_a_collector_that_is_not_there_moves_only_its_own_flows(capture):
    servers = [Server(), Server(), Server()]
    arguments = ["--pcap", capture, "--export-mode", "distribute", *export(*(f"tcp://127.0.0.1:{s.port}" for s in servers))]
    assert run(*arguments).status == 0
    wait_until(lambda: sum(len(server.ports) for server in servers) == FLOWS * ROUNDS, "records")
    before = [set(server.ports) for server in servers]
    servers[1].close()
    for server in (servers[0], servers[2]):
        server.sessions.clear()
    result = run(*arguments)
    assert result.status == 0, result.err
    wait_until(lambda: len(servers[0].ports) + len(servers[2].ports) == FLOWS * ROUNDS, "records")
    after = [set(servers[0].ports), set(servers[2].ports)]
    assert before[0] <= after[0] and before[2] <= after[1]
    assert not after[0] & after[1]
    assert f"tcp://127.0.0.1:{servers[1].port}: its share of the flows goes to others" in result.err.decode()
    for server in (servers[0], servers[2]):
        server.close()


def test_the_next_collector_takes_over_and_the_first_one_comes_back():
    first, second = Server(), Server()
    martlet = subprocess.Popen(
        [MARTLET, "--pcap", "-", "--export-mode", "failover", *export(*(f"tcp://127.0.0.1:{s.port}" for s in (first, second)))],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
    fed = 0

    def feed():
        """The next round of ten flows: it ends those of the round before."""
        nonlocal fed
        for _, _, packet in rounds(10, first=10 * fed, of=[0]):
            martlet.stdin.write(struct.pack("<IIII", 1_700_000_000 + GAP * fed, 0, len(packet), len(packet)) + packet)
        # The clock believes a new time after a burst of packets.
        for _ in range(64):
            packet = frame(4000)
            martlet.stdin.write(struct.pack("<IIII", 1_700_000_000 + GAP * fed, 0, len(packet), len(packet)) + packet)
        martlet.stdin.flush()
        fed += 1

    def flows_of(server):
        return {(port - 10_000) // 10 for port in server.ports if port < 14_000}

    martlet.stdin.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def feed_until(condition):
        def step():
            feed()
            return condition()
        wait_until(step, "records", martlet)

    feed_until(lambda: len(flows_of(first)) >= 2)
    assert not flows_of(second)
    first.close()
    feed_until(lambda: len(flows_of(second)) >= 2)
    back = Server(first.port)
    feed_until(lambda: len(flows_of(back)) >= 2)
    # Those fed from here on are the first one's.
    mark = fed
    feed_until(lambda: len(flows_of(back)) >= 5)
    assert max(flows_of(second)) < mark
    martlet.stdin.close()
    errors = martlet.stderr.read().decode()
    martlet.wait(30)
    assert f"tcp://127.0.0.1:{second.port}: gets the records from now on" in errors
    assert f"tcp://127.0.0.1:{first.port}: gets the records from now on" in errors
    second.close()
    back.close()


def test_a_refusing_udp_collector_is_not_tried_with_records():
    with UDPCollector() as second:
        dead = free_port()
        martlet = subprocess.Popen(
            [MARTLET, "--pcap", "-", "--export-mode", "failover", *export(f"udp://127.0.0.1:{dead}",
             f"udp://127.0.0.1:{second.port}")], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        martlet.stdin.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

        turns = itertools.count()

        def step(session):
            turn = next(turns)
            for index in range(70):
                packet = frame(turn * 70 + index)
                martlet.stdin.write(struct.pack("<IIII", 1_700_000_000 + GAP * turn, 0, len(packet), len(packet)) + packet)
            martlet.stdin.flush()
            return len(session.records) >= 140
        second.receive_until(step, martlet)
        martlet.stdin.close()
        errors = martlet.stderr.read().decode()
        martlet.wait(30)
    assert f"udp://127.0.0.1:{second.port}: gets the records from now on" in errors


# Several export lcores

LIVE = [
    pytest.mark.skipif(not is_root(), reason="live tests need root"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="live tests need two CPUs"),
]
NO_TIMEOUTS = ["--active-timeout", "100000", "--inactive-timeout", "100000"]
FIVE = ["--lcores", "0@0,1@0,2@0,3@1,4@1"]


class TestExportLcores:
    pytestmark = LIVE

    def test_each_has_a_session_of_its_own(self, tmp_path):
        captures = [CAPTURES / "http.pcap", CAPTURES / "dns.pcap"]
        packets = sum(len(read_pcap(path)[1]) for path in captures)
        device = "--vdev=net_pcap0" + "".join(f",rx_pcap={path}" for path in captures)
        options = ["--export-lcores", "2", "--odid", "7", "--stats", "0.1", *NO_TIMEOUTS, *export(f"json:{tmp_path}/flows.json")]
        with UDPCollector() as collector, Live(
                [device], [*options, *export(f"udp://127.0.0.1:{collector.port}")], lcores=FIVE) as live:
            live.wait_received(packets)
            assert live.stop() == 0, live.text()
            session, counters, text = collector.drain(), live.counters, live.text()
        # Each export lcore has a sequence and templates of its own.
        assert session.lost == 0 and sorted(session.sequence) == [7, 8]
        assert packets_and_octets(session.records)[0] == counters["packets_in_flows"]
        assert len(session.records) + len(session.options) == sum(session.sequence.values())
        files = [[json.loads(line) for line in open(tmp_path / f"flows-{n}.json")] for n in (1, 2)]
        assert all(files) and sum(map(len, files)) == len(session.records)
        # One queue each, one capture each.
        assert sorted(map(len, files)) == sorted(len(offline(path, options=NO_TIMEOUTS).records) for path in captures)
        assert "lcore 1 on CPU 0: export, workers 3" in text and "lcore 2 on CPU 0: export, workers 4" in text

    @pytest.mark.parametrize("arguments, said", [
        (["--export-lcores", "2"], "the next 2 export, the others receive"), (["--export-lcores", "0"], "--export-lcores"),
        (["--export-lcores", "2", "--export", "json:-"], "cannot write into one stream")])
    def test_what_cannot_be_is_said(self, arguments, said):
        result = run(*NO_HUGE, "--lcores", "0@0,1@0,2@1", "--vdev=net_null0", "--", *arguments)
        assert result.status == 64
        assert said in result.err.decode()
