#!/usr/bin/env python3
"""What one message costs the plugin that reads it, over no plugin: a QUIC Initial, an HTTP request, a DNS query and a response.

    Benchmarks/messages.py [--martlet BIN] [--rounds N] [--json FILE] [--instructions]

Each message is that of a capture in Tests/Captures, once in each of 20 000 flows of one packet. The figure is CPU time of the one
thread of an offline run, with the plugin less without, the least of N rounds each: so the plugin's state, its end and the fields
that it exports are in it. --instructions adds what callgrind counts in the worker alone; valgrind has no SHA
instructions, of which a QUIC Initial takes some, so its figure is too high.
"""
import os
import resource
import struct
import subprocess
import sys
import tempfile

import common
import instructions

FLOWS = 20_000
#: Message, plugin, capture, and what its payload begins with or its ports are.
MESSAGES = [
    ("QUIC Initial", "quic", "quic.pcap", lambda udp, ports, payload: udp and payload and payload[0] & 0xF0 == 0xC0),
    ("HTTP request", "http", "http.pcap", lambda udp, ports, payload: not udp and payload.startswith(b"GET ")),
    ("HTTP response", "http", "http.pcap", lambda udp, ports, payload: not udp and payload.startswith(b"HTTP/1.1 200")),
    ("DNS query", "dns", "dns.pcap", lambda udp, ports, payload: udp and ports[1] == 53),
    ("DNS response", "dns", "dns.pcap", lambda udp, ports, payload: udp and ports[0] == 53),
]


def message(path, wanted):
    """The first frame of IPv4 over Ethernet whose payload is wanted."""
    with open(path, "rb") as file:
        data = file.read()
    position = 24
    while position < len(data):
        captured = struct.unpack_from("<I", data, position + 8)[0]
        frame = data[position + 16 : position + 16 + captured]
        position += 16 + captured
        if frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
            continue
        transport = 14 + (frame[14] & 15) * 4
        ports = struct.unpack_from(">HH", frame, transport)
        start = transport + (8 if frame[23] == 17 else (frame[transport + 12] >> 4) * 4)
        end = 14 + struct.unpack_from(">H", frame, 16)[0]
        if wanted(frame[23] == 17, ports, frame[start:end]):
            return frame
    sys.exit(f"{path} has no such message")


def write(path, frame):
    """A capture with the frame in so many flows, by the source's address."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for flow in range(FLOWS):
            out.write(struct.pack("<IIII", 1_700_000_000, flow * 10, len(frame), len(frame)))
            out.write(frame[:26] + struct.pack(">I", 10 << 24 | flow) + frame[30:])


def cpu(command):
    """Seconds of CPU time that a program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime


def main():
    parser = common.parser(__doc__, seconds=0, rounds=7)
    parser.add_argument("--instructions", action="store_true", help="instructions, too")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "messages.pcap")
        for name, plugin, capture, wanted in MESSAGES:
            write(path, message(f"{common.ROOT}/Tests/Captures/{capture}", wanted))
            rest = ["--export", "ipfix:/dev/null", "--pcap", path]
            without, alone = [], []
            for _ in range(options.rounds):
                without.append(cpu([options.martlet, *rest]))
                alone.append(cpu([options.martlet, "--plugins", plugin, *rest]))
            row = {"message": name, "plugin": plugin, "ns": round((min(alone) - min(without)) / FLOWS * 1e9)}
            if options.instructions:
                binary = instructions.readable(options.martlet, directory)
                counts = [instructions.callgrind([binary, *chosen, *rest], directory)["offline"]
                          for chosen in ([], ["--plugins", plugin])]
                row["instructions"] = round((counts[1] - counts[0]) / FLOWS)
            rows.append(row)
            counted = f"{row['instructions']:10} instructions" if options.instructions else ""
            print(f"{name:16}{plugin:6}{row['ns']:8} ns{counted}")
    common.save(options.json, rows)


main()
