"""A process that is killed by a fault says what it was at, leaves its last burst where it is told to, and ends as it would have.

The faults are real: signals that are sent, and libraries put in front of those that martlet calls, which fault where it calls
them: `SHA256_Init` in the plugin tls with a ClientHello, `sendmmsg` on the export lcore. The binary is the released one.
"""

import ctypes
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from harness import (
    CAPTURES, MARTLET, PATIENCE, Live, have, is_root, read_pcap, run, tshark, wait_until_it_reads, wait_until_taken, write_pcap)

TLS = CAPTURES / "tls13.pcap"
MANY = CAPTURES / "many-flows.pcap"
#: What happens with Swift's own backtrace is a test of its own; it takes a second.
QUIET = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
SENT = [signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP]
COMPILER = shutil.which("cc") or shutil.which("clang")

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
live = pytest.mark.skipif(not is_root(), reason="live tests need root")

LINE = re.compile(
    r"martlet: killed by (?P<signal>SIG\w+)(?: \((?:address (?P<address>0x[0-9a-f]+)|sent by process (?P<sender>\d+))\))?"
    r" on (?P<thread>[^,]+), (?:no plugin|plugin (?P<plugin>\w+)), (?:no flow|flow (?P<flow>[^,]+)),"
    r" (?:no burst|(?:packet (?P<packet>\d+) of a|last) burst of (?P<count>\d+))(?:, written to (?P<path>\S+))?$")


def report(text):
    """The parts of the one line that says who was killed."""
    lines = [line for line in text.splitlines() if "killed by" in line]
    assert len(lines) == 1, text
    match = LINE.match(lines[0])
    assert match, lines[0]
    return match


def frames(path, ethertype=None):
    """(length on the wire, bytes) of each packet."""
    return [(length, data) for _, length, data in read_pcap(path)[1] if ethertype in (None, data[12:14])]


def library(folder, name, body):
    """A library that is put in front of others, with functions that fault."""
    source, made = folder / f"{name}.c", folder / f"lib{name}.so"
    source.write_text(body)
    subprocess.run([COMPILER, "-w", "-shared", "-fPIC", "-o", made, source], check=True, timeout=60)
    return {**QUIET, "LD_PRELOAD": str(made)}


