#!/usr/bin/env python3
"""How two queues on two cores compare with one, next to receive-only.

    Benchmarks/queues.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge]

net_pcap replays one capture per queue with infinite_rx=1 (two rx_pcap= are two queues). One queue and two take turns. The rate is
packets per second of wall time; as a busy neighbour halves that, the packets per second of CPU time are given, too: it is what
two workers do on two CPUs of their own, contention for memory included.
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
SETS = [("receive-only", ["--receive-only"]), ("no plugin", []), ("pstats", ["--plugins", "pstats"])]


def captures():
    """The public corpus where it is there, else the project's own captures; without the fragment floods."""
    names = glob.glob(f"{ROOT}/../shared/corpus/*/*.pcap") or glob.glob(f"{ROOT}/Tests/Captures/*.pcap")
    return sorted(name for name in names if "frag" not in name and "fuzz" not in name)


def run(martlet, mixes, options, seconds, huge):
    """One run; millions of packets per second of wall time, and of CPU time, all workers together."""
    # Control and export share CPU 0 with the second worker; they sleep when there is little to do.
    lcores = "0@0,1@0,2@1" if len(mixes) == 1 else "0@0,1@0,2@1,3@0"
    device = "net_pcap0," + ",".join(f"rx_pcap={mix}" for mix in mixes) + ",infinite_rx=1"
    command = [martlet, "--lcores", lcores, "--no-pci", f"--file-prefix=queues{os.getpid()}", "-m", "500"]
    command += [] if huge else ["--no-huge", "--no-shconf"]
    command += [f"--vdev={device}", "--", "--flows", "65536", "--duration", str(seconds)] + options
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    cost = re.search(r"CPU ns per packet(.*)", done.stderr)
    received = re.search(r"^\s*received(.*)", done.stderr, re.M)
    if done.returncode != 0 or not cost or not received:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    numbers = [int(word) for word in received.group(1).split()][: len(mixes)]
    costs = [float(word) for word in cost.group(1).split()][: len(mixes)]
    return sum(numbers) / seconds / 1e6, sum(1e3 / cost for cost in costs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=f"{ROOT}/.build/release/martlet")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--no-huge", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        mix = f"{folder}/mix.pcap"
        subprocess.run([sys.executable, f"{HERE}/make-mix.py", mix, *captures()], check=True)
        runs = {(name, queues): [] for name, _ in SETS for queues in (1, 2)}
        for _ in range(options.rounds):
            for name, arguments in SETS:
                for queues in (1, 2):
                    runs[name, queues].append(
                        run(options.martlet, [mix] * queues, arguments, options.seconds, not options.no_huge))
    print(f"{'net_pcap infinite_rx':20}{'1 queue':>18}{'2 queues':>18}{'scaling':>18}")
    print(f"{'Mpps':20}" + f"{'wall':>9}{'CPU':>9}" * 3)
    for name, _ in SETS:
        one, two = runs[name, 1], runs[name, 2]
        row = {"set": name}
        for index, kind in enumerate(("wall", "cpu")):
            row[f"one_{kind}"] = statistics.median(r[index] for r in one)
            row[f"two_{kind}"] = statistics.median(r[index] for r in two)
            row[f"scaling_{kind}"] = statistics.median(b[index] / a[index] for a, b in zip(one, two))
        rows.append(row)
        print(f"{name:20}" + "".join(
            f"{row[f'{column}_wall']:9.2f}{row[f'{column}_cpu']:9.2f}" for column in ("one", "two", "scaling")))
    if options.json:
        with open(options.json, "w") as out:
            json.dump(rows, out, indent=1)


main()
