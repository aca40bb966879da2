#!/usr/bin/env python3
"""Traffic that dpdk-testpmd generates in a process of its own, over shared memory (net_memif), with loss counted on both sides.

    Benchmarks/memif.py [--martlet BIN] [--seconds S] [--rounds N] [--flows N] [--json FILE]

testpmd is memif's server and generates 64-byte packets on CPU 0, more than are taken; martlet is the client with its worker on
CPU 1. Receive-only and sets of plugins take turns, N rounds.

Nothing is timed by when testpmd obeys a command: its command thread shares CPU 0 with the generator, so that `stop` takes
effect some time later. Instead both run steadily, and a window of S seconds is cut out of that: at both of its ends the
worker thread's CPU time is read from /proc and both ports' packet counters over DPDK's telemetry. Of the window come

    CPU    the worker's CPU time by the packets that it received. Everything is in it: memif's receive with its copy, the engine,
           freeing, and the polls that found nothing. So it is what a packet costs in all, or too much, never too little.
           The median over the window's slices of half a second in all rounds; min and max of them beside it.
    busy   the same without the polls that found nothing, from a run of its own with `martlet --cycles`, which takes time stamps
           around every pass. Near CPU where the worker never waited. Only for the engine, and where the build has the option.
    wall   the window by the packets received, and from it Mpps: the rate that a worker with a CPU of its own takes.
    share  CPU by wall: below 95 % (what Linux leaves to real-time threads where others want the CPU) wall is not ours alone.
    gen    the generator's CPU time by wall. Well below 100 % others kept it from CPU 0, and CPU is mostly the worker's waiting.
    full   what found no room in the ring, of all that testpmd offered in the run (TX-dropped). Far above 0 % the worker was
           saturated; at 0 % the generator is the limit, and CPU and wall contain the worker's waiting.

Then the generator is stopped, and when nothing is under way any more, the packets that testpmd sent and that martlet received
must be the same number: `lost`, and `missed` as martlet's port has it. Every flow must have been made. If not, the figures are
not those of the traffic that was asked for, and the exit status is 1. Needs hugepages (hugepages-setup.sh) and two CPUs.
"""
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import common

# Seconds from the generator's start to the window: until every flow is in the table and the CPUs' clocks have settled.
WARM_UP = 1
# The window is looked at in slices of so many seconds: long against a tick, short against a slow phase of the machine.
SLICE = 0.5
# Seconds that a process has to start, to connect or to obey.
PATIENCE = 30


class Telemetry:
    """DPDK's telemetry socket of the process with this --file-prefix."""

    def __init__(self, prefix):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2")
        self.socket.recv(4096)

    def ask(self, command):
        """The answer to a command, as /ethdev/stats,0."""
        self.socket.send(command.encode())
        return json.loads(self.socket.recv(65536))[command.split(",")[0]]


class Reader(threading.Thread):
    """Collects what a process prints, so that one can wait for it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.text = stream, ""
        self.start()

    def run(self):
        # Not by lines: a prompt has no end of line.
        while part := os.read(self.stream.fileno(), 65536):
            self.text += part.decode(errors="replace")

    def wait(self, pattern):
        """The match, once it has been printed."""
        return until(lambda: re.search(pattern, self.text, re.S | re.M), pattern, lambda: self.text)


def until(condition, what, context=lambda: ""):
    """Waits for a true value and returns it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    sys.exit(f"memif: waited {PATIENCE} s for {what}\n{context()}")


def worker_thread(process, lcore):
    """The thread of a worker lcore: DPDK 22.11 calls it lcore-worker-N or, in Debian, rte-worker-N."""
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/comm") as name:
            if name.read().strip().endswith(f"-worker-{lcore}"):
                return int(thread)
    sys.exit(f"memif: no worker {lcore}")


def cpu_time(thread):
    """The thread's CPU time in nanoseconds, at most a tick (4 ms) old."""
    with open(f"/proc/{thread}/schedstat") as file:
        return int(file.read().split()[0])