@pytest.fixture
def stumbles(tmp_path):
    """The environment in which plugin tls writes to address 16 where it begins JA4 of a hello."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    return library(tmp_path, "stumbles", "int SHA256_Init(void *c) { *(volatile int *)16 = 1; return 1; }\n")


@pytest.fixture
def crashes(tmp_path):
    folder = tmp_path / "crashes"
    folder.mkdir()
    return folder


def hello(path):
    """(number from 1, flow as the line has it) of the first ClientHello, says tshark."""
    fields = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport"]
    line = tshark(path, "-Y", "tls.handshake.type == 1", "-T", "fields", "-E", "separator=,", "-e", "frame.number",
                  *(word for field in fields for word in ("-e", field)))[0]
    number, source, source6, port, destination, destination6, other = line.split(",")
    return int(number), (f"{source or f'[{source6}]'}:{port} > {destination or f'[{destination6}]'}:{other} tcp")


# A fault in a plugin, offline.

@pytest.mark.skipif(not have("tshark") or not have("capinfos"), reason="needs tshark")
@pytest.mark.parametrize("ethertype", [b"\x08\x00", b"\x86\xdd"], ids=["IPv4", "IPv6"])
def test_a_fault_in_a_plugin_names_it_and_its_flow(tmp_path, crashes, stumbles, ethertype):
    # Some packets of other flows come first, so that the burst is not the first one.
    link, others = read_pcap(MANY)
    packets = others[:40] + [packet for packet in read_pcap(TLS)[1] if packet[2][12:14] == ethertype]
    capture = tmp_path / "capture.pcap"
    write_pcap(capture, link, packets)
    number, flow = hello(capture)
    before = time.time()
    result = run("--plugins", "pstats,tls", "--pcap", capture, "--crash-dir", crashes, "--export", "json:/dev/null", env=stumbles)
    assert result.status == -signal.SIGSEGV
    found = report(result.err.decode())
    assert found["signal"] == "SIGSEGV" and found["address"] == "0x10" and found["thread"] == "lcore 0 (offline)"
    assert found["plugin"] == "tls" and found["flow"] == flow
    first = (number - 1) // 32 * 32
    burst = frames(capture)[first:first + 32]
    assert int(found["packet"]) == number - first and int(found["count"]) == len(burst)
    path, = crashes.iterdir()
    assert str(path) == found["path"]
    assert frames(path) == burst
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0
    written, = re.findall(r"martlet-crash-(\d{8}T\d{6})Z-\d+\.pcap", path.name)
    told = int(time.strftime("%s", time.strptime(written, "%Y%m%dT%H%M%S"))) - time.timezone
    assert int(before) <= told <= time.time()
    # And as others read it.
    shown = subprocess.run(["capinfos", "-T", "-r", "-c", "-E", path], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and shown.stdout.split()[1:] == ["ether", str(len(burst))], shown
    columns = ["-T", "fields", "-e", "frame.len", "-e", "frame.protocols", "-e", "tcp.seq_raw", "-e", "ip.id"]
    assert tshark(path, *columns) == tshark(capture, "-Y", f"frame.number > {first} && frame.number <= {first + 32}", *columns)


@needs_compiler
def test_the_link_type_is_the_captures(tmp_path, crashes, stumbles):
    _, packets = read_pcap(TLS)
    capture = tmp_path / "raw.pcap"
    # 101: raw IP, without the Ethernet header.
    write_pcap(capture, 101, [(when, length - 14, data[14:]) for when, length, data in packets])
    result = run("--plugins", "tls", "--pcap", capture, "--crash-dir", crashes, "--export", "json:/dev/null", env=stumbles)
    path = report(result.err.decode())["path"]
    assert read_pcap(path)[0] == 101 and frames(path) == frames(capture)[:32]


@needs_compiler
def test_without_a_folder_there_is_only_the_line(tmp_path, stumbles):
    result = run("--plugins", "tls", "--pcap", TLS, "--export", "json:/dev/null", env=stumbles, cwd=tmp_path)
    assert result.status == -signal.SIGSEGV
    found = report(result.err.decode())
    assert found["plugin"] == "tls" and found["packet"] == "4" and found["path"] is None
    assert not list(tmp_path.glob("*.pcap"))


@needs_compiler
def test_a_fault_in_the_report_ends_it(tmp_path, crashes):
    env = library(tmp_path, "twice", """
        int SHA256_Init(void *c) { *(volatile int *)16 = 1; return 1; }
        int ftruncate(int d, long l) { *(volatile int *)16 = 1; return 0; }
    """)
    begin = time.monotonic()
    result = run("--plugins", "tls", "--pcap", TLS, "--crash-dir", crashes, "--export", "json:/dev/null", env=env)
    # Without end it would be ended from outside.
    assert result.status == -signal.SIGSEGV and time.monotonic() - begin < PATIENCE
    assert len(list(crashes.iterdir())) == 1


@needs_compiler
@pytest.mark.skipif(not is_root(), reason="mounts need root")
def test_a_full_disk_keeps_what_fits(tmp_path, crashes, stumbles):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", crashes], check=True)
    try:
        result = run("--plugins", "tls", "--pcap", TLS, "--crash-dir", crashes, "--export", "json:/dev/null", env=stumbles)
        text = result.err.decode()
        assert result.status == -signal.SIGSEGV
        line = r"packet 4 of a burst of 32, (\d+) of them written to (\S+) \(No space left on device\)"
        kept, path = re.search(line, text).groups()
        assert 0 < int(kept) < 32 and frames(path) == frames(TLS)[:int(kept)]
    finally:
        subprocess.run(["umount", crashes], check=True)


# Signals that are sent, offline.

@pytest.mark.parametrize("number", SENT, ids=lambda number: number.name)
def test_signals_while_a_pipe_is_read(tmp_path, crashes, number):
    link, packets = read_pcap(MANY)
    part = tmp_path / "part.pcap"
    # A burst of 32 that is done, then eight packets that wait for more.
    write_pcap(part, link, packets[:40])
    process = subprocess.Popen(
        [MARTLET, "--pcap", "-", "--crash-dir", crashes, "--export", "json:/dev/null"], stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, env=QUIET)
    process.stdin.write(part.read_bytes())
    process.stdin.flush()
    wait_until_it_reads(process, process.stdin)
    process.send_signal(number)
    text = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == -number
    found = report(text)
    assert found["signal"] == number.name and found["sender"] == str(os.getpid())
    assert found["thread"] == "lcore 0 (offline)" and found["plugin"] is None and found["flow"] is None
    assert found["count"] == "8" and f"-{process.pid}.pcap" in found["path"]
    assert frames(found["path"]) == frames(part)[32:]


#: A pcap without packets: what has read it has its handlers and waits for the first one.
HEADER = TLS.read_bytes()[:24]


def reading(**more):
    """A process that waits for packets."""
    process = subprocess.Popen(
        [MARTLET, "--pcap", "-", "--export", "json:/dev/null"], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        **{"env": QUIET, **more})
    process.stdin.write(HEADER)
    process.stdin.flush()
    wait_until_it_reads(process, process.stdin)
    return process


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP], ids=lambda number: number.name)
def test_a_signal_that_is_sent_ends_it_also_after_a_backtrace(number):
    process = reading(env={**os.environ, "SWIFT_BACKTRACE": "enable=yes,color=no"})
    try:
        process.send_signal(number)
        assert process.wait(4 * PATIENCE) == -number
    finally:
        process.kill()
        text = process.communicate()[1].decode()
    assert report(text)["signal"] == number.name


def test_a_signal_that_the_parent_had_ignored_stays_so():
    process = reading(preexec_fn=lambda: signal.signal(signal.SIGABRT, signal.SIG_IGN))
    process.send_signal(signal.SIGABRT)
    wait_until_taken(process)
    wait_until_it_reads(process, process.stdin)
    # It still takes other signals, and says nothing of the one that did nothing.
    process.send_signal(signal.SIGSEGV)
    text = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == -signal.SIGSEGV and report(text)["signal"] == "SIGSEGV"


def test_a_core_dump_is_made_as_without_a_handler(tmp_path):
    def status(command):
        limits = lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # noqa: E731
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=QUIET, preexec_fn=limits, cwd=tmp_path)
        process.stdin.write(HEADER)
        process.stdin.flush()
        wait_until_it_reads(process, process.stdin)
        process.send_signal(signal.SIGSEGV)
        return os.waitpid(process.pid, 0)[1]

    assert os.WTERMSIG(status([MARTLET, "--pcap", "-"])) == signal.SIGSEGV
    assert os.WCOREDUMP(status([MARTLET, "--pcap", "-"])) == os.WCOREDUMP(status(["cat"]))


def test_a_reader_of_standard_error_that_stalls_keeps_nobody():
    process = reading()
    os.set_blocking(process.stderr.fileno(), False)
    # Somebody else's lines fill the pipe.
    full = os.open(f"/proc/self/fd/{process.stderr.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(full, bytes(4096))
    except BlockingIOError:
        pass
    process.send_signal(signal.SIGSEGV)
    assert process.wait(PATIENCE) == -signal.SIGSEGV
    os.close(full)


# Live.

def device(capture):
    return [f"--vdev=net_pcap0,rx_pcap={capture}"]


def crashed(run_, timeout=PATIENCE):
    """The report of a live run that ends by itself."""
    run_.process.wait(timeout)
    return report(run_.text())


@live
def test_a_fault_in_a_plugin_names_the_worker(tmp_path, crashes, stumbles):
    prefix = ["env", *(f"{name}={stumbles[name]}" for name in ("LD_PRELOAD", "SWIFT_BACKTRACE"))]
    number, flow = hello(TLS) if have("tshark") else (4, "10.77.0.1:40164 > 10.77.0.2:443 tcp")
    with Live(device(TLS), ["--plugins", "pstats,tls", "--crash-dir", crashes, "--export", "json:/dev/null"],
              prefix=prefix) as martlet:
        found = crashed(martlet)
        assert martlet.process.returncode == -signal.SIGSEGV
    assert found["thread"] == "lcore 2 (worker)" and found["plugin"] == "tls" and found["flow"] == flow
    assert found["address"] == "0x10"
    count = int(found["count"])
    # net_pcap gives up to 32 packets at a time, from the file's begin.
    assert int(found["packet"]) == number and frames(found["path"]) == frames(TLS)[:count] and count >= number


@live
@needs_compiler
def test_a_fault_in_an_output_names_the_export_lcore(tmp_path, crashes):
    env = library(tmp_path, "output", """
        void abort(void);
        int sendmmsg(int s, void *v, unsigned n, int f) { abort(); }
        long sendmsg(int s, void *v, int f) { abort(); }
        long send(int s, void *v, unsigned long n, int f) { abort(); }
    """)
    prefix = ["env", *(f"{name}={env[name]}" for name in ("LD_PRELOAD", "SWIFT_BACKTRACE"))]
    with Live(device(MANY), ["--export", "udp://127.0.0.1:9", "--inactive-timeout", "0.5", "--crash-dir", crashes],
              prefix=prefix) as martlet:
        found = crashed(martlet)
        assert martlet.process.returncode == -signal.SIGABRT
    assert found["signal"] == "SIGABRT" and found["sender"] is None and found["thread"] == "lcore 1 (export)"
    # It has no packets, and is done with the records of the message.
    assert found["plugin"] is None and found["flow"] is None and found["count"] is None
    assert not list(crashes.iterdir())


def threads_of(process):
    """The process's threads by name; those that have no name of their own have the main thread's."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return {**{(task / "comm").read_text().strip(): int(task.name) for task in tasks}, "martlet": process.pid}


