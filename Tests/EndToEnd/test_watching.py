"""What a live run shows of itself: metrics over HTTP, DPDK's telemetry commands, what systemd is told, ports that come and go."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness import (
    CAPTURES, MARTLET, ROOT, TWO_QUEUES, Live, file_prefix, free_port, have, is_root, read_pcap, run, wait_until)

pytestmark = [
    pytest.mark.skipif(not is_root(), reason="live tests need root"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="live tests need two CPUs"),
]

DEMO = CAPTURES / "demo.pcap"
DEMO_PACKETS = len(read_pcap(DEMO)[1])
NO_TIMEOUTS = ["--active-timeout", "100000", "--inactive-timeout", "100000"]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")


def get(port, path, accept=None, method="GET", host="127.0.0.1"):
    """(status, content type, body) of a request."""
    connection = http.client.HTTPConnection(host, port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def values(text):
    """name -> [(labels, value)] of a page of metrics."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, number = SAMPLE.fullmatch(line).groups()
        labels = {key: text.replace('\\"', '"') for key, text in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")}
        found.setdefault(name, []).append((labels, float(number)))
    return found


@contextlib.contextmanager
def watched(tmp_path, device=f"--vdev=net_pcap0,rx_pcap={DEMO}", options=(), packets=DEMO_PACKETS, **more):
    """A run with --metrics that has received so many packets, and its port for HTTP."""
    port = free_port()
    with Live([device], ["--metrics", str(port), "--export", f"json:{tmp_path}/out.json", "--stats", "0", *NO_TIMEOUTS,
                         *options], **more) as live:
        live.wait_for(lambda: is_up(port))
        live.wait_for(lambda: sum(n for _, n in page(port)["martlet_worker_received_packets_total"]) >= packets)
        yield live, port


def is_up(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return get(port, "/readyz")[0] == 200
    return False


def page(port):
    return values(get(port, "/metrics")[2])


# Metrics over HTTP

def test_the_metrics_are_the_counters(tmp_path):
    with watched(tmp_path) as (live, port):
        status, kind, text = get(port, "/metrics")
        assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8"
        found = values(text)
        # The driver's own words, asked for once a second: net_pcap counts what it gave.
        wait_until(lambda: {entry["name"]: number for entry, number in page(port)["martlet_port_statistic"]}[
            "rx_good_packets"] == DEMO_PACKETS, "the driver's counters", live.process)
        assert live.stop() == 0, live.text()
        counters = live.counters
    for name in ("received", "fragments", "not_IP", "flows_made"):
        key = next(key for key in found if key.startswith(f"martlet_worker_{name.lower()}_"))
        assert sum(number for _, number in found[key]) == counters[name], key
    assert found["martlet_worker_in_table_flows"] == [({"lcore": "2"}, counters["flows_made"])]
    assert found["martlet_worker_table_size_flows"] == [({"lcore": "2"}, 1 << 20)]
    assert found["martlet_worker_ring_size_records"] == [({"lcore": "2"}, 8192)]
    assert found["martlet_queue_received_packets_total"] == [
        ({"port": "0", "queue": "0", "lcore": "2"}, DEMO_PACKETS)]
    # The histogram has each packet and each poll that brought some.
    labels, of = {"lcore": "2"}, lambda end: found["martlet_worker_batch_packets" + end]
    buckets = [(entry[0]["le"], entry[1]) for entry in of("_bucket")]
    assert [bound for bound, _ in buckets] == ["1.0", "3.0", "7.0", "15.0", "31.0", "32.0", "+Inf"]
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert of("_sum") == [(labels, DEMO_PACKETS)] and of("_count") == [(labels, buckets[-1][1])]
    # A replay of 32 packets at a time: all but the last poll were full.
    assert buckets[-1][1] >= DEMO_PACKETS / 32
    roles = {entry[0]["lcore"]: entry[0]["role"] for entry in found["martlet_lcore_polls_total"]}
    assert roles == {"1": "export", "2": "worker"}
    for name in ("busy", "polling"):
        assert all(number > 0 for entry, number in found[f"martlet_lcore_{name}_seconds_total"] if entry["role"] == "worker")
    assert all(busy[1] <= all_[1] for busy, all_ in zip(
        found["martlet_lcore_busy_seconds_total"], found["martlet_lcore_polling_seconds_total"]))
    assert found["martlet_port_up"][0][0] == {"port": "0", "device": "net_pcap0"}


def test_every_metric_that_is_listed_is_served_and_no_other(tmp_path):
    heading, *lines = run("--list-metrics").out.decode().splitlines()
    assert heading.split() == ["metric", "type", "labels", "what", "it", "says"]
    listed = {re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line) for line in lines}
    assert len(listed) == len(lines)
    with watched(tmp_path, options=["--export", "udp://127.0.0.1:9"]) as (_live, port):
        text = get(port, "/metrics")[2]
    kinds = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    assert {name: kind.replace("untyped", "unknown") for name, kind in kinds.items()} == {
        name: cells[1] for name, cells in listed.items()}
    found = values(text)
    for name, cells in listed.items():
        labels = set() if cells[2] == "-" else set(cells[2].split(", "))
        for entry, _ in found.get(name, []):
            assert set(entry) == labels, name
    outputs = [entry["output"] for entry, _ in found["martlet_output_messages_total"]]
    assert outputs == [f"json:{tmp_path}/out.json", "udp://127.0.0.1:9"]


@pytest.mark.skipif(not have("promtool"), reason="needs promtool (Debian's package prometheus)")
def test_promtool_finds_nothing_to_complain_of(tmp_path):
    with watched(tmp_path, options=["--export", "udp://127.0.0.1:9"]) as (_live, port):
        text = get(port, "/metrics")[2]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_who_asks_for_openmetrics_gets_it(tmp_path):
    with watched(tmp_path) as (_live, port):
        for accept in ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                       "application/openmetrics-text; version=1.0.0; charset=utf-8"):
            status, kind, text = get(port, "/metrics", accept)
            assert (status, kind) == (200, OPEN_METRICS)
            assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
        for accept in ("text/plain", "*/*", "application/json", "application/openmetrics-text;q=0.1,text/plain"):
            assert get(port, "/metrics", accept)[1] == "text/plain; version=0.0.4; charset=utf-8"
    # A counter's family has no ending, its values have; a unit is the end of the family's name.
    kinds = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    units = re.findall(r"(?m)^# UNIT (\S+) (\S+)$", text)
    assert units and all(name.endswith("_" + unit) for name, unit in units)
    assert kinds["martlet_worker_received_packets"] == "counter" and kinds["martlet_port_statistic"] == "unknown"
    for name in values(text):
        family = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert name in kinds or family in kinds, name


