"""A long run with outages of every kind: memory, threads and descriptors stay what they were, and no record is missing.

MARTLET_SOAK says how many seconds (./test.sh --long: 1800); without it the test is skipped.
"""

import os
import signal
import time
from pathlib import Path

import pytest
from harness import Live, is_root, wait_until
from test_outages import Collector, capture

SECONDS = int(os.environ.get("MARTLET_SOAK", "0"))
#: What happens to the collector, again and again, each for as many seconds as the number says. The longest outage is more than
#: memory holds.
TURNS = [("start", 5), ("pause", 3), ("go on", 4), ("end", 35), ("start", 20), ("pause", 2), ("kill", 4), ("start", 10), ("end", 1)]


def resident(process):
    """KiB of memory that are the process's own: hugepages and the binary are not."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0])


def held(process):
    """(descriptors, threads) that do not come and go with a connection or the look-up of a name."""
    base = Path(f"/proc/{process.pid}")
    files = sum(not os.readlink(link).startswith("socket:") for link in (base / "fd").iterdir() if link.is_symlink())
    return files, len(list((base / "task").iterdir()))


@pytest.mark.skipif(SECONDS == 0, reason="takes long: MARTLET_SOAK=SECONDS, or ./test.sh --long")
@pytest.mark.skipif(not is_root(), reason="EAL needs root")
def test_memory_is_flat_through_outages(tmp_path):
    with Collector(tmp_path) as collector:
        options = ["--export", collector.url, "--spool", f"{tmp_path}/spool,256M", "--stats", "1",
                   "--active-timeout", "0.5", "--inactive-timeout", "0.5", "--flows", "65536", "--drain-timeout", "60"]
        actions = {
            "start": collector.start, "pause": lambda: collector.send(signal.SIGSTOP),
            "go on": lambda: collector.send(signal.SIGCONT), "end": collector.end, "kill": lambda: collector.end(signal.SIGKILL)}
        # Each of these flows gives a record every half second.
        source = capture(tmp_path / "in.pcap", range(1, 1501))
        with Live([f"--vdev=net_pcap0,rx_pcap={source},infinite_rx=1"], options) as live:
            live.wait_for(lambda: live.latest.get("exported", 0) > 0)
            start, samples, counts = time.monotonic(), [], []
            while time.monotonic() < start + SECONDS:
                for turn, seconds in TURNS:
                    actions[turn]()
                    end = time.monotonic() + seconds
                    while time.monotonic() < end:
                        samples.append((time.monotonic() - start, resident(live.process)))
                        time.sleep(0.5)
                counts.append(held(live.process))
            collector.start()
            wait_until(lambda: live.latest["spool_waiting"] == 0, "an empty spool", live.process, timeout=180)
            status = live.stop(timeout=180)
            counters, text = live.counters, live.text()
        collector.end()
        stored = sum(collector.stored.values())
    assert status == (2 if counters["ring_full"] else 0), text[-2000:]
    assert counters["spool_delivered"] > 0
    assert counters["export_dropped"] == counters["spool_torn"] == counters["spool_waiting"] == 0
    assert counters["exported"] <= stored <= counters["exported"] + counters["sent_again"]
    # From the first third on, which has every kind of outage in it, nothing grows.
    third = samples[-1][0] / 3
    early = max(size for at, size in samples if at < 2 * third)
    late = max(size for at, size in samples if at >= 2 * third)
    assert late <= early * 1.05 + 4096, f"{early} KiB at first, {late} KiB later"
    assert len(counts) < 2 or max(counts[1:]) <= max(counts[:2]), counts
    print(f"{stored} records in {SECONDS} s, {counters['spooled']} of them spooled; {early} KiB at first, {late} KiB later")
