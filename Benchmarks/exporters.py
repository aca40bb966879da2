#!/usr/bin/env python3
"""How two export lcores on two cores compare with one.

    Benchmarks/exporters.py [--binary EXPORT-BENCH] [--capture MIX.pcap] [--rounds N] [--json FILE]

Export lcores share nothing but the machine (--export-lcores), so that two are two runs of export-bench at once, each on a CPU of
its own with a socket of its own. One on either CPU and both take turns; costs are CPU time, with memory and kernel shared as in a
live run.
"""
import argparse
import json
import statistics
import subprocess
import tempfile

import common

#: What export-bench is to measure.
OUTPUT = "loopback UDP, as Martlet does"


def start(options, mix, cpu, folder):
    """export-bench on one CPU, and the file for its rows."""
    rows = f"{folder}/{cpu}.json"
    command = ["taskset", "-c", str(cpu), options.binary, "--capture", mix, "--only", OUTPUT, "--json", rows]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL), rows


def costs(options, mix, cpus, folder):
    """{records: [nanoseconds per record on each CPU]} of runs at the same time."""
    started = [start(options, mix, cpu, folder) for cpu in cpus]
    found = {}
    for process, rows in started:
        if process.wait() != 0:
            raise SystemExit(f"exporters.py: {options.binary} failed: build it by swift build -c release")
        with open(rows) as lines:
            for row in json.load(lines):
                found.setdefault(row["records"], []).append(row["nanoseconds"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=f"{common.ROOT}/.build/release/export-bench")
    parser.add_argument("--capture", help="a capture in place of the ordinary mix")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    one, two = {}, {}
    with common.ordinary_mix() as mix, tempfile.TemporaryDirectory() as folder:
        mix = options.capture or mix
        for _ in range(options.rounds):
            for cpus, runs in (((0,), one), ((1,), one), ((0, 1), two)):
                for records, found in costs(options, mix, cpus, folder).items():
                    runs.setdefault(records, []).append(sum(1e3 / cost for cost in found))
    print(f"{'million records per second':44}{'1 lcore':>9}{'2 lcores':>10}{'scaling':>9}")
    rows = []
    for records in one:
        row = {"records": records, "one": statistics.median(one[records]), "two": statistics.median(two[records])}
        rows.append(row | {"scaling": row["two"] / row["one"]})
        print(f"{records:44}{row['one']:9.2f}{row['two']:10.2f}{rows[-1]['scaling']:9.2f}")
    common.save(options.json, rows)


main()
