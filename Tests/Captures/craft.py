#!/usr/bin/env python3
"""Captures made from other captures: link types, byte order, times and damage.

    craft.py link FROM TO null|loop|ppp|chdlc|raw12|ipv4|ipv6|user0   another link layer around the same IP packets
    craft.py swap-endian FROM TO            the file's headers in the other byte order
    craft.py reverse-fragments FROM TO      fragments of one datagram, last one first
    craft.py swap-hello FROM TO             every second ClientHello segment sent before the one ahead of it
    craft.py timeouts FROM TO               the first UDP conversation again and again, gaps of 20, 29, 31 … s
    craft.py plain-section FROM TO          a pcapng file without what tells about the host that made it
    craft.py malformed DIRECTORY FROM…      truncated, foreign, empty, hostile

Only classic pcap is read (but for plain-section). Nothing random: the same input gives the same output.
"""
import os
import random
import struct
import sys

MAGIC_MICRO, MAGIC_NANO = 0xA1B2C3D4, 0xA1B23C4D
ETHERNET, RAW = 1, 101


class Capture:
    def __init__(self, path=None, link=ETHERNET, magic=MAGIC_MICRO, snaplen=262144):
        self.link, self.magic, self.snaplen, self.packets = link, magic, snaplen, []
        if not path:
            return
        data = open(path, "rb").read()
        order = next(o for o in "<>" if struct.unpack(o + "I", data[:4])[0] in (MAGIC_MICRO, MAGIC_NANO))
        self.magic, _, _, _, _, self.snaplen, self.link = struct.unpack(order + "IHHiIII", data[:24])
        at = 24
        while at + 16 <= len(data):
            seconds, fraction, captured, length = struct.unpack(order + "IIII", data[at:at + 16])
            self.packets.append((seconds, fraction, length, data[at + 16:at + 16 + captured]))
            at += 16 + captured

    def write(self, path, order="<"):
        with open(path, "wb") as out:
            out.write(struct.pack(order + "IHHiIII", self.magic, 2, 4, 0, 0, self.snaplen, self.link))
            for seconds, fraction, length, data in self.packets:
                out.write(struct.pack(order + "IIII", seconds, fraction, len(data), length) + data)

    def like(self, link=None):
        return Capture(link=self.link if link is None else link, magic=self.magic, snaplen=self.snaplen)


def ip_of(capture, data):
    """The IP packet in a frame without tags, or None."""
    if capture.link == ETHERNET:
        return data[14:] if data[12:14] in (b"\x08\x00", b"\x86\xdd") else None
    return data


def link(source, target, kind):
    capture = Capture(source)
    numbers = {"null": 0, "loop": 108, "ppp": 9, "chdlc": 104, "raw12": 12, "ipv4": 228, "ipv6": 229,
               "user0": 147}
    result = capture.like(numbers[kind])
    for seconds, fraction, length, data in capture.packets:
        packet = ip_of(capture, data)
        if packet is None:
            continue
        six = packet[0] >> 4 == 6
        header = {
            # BSD's AF_INET and AF_INET6 (30: Darwin's): in the writer's byte order, and in network order.
            "null": struct.pack("<I", 30 if six else 2),
            "loop": struct.pack(">I", 24 if six else 2),
            "ppp": b"\xff\x03" + struct.pack("!H", 0x57 if six else 0x21),
            "chdlc": b"\x0f\x00" + struct.pack("!H", 0x86DD if six else 0x0800),
            "raw12": b"", "ipv4": b"", "ipv6": b"", "user0": b"\x4d",
        }[kind]
        if (kind == "ipv4" and six) or (kind == "ipv6" and not six):
            continue
        removed = len(data) - len(packet)
        result.packets.append((seconds, fraction, length - removed + len(header), header + packet))
    result.write(target)


def swap_endian(source, target):
    Capture(source).write(target, order=">")


def reverse_fragments(source, target):
    capture = Capture(source)
    result, groups = capture.like(), {}
    for number, (_, _, _, data) in enumerate(capture.packets):
        packet = ip_of(capture, data)
        if packet is None:
            continue
        if packet[0] >> 4 == 4 and struct.unpack("!H", packet[6:8])[0] & 0x3FFF:
            groups.setdefault((packet[12:20], packet[4:6]), []).append(number)
        elif packet[0] >> 4 == 6 and packet[6] == 44:
            groups.setdefault((packet[8:40], packet[44:48]), []).append(number)
    order = list(range(len(capture.packets)))
    for numbers in groups.values():
        for place, number in zip(numbers, reversed(numbers)):
            order[place] = number
    for place, number in enumerate(order):          # times stay in place, packets move
        result.packets.append(capture.packets[place][:2] + capture.packets[number][2:])
    result.write(target)


def tcp_payload(capture, data):
    """(connection, payload) of IPv4 TCP."""
    packet = ip_of(capture, data)
    if packet is None or packet[0] >> 4 != 4 or packet[9] != 6:
        return None, b""
    start = (packet[0] & 15) * 4
    end = struct.unpack("!H", packet[2:4])[0]
    return packet[12:20] + packet[start:start + 4], packet[start + (packet[start + 12] >> 4) * 4:end]