def hurry(thread, wanted):
    """Puts the thread before everybody else on its CPU, where we may: a ring of 2048 does not last over a neighbour's turn.

    Only for martlet's worker, which never waits for anybody. A real-time generator would starve the threads on CPU 0 that are to
    stop it.
    """
    with contextlib.suppress(PermissionError, ProcessLookupError):
        policy, priority = (os.SCHED_RR, 1) if wanted else (os.SCHED_OTHER, 0)
        os.sched_setscheduler(thread, policy, os.sched_param(priority))


def generator_options(flows):
    """What makes this many flows: txonly has 256, flowgen as many as it is told."""
    if flows <= 256:
        return ["--forward-mode=txonly", "--txonly-multi-flow"]
    return ["--forward-mode=flowgen", f"--flowgen-flows={flows}"]


def prefer(process):
    """Gives all of the process the largest fair share of its CPU, where we may: it is in a session of its own, which Linux weighs
    as one (autogroup) where it does that, else by its threads' niceness."""
    with contextlib.suppress(OSError), open(f"/proc/{process.pid}/autogroup", "w") as file:
        file.write("-20")
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread), -20)


@contextlib.contextmanager
def started(command, prefix, stream, **options):
    """A process that does not outlive this block, nor its hugepages."""
    process = subprocess.Popen(command, text=True, bufsize=1, **options)
    try:
        yield process, Reader(getattr(process, stream))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        common.clean_up(prefix)


def run(options, arguments, folder, number):
    """One run: what the window and both sides' counters say."""
    prefix, path = f"mltmif{os.getpid()}n{number}", f"{folder}/{number}.sock"
    ring = f"socket={path},socket-abstract=no,rsize=11,bsize=2048"
    # Line by line: a pipe would hold back what we wait for.
    generate = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-pci", f"--file-prefix={prefix}g", "-m", "256",
                f"--vdev=net_memif0,role=server,{ring}", "--", "-i", "--nb-cores=1", "--txpkts=64", "--no-flush-rx",
                *generator_options(options.flows)]
    receive = [options.martlet, "--lcores", common.LCORES[1], "--no-pci", f"--file-prefix={prefix}m", "-m", "300",
               f"--vdev=net_memif0,role=client,{ring}", "--", "--flows", str(1 << 18), *arguments]
    with contextlib.ExitStack() as stack:
        # EAL puts its own threads on the allowed CPUs that no lcore has: testpmd's must stay off the worker's.
        testpmd, said = stack.enter_context(started(
            generate, f"{prefix}g", "stdout", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, {0})))
        until(lambda: os.path.exists(path) or testpmd.poll() is not None, "testpmd", lambda: said.text)
        martlet, told = stack.enter_context(started(
            receive, f"{prefix}m", "stderr", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {0, 1})))
        told.wait(r": worker, ")
        said.wait(r"testpmd> ")
        receiver = Telemetry(f"{prefix}m")
        until(lambda: "UP" in receiver.ask("/ethdev/link_status,0")["status"], "the connection", lambda: told.text)
        worker, generating = worker_thread(martlet, 2), worker_thread(testpmd, 1)
        prefer(testpmd)

        def command(text):
            testpmd.stdin.write(text + "\n")
            testpmd.stdin.flush()

        def sample():
            # The telemetry thread may have to wait for CPU 0: of several attempts the one that took least, so that all values are
            # of one moment.
            attempts = []
            for _ in range(20):
                before = time.monotonic_ns()
                cpu, generator = cpu_time(worker), cpu_time(generating)
                received = receiver.ask("/ethdev/stats,0")["ipackets"]
                after = time.monotonic_ns()
                attempts.append((after - before, (before + after) / 2, cpu, received, generator))
            return min(attempts)
        hurry(worker, True)
        command("start")
        time.sleep(WARM_UP)
        samples = [sample()]
        for _ in range(max(1, round(options.seconds / SLICE))):
            time.sleep(SLICE)
            samples.append(sample())
        _, elapsed, cpu, received, generator = (end - start for start, end in zip(samples[0], samples[-1]))
        command("stop")
        final = said.wait(r"Accumulated forward statistics.*?TX-packets:\s*(\d+)\s+TX-dropped:\s*(\d+)")
        # Time for the worker to empty the ring.
        time.sleep(0.2)
        hurry(worker, False)
        martlet.send_signal(signal.SIGINT)
        martlet.wait(PATIENCE)
        told.join(PATIENCE)
        command("quit")
        testpmd.wait(PATIENCE)
    found = common.totals(told.text)
    if received < 1 or "received" not in found:
        sys.exit(f"memif: no packets\n{said.text}\n{told.text}")
    sent, full = int(final.group(1)), int(final.group(2))
    passes = common.passes(told.text)
    return {
        "cpu_ns": cpu / received, "wall_ns": elapsed / received, "mpps": 1e3 * received / elapsed, "share": cpu / elapsed,
        "skew_ms": max(sample[0] for sample in samples) / 1e6,
        "slices": [(end[2] - start[2]) / max(1, end[3] - start[3]) for start, end in itertools.pairwise(samples)],
        "generator": generator / elapsed,
        "full": full / (sent + full), "sent": sent, "received": found["received"][0], "lost": sent - found["received"][0],
        "missed": found.get("missed", [0])[0] + found.get("no mbuf", [0])[0], "flows": found.get("flows made", [0])[0],
        "evicted": found.get("lack of resources", [0])[0], "idle": found.get("idle", [0])[0],
        "passes": passes, "busy_ns": sum(passes.values()) / common.cycles_per_nanosecond() if passes else None}


