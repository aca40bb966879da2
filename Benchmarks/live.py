#!/usr/bin/env python3
"""What the worker adds to receive-only on the same device, in one run.

    Benchmarks/live.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge]

A capture of ordinary size mix is made (make-mix.py) and replayed by net_pcap with infinite_rx=1 into one worker lcore.
Receive-only and each set of plugins take turns, N rounds; the figures are CPU nanoseconds per packet of the worker lcore
(its thread's CPU time, so that a busy neighbour does not count), medians, and the difference to receive-only.
"""
import argparse
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SETS = [
    ("receive-only", ["--receive-only"]),
    ("no plugin", []),
    ("pstats", ["--plugins", "pstats"]),
    ("pstats,tls,ovpn,idpcontent", ["--plugins", "pstats,tls,ovpn,idpcontent"]),
]


def captures():
    """The public corpus where it is there, else the project's own captures; without the fragment floods."""
    names = glob.glob(f"{ROOT}/../shared/corpus/*/*.pcap") or glob.glob(f"{ROOT}/Tests/Captures/*.pcap")
    return sorted(name for name in names if "frag" not in name and "fuzz" not in name)


def run(martlet, capture, options, seconds, huge):
    """One run; (CPU nanoseconds per packet, packets)."""
    command = [martlet, "--lcores", "0@0,1@0,2@1", "--no-pci", f"--file-prefix=bench{os.getpid()}", "-m", "400"]
    command += [] if huge else ["--no-huge", "--no-shconf"]
    command += [f"--vdev=net_pcap0,rx_pcap={capture},infinite_rx=1", "--", "--flows", "131072"]
    done = subprocess.run(
        command + ["--duration", str(seconds)] + options, capture_output=True, text=True, timeout=seconds + 60)
    cost = re.search(r"CPU ns per packet\s+([\d.]+)", done.stderr)
    received = re.search(r"^\s*received\s+(\d+)", done.stderr, re.M)
    if done.returncode != 0 or not cost or not received:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return float(cost.group(1)), int(received.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=f"{ROOT}/.build/release/martlet")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--no-huge", action="store_true")
    options = parser.parse_args()
    known = subprocess.run([options.martlet, "--list-plugins"], capture_output=True, text=True).stdout
    sets = [s for s in SETS if all(re.search(rf"^{p}\b", known, re.M) for p in (s[1][1] if len(s[1]) > 1 else "").split(",") if p)]
    with tempfile.TemporaryDirectory() as folder:
        mix = f"{folder}/mix.pcap"
        subprocess.run([sys.executable, f"{HERE}/make-mix.py", mix, *captures()], check=True)
        costs = {name: [] for name, _ in sets}
        for _ in range(options.rounds):
            for name, arguments in sets:
                costs[name].append(run(options.martlet, mix, arguments, options.seconds, not options.no_huge)[0])
    print(f"{'net_pcap infinite_rx, one queue':36}{'ns/packet':>10}{'min':>8}{'max':>8}{'added':>8}")
    base = costs["receive-only"]
    rows = []
    for name, _ in sets:
        # Differences are taken round by round, so that a slow phase of the machine touches both sides.
        added = statistics.median(cost - other for cost, other in zip(costs[name], base))
        rows.append({"set": name, "ns": statistics.median(costs[name]), "added": added, "all": costs[name]})
        print(f"{name:36}{rows[-1]['ns']:10.1f}{min(costs[name]):8.1f}{max(costs[name]):8.1f}{added:8.1f}")
    if options.json:
        with open(options.json, "w") as out:
            json.dump(rows, out, indent=1)


main()