def swap_hello(source, target):
    capture = Capture(source)
    result, segments, answered = capture.like(), {}, set()
    for number, (_, _, _, data) in enumerate(capture.packets):
        connection, payload = tcp_payload(capture, data)
        if not connection or not payload:
            continue
        back = connection[4:8] + connection[:4] + connection[10:12] + connection[8:10]
        if back in segments:
            answered.add(back)
        elif connection not in answered:
            segments.setdefault(connection, []).append(number)
    order = list(range(len(capture.packets)))
    for numbers in segments.values():
        for first, second in zip(numbers[0::2], numbers[1::2]):
            order[first], order[second] = order[second], order[first]
    for place, number in enumerate(order):
        result.packets.append(capture.packets[place][:2] + capture.packets[number][2:])
    result.write(target)


def timeouts(source, target):
    capture = Capture(source)
    pair = [packet for packet in capture.packets if (ip_of(capture, packet[3]) or b"\0" * 10)[9] == 17][:2]
    result = capture.like()
    start = pair[0][0]
    # Inactive timeout 30 s: 0 | 20 | 49 (gap 29: same flow) | 80 (gap 31: new flow). Active timeout 300 s:
    # every 25 s from 200 to 625 without a gap, so the flow is cut once its first packet is 300 s old.
    for offset in [0, 20, 49, 80] + list(range(200, 626, 25)):
        for number, (_, _, length, data) in enumerate(pair):
            result.packets.append((start + offset, 1000 * number, length, data))
    result.write(target)


def plain_section(source, target):
    data = open(source, "rb").read()
    order = "<" if data[8:12] == struct.pack("<I", 0x1A2B3C4D) else ">"

    def block(kind, body):
        size = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + size + body + size

    def without(options, unwanted):
        kept, at = b"", 0
        while at + 4 <= len(options):
            code, length = struct.unpack(order + "HH", options[at:at + 4])
            end = at + 4 + (length + 3) // 4 * 4
            if code not in unwanted:
                kept += options[at:end]
            at = end
        return kept

    out, at = b"", 0
    while at < len(data):
        kind, size = struct.unpack(order + "II", data[at:at + 8])
        body = data[at + 8:at + size - 4]
        if kind == 0x0A0D0D0A:                      # section header: its options name CPU, kernel and program
            body = body[:16]
        elif kind == 1:                             # interface: if_os and if_hardware
            body = body[:8] + without(body[8:], (12, 15))
        out += block(kind, body)
        at += size
    open(target, "wb").write(out)


def malformed(directory, source, *more):
    os.makedirs(directory, exist_ok=True)

    def save(name, data):
        open(os.path.join(directory, name), "wb").write(data)

    capture = Capture(source)
    raw = open(source, "rb").read()
    whole = 24 + sum(16 + len(packet[3]) for packet in capture.packets[:40])
    save("truncated-in-packet.pcap", raw[:whole + 16 + 20])     # 40 packets, then 20 bytes of the next
    save("truncated-in-header.pcap", raw[:whole + 7])           # 40 packets, then 7 bytes of a record header
    save("truncated-file-header.pcap", raw[:11])
    save("empty.pcap", b"")
    save("no-packets.pcap", raw[:24])
    save("foreign.pcap", b"This is a text, not a capture.\nA program that reads it has to say so.\n" * 3)
    save("huge-record.pcap", raw[:24] + struct.pack("<IIII", 1, 0, 0x7FFFFFFF, 0x7FFFFFFF) + b"x" * 100)

    # From here on with packets of all sources, so that every encapsulation has its turn.
    captures = [capture] + [Capture(name) for name in more]
    start = capture.packets[0][0]

    # Hostile packets: real ones with bytes changed, cut short (the original length kept) or with lengths that lie.
    rng = random.Random(7)
    result = capture.like()
    for _ in range(300):
        _, _, length, data = rng.choice(rng.choice(captures).packets)
        data = bytearray(data)
        how = rng.randrange(4)
        if how == 0:
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(12, len(data))] = rng.randrange(256)
        elif how == 1:
            data = data[:rng.randrange(1, len(data))]
        elif how == 2:
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(12, min(len(data), 100))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            data = data[:rng.randrange(14, len(data) + 1)]
        else:
            at = rng.choice((14, 16, 18, 20, 46))
            data[at:at + 2] = struct.pack("!H", rng.randrange(65536))
        result.packets.append((start + len(result.packets) // 100, len(result.packets) % 100 * 10000,
                               max(length, len(data)), bytes(data)))
    result.write(os.path.join(directory, "hostile.pcap"))

    # One packet of each source, and every kind in the first (by what its headers' types are), cut after every byte.
    result, seen = capture.like(), set()
    for number, one in enumerate(captures):
        for _, _, length, data in one.packets:
            kind = 23 if data[12:14] == b"\x08\x00" else 20 if data[12:14] == b"\x86\xdd" else 12
            shape = (number if number else data[12:14], 0 if number else data[kind])
            if shape in seen or len(data) < 80:
                continue
            seen.add(shape)
            for size in range(1, min(len(data), 104)):
                at = len(result.packets)
                result.packets.append((start + at // 100, at % 100 * 10000, length, data[:size]))
    result.write(os.path.join(directory, "every-length.pcap"))


COMMANDS = {"link": link, "swap-endian": swap_endian, "reverse-fragments": reverse_fragments, "swap-hello": swap_hello,
            "timeouts": timeouts, "plain-section": plain_section, "malformed": malformed}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
