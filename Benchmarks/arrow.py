#!/usr/bin/env python3
"""From a capture in the page cache to Arrow record batches: packets per second of CPU time.

    Benchmarks/arrow.py [--library SO] [--rounds N] [--passes N] [--json FILE] [CAPTURE]

The capture (the ordinary mix of make-mix.py) is read N times in one run by one thread of libmartlet, and the batches are taken
over the C stream interface, looked at by nobody and released. Beside it the limit that libpcap sets: its own loop over the same
file, which does nothing with the packets. The figure is the CPU time of the whole process, threads and release of the batches
included; the best of the rounds counts, because others on the machine only add.
"""
import argparse
import ctypes
import json
import os
import sys
import time

import common

sys.path.insert(0, f"{common.ROOT}/Tests/EndToEnd")
import libmartlet

SETS = [("no plugin", ""), ("pstats,tls", "pstats,tls"), ("preset ml", "pstats,phists,nettisa,bstats,tls,quic"), ("all", "all")]


GET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Array(ctypes.Structure):
    """ArrowArray, as far as it is looked at here: the first of its numbers is its length."""
    _fields_ = [("numbers", ctypes.c_int64 * 5), ("pointers", ctypes.c_void_p * 3), ("release", ctypes.c_void_p),
                ("private_data", ctypes.c_void_p)]


def consume(run):
    """Takes and releases all batches; the rows."""
    stream = run.stream()
    get_next, release = GET(stream.get_next), RELEASE(stream.release)
    rows = 0
    while True:
        array = Array()
        if get_next(ctypes.addressof(stream), ctypes.addressof(array)) != 0:
            sys.exit("arrow: the stream failed")
        if not array.release:
            break
        rows += array.numbers[0]
        RELEASE(array.release)(ctypes.addressof(array))
    release(ctypes.addressof(stream))
    return rows


def to_arrow(library, capture, passes, plugins):
    """(packets, rows, CPU seconds) of one run."""
    start = time.process_time()
    options = [("plugins", plugins)] if plugins else []
    with libmartlet.Run(library, [capture] * passes, options) as run:
        rows = consume(run)
        packets = run.counters()["received"]
    return packets, rows, time.process_time() - start


def read_alone(capture, passes):
    """CPU seconds of libpcap's loop, which calls a function that does nothing with the packets."""
    pcap = ctypes.CDLL("libpcap.so.0.8")
    pcap.pcap_open_offline.restype = ctypes.c_void_p
    pcap.pcap_open_offline.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    pcap.pcap_loop.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    # A function of C that does nothing worth mention.
    nothing = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p)
    start = time.process_time()
    for _ in range(passes):
        handle = pcap.pcap_open_offline(os.fsencode(capture), ctypes.create_string_buffer(256))
        if pcap.pcap_loop(handle, -1, nothing, None) != 0:
            sys.exit("arrow: libpcap did not reach the end")
        pcap.pcap_close(ctypes.c_void_p(handle))
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", nargs="?")
    parser.add_argument("--library", help="the library (packaging/build-libmartlet.sh makes it)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passes", type=int, default=30, help="how often the capture is read in a run (30)")
    parser.add_argument("--json", help="leave the figures in this file")
    options = parser.parse_args()
    library = libmartlet.Library(options.library or libmartlet.build())
    with common.ordinary_mix() as mix:
        capture = options.capture or mix
        best, rows = {}, {}
        packets = 0
        for _ in range(options.rounds):
            for name, plugins in SETS:
                packets, rows[name], cpu = to_arrow(library, capture, options.passes, plugins)
                best[name] = max(best.get(name, 0), packets / cpu)
            best["libpcap alone"] = max(best.get("libpcap alone", 0), packets / read_alone(capture, options.passes))
    print(f"{'to Arrow, one thread':28}{'Mpps':>8}{'ns/packet':>12}{'rows':>12}")
    for name, rate in best.items():
        print(f"{name:28}{rate / 1e6:8.2f}{1e9 / rate:12.1f}{rows.get(name, ''):>12}")
    if options.json:
        with open(options.json, "w") as out:
            json.dump({name: {"packets_per_second": rate, "rows": rows.get(name)} for name, rate in best.items()}, out)


main()
