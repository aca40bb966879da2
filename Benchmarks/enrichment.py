#!/usr/bin/env python3
"""What --mmdb costs the export lcore for each record, in one run.

    Benchmarks/enrichment.py [--martlet BIN] [--records N] [--rounds N] [--json FILE]

martlet reads captures of flows of one packet each, by one thread, with and without two databases (AS numbers with their
operators, countries) of 65 536 networks each; both take turns, N rounds. The figures are the CPU time that is added, for each
record, with what the longer records take to encode and without what it takes to open the databases: medians of the differences,
and their extremes.
Both addresses of a record are looked up. How many of them are found in the cache depends on how many there are:

    1 k, 20 k      that many addresses, each as often as any other
    Zipf           a million addresses, the n-th most frequent 1/n as often as the first
    new            none comes twice: the worst case

"looked up" is the share of addresses that the cache did not have.
"""
import bisect
import itertools
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import common

sys.path.insert(0, f"{common.ROOT}/Tests/EndToEnd")
from mmdb import database

#: Packets, and so records, in a second of the captures' time; flows end after one second.
RATE = 100_000


def write_databases(folder):
    """The options that name them."""
    numbers = random.Random(1)
    networks = sorted(numbers.sample(range(1 << 24), 65_536))
    names = [f"{number >> 16}.{number >> 8 & 255}.{number & 255}.0/24" for number in networks]
    paths = [Path(folder) / "asn.mmdb", Path(folder) / "country.mmdb"]
    paths[0].write_bytes(database({
        name: {"autonomous_system_number": 64496 + place, "autonomous_system_organization": f"Example Networks {place}"}
        for place, name in enumerate(names)}, "GeoLite2-ASN", version=4))
    paths[1].write_bytes(database(
        {name: {"country": {"iso_code": "CZ" if place % 2 else "AQ", "geoname_id": 1}} for place, name in enumerate(names)},
        "GeoLite2-Country", version=4))
    return networks, [word for path in paths for word in ("--mmdb", str(path))]


def populations(networks, count):
    """name -> addresses, two for each record; four in five are in a network that the databases know."""
    numbers = random.Random(2)
    used = set()

    def fresh():
        while True:
            known = numbers.random() < 0.8
            address = (numbers.choice(networks) if known else numbers.getrandbits(24)) << 8 | numbers.getrandbits(8)
            if address not in used:
                used.add(address)
                return address
    for name, size in (("1 k", 1000), ("20 k", 20_000)):
        some = [fresh() for _ in range(size)]
        yield name, [numbers.choice(some) for _ in range(2 * count)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, 1_000_001)))
    ranks, addresses = {}, []
    for _ in range(2 * count):
        rank = bisect.bisect(weights, numbers.random() * weights[-1])
        addresses.append(ranks.setdefault(rank, None) or ranks.update({rank: fresh()}) or ranks[rank])
    yield "Zipf", addresses
    yield "new", [fresh() for _ in range(2 * count)]


def write_capture(path, addresses):
    """A flow of one packet for each two addresses."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, (source, destination) in enumerate(zip(addresses[::2], addresses[1::2])):
            micros = number * 1_000_000 // RATE
            frame = bytes(12) + b"\x08\x00" + struct.pack(
                "!BBHHHBBHIIHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, source, destination, 1024 + number % 60_000, 443, 8, 0)
            out.write(struct.pack("<IIII", 1_000_000 + micros // 1_000_000, micros % 1_000_000, len(frame), len(frame)) + frame)


def run(martlet, capture, options):
    """(CPU seconds, totals) of one run over a capture."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [martlet, *options, "--inactive-timeout", "1", "--flows", "262144", "--stats", "600", "--stats-format", "full",
         "--export", "ipfix:/dev/null", "--pcap", capture], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, common.totals(done.stderr)


def main():
    parser = common.parser(__doc__, seconds=0, rounds=7)
    parser.add_argument("--records", type=int, default=500_000, help="in each capture (500000)")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        networks, databases = write_databases(folder)
        empty = f"{folder}/empty.pcap"
        write_capture(empty, [])
        print(f"{'addresses':12}{'ns added':>10}{'min':>8}{'max':>8}{'without':>10}{'looked up':>11}")
        for name, addresses in populations(networks, options.records):
            capture = f"{folder}/records.pcap"
            write_capture(capture, addresses)
            added, plain = [], []
            for _ in range(options.rounds):
                opening = run(options.martlet, empty, databases)[0] - run(options.martlet, empty, [])[0]
                without, _ = run(options.martlet, capture, [])
                with_databases, found = run(options.martlet, capture, databases)
                plain.append(without / options.records * 1e9)
                added.append((with_databases - without - opening) / options.records * 1e9)
            looked_up = found["looked up"][0] / (2 * options.records)
            rows.append({"addresses": name, "added": statistics.median(added), "all": added,
                         "without": statistics.median(plain), "looked_up": looked_up})
            print(f"{name:12}{rows[-1]['added']:10.0f}{min(added):8.0f}{max(added):8.0f}{rows[-1]['without']:10.0f}{looked_up:11.1%}")
    common.save(options.json, rows)


main()
