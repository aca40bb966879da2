"""A plain implementation of what the package gives: packets read by dpkt, flows in dictionaries, statistics one by one.

It knows Ethernet, VLAN tags, IP, TCP, UDP, and no timeouts: for captures that are no longer than those.
"""

import math
import statistics
from dataclasses import dataclass, field

import dpkt
import itertools


@dataclass
class Packet:
    """One packet: nanoseconds, 1 or -1, octets of IP, octets of payload, TCP's numbers."""

    time: int
    direction: int
    octets: int
    payload: int
    flags: int
    window: int
    sequence: int
    acknowledgement: int


@dataclass
class Flow:
    """Packets in the order in which they came; the first one's sender is the source."""

    key: tuple
    packets: list = field(default_factory=list)

    def of(self, direction):
        return [packet for packet in self.packets if packet.direction == direction]

    def bits(self, direction):
        bits = 0
        for packet in self.of(direction):
            bits |= packet.flags
        return bits


def read(path):
    """The flows of a capture, in the order in which they began; their key is (source, destination, ports, protocol)."""
    flows, found = {}, []
    with open(path, "rb") as file:
        for seconds, frame in dpkt.pcap.Reader(file):
            # dpkt gives seconds as a Decimal where they have nanoseconds, else a float: microseconds are exact in both.
            time = round(seconds * 1_000_000) * 1000
            ethernet = dpkt.ethernet.Ethernet(frame)
            packet = ethernet.data
            if not isinstance(packet, (dpkt.ip.IP, dpkt.ip6.IP6)):
                continue
            _add(flows, found, time, packet)
    return found


def _add(flows, found, time, packet):
    six = isinstance(packet, dpkt.ip6.IP6)
    octets = packet.plen + 40 if six else packet.len
    headers = 40 + sum(len(header) for header in packet.all_extension_headers) if six else packet.hl * 4
    carried = octets - headers
    protocol = packet.p
    transport = packet.data
    flags = window = sequence = acknowledgement = source = destination = 0
    payload = carried
    if isinstance(transport, dpkt.tcp.TCP):
        source, destination, flags, window = transport.sport, transport.dport, transport.flags, transport.win
        sequence, acknowledgement, payload = transport.seq, transport.ack, carried - transport.off * 4
    elif isinstance(transport, dpkt.udp.UDP):
        source, destination, payload = transport.sport, transport.dport, carried - 8
    there = dpkt.utils.inet_to_str
    key = (there(packet.src), there(packet.dst), source, destination, protocol)
    back = (key[1], key[0], key[3], key[2], protocol)
    direction = -1 if back in flows and key not in flows else 1
    flow = flows.get(back if direction < 0 else key)
    # A SYN of who has said good-bye begins another flow.
    if flow is not None and flags & 2 and flow.bits(direction) & 5:
        del flows[flow.key]
        flow = None
        direction = 1
    if flow is None:
        flow = flows[key] = Flow(key)
        found.append(flow)
    flow.packets.append(Packet(time, direction, octets, payload, flags, window, sequence, acknowledgement))


def sequence(flow, limit=30, zeros=False, skip_repeated=False):
    """The packets that plugin pstats notes; none of a flow of one packet with SYN."""
    noted, seen = [], {}
    for packet in flow.packets:
        if packet.payload == 0 and not zeros:
            continue
        before = seen.get(packet.direction)
        if (
            skip_repeated and flow.key[4] == 6 and before is not None and noted
            and packet.sequence <= before.sequence and packet.acknowledgement <= before.acknowledgement
            and packet.payload == before.payload and packet.flags == before.flags
        ):
            continue
        seen[packet.direction] = packet
        if len(noted) < limit:
            noted.append(packet)
    if len(flow.packets) <= 1 and flow.bits(1) & 2:
        return []
    return noted


def bins(values):
    """Counts of values up to 15, 31, 63, … 1023, and above."""
    counts = [0] * 8
    for value in values:
        place = next((number for number in range(7) if value < 16 << number), 7)
        counts[place] += 1
    return counts


def histograms(flow):
    """Plugin phists' four histograms: sizes by direction, gaps in milliseconds by direction."""
    if len(flow.packets) <= 1 and flow.bits(1) & 2:
        return None
    sizes, gaps = [], []
    for direction in (1, -1):
        packets = [packet for packet in flow.of(direction) if packet.payload > 0]
        times = [packet.time // 1_000_000 for packet in packets]
        sizes.append(bins([packet.payload for packet in packets]))
        gaps.append(bins([max(0, later - earlier) for earlier, later in itertools.pairwise(times)]))
    return [*sizes, *gaps]


def summary(values):
    """(count, total, minimum, maximum, mean, deviation of a sample); zeros for what there is none of."""
    if not values:
        return 0, 0, 0, 0, 0, 0
    deviation = statistics.stdev(values) if len(values) > 1 else 0
    return len(values), sum(values), min(values), max(values), math.fsum(values) / len(values), deviation


def microsecond_gaps(packets):
    return [(later.time - earlier.time) // 1000 for earlier, later in itertools.pairwise(packets)]