def running_time(process, name):
    """Seconds of CPU time that the thread of that name has used."""
    return int(Path(f"/proc/{process.pid}/task/{threads_of(process)[name]}/schedstat").read_text().split()[0]) / 1e9


def send_to_thread(process, name, number):
    """Sends a signal to the thread of that name."""
    threads = threads_of(process)
    assert name in threads, threads
    libc = ctypes.CDLL(None, use_errno=True)
    tgkill = 234  # on x86-64
    assert libc.syscall(tgkill, process.pid, threads[name], int(number)) == 0, ctypes.get_errno()


@live
@pytest.mark.parametrize("thread, role, number", [
    ("rte-worker-2", "lcore 2 (worker)", signal.SIGSEGV), ("rte-worker-1", "lcore 1 (export)", signal.SIGILL),
    ("martlet", "lcore 0 (control)", signal.SIGBUS), ("eal-intr-thread", "thread eal-intr-thread", signal.SIGFPE)])
def test_a_thread_that_is_killed_is_named(tmp_path, crashes, thread, role, number):
    # 40 packets: a burst of 32 and one of eight, which is the last one.
    link, packets = read_pcap(MANY)
    capture = tmp_path / "capture.pcap"
    write_pcap(capture, link, packets[:40])
    with Live(device(capture), ["--crash-dir", crashes, "--export", "json:/dev/null", "--stats", "0.1"],
              prefix=["env", "SWIFT_BACKTRACE=enable=no"]) as martlet:
        martlet.wait_received(40)
        if "worker" in role:
            # They are counted before they are worked on, which takes far less than 20 ms of the thread's own time.
            done = running_time(martlet.process, thread) + 0.02
            martlet.wait_for(lambda: running_time(martlet.process, thread) > done)
        send_to_thread(martlet.process, thread, number)
        found = crashed(martlet)
        assert martlet.process.returncode == -number
    assert found["signal"] == number.name and found["sender"] == str(os.getpid()) and found["thread"] == role
    assert found["plugin"] is None and found["flow"] is None
    if "worker" in role:
        assert found["count"] == "8" and frames(found["path"]) == frames(capture)[32:]
    else:
        assert found["count"] is None and found["path"] is None and not list(crashes.iterdir())


