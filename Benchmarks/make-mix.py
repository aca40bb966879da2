#!/usr/bin/env python3
"""Makes a capture of ordinary size mix for the benchmarks: packets of real captures, with addresses changed.

    make-mix.py OUT.pcap [--packets 60000] [--flows 6000] CAPTURE...

The IPv4-over-Ethernet packets of the given captures are repeated, each time with other addresses, interleaved as if the
repetitions ran at the same time, until there are enough packets. Checksums are not mended: no flow exporter looks at them.
Reads classic pcap files of either byte order; standard library only.
"""
import argparse
import random
import struct
import sys


def frames(path):
    """The Ethernet frames of a classic pcap file; none for other files."""
    data = open(path, "rb").read()
    if len(data) < 24:
        return
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(data[:4])
    if order is None or struct.unpack(order + "I", data[20:24])[0] != 1:
        return
    position = 24
    while position + 16 <= len(data):
        _, _, captured, wire = struct.unpack(order + "IIII", data[position : position + 16])
        frame = data[position + 16 : position + 16 + captured]
        position += 16 + captured
        # Whole packets of at most an Ethernet frame, so that each fits one mbuf.
        if captured == wire <= 1518 and len(frame) > 34 and frame[12:15] == b"\x08\x00\x45" and not frame[20] & 0x3F:
            yield frame


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("captures", nargs="+")
    parser.add_argument("--packets", type=int, default=60000)
    parser.add_argument("--flows", type=int, default=6000)
    options = parser.parse_args()
    chance = random.Random(1)
    flows = {}
    for path in options.captures:
        for frame in frames(path):
            key = (path, frame[23], *sorted([frame[26:30] + frame[34:36], frame[30:34] + frame[36:38]]))
            flows.setdefault(key, []).append(frame)
    kinds = [packets for packets in flows.values() if len(packets) <= 200]
    if not kinds:
        sys.exit("no IPv4 packets in these captures")
    # Flows are drawn so that packets and flows keep the proportion asked for: most are short, the packets are in long ones.
    wanted = options.packets / options.flows
    long = [packets for packets in kinds if len(packets) >= wanted] or kinds
    chosen, total = [], 0
    while total < options.packets:
        flow = chance.choice(long if total < wanted * len(chosen) else kinds)
        chosen.append(list(flow))
        total += len(flow)
    with open(options.out, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        active, waiting, written = [], list(enumerate(chosen)), 0
        while waiting or active:
            while waiting and len(active) < 512:
                active.append(waiting.pop())
            index = chance.randrange(len(active))
            number, packets = active[index]
            frame = bytearray(packets.pop(0))
            # 10.x.y.z keeps which side sends: the flow's number is added to both addresses.
            for offset in (26, 30):
                address = struct.unpack(">I", frame[offset : offset + 4])[0]
                struct.pack_into(">I", frame, offset, 0x0A000000 | (address * 2654435761 + number * 40503) & 0xFFFFFF)
            out.write(struct.pack("<IIII", 1700000000 + written // 10000, written % 10000 * 100, len(frame), len(frame)))
            out.write(frame)
            written += 1
            if not packets:
                active.pop(index)
    print(f"{options.out}: {written} packets, {len(chosen)} flows", file=sys.stderr)


main()
