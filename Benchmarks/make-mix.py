#!/usr/bin/env python3
"""Makes the capture that every benchmark and the instruction budget read: traffic of ordinary variety.

    make-mix.py OUT.pcap [--packets N] [--flows N] [--seed N] [--own] [CAPTURE...]

Where ../shared/mix/make_mix.py is there and no captures are named, that makes the mix, from the public corpus; with --own, or
without it, this program does, from the named captures or the project's own (Tests/Captures). Both give the same shape: biflows
of real captures, each copy with addresses of its own, interleaved within 20 s;

- a quarter of the flows IPv6 (IPv4 flows are rewritten, some with a hop-by-hop header);
- one flow in five behind an 802.1Q tag, one in twenty behind two, one in a hundred each behind MPLS labels and in PPPoE;
- one in a hundred of the larger UDP packets over IPv4 as two fragments, one packet in two hundred after its successor.

Frames fit an mbuf, and there are fewer than 65 536, as net_pcap's infinite_rx needs. Checksums are not mended: no flow exporter
looks at them. The same arguments give the same file. Standard library only.
"""
import argparse
import collections
import random
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "../shared/mix/make_mix.py"
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
TCP, UDP = 6, 17
#: No flow gives more packets than this, and none lasts longer than this many microseconds.
LONGEST_FLOW, LONGEST_TIME = 150, 10_000_000
#: The kinds of link header and how many of a hundred flows have each.
WRAPPINGS = {"plain": 73, "tagged": 20, "twice tagged": 5, "mpls": 1, "pppoe": 1}

#: An IP packet of a capture: when (microseconds), the frame's MAC addresses, its EtherType and its bytes.
Packet = collections.namedtuple("Packet", "time macs kind ip")


def ip_packets(path):
    """The whole, unfragmented IP packets right behind the Ethernet header in a little-endian classic pcap; none of others."""
    data = path.read_bytes()
    if data[:4] != b"\xd4\xc3\xb2\xa1" or data[20:24] != b"\x01\0\0\0":
        return
    position = 24
    while position + 16 <= len(data):
        seconds, micros, captured, wire = struct.unpack_from("<IIII", data, position)
        frame = data[position + 16 : position + 16 + captured]
        position += 16 + captured
        kind, ip = frame[12:14], frame[14:]
        if captured != wire or wire > 1480:
            continue
        if kind == IPV4 and len(ip) >= 20 and ip[0] == 0x45 and not (ip[6] & 0x3F or ip[7]):
            length = int.from_bytes(ip[2:4], "big")
        elif kind == IPV6 and len(ip) >= 40 and ip[6] in (TCP, UDP, 58):
            length = 40 + int.from_bytes(ip[4:6], "big")
        else:
            continue
        if length <= len(ip):
            yield Packet(seconds * 1_000_000 + micros, frame[:12], kind, ip[:length])


def key_of(packet):
    """The biflow that the packet belongs to: the same for both directions."""
    if packet.kind == IPV4:
        protocol, ends, rest = packet.ip[9], (packet.ip[12:16], packet.ip[16:20]), packet.ip[20:]
    else:
        protocol, ends, rest = packet.ip[6], (packet.ip[8:24], packet.ip[24:40]), packet.ip[40:]
    ports = (rest[:2], rest[2:4]) if protocol in (TCP, UDP) else (b"", b"")
    return protocol, *sorted(zip(ends, ports))


def biflows(captures):
    """The biflows of each capture that has some, in a fixed order."""
    found = []
    for path in captures:
        flows = {}
        for packet in ip_packets(path):
            flow = flows.setdefault(key_of(packet), [])
            if len(flow) < LONGEST_FLOW:
                flow.append(packet)
        if flows:
            found.append(list(flows.values()))
    return found


def renumbered(packet, number):
    """The packet with `number` mixed into both addresses' last three octets, so that a copy of a biflow is one, too."""
    ip, mask = bytearray(packet.ip), (number * 2654435761 & 0xFFFFFF).to_bytes(3, "big")
    for end in (16, 20) if packet.kind == IPV4 else (24, 40):
        for index in range(3):
            ip[end - 3 + index] ^= mask[index]
    return bytes(ip)


def as_version_6(ip, with_options):
    """An IPv4 packet as IPv6, its addresses behind 2001:db8::/32; with a hop-by-hop header of padding where asked."""
    following, rest = ip[9], ip[20:]
    if with_options:
        following, rest = 0, bytes([following, 0, 1, 4, 0, 0, 0, 0]) + rest
    network = bytes.fromhex("20010db8") + bytes(8)
    return b"\x60\0\0\0" + struct.pack(">HBB", len(rest), following, ip[8]) + network + ip[12:16] + network + ip[16:20] + rest


