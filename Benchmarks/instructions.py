#!/usr/bin/env python3
"""Instructions per packet in the engine, by callgrind: two run lengths subtracted, so that set-up does not count.

    swift build -c release --product engine-bench && Benchmarks/instructions.py [--plugins SETS] [--json FILE]

The default build runs under valgrind 3.19; one made with MARTLET_MARCH=native may not (use x86-64-v3).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
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


def over_mix(martlet, mix, sets):
    """Instructions per packet in the engine for each set of plugins, whole flows of a capture: read twice less read once."""
    with open(mix, "rb") as file:
        data = file.read()
    packets, position = 0, 24
    while position < len(data):
        position += 16 + int.from_bytes(data[position + 8 : position + 12], "little")
        packets += 1
    with tempfile.TemporaryDirectory() as directory:
        binary, counted = readable(martlet, directory), {}
        for plugins in sets:
            chosen = [] if plugins == "none" else ["--plugins", plugins.replace("+", ",")]
            # The mix has only 10 000 packets per second of its own time; a small table keeps the sweep small.
            command = [binary, "--flows", "16384", *chosen, "--export", "ipfix:/dev/null", "--pcap", mix]
            short, long = callgrind(command, directory), callgrind([*command, mix], directory)
            counted[plugins] = (long["offline"] - short["offline"]) / packets
        return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", default="none,pstats,pstats+tls+ovpn+idpcontent")
    parser.add_argument("--flows", default="1k")
    parser.add_argument("--sizes", default="64")
    parser.add_argument("--binary", default=os.path.join(ROOT, ".build/release/engine-bench"))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    results = {}
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
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
