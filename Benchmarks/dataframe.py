#!/usr/bin/env python3
"""Captures into data frames: packets a second of the Python package, of the binary through CSV, and of nfstream.

    .build/python-venv/bin/python Benchmarks/dataframe.py [--capture FILE] [--repeat N] [--rounds N] [--nfstream PYTHON]

Run it with a Python that has the package, pandas and polars (Tests/EndToEnd/test_python.py makes one). The capture is the mix
that all benchmarks read, --repeat times one behind the other in time, so that a run is long enough to be measured. All ways read
the same file from the page cache on one thread, one after the other, --rounds times; a figure is the best of its rounds, a ratio
is one of such figures. --nfstream names a Python that has nfstream (pip install nfstream); without it its lines are left out.
"""
import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import common

#: What nfstream is asked for: flows into pandas, without and with its statistics.
NFSTREAM = """
import json, sys, time
from nfstream import NFStreamer
began = time.perf_counter()
frame = NFStreamer(source=sys.argv[1], n_dissections=0, accounting_mode=1, idle_timeout=30, active_timeout=300,
                   statistical_analysis=sys.argv[2] == "1").to_pandas()
print(json.dumps([time.perf_counter() - began, len(frame)]))
"""


def lengthen(capture, repeat, path):
    """Writes the capture's packets `repeat` times, each time behind the last; returns (packets, octets)."""
    with open(capture, "rb") as file:
        octets = file.read()
    order = "<" if octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    records, place = [], 24
    while place < len(octets):
        seconds, fraction, captured, length = struct.unpack_from(f"{order}IIII", octets, place)
        records.append((seconds, fraction, captured, length, octets[place + 16:place + 16 + captured]))
        place += 16 + captured
    span = records[-1][0] - records[0][0] + 61
    with open(path, "wb") as file:
        file.write(octets[:24])
        for number in range(repeat):
            for seconds, fraction, captured, length, frame in records:
                file.write(struct.pack(f"{order}IIII", seconds + number * span, fraction, captured, length) + frame)
    return len(records) * repeat, os.path.getsize(path)


def single_packets(path, count):
    """Writes a capture whose every packet is a flow of its own; for what a record costs."""
    ethernet, ip = "0200000000020200000000010800", "45000026000000004011000000000000c0a80101"
    frame = bytearray(bytes.fromhex(ethernet + ip + "0000003500120000" + "78" * 10))
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        parts = []
        for number in range(count):
            # Spread over addresses and ports, so that no two have the same.
            struct.pack_into(">I", frame, 26, 0x0A000000 + number)
            struct.pack_into(">H", frame, 34, 1024 + number % 60000)
            seconds, microseconds = 1_700_000_000 + number // 200_000, number % 200_000 * 5
            parts.append(struct.pack("<IIII", seconds, microseconds, len(frame), len(frame)) + frame)
            if len(parts) == 10_000:
                file.write(b"".join(parts))
                parts.clear()
        file.write(b"".join(parts))


def timed(work):
    """(seconds, rows) of one run."""
    began = time.perf_counter()
    rows = work()
    return time.perf_counter() - began, rows


def ways(path, martlet_binary, folder, nfstream):
    """The ways from the file to a data frame, by name: a function that gives (seconds, rows)."""
    import pandas

    import martlet

    def flows(**options):
        return martlet.flows(path, progress=False, threads=1, **options)

    def csv(*options):
        subprocess.run(
            [martlet_binary, "--pcap", path, *options, "--export", f"csv:{folder}/flows.csv"], check=True, capture_output=True)
        return len(pandas.read_csv(f"{folder}/flows.csv"))

    def parquet(**options):
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        made = flows(**options)
        made.to_parquet(f"{folder}/out")
        return made.counters["exported"]

    found = {
        "martlet.flows, batches": lambda: timed(lambda: sum(batch.num_rows for batch in flows())),
        "martlet.flows, batches, pstats and tls": lambda: timed(lambda: sum(b.num_rows for b in flows(plugins="pstats,tls"))),
        "martlet.flows, pandas": lambda: timed(lambda: len(flows().to_pandas())),
        "martlet.flows, pandas, flowstats": lambda: timed(lambda: len(flows(plugins="flowstats").to_pandas())),
        "martlet.flows, polars": lambda: timed(lambda: flows().to_polars().height),
        "martlet.flows, schema nfstream": lambda: timed(lambda: len(flows(schema="nfstream").to_pandas())),
        "martlet.flows, Parquet": lambda: timed(parquet),
        "binary, CSV, pandas": lambda: timed(csv),
        "binary, CSV, pandas, flowstats": lambda: timed(lambda: csv("--plugins", "flowstats")),
    }
    for name, statistics in (("nfstream, pandas", "0"), ("nfstream, pandas, statistics", "1")):
        if nfstream:
            found[name] = lambda statistics=statistics: tuple(json.loads(subprocess.run(
                [nfstream, "-c", NFSTREAM, path, statistics], check=True, capture_output=True, text=True).stdout))
    return found


#: Each with its counterpart: what is compared.
RATIOS = [
    ("martlet.flows, pandas", "nfstream, pandas"),
    ("martlet.flows, pandas, flowstats", "nfstream, pandas, statistics"),
    ("martlet.flows, schema nfstream", "nfstream, pandas, statistics"),
    ("martlet.flows, pandas", "binary, CSV, pandas"),
    ("martlet.flows, pandas, flowstats", "binary, CSV, pandas, flowstats"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capture", help="a pcap in place of the mix")
    parser.add_argument("--repeat", type=int, default=10, help="how often its packets come one behind the other (10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--flows", type=int, default=2_000_000, help="flows of the capture for Parquet (2000000)")
    parser.add_argument("--martlet", default=common.MARTLET)
    parser.add_argument("--nfstream", help="a Python that has nfstream")
    parser.add_argument("--json", help="leave the figures in this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, common.ordinary_mix() as mix:
        path = f"{folder}/capture.pcap"
        packets, octets = lengthen(options.capture or mix, options.repeat, path)
        print(f"{packets} packets, {octets} octets; best of {options.rounds} rounds")
        best = {}
        measured = ways(path, options.martlet, folder, options.nfstream)
        for _ in range(options.rounds):
            for name, way in measured.items():
                seconds, rows = way()
                best[name] = min(best.get(name, (seconds, rows)), (seconds, rows))
        figures = {}
        for name, (seconds, rows) in best.items():
            figures[name] = {"packets/s": packets / seconds, "rows": rows}
            print(f"{name:40} {seconds:7.3f} s {packets / seconds / 1e6:8.3f} M packets/s {rows:8} rows")
        for name, other in RATIOS:
            if other in best:
                ratio = best[other][0] / best[name][0]
                figures[f"{name} / {other}"] = ratio
                print(f"{name} is {ratio:.1f} times as fast as {other}")
        figures["flows/s to Parquet"] = parquet_rate(folder, options.flows, options.rounds)
        print(f"to Parquet: {figures['flows/s to Parquet'] / 1e6:.2f} M flows/s of one packet each")
        if options.json:
            with open(options.json, "w") as file:
                json.dump(figures, file, indent=1)


def parquet_rate(folder, count, rounds):
    """Records a second into Parquet files."""
    import martlet

    path = f"{folder}/single.pcap"
    single_packets(path, count)
    best = 0.0
    for _ in range(rounds):
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        flows = martlet.flows(path, progress=False, flows=2 * count)
        seconds, _ = timed(lambda flows=flows: flows.to_parquet(f"{folder}/out"))
        assert flows.counters["exported"] == count
        best = max(best, count / seconds)
    return best


if __name__ == "__main__":
    sys.exit(main())
