#!/usr/bin/env python3
"""Instructions per packet in the engine, by callgrind: two run lengths subtracted, so that set-up does not count.

    swift build -c release && Benchmarks/instructions.py [--plugins SETS] [--json FILE] [--mix]

By default those of engine-bench, 64-byte packets in memory; with --mix those of martlet over the capture of make-mix.py, read
three times, each 40 s later, less once. The default build runs under valgrind 3.19; one made with MARTLET_MARCH=native may not
(use x86-64-v3).
"""
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile

import common

NAMES = {
    "swift": "$s8FlowCore0A6WorkerC7process_5count3now",
    "c": "c_engine_process",
    # With the packets' own times: captures.
    "offline": "$s8FlowCore0A6WorkerC7process_5count5times",
}
SHORT, LONG = 65536, 262144
# The bench warms up with as many packets as it measures, up to 500 000; Swift's engine goes once more for the cycles by pass.
RUNS = {"swift": 3, "c": 2}


def callgrind(command, directory):
    """The instructions in each engine under callgrind, what it calls included."""
    out = os.path.join(directory, "callgrind.out")
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"callgrind failed:\n{run.stderr[-2000:]}")
    text = subprocess.run(
        ["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], capture_output=True, text=True).stdout
    counts = {}
    for line in text.splitlines():
        for engine, name in NAMES.items():
            if name in line and engine not in counts:
                counts[engine] = int(re.match(r"\s*([\d,]+)", line).group(1).replace(",", ""))
    return counts


def readable(binary, directory):
    """A copy without DWARF 5, which valgrind 3.19 cannot read."""
    copy = os.path.join(directory, os.path.basename(binary))
    subprocess.run(["objcopy", "--strip-debug", binary, copy], check=True)
    return copy


def count(binary, directory, plugins, flows, packets, options):
    """engine-bench's instructions in each engine for this many packets."""
    command = [
        binary, "--flows", flows, "--new", "0", "--rounds", "1", "--packets", str(packets), "--pace", "100",
        "--plugins", plugins, *options]
    return callgrind(command, directory)


def repeated(mix, path, times):
    """Writes a capture `times` times into one file, each time 40 s later than before, so that flows without packets end; the
    number of packets in the capture."""
    with open(mix, "rb") as file:
        data = file.read()
    packets = 0
    with open(path, "wb") as out:
        out.write(data[:24])
        for time in range(times):
            position, packets = 24, 0
            while position < len(data):
                seconds, micros, captured, wire = struct.unpack_from("<IIII", data, position)
                out.write(struct.pack("<IIII", seconds + 40 * time, micros, captured, wire))
                out.write(data[position + 16 : position + 16 + captured])
                position += 16 + captured
                packets += 1
    return packets


def over_mix(martlet, mix, sets, options=()):
    """Instructions per packet in the engine for each set of plugins, whole flows of a capture: read three times less once."""
    with tempfile.TemporaryDirectory() as directory:
        binary, counted = readable(martlet, directory), {}
        once, thrice = os.path.join(directory, "1.pcap"), os.path.join(directory, "3.pcap")
        packets = repeated(mix, once, 1)
        repeated(mix, thrice, 3)
        for plugins in sets:
            chosen = [] if plugins == "none" else ["--plugins", plugins.replace("+", ",")]
            command = [binary, *chosen, *options, "--export", "ipfix:/dev/null", "--pcap"]
            short, long = (callgrind([*command, capture], directory) for capture in (once, thrice))
            if "offline" not in short or "offline" not in long:
                sys.exit(f"{NAMES['offline']} is not in {martlet}")
            counted[plugins] = (long["offline"] - short["offline"]) / (2 * packets)
        return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", default="none,pstats,pstats+tls+ovpn+idpcontent")
    parser.add_argument("--flows", default="1k")
    parser.add_argument("--sizes", default="64")
    parser.add_argument("--binary", default=f"{common.ROOT}/.build/release/engine-bench")
    parser.add_argument("--json")
    parser.add_argument("--mix", action="store_true", help="martlet over the mix of make-mix.py")
    parser.add_argument("--martlet", default=common.MARTLET)
    arguments = parser.parse_args()
    results = {}
    if arguments.mix:
        with common.ordinary_mix() as mix:
            for plugins, counted in over_mix(arguments.martlet, mix, arguments.plugins.split(",")).items():
                results[plugins] = {"offline": round(counted, 1)}
                print(f"{plugins}: instructions per packet: {counted:.1f}")
        common.save(arguments.json, results)
        return
    with tempfile.TemporaryDirectory() as directory:
        binary = readable(arguments.binary, directory)
        options = ["--sizes", arguments.sizes]
        for plugins in arguments.plugins.split(","):
            short = count(binary, directory, plugins, arguments.flows, SHORT, options)
            long = count(binary, directory, plugins, arguments.flows, LONG, options)
            results[plugins] = {
                engine: round((long[engine] - short[engine]) / (RUNS[engine] * (LONG - SHORT)), 1) for engine in long}
            line = ", ".join(f"{engine} {value}" for engine, value in results[plugins].items())
            print(f"{plugins}: instructions per packet: {line}")
    common.save(arguments.json, results)


if __name__ == "__main__":
    main()
