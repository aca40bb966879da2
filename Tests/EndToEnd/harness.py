"""What the end-to-end tests share: starting martlet, reading its counters, captures, IPFIX messages."""

import array
import contextlib
import csv
import errno
import fcntl
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARTLET = os.environ.get("MARTLET", str(ROOT / ".build/release/martlet"))
CAPTURES = ROOT / "Tests/Captures"


def _corpus():
    for place in (os.environ.get("MARTLET_CORPUS"), ROOT / "../shared/corpus"):
        if place and Path(place).is_dir():
            return Path(place).resolve()
    return None


CORPUS = _corpus()
FUNCTIONAL = CORPUS / "functional" if CORPUS else None
SUFFIXES = {".pcap", ".pcapng", ".cap"}

#: Counters of packets that are in no flow; the sum rule's right side with "packets in flows".
DISCARDS = [
    "filtered", "not_sampled", "not_IP", "link_header_truncated", "too_many_headers", "IP_header_invalid",
    "IP_header_truncated", "transport_header_truncated", "TCP_header_invalid", "tunnel_fragment", "table_full",
]


def captures():
    """Every capture at hand: those that ship, and the corpus where it is."""
    found = sorted(CAPTURES.rglob("*.pcap*"))
    if CORPUS:
        found += sorted(p for p in CORPUS.rglob("*") if p.suffix in SUFFIXES)
    return found


#: Seconds after which what is waited for is taken not to come. On an idle machine it comes at once: a test waits for a
#: condition, not for a time, so that it says the same on a machine that is busy otherwise.
PATIENCE = 60


def wait_until(condition, what="a condition", process=None, timeout=PATIENCE):
    """Waits until `condition()` is true, and returns what it gave; `process` must not end before."""
    end = time.monotonic() + timeout
    while True:
        if found := condition():
            return found
        assert process is None or process.poll() is None, f"ended with {process.returncode} before {what}"
        assert time.monotonic() < end, f"waited {timeout} s in vain for {what}"
        time.sleep(0.01)


def held_up(process):
    """Seconds since the machine and the process started in which a CPU was not there for one of its threads: others on this
    machine had it, or the host did not give it. A difference of two is what a time may be late by without being wrong."""
    waited = 0
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError, IndexError):  # a thread that has just ended; a kernel without these figures
            waited += int((task / "schedstat").read_text().split()[1])
    stolen = int(Path("/proc/stat").read_text().split()[8])
    return waited / 1e9 + stolen / os.sysconf("SC_CLK_TCK")


def is_sleeping(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S"


def unread(descriptor):
    """Octets in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def wait_until_it_reads(process, descriptor):
    """Waits until the pipe `descriptor` to the process is empty and the process sleeps: it waits for more."""
    wait_until_it_sleeps(process, lambda: unread(descriptor) == 0)


def wait_until_it_sleeps(process, condition=lambda: True):
    """Waits until the process sleeps, and `condition()` is true, whenever one looks."""
    looks = 0

    def still():
        nonlocal looks
        looks = looks + 1 if condition() and is_sleeping(process) else 0
        return looks >= 10
    wait_until(still, "a process that waits", process)


def wait_until_taken(process):
    """Waits until no signal is under way to the process."""
    def taken():
        status = Path(f"/proc/{process.pid}/status").read_text()
        return all(int(mask, 16) == 0 for mask in re.findall(r"(?m)^(?:Sig|Shd)Pnd:\s*(\w+)", status))
    wait_until(taken, "a signal that is taken", process)


#: The counters whose sum is `export_dropped`.
LOSSES = ["queue_full", "spool_full", "disk_error", "unacknowledged", "no_address", "send_failed", "too_long",
          "delivery_timed_out", "delivery_refused", "delivery_unknown", "delivery_given_up"]


def causes(counters):
    """{counter: records} of all that was lost; fails where records were lost without a cause."""
    lost = {name: counters[name] for name in LOSSES if counters[name]}
    assert sum(lost.values()) == counters["export_dropped"], counters
    return lost


def udp_socket(port):
    """(octets that wait, datagrams that were dropped) of the UDP socket over IPv4 with this port; None without one."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{port:04X}"):
            return int(words[4].split(":")[1], 16), int(words[-1])
    return None