def main():
    parser = common.parser(__doc__, seconds=3, rounds=3)
    parser.add_argument("--flows", type=int, default=100_000)
    options = parser.parse_args()
    # SIGTERM, as from timeout(1), must clean up, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Nor shall this program disturb the worker.
    os.sched_setaffinity(0, {0})
    runs = {name: [] for name, _ in common.SETS}
    timed = {name: [] for name, _ in common.SETS}
    times_passes = common.has_option(options.martlet, "--cycles")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for index, (name, arguments) in enumerate(common.SETS):
                runs[name].append(run(options, arguments, folder, f"{number}{index}"))
                if times_passes and name != "receive-only":
                    timed[name].append(run(options, [*arguments, "--cycles"], folder, f"{number}{index}c"))
    title = f"memif, 64 bytes, {options.flows} flows"
    print(f"{title:30}{'ns per packet:':>14}{'CPU':>7}{'min':>7}{'max':>7}{'added':>8}{'busy':>7}{'wall':>8}"
          f"{'Mpps':>7}{'share':>7}{'gen':>6}{'full':>6}{'flows':>9}{'received':>12}{'lost':>7}{'missed':>8}")
    rows, sound = [], True
    for name, _ in common.SETS:
        results = runs[name]
        middle = sorted(results, key=lambda r: r["cpu_ns"])[len(results) // 2]
        slices, base = ([cost for r in runs[key] for cost in r["slices"]] for key in (name, "receive-only"))
        cpu, added = statistics.median(slices), statistics.median(slices) - statistics.median(base)
        busy = statistics.median(r["busy_ns"] for r in timed[name]) if timed[name] else None
        print(f"{name:44}{cpu:7.1f}{min(slices):7.1f}{max(slices):7.1f}{added:8.1f}"
              f"{'-' if busy is None else format(busy, '.1f'):>7}"
              f"{middle['wall_ns']:8.1f}{middle['mpps']:7.2f}{middle['share']:7.0%}{middle['generator']:6.0%}"
              f"{middle['full']:6.0%}{middle['flows']:9.0f}{middle['received']:12.0f}{middle['lost']:7.0f}{middle['missed']:8.0f}")
        for result in results + timed[name]:
            if result["lost"] or result["missed"] or (name != "receive-only" and result["flows"] != options.flows):
                wrong = {key: result[key] for key in ("sent", "received", "missed", "flows", "evicted", "idle")}
                print(f"  not sound: {name}: {wrong}", file=sys.stderr)
                sound = False
        rows.append({"set": name, **middle, "added": added, "cpu_ns": cpu, "busy_ns": busy, "slices": slices,
                     "passes": timed[name][-1]["passes"] if timed[name] else {}})
    if any(timed.values()):
        print(f"\n{'cycles per packet':44}" + "".join(f"{name:>10}" for name in rows[-1]["passes"]))
        for row in rows:
            if row["passes"]:
                print(f"{row['set']:44}" + "".join(f"{value:10.1f}" for value in row["passes"].values()))
    common.save(options.json, rows)
    sys.exit(0 if sound else 1)


main()
