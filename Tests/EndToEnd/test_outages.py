"""Outages of TCP and TLS collectors with --spool: whatever stops, pauses, dies or fills up, each record is stored or counted."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from harness import MARTLET, PATIENCE, Live, free_port, is_root, run, stats_lines, totals, wait_until, write_pcap
from tls_collectors import Authority

HERE = Path(__file__).parent


def packet(number):
    """A packet of UDP from the address that is `number`: a flow of its own."""
    return bytes(12) + b"\x08\x00" + struct.pack(
        "!BBHHHBBHIIHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, number, 0xC0000201, 1000, 2000, 8, 0)


class Collector:
    """The process, started and ended as often as a test wants; what it stored is there whatever became of it."""

    def __init__(self, folder, certificate=None, parameters=""):
        #: Of the export's URL.
        self.parameters = parameters
        self.port, self.store, self.log = free_port(), folder / "stored", folder / "collector.log"
        self.certificate = certificate
        self.store.touch()
        self.log.touch()
        self.process = None

    @property
    def url(self):
        if self.certificate is None:
            return f"tcp://127.0.0.1:{self.port}{self.parameters}"
        return f"tls://127.0.0.1:{self.port}?ca={self.certificate.root}"

    def start(self):
        more = [str(self.certificate.server)] if self.certificate else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "outage_collector.py", str(self.port), self.store, *more], stderr=log)

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(listens, "a collector that listens", self.process)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        self.process.wait(PATIENCE)
        self.process = None

    def send(self, number):
        self.process.send_signal(number)

    @property
    def stored(self):
        """How often each number is stored."""
        return Counter(int(line.split()[1]) for line in self.store.read_text().splitlines())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
        assert "Malformed" not in self.log.read_text(), self.log.read_text()


#: The feeds that a test has started: none may outlive it.
RUNNING = []


class Feed:
    """martlet on a capture that is written while it reads: one flow for each number, so many a second."""

    def __init__(self, collector, spool, first, size="64M", rate=2000):
        self.next, self.rate, self.stopped = first, rate, threading.Event()
        self.log = collector.store.parent / f"martlet-{first}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [MARTLET, "--pcap", "-", "--inactive-timeout", "0.2", "--stats", "0.1", "--drain-timeout", "3", "--export",
                 collector.url, "--spool", f"{spool},{size}"], stdin=subprocess.PIPE, stderr=log)
        self.pipe = self.process.stdin
        self.pipe.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self.start = time.monotonic()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        RUNNING.append(self)

    def _run(self):
        with contextlib.suppress(BrokenPipeError):
            while not self.stopped.is_set():
                frames = b""
                for _ in range(max(1, self.rate // 100)):
                    frame, at = packet(self.next), int((time.monotonic() - self.start) * 1e6)
                    frames += struct.pack("<IIII", 1_700_000_000 + at // 10**6, at % 10**6, len(frame), len(frame)) + frame
                    self.next += 1
                self.pipe.write(frames)
                self.pipe.flush()
                time.sleep(0.01)

    def pause(self):
        """No more flows; what is read is not ended."""
        self.stopped.set()
        self.thread.join()

    def kill(self):
        """kill -9; the numbers that were exported until half a second before are known."""
        self.process.kill()
        self.process.wait()
        self.pause()

    def finish(self):
        """The end of the capture; the exit status."""
        self.pause()
        with contextlib.suppress(BrokenPipeError):
            self.pipe.close()
        return self.process.wait(PATIENCE)

    @property
    def text(self):
        text = self.log.read_text(errors="replace")
        # The last line may be under way.
        return text[:text.rfind("\n") + 1]

    @property
    def counters(self):
        return totals(self.text) or (stats_lines(self.text) or [{}])[-1]

    def wait_for(self, counter, count):
        wait_until(lambda: self.counters.get(counter, 0) >= count, f"{count} of {counter}", self.process)


def capture(path, numbers):
    write_pcap(path, 1, [((1_700_000_000 + index // 1000, 0), len(packet(number)), packet(number))
                         for index, number in enumerate(numbers)])
    return path


@pytest.fixture(autouse=True)
def no_feed_stays():
    yield
    while RUNNING:
        RUNNING.pop().kill()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["tcp", "tls"])
def collector(request, tmp_path, authority):
    with Collector(tmp_path, authority if request.param == "tls" else None) as found:
        yield found


def test_collector_stops_pauses_dies_and_comes_back(tmp_path, collector):
    """Each of them under traffic: nothing is lost, and what is stored twice is counted."""
    collector.start()
    feed = Feed(collector, tmp_path / "spool", 1)
    feed.wait_for("exported", 1000)
    collector.end(signal.SIGTERM)
    feed.wait_for("exported", 3000)
    collector.start()
    wait_until(lambda: len(collector.stored) >= 3000, "what was spooled", feed.process)
    # Its system goes on to acknowledge what it does not read any more.
    collector.send(signal.SIGSTOP)
    before = feed.counters["exported"]
    feed.wait_for("exported", before + 3000)
    collector.send(signal.SIGCONT)
    wait_until(lambda: len(collector.stored) >= before + 3000, "what was held up", feed.process)
    collector.send(signal.SIGSTOP)
    before = feed.counters["exported"]
    feed.wait_for("exported", before + 3000)
    collector.end(signal.SIGKILL)
    feed.wait_for("exported", before + 4000)
    collector.start()
    wait_until(lambda: len(collector.stored) >= before + 4000, "what was spooled", feed.process)
    assert feed.finish() == 0, feed.text
    collector.end()
    counters, stored = feed.counters, collector.stored
    assert set(stored) == set(range(1, feed.next)) and counters["exported"] == feed.next - 1
    assert counters["spooled"] > 0 and counters["export_dropped"] == counters["spool_torn"] == counters["spool_waiting"] == 0
    # The killed process had not read what its system had acknowledged.
    assert sum(stored.values()) - len(stored) <= counters["sent_again"]


def test_martlet_is_killed_during_an_outage(tmp_path, collector):
    """kill -9, twice, without a collector: what was taken a second before is delivered by the third run, in order."""
    first = Feed(collector, tmp_path / "spool", 1)
    first.wait_for("spooled", 2000)
    first.kill()
    written = max(line["spooled"] for line in stats_lines(first.text))
    second = Feed(collector, tmp_path / "spool", 1_000_001)
    second.wait_for("spooled", 1000)
    assert "records of earlier runs wait" in second.text
    second.kill()
    more = max(line["spooled"] for line in stats_lines(second.text))
    third = Feed(collector, tmp_path / "spool", 2_000_001)
    third.wait_for("exported", 1000)
    collector.start()
    wait_until(lambda: any(number > 2_000_000 for number in collector.stored), "what was spooled", third.process)
    assert third.finish() == 0, third.text
    collector.end()
    numbers = [int(line.split()[1]) for line in collector.store.read_text().splitlines()]
    assert len(set(numbers)) == len(numbers), "twice"
    # Flows end in about the order of their numbers.
    assert [n // 1_000_000 for n in numbers] == sorted(n // 1_000_000 for n in numbers), "runs out of order"
    runs = [[n for n in numbers if n // 1_000_000 == run] for run in range(3)]
    assert len(runs[0]) >= written and len(runs[1]) >= more and len(runs[2]) == third.next - 2_000_001
    assert third.counters["export_dropped"] == 0
    # What the killed runs had taken is stored or counted: the last tenth of a second alone may be unknown.
    for feed, following, got in ((first, second, runs[0]), (second, third, runs[1])):
        taken = max(line["exported"] for line in stats_lines(feed.text))
        torn = max(line["spool_torn"] for line in stats_lines(following.text))
        assert len(got) + torn >= taken - feed.rate // 10 - 200
    sessions = {int(line.split()[0]) for line in collector.store.read_text().splitlines()}
    assert len(sessions) == 3


def test_a_run_without_a_collector_leaves_its_records_to_the_next(tmp_path, collector):
    spool = ["--spool", f"{tmp_path}/spool,16M"]
    for index in range(2):
        numbers = range(1 + 3000 * index, 3001 + 3000 * index)
        result = run("--pcap", capture(tmp_path / "in.pcap", numbers), "--export", collector.url, *spool, "--stats", "0")
        assert result.status == 0, result.err
        assert f"{3000 * (index + 1)} records wait in {tmp_path}/spool" in result.err.decode()
        assert result.counters["spool_waiting"] == 3000 * (index + 1) and result.counters["export_dropped"] == 0
    collector.start()
    result = run("--pcap", capture(tmp_path / "in.pcap", range(6001, 6011)), "--export", collector.url, *spool, "--stats", "0")
    assert result.status == 0 and result.counters["spool_delivered"] == 6000
    collector.end()
    lines = [tuple(map(int, line.split())) for line in collector.store.read_text().splitlines()]
    assert [number for _, number in lines] == list(range(1, 6011))
    assert len({session for session, _ in lines}) == 3
    assert not list((tmp_path / "spool").rglob("*.segment"))


def test_a_full_spool_drops_the_newest_and_counts(tmp_path):
    with Collector(tmp_path) as collector:
        spool = ["--spool", f"{tmp_path}/spool,1M"]
        result = run("--pcap", capture(tmp_path / "in.pcap", range(1, 50_001)), "--export", collector.url, *spool,
                     "--export", f"json:{tmp_path}/all.json", "--stats", "0")
        counters = result.counters
        waiting = counters["spool_waiting"]
        assert result.status == 2 and 0 < waiting < 50_000
        assert counters["spool_full"] == counters["export_dropped"] == 50_000 - waiting
        assert sum(file.stat().st_size for file in (tmp_path / "spool").rglob("*.segment")) <= 1 << 20
        assert "the spool is full" in result.err.decode()
        collector.start()
        assert run("--pcap", capture(tmp_path / "in.pcap", [99_999]), "--export", collector.url, *spool).status == 0
        collector.end()
        with open(tmp_path / "all.json") as lines:
            made = [int(IPv4Address(json.loads(line)["iana:sourceIPv4Address"])) for line in lines]
        assert list(collector.stored) == [*made[:waiting], 99_999]


@pytest.mark.skipif(not is_root(), reason="mounting needs root")
def test_a_full_disk_stops_the_spool_until_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk], check=True)
    try:
        with Collector(tmp_path) as collector:
            feed = Feed(collector, disk / "spool", 1)
            wait_until(lambda: "the disk is full" in feed.text, "a full disk", feed.process)
            subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
            wait_until(lambda: "goes on" in feed.text, "a spool that goes on", feed.process)
            feed.wait_for("spooled", feed.next)
            collector.start()
            wait_until(lambda: collector.stored, "a connection", feed.process)
            assert feed.finish() == 0, feed.text
            collector.end()
            assert set(collector.stored) == set(range(1, feed.next))
            assert set(collector.stored.values()) == {1} and feed.counters["export_dropped"] == 0
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_cannot_be_read_is_counted(tmp_path):
    """The last segment torn off, and an octet changed in its middle; all messages have flows."""
    with Collector(tmp_path, parameters="?options=off") as collector:
        spool = ["--spool", f"{tmp_path}/spool,16M"]
        assert run("--pcap", capture(tmp_path / "in.pcap", range(1, 3001)), "--export", collector.url, *spool).status == 0
        segment, = (tmp_path / "spool").rglob("*.segment")
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 1
        segment.write_bytes(data[:-100])
        collector.start()
        result = run("--pcap", capture(tmp_path / "in.pcap", [9999]), "--export", collector.url, *spool, "--stats", "0")
        collector.end()
        stored, torn = collector.stored, result.counters["spool_torn"]
        assert result.status == 0 and 9999 in stored and set(stored.values()) == {1}
        assert len(stored) - 1 + torn == 3000 and 0 < torn < 100
        assert "of an earlier run are lost" in result.err.decode() and "cannot be read" in result.err.decode()


def test_a_directory_that_is_no_good(tmp_path):
    (tmp_path / "file").touch()
    collector = f"tcp://127.0.0.1:{free_port()}"
    source = capture(tmp_path / "in.pcap", [1])
    for place, words in [(tmp_path / "file", "Not a directory"), (tmp_path / "no/where", "No such file")]:
        result = run("--pcap", source, "--export", collector, "--spool", f"{place},1M")
        assert result.status == 1 and words in result.messages[-1] and len(result.messages) == 1
    result = run("--pcap", source, "--export", collector, "--export", collector + "/", "--spool", f"{tmp_path}/spool,1M")
    assert result.status == 1 and "another --export to the same collector" in result.messages[-1]
    for wrong in ("nowhere", "/tmp,", ",1G", "/tmp,1X", "/tmp,1K", "/tmp,1023K", "/tmp,99999999999T"):
        assert run("--pcap", source, "--export", collector, "--spool", wrong).status == 64
    assert "--spool is for tcp:// and tls://" in run(
        "--pcap", source, "--export", f"json:{tmp_path}/out", "--spool", f"{tmp_path}/spool,1M").err.decode()


def test_two_processes_do_not_share_a_spool(tmp_path):
    with Collector(tmp_path) as collector:
        feed = Feed(collector, tmp_path / "spool", 1)
        feed.wait_for("exported", 10)
        result = run("--pcap", capture(tmp_path / "in.pcap", [1]), "--export", collector.url, "--spool", f"{tmp_path}/spool,1M")
        assert result.status == 1 and "another Martlet" in result.messages[-1]
        assert feed.finish() == 0


@pytest.mark.skipif(not is_root(), reason="EAL needs root")
def test_an_outage_of_a_live_run(tmp_path):
    """Live, the workers do not notice an outage; SIGTERM in one leaves everything to the next run."""
    source = capture(tmp_path / "live.pcap", range(1, 1001))
    with Collector(tmp_path) as collector:
        options = ["--export", collector.url, "--spool", f"{tmp_path}/spool,64M", "--stats", "0.1", "--inactive-timeout", "0.2",
                   "--active-timeout", "0.5"]
        with Live([f"--vdev=net_pcap0,rx_pcap={source},infinite_rx=1"], options) as live:
            live.wait_for(lambda: live.latest.get("spooled", 0) > 2000)
            assert live.stop(signal.SIGTERM) == (2 if live.counters["ring_full"] else 0), live.text()
            counters = live.counters
            assert "records wait in" in live.text() and counters["export_dropped"] == 0
            assert counters["spool_waiting"] == counters["exported"] == counters["spooled"]
        collector.start()
        result = run("--pcap", capture(tmp_path / "in.pcap", [9999]), *options, "--export", f"json:{os.devnull}")
        collector.end()
        assert result.status == 0 and sum(collector.stored.values()) == counters["spooled"] + 1


class Unreading:
    """A collector whose system takes everything and which reads nothing, until it is reset."""

    def __init__(self, port):
        self.connections = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self.listener.accept()[0])

    def reset(self):
        """As its system does where it is killed with something unread (RFC 1122 section 4.2.2.13)."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def spooled(tmp_path, collector, count, size="64M"):
    """A run without a collector, which leaves `count` records; its segments."""
    result = run("--pcap", capture(tmp_path / "in.pcap", range(1, count + 1)), "--export", collector.url, "--spool",
                 f"{tmp_path}/spool,{size}", "--drain-timeout", "1", "--stats", "0")
    assert result.counters["spool_waiting"] == count
    return sorted((tmp_path / "spool").rglob("*.segment"))