def is_root():
    return os.geteuid() == 0


def free_hugepages():
    with open("/proc/meminfo") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith("HugePages_Free")), 0)


def have(tool):
    return shutil.which(tool) is not None


def totals(text):
    """The table of totals on standard error: counter (with _ for spaces) -> sum over its columns.

    A table with a total column has the sum as its last word, one without has one worker or a port per column.
    """
    table, found, columns = False, {}, []
    for line in text.splitlines():
        if line.startswith("martlet: totals"):
            table, found = True, {}
        elif table and line.startswith("  "):
            words = re.split(r"\s{2,}", line.strip())
            if words[0] == "counter":
                columns = words[1:]
            elif all(word.isdigit() for word in words[1:]):
                values = [int(word) for word in words[1:]]
                found[words[0].replace(" ", "_")] = values[-1] if columns[-1] == "total" else sum(values)
    return found


def stats_lines(text):
    """The --stats lines: one dictionary each."""
    lines = []
    for line in text.splitlines():
        if line.startswith("martlet: received="):
            words = dict(word.split("=", 1) for word in line.split()[1:])
            lines.append({k: int(v) for k, v in words.items() if v.isdigit()})
    return lines


def unaccounted(counters):
    """Packets that are neither in a flow nor in a named counter; 0 is right."""
    packets = counters["received"] + counters["outer_packets"]
    return packets - counters["packets_in_flows"] - sum(counters[name] for name in DISCARDS)


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def counters(self):
        return totals(self.err.decode(errors="replace"))

    @property
    def messages(self):
        """Standard error without tables and warnings: what went wrong."""
        return [
            line for line in self.err.decode(errors="replace").splitlines()
            if line.startswith("martlet: ") and not line.startswith(("martlet: warning", "martlet: totals"))
        ]

    @property
    def records(self):
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments, timeout=300, prefix=(), **more):
    """Runs martlet to its end."""
    done = subprocess.run(
        [*prefix, MARTLET, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
        timeout=timeout, **more)
    return Result(done.returncode, done.stdout, done.stderr)


def offline(*files, export="json:-", options=(), **more):
    """Reads captures; the totals come with --stats."""
    return run(*options, "--stats", "60", "--pcap", *files, "--export", export, **more)


_prefixes = itertools.count(1)


def file_prefix():
    """A --file-prefix that no other process and no other test has."""
    return f"mt{os.getpid()}-{next(_prefixes)}"


ONE_QUEUE = ["--lcores", "0@0,1@0,2@1"]
TWO_QUEUES = ["--lcores", "0@0,1@0,2@1,3@0"]
NO_HUGE = ["--no-huge", "-m", "256"]


def memory():
    """EAL's memory options for a machine with or without hugepages."""
    return [] if is_root() and free_hugepages() >= 64 else NO_HUGE


class Live:
    """martlet on virtual devices, until `stop`."""

    def __init__(self, eal, options, lcores=ONE_QUEUE, mem=None, prefix=(), directory="/tmp", binary=MARTLET):
        self.file_prefix = file_prefix()
        self.log = Path(directory) / f"{self.file_prefix}.log"
        command = [
            *prefix, binary, *lcores, *(memory() if mem is None else mem), "--no-pci",
            "--file-prefix", self.file_prefix, *eal, "--", *map(str, options)]
        self.output = open(self.log, "wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.output)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, what, timeout=PATIENCE):
        """Waits until `what()` is true or, for a string, until it is on standard error."""
        done = (lambda: what in self.text()) if isinstance(what, str) else what
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if done():
                return
            assert self.process.poll() is None, f"martlet ended early:\n{self.text()}"
            time.sleep(0.02)
        raise AssertionError(f"waited {timeout} s in vain for {what}:\n{self.text()}")

    @property
    def latest(self):
        """The counters of the last --stats line; nothing before the first one."""
        return (stats_lines(self.text()) or [{}])[-1]

    def wait_received(self, count, timeout=PATIENCE):
        """Waits until --stats shows so many packets."""
        self.wait_for(lambda: self.latest.get("received", -1) >= count, timeout)

    def stop(self, number=signal.SIGINT, timeout=PATIENCE):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.output.close()
        return self.process.returncode

    @property
    def counters(self):
        return totals(self.text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.log.unlink(missing_ok=True)


# Captures, read and written by hand: a second opinion that shares no code with martlet.

def read_pcap(path):
    """(link type, [(time, original length, data)]) of a classic pcap; None for another format."""
    data = Path(path).read_bytes()
    magic = data[:4]
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}
    if magic not in order or len(data) < 24:
        return None
    order = order[magic]
    link, offset, packets = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF, 24, []
    while offset + 16 <= len(data):
        seconds, fraction, kept, length = struct.unpack_from(order + "IIII", data, offset)
        offset += 16
        if offset + kept > len(data):
            break
        packets.append(((seconds, fraction), length, data[offset:offset + kept]))
        offset += kept
    return link, packets


def write_pcap(path, link, packets, order="<", nano=False, snaplen=262144):
    """packets: [((seconds, fraction), original length, data)]"""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    with open(path, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link))
        for (seconds, fraction), length, data in packets:
            file.write(struct.pack(order + "IIII", seconds, fraction, len(data), length) + data)


def write_pcapng(path, link, packets, order="<", nano=False):
    """One section, one interface; packets as for write_pcap."""
    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = len(body) + 12
        return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)

    resolution = struct.pack(order + "HHB3xHH", 9, 1, 9 if nano else 6, 0, 0)
    with open(path, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(block(1, struct.pack(order + "HHI", link, 0, 262144) + resolution))
        for (seconds, fraction), length, data in packets:
            ticks = seconds * (10**9 if nano else 10**6) + fraction
            file.write(block(6, struct.pack(
                order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length) + data))


def tshark(path, *arguments):
    """tshark's lines about a capture; a damaged end is not its failure here."""
    done = subprocess.run(["tshark", "-n", "-r", str(path), *arguments], capture_output=True, timeout=60)
    return done.stdout.decode(errors="replace").splitlines()


# IPFIX, read by hand from RFC 7011.

class Malformed(Exception):
    pass


class Session:
    """One transport session as a collector sees it: parses messages and checks what RFC 7011 demands."""

    def __init__(self):
        self.templates, self.records, self.sequence = {}, [], {}
        #: Fields of the scope of each options template, and the options records, each with its scope: a tuple of elements.
        self.scopes, self.options = {}, []
        self.messages = self.template_records = 0
        self.first_sequence = None
        self.lost = 0
        self.lengths = []

    def message(self, data):
        version, length, _, sequence, domain = struct.unpack_from("!HHIII", data)
        if version != 10 or length != len(data):
            raise Malformed(f"version {version}, length {length} of {len(data)}")
        if self.first_sequence is None:
            self.first_sequence = sequence
        expected = self.sequence.get(domain, sequence)
        if sequence != expected:
            self.lost += (sequence - expected) & 0xFFFFFFFF
        self.lengths.append(length)
        before, offset = len(self.records) + len(self.options), 16
        while offset < length:
            if offset + 4 > length:
                raise Malformed("set header does not fit")
            kind, size = struct.unpack_from("!HH", data, offset)
            if size < 4 or offset + size > length:
                raise Malformed(f"set {kind} of length {size} does not fit")
            body = data[offset + 4:offset + size]
            if kind == 2:
                self._templates(domain, body)
            elif kind == 3:
                self._options(domain, body)
            elif kind >= 256:
                if (domain, kind) not in self.templates:
                    raise Malformed(f"data set {kind} before its template")
                self._data(domain, kind, body)
            else:
                raise Malformed(f"set id {kind}")
            offset += size
        self.sequence[domain] = (sequence + len(self.records) + len(self.options) - before) & 0xFFFFFFFF
        self.messages += 1

    def _fields(self, body, offset, count):
        fields = []
        for _ in range(count):
            element, size = struct.unpack_from("!HH", body, offset)
            offset += 4
            enterprise = 0
            if element & 0x8000:
                enterprise = struct.unpack_from("!I", body, offset)[0]
                offset += 4
            fields.append((enterprise, element & 0x7FFF, size))
        return fields, offset

    def _templates(self, domain, body):
        offset = 0
        while len(body) - offset >= 4:
            kind, count = struct.unpack_from("!HH", body, offset)
            if kind == 0:
                break
            if kind < 256 or count == 0:
                raise Malformed(f"template {kind} with {count} fields")
            fields, offset = self._fields(body, offset + 4, count)
            known = self.templates.get((domain, kind))
            if known and known != fields:
                raise Malformed(f"template {kind} changed")
            self.templates[domain, kind] = fields
            self.template_records += 1

    def _options(self, domain, body):
        offset = 0
        while len(body) - offset >= 6:
            kind, count, scope = struct.unpack_from("!HHH", body, offset)
            if kind == 0:
                break
            if kind < 256 or not 0 < scope <= count:
                raise Malformed(f"options template {kind} with {scope} of {count} fields as scope")
            fields, offset = self._fields(body, offset + 6, count)
            if self.templates.get((domain, kind), fields) != fields:
                raise Malformed(f"options template {kind} changed")
            self.templates[domain, kind], self.scopes[domain, kind] = fields, scope
            self.template_records += 1

    def _data(self, domain, kind, body):
        fields = self.templates[domain, kind]
        scope = self.scopes.get((domain, kind))
        least = sum(1 if size == 0xFFFF else size for _, _, size in fields)
        offset = 0
        while len(body) - offset >= least:
            record = {}
            for enterprise, element, size in fields:
                if size == 0xFFFF:
                    size = body[offset]
                    offset += 1
                    if size == 255:
                        size = struct.unpack_from("!H", body, offset)[0]
                        offset += 2
                if offset + size > len(body):
                    raise Malformed("record does not fit its set")
                record[enterprise, element] = body[offset:offset + size]
                offset += size
            if scope is None:
                self.records.append(record)
            else:
                self.options.append((tuple((enterprise, element) for enterprise, element, _ in fields[:scope]), record))
        if any(body[offset:]):
            raise Malformed("padding is not zero")


REVERSE = 29305


def number(record, element, enterprise=0):
    return int.from_bytes(record[enterprise, element], "big") if (enterprise, element) in record else 0


def packets_and_octets(records):
    """Sums of (packets, octets) over both directions of IPFIX records."""
    return (
        sum(number(r, 2) + number(r, 2, REVERSE) for r in records),
        sum(number(r, 1) + number(r, 1, REVERSE) for r in records))


def json_packets_and_octets(records):
    def add(name):
        return sum(r.get(f"iana:{name}", 0) + r.get(f"iana@reverse:{name}", 0) for r in records)
    return add("packetDeltaCount"), add("octetDeltaCount")


def read_message(connection):
    """One message from a TCP connection; None at its end."""
    def exactly(count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                return None
            data += part
        return data

    header = exactly(4)
    if header is None:
        return None
    rest = exactly(struct.unpack("!HH", header)[1] - 4)
    return None if rest is None else header + rest


def file_messages(path):
    data, offset = Path(path).read_bytes(), 0
    while offset < len(data):
        length = struct.unpack_from("!H", data, offset + 2)[0]
        yield data[offset:offset + length]
        offset += length


class UDPCollector:
    """A bound socket that keeps datagrams with their arrival times."""

    def __init__(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        # Nothing may be lost while nobody reads; root may have more than the system's limit (SO_RCVBUFFORCE).
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.session = Session()

    def receive_until(self, condition, process=None):
        """Parses what comes until `condition(session)` is true."""
        self.socket.settimeout(0.1)

        def step():
            with contextlib.suppress(TimeoutError):
                self.session.message(self.socket.recv(65535))
            return condition(self.session)
        if not condition(self.session):
            wait_until(step, "records", process)
        return self.session

    def drain(self, quiet=0.3):
        """Parses what has come until there is silence for so long: what was sent before over the loopback is there."""
        self.socket.settimeout(quiet)
        try:
            while True:
                self.session.message(self.socket.recv(65535))
        except (TimeoutError, BlockingIOError):
            return self.session

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


#: Below the kernel's own choice for sockets that name no port (ip_local_port_range), so that no connection takes it in between.
_ports = itertools.count(random.randrange(10_000, 30_000))


def free_port():
    """A port of 127.0.0.1 and ::1 that nobody has, for TCP and UDP, and that this process gives out once."""
    return next(port for number in _ports if is_free(port := 10_000 + number % 20_000))


def is_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                try:
                    probe.bind((host, port))
                except OSError as error:
                    # A machine without IPv6 has nobody on ::1.
                    if error.errno != errno.EADDRNOTAVAIL:
                        return False
    return True


def nfdump(folder, send, logs=None):
    """What nfdump shows of the flows that `send(port)` has sent to nfcapd, which must not have complained; `logs` gets what it
    said."""
    for attempt in range(5):
        port, place = free_port(), folder / f"nfcapd{attempt}"
        place.mkdir()
        capd = subprocess.Popen(
            ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", place, "-t", "3600", "-B", "4000000"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda at=port: udp_socket(at), "nfcapd's socket", capd)
            send(port)
            wait_until(lambda at=port: udp_socket(at)[0] == 0, "an nfcapd that has read everything", capd)
            dropped = udp_socket(port)[1]
        finally:
            capd.terminate()
            log = capd.communicate(timeout=PATIENCE)[0].decode(errors="replace")
        # What the kernel dropped because nfcapd got no CPU says nothing about what was sent.
        if dropped == 0:
            break
    assert not re.search(r"(?i)malformed|corrupt|sequence failure.*[1-9]|unknown template", log), log
    if logs is not None:
        logs.append(log)
    files = [p for p in place.iterdir() if p.name.startswith("nfcapd.") and p.name[7:].isdigit()]
    assert len(files) == 1, list(place.iterdir())
    done = subprocess.run(["nfdump", "-r", files[0], "-o", "json"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nfacctd(folder, send, more, packets, configuration=""):
    """What pmacct's nfacctd shows, a row for each of its aggregates, of the flows that `send(port)` has sent to it.

    `more` are primitives besides addresses, ports and the protocol; `packets` is how many the rows are to have in all, for
    which they are waited; `configuration` has more lines of its file.
    """
    table, port = folder / "flows.csv", free_port()
    settings, log = folder / "nfacctd.conf", folder / "nfacctd.log"
    # What it has seen is written every two seconds, behind what was written before.
    settings.write_text(
        f"daemonize: false\nplugins: print[a]\nprint_output[a]: csv\nprint_refresh_time[a]: 2\nprint_output_file[a]: {table}\n"
        f"print_output_file_append[a]: true\naggregate[a]: src_host, dst_host, src_port, dst_port, proto, {more}\n"
        f"nfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\ntimestamps_utc: true\n{configuration}")

    # A flow of one packet from 192.0.2.1, with which one sees when it is ready.
    probe, frame = folder / "probe.pcap", bytes(12) + b"\x08\x00" + struct.pack(
        "!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2", 1, 2, 8, 0)
    write_pcap(probe, 1, [((1, 0), len(frame), frame)])

    def rows(of_probe=False):
        """The rows that are written whole."""
        text = table.read_text() if table.exists() else ""
        lines = list(csv.reader(text[:text.rfind("\n") + 1].splitlines()))
        found = [dict(zip(lines[0], line)) for line in lines[1:] if line != lines[0]] if lines else []
        return [row for row in found if (row["SRC_IP"] == "192.0.2.1") == of_probe]

    def is_ready():
        assert offline(probe, export=f"udp://127.0.0.1:{port}").status == 0
        time.sleep(0.2)
        return rows(of_probe=True)

    with open(log, "wb") as out, subprocess.Popen(
            ["nfacctd", "-f", settings], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True) as collector:
        try:
            # What comes before its plugin, a process of its own, is ready is lost, and it does not say when it is.
            wait_until(lambda: "waiting for NetFlow" in log.read_text(), "an nfacctd that listens", collector)
            wait_until(is_ready, "an nfacctd that is ready", collector)
            assert send(port).status == 0
            end = time.monotonic() + PATIENCE
            while sum(int(row["PACKETS"]) for row in rows()) < packets and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            # Its plugins are processes of their own.
            os.killpg(collector.pid, signal.SIGKILL)
    return rows()