@live
def test_a_worker_killed_at_work_names_a_flow_of_the_capture(tmp_path, crashes):
    """Wherever it is just then: what the line says is true of the capture."""
    link, packets = read_pcap(TLS)
    flow = [packet for packet in packets[:28] if len(packet[2]) > 66]
    capture = tmp_path / "flow.pcap"
    write_pcap(capture, link, flow)
    # tls13.pcap's first connection, in either direction.
    ends = ["10.77.0.1:40164", "10.77.0.2:443"]
    flows = [f"{a} > {b} tcp" for a, b in (ends, ends[::-1])]
    named = set()
    for _ in range(12):
        with Live([f"--vdev=net_pcap0,rx_pcap={capture},infinite_rx=1"],
                  ["--plugins", "pstats:packets=255,phists,bstats,nettisa,basicplus", "--crash-dir", crashes, "--stats", "0.1",
                   "--export", "json:/dev/null"], prefix=["env", "SWIFT_BACKTRACE=enable=no"]) as martlet:
            martlet.wait_received(1000)
            send_to_thread(martlet.process, "rte-worker-2", signal.SIGSEGV)
            found = crashed(martlet)
        assert found["thread"] == "lcore 2 (worker)"
        named.add(found["plugin"])
        assert found["flow"] in (*flows, None)
        assert found["plugin"] is None or found["plugin"] in ("phists", "nettisa", "pstats", "bstats", "basicplus")
        if found["path"]:
            left = frames(found["path"])
            assert 0 < len(left) <= 32
            # Between bursts it is the last one's buffers, which the device may have begun to write again.
            if found["packet"]:
                assert len(left) == int(found["count"]) and set(left) <= {(length, data) for _, length, data in flow}
        if found["flow"] and found["packet"]:
            break
    else:
        pytest.fail(f"never in a packet in 12 runs; plugins: {named}")


