#!/usr/bin/env python3
"""Records a second that the Python collector reads of IPFIX: without plugins, and with the lists of pstats.

    Benchmarks/collect.py [--martlet BIN] [--repeat N] [--rounds N] [--json FILE]

Run it with a Python that has numpy and pyarrow. martlet writes the records of the mix that all benchmarks read, --repeat times
one behind the other in time, into a file of IPFIX; then one process reads that from the page cache in batches, --rounds times.
Figures are of time on the clock and of the process's own processor time, which a busy neighbour does not add to: the slowest
round and the fastest.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import common
import dataframe

sys.path.insert(0, f"{common.ROOT}/Python/src")

SETS = {"no plugin": [], "pstats": ["--plugins", "pstats"]}


def read(path):
    """(records, seconds, processor seconds) of one run over the file."""
    import martlet

    began, worked = time.perf_counter(), time.process_time()
    with martlet.collect(path) as collector:
        records = sum(batch.num_rows for batch in collector)
        assert not collector.counters.losses(), collector.counters.losses()
    return records, time.perf_counter() - began, time.process_time() - worked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=common.MARTLET)
    parser.add_argument("--repeat", type=int, default=100, help="how often the mix comes one behind the other (100)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--json", help="leave the figures in this file")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder, common.ordinary_mix() as mix:
        capture = f"{folder}/capture.pcap"
        dataframe.lengthen(mix, options.repeat, capture)
        for name, plugins in SETS.items():
            path = f"{folder}/flows.ipfix"
            subprocess.run([options.martlet, "--pcap", capture, *plugins, "--export", f"ipfix:{path}"], check=True,
                           capture_output=True)
            rounds = [read(path) for _ in range(options.rounds)]
            records, octets = rounds[0][0], os.path.getsize(path)
            clock, processor = (sorted(records / one[place] for one in rounds) for place in (1, 2))
            figures.append({"set": name, "records": records, "octets": octets, "clock": clock, "processor": processor})
            print(f"{name:10} {records} records, {octets / records:.0f} octets each: "
                  f"{clock[0]:.0f} to {clock[-1]:.0f} records/s, {processor[0]:.0f} to {processor[-1]:.0f} of processor time")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