def delivered(tmp_path, collector):
    """A run with a collector, and ten records of its own; its result."""
    collector.start()
    result = run("--pcap", capture(tmp_path / "in.pcap", range(100_001, 100_011)), "--export", collector.url, "--spool",
                 f"{tmp_path}/spool,64M", "--drain-timeout", "5", "--stats", "0")
    collector.end()
    return result


def test_what_a_killed_collector_had_not_read_is_sent_again(tmp_path):
    """Once while Martlet goes on, and once after its end."""
    with Collector(tmp_path) as collector:
        spooled(tmp_path, collector, 5000)
        unreading = Unreading(collector.port)
        feed = Feed(collector, tmp_path / "spool", 200_001, rate=200)
        feed.wait_for("spool_delivered", 5000)
        unreading.reset()
        collector.start()
        wait_until(lambda: len(collector.stored) >= 5000, "the earlier run's records", feed.process)
        assert feed.finish() == 0 and feed.counters["sent_again"] >= 5000
        collector.end()
        assert set(collector.stored) == set(range(1, 5001)) | set(range(200_001, feed.next))
        unreading = Unreading(collector.port)
        result = run("--pcap", capture(tmp_path / "in.pcap", range(300_001, 300_101)), "--export", collector.url, "--spool",
                     f"{tmp_path}/spool,64M", "--drain-timeout", "3", "--stats", "0")
        assert result.status == 0 and result.counters["spool_waiting"] == 100
        unreading.reset()
        assert delivered(tmp_path, collector).status == 0
        assert set(range(300_001, 300_101)) | set(range(100_001, 100_011)) <= set(collector.stored)