# Swift's own backtrace.

#: The toolchain's program, which the runtime in the binary has to be told of.
BACKTRACE = Path(shutil.which("swift") or "/").resolve().parent.parent / "libexec/swift/linux/swift-backtrace"


@live
@pytest.mark.skipif(not BACKTRACE.exists(), reason="there is no swift-backtrace")
def test_a_backtrace_comes_after_the_line(tmp_path, crashes, stumbles):
    prefix = ["env", f"LD_PRELOAD={stumbles['LD_PRELOAD']}", f"SWIFT_BACKTRACE=enable=yes,color=no,swift-backtrace={BACKTRACE}"]
    with Live(device(TLS), ["--plugins", "tls", "--crash-dir", crashes, "--export", "json:/dev/null"], prefix=prefix) as martlet:
        found = crashed(martlet, timeout=4 * PATIENCE)
        text = martlet.text()
        assert martlet.process.returncode == -signal.SIGSEGV
    assert found["plugin"] == "tls" and len(frames(found["path"])) == int(found["count"])
    behind = text[text.index("killed by"):]
    assert "Bad pointer dereference at 0x0000000000000010" in behind and "SHA256_Init" in behind
    # The control lcore does not take the signals that stop threads for the backtrace.
    assert text.count("martlet: totals") <= 1


# The folder.

@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_none_is_wrong_usage(tmp_path, name):
    (tmp_path / "file").write_text("")
    out = tmp_path / "out.json"
    result = run("--pcap", TLS, "--crash-dir", tmp_path / name, "--export", f"json:{out}")
    assert result.status == 64 and not out.exists()
    assert len(result.messages) == 1 and f"--crash-dir {tmp_path / name}: " in result.messages[0]


def test_a_folder_that_cannot_be_written_to_is_wrong_usage(tmp_path):
    prefix = ["setpriv", "--reuid", "65534", "--clear-groups"] if is_root() else []
    if is_root() and not have("setpriv"):
        pytest.skip("needs setpriv")
    result = run("--pcap", "/dev/null", "--crash-dir", "/etc", prefix=prefix)
    assert result.status == 64 and "--crash-dir /etc: Permission denied" in result.messages[0]