def test_health_and_other_pages(tmp_path):
    with watched(tmp_path) as (_live, port):
        assert get(port, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
        assert get(port, "/readyz")[::2] == (200, "ok\n")
        assert get(port, "/")[0] == 200
        assert get(port, "/metrics?name=x")[0] == 200
        assert get(port, "/nothing")[0] == 404
        assert get(port, "/metrics", method="POST")[0] == 405
        assert get(port, "/metrics", method="HEAD")[::2] == (200, "")


def test_a_whole_address_may_be_asked_for(tmp_path):
    """RFC 9112 section 3.2.2: a server must accept the absolute form."""
    with watched(tmp_path) as (_live, port):
        for target, status in ((f"http://127.0.0.1:{port}/healthz", 200), ("HTTP://a.example/metrics", 200),
                               ("http://a.example", 200), ("http://a.example/nothing", 404)):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
                assert client.recv(4096).split()[1] == str(status).encode(), target


def test_the_address_may_be_of_ipv6_and_must_be_free(tmp_path):
    port = free_port()
    with Live([f"--vdev=net_pcap0,rx_pcap={DEMO}"], ["--metrics", f"[::1]:{port}", "--export", "json:/dev/null"]) as live:
        def answers():
            with contextlib.suppress(OSError):
                return get(port, "/readyz", host="::1")[0] == 200
        live.wait_for(answers)
        with pytest.raises(OSError):
            get(port, "/readyz")
        # Refused before EAL starts.
        other = run("--no-huge", "-m", "64", "--no-pci", "--file-prefix", file_prefix(), "--", "--metrics", f"[::1]:{port}")
        assert other.status == 1
        assert other.messages == [
            f"martlet: --metrics [::1]:{port}: Address already in use: give a port that nobody listens on"]


@pytest.mark.parametrize("address", ["", "x", "0", "65536", ":9477", "::1:9477", "[::1]", "[1.2.3.4]:1", "a b:1"])
def test_what_is_no_address_is_refused(address):
    done = run("--no-pci", "--", "--metrics", address)
    assert done.status == 64 and len(done.messages) == 1, done.err


def test_a_host_name_is_no_address():
    done = run("--no-pci", "--", "--metrics", "localhost:9477")
    assert done.status == 64 and done.messages == [
        "martlet: --metrics localhost:9477: 'localhost' is no numeric address: give one of this machine's"]


def test_metrics_are_for_live_runs():
    done = run("--metrics", "9477", "--pcap", DEMO, "--export", "json:/dev/null")
    assert done.status == 0 and done.err == b"martlet: warning: --metrics is for live runs, and not used\n"


def test_slow_greedy_and_silent_clients_keep_nobody_out(tmp_path):
    with watched(tmp_path) as (live, port), contextlib.ExitStack() as stack:
        def connect():
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        # More than are served at once: silent ones, and such that say a little again and again.
        slow = [connect() for _ in range(40)]
        end = time.monotonic() + 14
        while time.monotonic() < end:
            for client in slow[::2]:
                with contextlib.suppress(OSError):
                    client.send(b"G")
            time.sleep(0.5)
        # All have had their ten seconds, or were not served yet; after at most two more such times everybody was.
        def answered():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return get(port, "/healthz")[0] == 200
        wait_until(answered, "an answer behind slow clients")
        # Headers that do not end.
        greedy = connect()
        greedy.sendall(b"GET /metrics HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for number in range(2000):
                greedy.sendall(b"X-%d: " % number + b"a" * 1000 + b"\r\n")
        with contextlib.suppress(OSError):
            assert greedy.recv(64).startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")) or True
        for nonsense in (b"\0" * 100, b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"\r\n" * 500,
                         b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"):
            client = connect()
            with contextlib.suppress(OSError):
                client.sendall(nonsense)
                client.shutdown(socket.SHUT_WR)
                client.recv(4096)
        wait_until(answered, "an answer behind greedy clients")
        assert live.stop() == 0, live.text()


def test_a_crowd_that_comes_again_keeps_nobody_waiting(tmp_path):
    """A hundred clients that never end their requests, and are back at once: who asks is answered all the same."""
    with watched(tmp_path) as (live, port):
        over = threading.Event()

        def crowd():
            while not over.is_set():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=3) as client:
                    client.settimeout(0.5)
                    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
                    while not over.is_set():
                        client.sendall(b"X: a\r\n")
                        with contextlib.suppress(socket.timeout):
                            if not client.recv(10):
                                break
        threads = [threading.Thread(target=crowd, daemon=True) for _ in range(100)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        try:
            waits = []
            for _ in range(20):
                start = time.monotonic()
                assert get(port, "/healthz")[0] == 200
                waits.append(time.monotonic() - start)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert max(waits) < 10 and sorted(waits)[10] < 1, waits
        assert live.stop() == 0, live.text()


def test_two_queues_and_readiness_at_the_end(tmp_path):
    """While a collector keeps the end waiting, /readyz says no and /metrics still answers."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        device = f"--vdev=net_pcap0,rx_pcap={DEMO},rx_pcap={DEMO}"
        with watched(tmp_path, device=device, packets=2 * DEMO_PACKETS, lcores=TWO_QUEUES,
                     options=["--export", f"json:{fifo}", "--drain-timeout", "5", "--plugins", "pstats,tls"]) as (live, port):
            assert {entry["lcore"] for entry, _ in page(port)["martlet_worker_received_packets_total"]} == {"2", "3"}
            live.process.send_signal(signal.SIGINT)
            if wait_until(lambda: live.process.poll() is not None or get(port, "/readyz")[0] == 503, "the end"):
                with contextlib.suppress(OSError):
                    assert get(port, "/readyz")[::2] == (503, "ending\n")
            live.stop()
    finally:
        os.close(reader)


# DPDK's telemetry

def telemetry_path(live):
    return f"/var/run/dpdk/{live.file_prefix}/dpdk_telemetry.v2"


def telemetry(live, *commands):
    """The answers to commands on the telemetry socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(30)
        client.connect(telemetry_path(live))
        client.recv(16384)
        answers = []
        for command in commands:
            client.send(command.encode())
            answers.append(json.loads(client.recv(16384))[command.split(",")[0]])
        return answers


def test_telemetry_has_stats_lcores_and_outputs(tmp_path):
    with watched(tmp_path) as (live, _port):
        stats, lcores, outputs = telemetry(live, "/martlet/stats", "/martlet/lcores", "/martlet/outputs")
        assert live.stop() == 0
        counters = live.counters
    for name in ("received", "flows_made", "not_IP", "fragments"):
        assert stats[name] == counters[name]
    assert stats["hertz"] > 1e6 and abs(stats["start_time"] - time.time()) < 300
    assert set(lcores) == {"1", "2"}
    assert lcores["2"]["role"] == "worker" and lcores["1"]["role"] == "export"
    assert lcores["2"]["received"] == DEMO_PACKETS and 0 < lcores["2"]["busy_cycles"] <= lcores["2"]["cycles"]
    assert outputs == {"1": {"output": f"json:{tmp_path}/out.json", "lcore": 1, "records": 0, "sent": 0}}


def test_telemetry_is_json_whatever_an_output_is_called(tmp_path):
    """DPDK 22.11 takes octets from 0x80 on for control characters, and writes \\uffffffc3."""
    with watched(tmp_path, options=["--export", f"csv:{tmp_path}/gr\u00fc\u00df\u2603.csv"]) as (live, _port):
        outputs, = telemetry(live, "/martlet/outputs")
    assert outputs["2"]["output"] == f"csv:{tmp_path}/gr???.csv"


def test_telemetry_shows_the_largest_flows(tmp_path):
    """The same flows as the records have that are exported at the end."""
    with watched(tmp_path) as (live, _port):
        ten, three, all_, wrong, none = telemetry(
            live, "/martlet/flows", "/martlet/flows,3", "/martlet/flows,1000", "/martlet/flows,x", "/martlet/flows,0")
        assert live.stop() == 0
    assert wrong is none is None
    assert list(all_) == [str(number + 1) for number in range(64)]
    ten, three, all_ = (list(answer.values()) for answer in (ten, three, all_))
    records = [json.loads(line) for line in open(tmp_path / "out.json")]

    def both(record, name):
        return record.get(f"iana:{name}", 0) + record.get(f"iana@reverse:{name}", 0)
    expected = sorted((both(record, "octetDeltaCount") for record in records), reverse=True)
    assert [flow["octets"] for flow in all_] == expected[:64]
    assert [flow["octets"] for flow in ten] == expected[:10] and three == ten[:3]
    known = set()
    for record in records:
        version = record["iana:ipVersion"]
        ends = []
        for side in ("source", "destination"):
            address = record[f"iana:{side}IPv{version}Address"]
            number = record["iana:protocolIdentifier"]
            port = f":{record[f'iana:{side}TransportPort']}" if number in (6, 17, 132, 136) else ""
            ends.append((f"[{address}]" if version == 6 else address) + port)
        known.add((" > ".join(ends), both(record, "octetDeltaCount"), both(record, "packetDeltaCount")))
    for flow in all_:
        name = re.sub(r" (?:\w+|protocol \d+)(?: vlan \d+)?$", "", flow["flow"])
        assert (name, flow["octets"], flow["packets"]) in known, flow
        assert flow["lcore"] == 2


def test_flows_that_are_shown_have_the_addresses_of_records(tmp_path):
    """Who may look at a probe may not see what records hide."""
    with watched(tmp_path, options=["--anonymise", "truncate:16,32"]) as (live, _port):
        shown = [flow["flow"] for flow in telemetry(live, "/martlet/flows,64")[0].values()]
        page_of_top = top("--once", "--file-prefix", live.file_prefix, "--interval", "0.2", "--flows", "64").stdout
        assert live.stop() == 0
    ends = set()
    for line in open(tmp_path / "out.json"):
        record = json.loads(line)
        version = record["iana:ipVersion"]
        ends |= {record[f"iana:{side}IPv{version}Address"] for side in ("source", "destination")}
    assert ends and all(end.endswith((".0.0", "::")) for end in ends)
    found = {re.sub(r":\d+$", "", end).strip("[]") for flow in shown for end in flow.split()[0:3:2]}
    assert found and found <= ends
    assert all(flow in page_of_top for flow in shown[:3])


def test_flows_are_found_while_their_table_changes(tmp_path):
    """Reading goes on beside a worker that makes and ends flows all the time."""
    with watched(tmp_path, device=f"--vdev=net_pcap0,rx_pcap={CAPTURES / 'many-flows.pcap'},infinite_rx=1", packets=1000,
                 options=["--inactive-timeout", "0.1", "--active-timeout", "0.2", "--flows", "256"]) as (live, _port):
        seen = 0
        end = time.monotonic() + 6
        while time.monotonic() < end:
            for flow in telemetry(live, "/martlet/flows,64")[0].values():
                assert re.match(r"\S+ > \S+ \w+", flow["flow"]) and flow["packets"] > 0 and flow["octets"] >= 20
                seen += 1
        # The export lcore does not keep up here.
        assert live.stop() in (0, 2), live.text()
    assert seen > 0


@pytest.mark.skipif(not have("dpdk-telemetry.py"), reason="needs dpdk-telemetry.py (Debian's package dpdk)")
def test_dpdks_own_script_shows_the_commands(tmp_path):
    with watched(tmp_path) as (live, _port):
        done = subprocess.run(
            ["dpdk-telemetry.py", "-f", live.file_prefix], input="/\n/help,/martlet/flows\n/martlet/stats\nquit\n",
            capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for word in ("/martlet/stats", "/martlet/lcores", "/martlet/outputs", "/martlet/flows", "64 at most"):
        assert word in done.stdout
    assert f'"received": {DEMO_PACKETS}' in done.stdout


# martlet top

def top(*arguments, **more):
    return subprocess.run(
        [MARTLET, "top", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **more)


def test_top_prints_a_frame(tmp_path):
    with watched(tmp_path) as (live, _port):
        done = top("--once", "--file-prefix", live.file_prefix, "--interval", "0.2", "--flows", "3")
        none = top("--once", "--socket", telemetry_path(live), "--interval", "0.2", "--flows", "0")
        assert live.stop() == 0
        flows_made = live.counters["flows_made"]
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"martlet ({live.file_prefix}), up ")
    assert f"{flows_made} flows" in lines[1] and lines[2] == "lost: nothing"
    assert re.search(r"(?m)^1 +export +\d+ %", done.stdout) and re.search(r"(?m)^2 +worker +\d+ %", done.stdout)
    assert f"json:{tmp_path}/out.json" in done.stdout
    assert len(lines) - next(n for n, line in enumerate(lines) if line.startswith("largest flows")) == 4
    assert "\x1b" not in done.stdout and "largest flows" not in none.stdout


def test_top_says_in_a_line_that_there_is_nothing_to_watch():
    done = top("--once", "--file-prefix", "nobody")
    assert done.returncode == 1
    assert done.stderr == "martlet: no martlet runs with --file-prefix nobody, or it belongs to somebody else\n"
    done = top("--once", "--socket", "/nonexistent/socket")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert top("--bogus").returncode == 64 and top("--flows", "65").returncode == 64
    assert "--once" in top("--help").stdout


@contextlib.contextmanager
def answering(path, answers):
    """A program that answers in the place of martlet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    client.send(b'{"version":"DPDK 22.11","pid":1,"max_output_len":16384}')
                    while question := client.recv(1000):
                        name = question.decode().split(",")[0]
                        client.send(json.dumps({name: answers[name]}).encode())
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


MOST = 2 ** 64 - 1
HOSTILE = {
    "/martlet/stats": {"hertz": MOST, "start_time": 0, "received": MOST, "bytes": MOST, "in_table": MOST, "missed": MOST},
    "/martlet/lcores": {"2\u001b]0;x\u0007\u001b[2J": {
        "role": "worker", "cycles": MOST, "busy_cycles": MOST, "ring_records": MOST, "ring_size": 1, "table_size": 1}},
    "/martlet/outputs": {"1": {"output": "a\n\u009b2J" + "x" * 5000, "lcore": MOST, "records": MOST, "sent": MOST}},
    "/martlet/flows": {"1": {"flow": "a\u202eb\u007f", "octets": MOST, "packets": MOST, "milliseconds": MOST, "lcore": MOST}},
}
CONTROLS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def test_top_stands_any_answer_and_shows_no_commands(tmp_path):
    path = tmp_path / "socket"
    with answering(path, HOSTILE):
        done = top("--once", "--socket", path, "--interval", "0.1")
        assert done.returncode == 0 and done.stderr == ""
        assert not CONTROLS.search(done.stdout) and len(done.stdout.splitlines()) == 12, done.stdout
    # One at a time is 0: nothing is divided by it.
    for member in ("cycles", "busy_cycles", "ring_records", "ring_size", "table_size"):
        path.unlink()
        lcores = {key: {**value, member: 0} for key, value in HOSTILE["/martlet/lcores"].items()}
        with answering(path, {**HOSTILE, "/martlet/lcores": lcores}):
            assert top("--once", "--socket", path, "--interval", "0.1").returncode == 0, member


def test_top_asks_nobody_who_could_be_anybody(tmp_path):
    """Whoever may write to a folder of sockets, or owns it, could answer there; a name in it could be a terminal's command."""
    root = tmp_path / "dpdk"
    prefix = f"{file_prefix()}\x1b[2J"
    folder = root / prefix
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    root.chmod(0o700)

    def look():
        return top("--once", "--file-prefix", prefix, "--interval", "0.1", env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
    with answering(folder / "dpdk_telemetry.v2", HOSTILE):
        done = look()
        assert done.returncode == 0 and not CONTROLS.search(done.stdout), done
        for place, reason in ((root, "belongs to user 65534"), (folder, "belongs to user 65534"),
                              (folder / "dpdk_telemetry.v2", "belongs to user 65534"),
                              (root, "others may write"), (folder, "others may write")):
            owner, mode = (65534, 0o700) if "belongs" in reason else (0, 0o770)
            os.chown(place, owner, owner)
            place.chmod(mode)
            done = look()
            assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1, done
            assert reason in done.stderr and str(root) in done.stderr and not CONTROLS.search(done.stderr), done
            os.chown(place, 0, 0)
            place.chmod(0o700)
        # A link leads anywhere.
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        assert "it is no folder" in look().stderr


def test_top_draws_on_a_terminal_until_q(tmp_path):
    """On a pseudo-terminal: another screen, frames of its size, and the screen as it was after q."""
    import fcntl
    import pty
    import struct
    import termios

    with watched(tmp_path) as (live, _port):
        process, terminal = pty.fork()
        if process == 0:
            os.execv(MARTLET, [MARTLET, "top", "--file-prefix", live.file_prefix, "--interval", "0.2"])
        shown = b""

        def read_until(what):
            nonlocal shown
            end = time.monotonic() + 60
            while not what(shown):
                assert time.monotonic() < end, shown
                shown += os.read(terminal, 65536)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 70, 0, 0))
        read_until(lambda text: text.count(b"lost: ") >= 3)
        assert shown.startswith(b"\x1b[?1049h\x1b[?25l")
        frame = shown.split(b"\x1b[H")[-2].decode()
        lines = [re.sub(r"\x1b\[[?\d]*\w", "", line).rstrip("\r") for line in frame.split("\n")]
        assert len(lines) <= 30 and max(map(len, lines)) <= 70 and any(line.startswith("largest flows") for line in lines)
        # A smaller window gets smaller frames.
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 40, 0, 0))
        shown = b""
        read_until(lambda text: text.count(b"\x1b[H") >= 4)
        assert len(shown.split(b"\x1b[H")[-2].split(b"\n")) <= 8
        os.write(terminal, b"q")
        with contextlib.suppress(OSError):
            while more := os.read(terminal, 65536):
                shown += more
        assert os.waitpid(process, 0)[1] == 0
        assert shown.endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l")
        os.close(terminal)


def test_top_needs_a_terminal_or_once(tmp_path):
    with watched(tmp_path) as (live, _port):
        done = top("--file-prefix", live.file_prefix)
    assert done.returncode == 64 and "--once" in done.stderr


# systemd

def test_systemd_is_told_of_the_start_the_end_and_life(tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.ExitStack() as stack:
        manager.bind(str(path))
        manager.settimeout(60)
        for name, value in {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "4000000"}.items():
            os.environ[name] = value
            stack.callback(os.environ.pop, name)
        with Live([f"--vdev=net_pcap0,rx_pcap={DEMO}"], ["--export", "json:/dev/null"]) as live:
            assert manager.recv(4096).split(b"\n")[0] == b"READY=1"
            start = time.monotonic()
            assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            # Every two seconds, half of what the manager waits for.
            assert time.monotonic() - start > 3
            live.process.send_signal(signal.SIGTERM)
            while (said := manager.recv(4096)) == b"WATCHDOG=1":
                pass
            assert said.split(b"\n")[0] == b"STOPPING=1"
            assert live.process.wait(60) == 0


def test_the_watchdog_is_not_fed_while_a_loop_stands_still(tmp_path):
    """A worker that is stopped (by a debugger's means) is said after five seconds, and /healthz and the watchdog know."""
    path = tmp_path / "notify"
    if not have("gdb"):
        pytest.skip("needs gdb")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.ExitStack() as stack:
        manager.bind(str(path))
        manager.settimeout(60)
        for name, value in {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"}.items():
            os.environ[name] = value
            stack.callback(os.environ.pop, name)
        with watched(tmp_path) as (live, port):
            task = next(task for task in os.listdir(f"/proc/{live.process.pid}/task")
                        if "worker2" in open(f"/proc/{live.process.pid}/task/{task}/comm").read()
                        or "worker-2" in open(f"/proc/{live.process.pid}/task/{task}/comm").read())
            # Attached to one thread alone, which stops with it.
            code = ("import ctypes, sys, time; libc = ctypes.CDLL(None, use_errno=True); tid = int(sys.argv[1]);"
                    "assert libc.ptrace(0x4206, tid, None, None) == 0; assert libc.ptrace(0x4207, tid, None, None) == 0;"
                    "print('stopped', flush=True); sys.stdin.read()")
            tracer = stack.enter_context(subprocess.Popen(
                ["python3", "-c", code, task], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert tracer.stdout.readline() == b"stopped\n"
            live.wait_for("lcore 2 has not polled for 5 s")
            assert get(port, "/healthz")[::2] == (503, "lcore 2: no poll for 5 seconds\n")
            manager.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while manager.recv(4096):
                    pass
            time.sleep(3)
            with pytest.raises(BlockingIOError):
                manager.recv(4096)
            tracer.stdin.close()
            tracer.wait()
            live.wait_for("lcore 2 polls again")
            wait_until(lambda: get(port, "/healthz")[0] == 200, "a run that is well again")
            assert live.stop() == 0


# Logs

def test_messages_by_level_and_form(tmp_path):
    arguments = ["--pcap", DEMO, "--export", "json:/dev/null", "--export-lcores", "2", "--stats", "0"]
    plain = run(*arguments).err.decode()
    assert "martlet: warning: captures are read by one thread" in plain and "martlet: totals" in plain
    quiet = run("--log-level", "warning", *arguments).err.decode()
    assert quiet.splitlines() == [line for line in plain.splitlines() if line.startswith("martlet: warning")]
    assert run("--log-level", "error", *arguments).err == b""
    objects = [json.loads(line) for line in run("--log-format", "json", *arguments).err.decode().splitlines()]
    assert [entry["level"] for entry in objects[:2]] == ["warning", "info"]
    assert objects[1]["message"].startswith("totals: ")
    assert all(set(entry) == {"time", "level", "message"} for entry in objects)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"]) for entry in objects)
    assert any(entry["message"].split() == ["received", str(DEMO_PACKETS)] for entry in objects)
    failed = run("--log-level", "error", "--log-format", "json", "--pcap", tmp_path / "none.pcap")
    assert json.loads(failed.err)["level"] == "error" and failed.status == 1
    assert run("--log-level", "loud", *arguments).status == 64


@pytest.mark.parametrize("destination,path", [("syslog", "/dev/log"), ("journald", "/run/systemd/journal/socket")])
def test_messages_to_a_log(tmp_path, destination, path):
    if os.path.lexists(path):
        pytest.skip(f"somebody listens at {path}")
    arguments = ["--log-to", destination, "--pcap", DEMO, "--export", "json:/dev/null", "--export-lcores", "2"]
    nobody = run(*arguments)
    assert nobody.status == 1 and nobody.messages == [
        f"martlet: nobody takes messages at {path} (No such file or directory): leave --log-to out, or start who does"]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        try:
            assert run(*arguments).err == b""
            log.settimeout(10)
            message = log.recv(65536)
        finally:
            os.unlink(path)
    if destination == "syslog":
        assert re.match(rb"<28>\w{3} [ \d]\d \d\d:\d\d:\d\d martlet\[\d+\]: captures are read by one thread", message)
    else:
        text = b"captures are read by one thread"
        assert message.startswith(b"PRIORITY=4\nSYSLOG_IDENTIFIER=martlet\nMESSAGE=" + text)


# Grafana's dashboard, asked of a real Prometheus

@pytest.mark.skipif(not have("prometheus"), reason="needs Debian's package prometheus")
def test_every_query_of_the_dashboard_has_data(tmp_path):
    dashboard = json.loads((ROOT / "docs/grafana/martlet.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) > 30 and all("$instance" in query for query in queries)
    web = free_port()
    with watched(tmp_path, device=f"--vdev=net_pcap0,rx_pcap={DEMO},infinite_rx=1",
                 options=["--export", "udp://127.0.0.1:9"]) as (_live, port):
        settings = tmp_path / "prometheus.yml"
        settings.write_text("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: martlet\n  static_configs:\n"
                            f"  - targets: ['127.0.0.1:{port}']\n")
        command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={tmp_path}/data",
                   f"--web.listen-address=127.0.0.1:{web}"]
        with open(tmp_path / "prometheus.log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                def ask(query):
                    from urllib.parse import quote
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        status, _, text = get(web, "/api/v1/query?query=" + quote(query))
                        # It says 503 until it is ready.
                        if status == 503:
                            return None
                        answer = json.loads(text)
                        assert status == 200 and answer["status"] == "success", (query, answer)
                        return answer["data"]["result"]
                # Four scrapes make a rate.
                wait_until(lambda: [s for s in ask("count_over_time(up[1m])") or [] if float(s["value"][1]) >= 4],
                           "four scrapes", server)
                # A page that it could not read, in OpenMetrics, would be a target that is down.
                assert [sample["value"][1] for sample in ask("up")] == ["1"]
                for query in queries:
                    query = query.replace("$__rate_interval", "30s").replace("$instance", ".*")
                    assert ask(query), query
                families = {sample["metric"]["__name__"] for sample in ask('{__name__=~"martlet_.*"}')}
                assert {"martlet_worker_received_packets_total", "martlet_worker_batch_packets_bucket"} <= families
            finally:
                server.terminate()


# Ports that come and go; captures of them

@contextlib.contextmanager
def veth():
    """Two interfaces of the kernel that are joined."""
    near, far = f"mw{os.getpid() % 100000}a", f"mw{os.getpid() % 100000}b"
    added = subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far], capture_output=True)
    if added.returncode != 0:
        pytest.skip("needs veth")
    try:
        for name in (near, far):
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield near, far
    finally:
        subprocess.run(["ip", "link", "del", near], capture_output=True)


def test_a_link_that_changes_and_a_device_that_goes_are_said_and_survived(tmp_path):
    with veth() as (near, far), watched(
            tmp_path, device=f"--vdev=net_af_packet0,iface={near}", packets=0,
            options=["--export", f"json:{tmp_path}/all.json"], mem=None) as (live, port):
        def state(name):
            return page(port)[f"martlet_port_{name}"][0][1]
        wait_until(lambda: page(port).get("martlet_port_up"), "a look at the port", live.process)
        assert state("gone") == 0
        subprocess.run(["ip", "link", "del", far], check=True)
        live.wait_for("port 0 (net_af_packet0) has gone away: no packets come from it any more")
        wait_until(lambda: state("gone") == 1 and state("up") == 0, "metrics that say so", live.process)
        assert get(port, "/healthz")[0] == 200
        time.sleep(2)
        assert live.stop() == 0, live.text()
        assert live.text().count("has gone away") == 1


def test_a_link_that_goes_down_and_up_is_said(tmp_path):
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun")
    name = f"mt{os.getpid() % 100000}"
    with watched(tmp_path, device=f"--vdev=net_tap0,iface={name}", packets=0) as (live, port):
        def up():
            return page(port)["martlet_port_up"][0][1]
        wait_until(lambda: up() == 1, "a link that is up", live.process)
        subprocess.run(["ip", "link", "set", name, "down"], check=True)
        live.wait_for("port 0 (net_tap0): link is down")
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        live.wait_for("port 0 (net_tap0): link is up")
        wait_until(lambda: page(port)["martlet_port_link_changes_total"][0][1] >= 2, "changes that are counted", live.process)
        assert live.stop() == 0, live.text()


@pytest.mark.skipif(not have("dpdk-dumpcap"), reason="needs dpdk-dumpcap (Debian's package dpdk)")
def test_dpdk_dumpcap_attaches(tmp_path):
    from harness import free_hugepages
    if free_hugepages() < 64:
        pytest.skip("another process can share hugepages only")
    out = tmp_path / "dump.pcap"
    with watched(tmp_path, device=f"--vdev=net_pcap0,rx_pcap={DEMO},infinite_rx=1", mem=[]) as (live, _port):
        done = subprocess.run(
            ["dpdk-dumpcap", f"--file-prefix={live.file_prefix}", "-i", "0", "-c", "200", "-g", "-w", str(out)],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr + done.stdout
        # 2 where the device gave more flows than a file takes.
        assert live.stop() in (0, 2), live.text()
    wanted = {data for _, _, data in read_pcap(DEMO)[1]}
    shown = subprocess.run(["tshark", "-n", "-r", str(out), "-T", "fields", "-e", "frame.len"], capture_output=True, text=True)
    assert len(shown.stdout.splitlines()) >= 200
    assert {int(line) for line in shown.stdout.splitlines()} <= {len(data) for data in wanted}