def in_two(ip):
    """The two fragments of an IPv4 packet."""
    half = (len(ip) - 20) // 16 * 8
    pieces = ((ip[20 : 20 + half], 0x2000), (ip[20 + half :], half // 8))
    # An identification of 0 is that of packets that may not be fragmented.
    name = ip[4:6] if any(ip[4:6]) else b"\x12\x34"
    return [
        ip[:2] + struct.pack(">H", 20 + len(piece)) + name + struct.pack(">H", where) + ip[8:20] + piece
        for piece, where in pieces]


def frame_of(macs, kind, ip, wrapping, number):
    """The Ethernet frame, at least 60 octets."""
    tag = struct.pack(">H", 2 + number % 3998)
    if wrapping == "tagged":
        between = b"\x81\x00" + tag + kind
    elif wrapping == "twice tagged":
        between = b"\x88\xa8" + tag + b"\x81\x00" + struct.pack(">H", 2 + number % 7) + kind
    elif wrapping == "mpls":
        between = b"\x88\x47" + struct.pack(">II", (number % 9000 + 16) << 12 | 64, (number % 90 + 16) << 12 | 0x1FF)
    elif wrapping == "pppoe":
        between = b"\x88\x64\x11\x00" + tag + struct.pack(">H", len(ip) + 2) + (b"\x00\x21" if kind == IPV4 else b"\x00\x57")
    else:
        between = kind
    return (macs + between + ip).ljust(60, b"\0")


def copy_of(flow, number, chance):
    """The timed frames of one more copy of a flow."""
    start, first, lasts = chance.randrange(LONGEST_TIME), flow[0], max(packet.time for packet in flow) - flow[0].time
    slower = max(1.0, lasts / LONGEST_TIME)
    protocol = first.ip[9] if first.kind == IPV4 else first.ip[6]
    rewritten = first.kind == IPV4 and protocol in (TCP, UDP) and chance.random() < 0.22
    with_options = chance.random() < 0.1
    wrapping = chance.choices(list(WRAPPINGS), list(WRAPPINGS.values()))[0]
    timed = []
    for packet in flow:
        ip, kind = renumbered(packet, number), packet.kind
        if rewritten:
            ip, kind = as_version_6(ip, with_options), IPV6
        split = kind == IPV4 and protocol == UDP and len(ip) > 92 and chance.random() < 0.01
        when = start + int(max(0, packet.time - first.time) / slower)
        timed += [(when, frame_of(packet.macs, kind, part, wrapping, number)) for part in (in_two(ip) if split else [ip])]
    for index in range(1, len(timed)):
        if chance.random() < 0.005:
            (earlier, one), (later, other) = timed[index - 1 : index + 1]
            timed[index - 1 : index + 1] = [(earlier, other), (later, one)]
    return timed


def make(out, captures, packets, flows, seed):
    """Draws flows, a capture first, so that one with many alike does not fill the mix, and writes their packets in order."""
    chance, sources = random.Random(seed), biflows(captures)
    if not sources:
        sys.exit("make-mix.py: no IP packets over Ethernet in these captures")
    wanted = packets / flows

    def those(rule):
        return [kept for kept in ([flow for flow in source if rule(len(flow))] for source in sources) if kept] or sources

    # Flows shorter than the mean, and longer ones whenever there are too few packets for the flows.
    short, long = those(lambda length: length <= wanted), those(lambda length: length > wanted)
    timed, count = [], 0
    while len(timed) < packets:
        timed += copy_of(chance.choice(chance.choice(long if len(timed) < wanted * count else short)), count, chance)
        count += 1
    timed = sorted(timed, key=lambda one: one[0])[:packets]
    with out.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for when, frame in timed:
            file.write(struct.pack("<IIII", 1_700_000_000 + when // 1_000_000, when % 1_000_000, len(frame), len(frame)) + frame)
    print(f"{out}: {len(timed)} packets, {count} flows", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("captures", nargs="*", type=Path)
    parser.add_argument("--packets", type=int, default=60000)
    parser.add_argument("--flows", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--own", action="store_true", help="do not use ../shared/mix/make_mix.py")
    options = parser.parse_intermixed_args()
    if not 0 < options.packets < 65536 or not 0 < options.flows <= options.packets:
        parser.error("--packets is from 1 to 65535, --flows from 1 to --packets")
    if SHARED.is_file() and not options.own and not options.captures:
        numbers = ["--packets", options.packets, "--flows", options.flows, "--seed", options.seed]
        sys.exit(subprocess.run([sys.executable, SHARED, options.out, *map(str, numbers)], stdout=sys.stderr).returncode)
    captures = options.captures or sorted((ROOT / "Tests/Captures").glob("*.pcap"))
    make(options.out, captures, options.packets, options.flows, options.seed)


if __name__ == "__main__":
    main()