@pytest.mark.parametrize("place,options,torn", [
    ("first message", "off", range(1, 30)), ("second length", "off", range(1, 60)), ("first message", "on", range(1))])
def test_damage_costs_the_messages_that_it_is_in(tmp_path, place, options, torn):
    """The first message has the flows' templates, and its length is where the second one is looked for; with options records it
    has those of options, and what they say is lost."""
    with Collector(tmp_path, parameters=f"?options={options}") as collector:
        segment = spooled(tmp_path, collector, 20_000)[0]
        data = bytearray(segment.read_bytes())
        # The formats of Export/Spool/SpoolFormat.swift.
        first = 40 + struct.unpack_from("!I", data, 32)[0]
        if place == "first message":
            data[first + 28 + 60] ^= 1
        else:
            struct.pack_into("!I", data, first + 28 + struct.unpack_from("!I", data, first)[0], 40)
        segment.write_bytes(data)
        result = delivered(tmp_path, collector)
        stored = collector.stored
        assert result.status == 0 and set(stored.values()) == {1}
        assert len(stored) + result.counters["spool_torn"] == 20_010 and result.counters["spool_torn"] in torn


def test_segments_with_swapped_names_and_one_that_is_no_file(tmp_path):
    with Collector(tmp_path) as collector:
        first, second, third, *_ = spooled(tmp_path, collector, 5000, "1M")
        aside = tmp_path / "aside"
        first.rename(aside)
        third.rename(first)
        aside.rename(third)
        os.mkfifo(second.with_name("0.segment"))
        result = delivered(tmp_path, collector)
        assert result.status == 0 and "1 segments of earlier runs cannot be read" in result.err.decode()
        assert collector.stored == Counter([*range(1, 5001), *range(100_001, 100_011)])


def test_a_collector_that_always_resets_ends_no_run_late(tmp_path):
    """It takes a million octets of each connection, less than what is in doubt after a reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sessions = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        taken = 0
                        while taken < 1_000_000 and (part := connection.recv(1 << 16)):
                            taken += len(part)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        sessions.append(taken)
        threading.Thread(target=serve, daemon=True).start()
        begin = time.monotonic()
        result = run("--pcap", capture(tmp_path / "in.pcap", range(1, 40_001)), "--export",
                     f"tcp://127.0.0.1:{listener.getsockname()[1]}", "--spool", f"{tmp_path}/spool,64M", "--drain-timeout",
                     "2", "--stats", "0")
        assert time.monotonic() - begin < 30 and result.status == 0 and sessions
        counters = result.counters
        assert counters["spool_waiting"] > 0 and counters["export_dropped"] == counters["spool_torn"] == 0
