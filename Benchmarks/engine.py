#!/usr/bin/env python3
"""The engine alone over the whole matrix: flows, plugins, sizes and shares of new flows, then hostile traffic.

    swift build -c release --product engine-bench && Benchmarks/engine.py [--binary BIN] [--quick] [--json FILE]

Calls engine-bench, once for each part of the matrix, prints its lines as they come and the matrix as a table behind them. Only
the part that the targets name (64 bytes, no plugin) has the C version next to it and many packets; the others have fewer
packets and rounds, because with ten million flows most of the time goes into filling the table. --quick leaves out 10 M flows.

100 % new flows is a SYN flood (three of four packets; the fourth is UDP). With 10 M flows the table is not yet full at its end.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import common

FLOWS = ["1k", "100k", "1M", "10M"]
NEW = ["0", "1", "10", "100"]
PLUGINS = ["none", "pstats", "pstats+tls+ovpn+idpcontent"]
# Options of one engine-bench run: packets in a round, rounds, and what they are spent on.
PARTS = [
    ("1000000", "5", ["--plugins", "none", "--sizes", "64"]),
    ("500000", "3", ["--plugins", "none", "--sizes", "mixed", "--no-c"]),
    ("500000", "3", ["--plugins", ",".join(PLUGINS[1:]), "--sizes", "64,mixed", "--no-c"]),
]
# Hostile traffic; what it is compared with is in the matrix. New flows do not matter to one elephant or to fragments.
SHAPES = [
    ("1000000", "5", ["--plugins", "none", "--sizes", "64", "--shapes", "elephant,fragments,alike", "--no-c"]),
]
# The worst packet known for each plugin (HostilePackets.swift), in flows that go on, and each of a new flow.
HOSTILE = ("50000", "3", ["--hostile", "--no-c"])


def measure(binary, packets, rounds, options, flows, new):
    """The results of one run of engine-bench."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "results.json")
        subprocess.run(
            [binary, "--packets", packets, "--rounds", rounds, "--flows", ",".join(flows), "--new", ",".join(new),
             *options, "--json", path], check=True)
        with open(path) as file:
            return json.load(file)


def table(results, flows):
    """Nanoseconds per packet with a column for each share of new flows, and what more flows cost against 1 k."""
    print(f"\n{'ns per packet':>48}" + "".join(f"{share + ' % new':>11}" for share in NEW) + f"{'0 %: by 1k':>12}{'Swift/C':>9}")
    for sizes in ("64", "mixed"):
        for plugins in PLUGINS:
            rows = [r for r in results if r["shape"] == "ordinary" and r["sizes"] == sizes and r["plugins"] == plugins]
            for name, index in zip(flows, sorted({r["flows"] for r in rows})):
                cells = sorted((r for r in rows if r["flows"] == index), key=lambda r: r["newShare"])
                smallest = min((r for r in rows if r["newShare"] == 0), key=lambda r: r["flows"])
                ratios = [r["ratio"] for r in cells if r.get("ratio")]
                print(f"{sizes:7}{plugins:28}{name:>5} flows  " + "".join(f"{r['nanoseconds']:11.1f}" for r in cells)
                      + f"{cells[0]['nanoseconds'] / smallest['nanoseconds']:12.2f}"
                      + (f"{statistics.median(ratios):9.2f}" if ratios else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=f"{common.ROOT}/.build/release/engine-bench")
    parser.add_argument("--quick", action="store_true", help="without 10 M flows")
    parser.add_argument("--json", help="leave the figures in this file")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    flows = FLOWS[:-1] if options.quick else FLOWS
    results = []
    for packets, rounds, arguments in PARTS:
        results += measure(options.binary, packets, rounds, arguments, flows, NEW)
    for packets, rounds, arguments in SHAPES:
        results += measure(options.binary, packets, rounds, arguments, ["100k", "1M"], ["0"])
    hostile = measure(options.binary, *HOSTILE, ["1k"], ["0", "100"])
    table(results, flows)
    # The ordinary rate with as many flows is what hostile traffic must not fall below a third of.
    ordinary = {r["flows"]: r["nanoseconds"] for r in results
                if r["shape"] == "ordinary" and r["plugins"] == "none" and r["sizes"] == "64" and r["newShare"] == 0}
    print(f"\n{'hostile, 64 bytes, no plugin':48}{'ns/packet':>11}{'by ordinary':>13}")
    floods = [
        r for r in results
        if r["plugins"] == "none" and r["sizes"] == "64" and (r["shape"] != "ordinary" or r["newShare"] == 1)]
    for row in floods:
        shape = "SYN flood" if row["shape"] == "ordinary" else row["shape"]
        print(f"{shape + ', ' + str(row['flows']) + ' flows':48}{row['nanoseconds']:11.1f}"
              f"{row['nanoseconds'] / ordinary[row['flows']]:13.2f}")
    print(f"\n{'worst packet of each plugin, 1 k flows':48}{'cycles/packet':>14}{'plugin adds':>13}{'ns':>8}")
    plain = {(r["shape"], r["newShare"]): r for r in hostile if r["plugins"] == "none"}
    for row in hostile:
        if row["plugins"] == "none":
            continue
        base = plain[row["shape"], row["newShare"]]
        name = f"{row['plugins']}: {row['shape']}, {'every packet a flow' if row['newShare'] else 'repeated in flows'}"
        added = row["cycles"] - base["cycles"], row["nanoseconds"] - base["nanoseconds"]
        print(f"{name:48}{row['cycles']:14.0f}{added[0]:13.0f}{added[1]:8.1f}")
    common.save(options.json, results + hostile)


main()
