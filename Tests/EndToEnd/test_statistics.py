"""flowstats, qos and rtt over every capture, against numbers that are put together here from what tshark says of each packet.

Compared are flows whose packets martlet and tshark count alike: not those in tunnels, of fragments, or cut in two by a new SYN.
"""
import math
import statistics
from collections import defaultdict
from itertools import pairwise

import pytest
from harness import captures, have, run, tshark

FIELDS = [
    "frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "udp.srcport",
    "udp.dstport", "ip.len", "ipv6.plen", "tcp.flags", "ip.dsfield", "ipv6.tclass", "ipv6.flow", "tcp.stream",
    "tcp.analysis.initial_rtt", "tcp.analysis.retransmission", "tcp.analysis.out_of_order", "tcp.analysis.zero_window",
    "tcp.analysis.keep_alive", "frame.number",
]
#: Both programs take their time to open a file; what they say is the same in each test.
PLUGINS = "flowstats,qos,rtt"
LONG = ["--active-timeout", "10000000", "--inactive-timeout", "10000000"]
FLAGS = ["Fin", "Syn", "Rst", "Psh", "Ack", "Urg", "Ece", "Cwr"]

pytestmark = pytest.mark.skipif(not have("tshark"), reason="needs tshark")


def number(text):
    return int(text, 0) if text else 0


def packets_of(path):
    """tshark's packets by the two ends of their flow: TCP and UDP that lie in one IP header."""
    flows = defaultdict(list)
    tunnelled = set()
    arguments = [part for field in FIELDS for part in ("-e", field)]
    for line in tshark(path, "-Tfields", "-Eseparator=|", *arguments):
        cells = line.split("|")
        if len(cells) != len(FIELDS):
            continue
        packet = dict(zip(FIELDS, cells))
        protocol = "tcp" if packet["tcp.srcport"] else "udp"
        source, target = (packet["ip.src"] or packet["ipv6.src"], packet["ip.dst"] or packet["ipv6.dst"])
        ends = [(source, packet[f"{protocol}.srcport"]), (target, packet[f"{protocol}.dstport"])]
        if not ends[0][1]:
            continue
        key = (protocol, frozenset(ends))
        if any("," in cell for cell in cells) or (packet["ip.src"] and packet["ipv6.src"]):
            tunnelled.add(key)
            continue
        packet["source"] = ends[0]
        packet["time"] = int(packet["frame.time_epoch"].replace(".", "")) // 1000
        packet["length"] = number(packet["ip.len"]) or number(packet["ipv6.plen"]) + 40
        packet["class"] = number(packet["ip.dsfield"] or packet["ipv6.tclass"])
        packet["label"] = number(packet["ipv6.flow"])
        packet["flags"] = number(packet["tcp.flags"]) & 0xFF
        flows[key].append(packet)
    return {key: packets for key, packets in flows.items() if key not in tunnelled}


_matched = {}


def matched(path):
    """(record, all packets, the source's, the destination's) of the flows that both programs see alike."""
    if path not in _matched:
        result = run("--plugins", PLUGINS, *LONG, "--pcap", path, "--export", "json:-")
        records = defaultdict(list)
        for record in result.records if result.status == 0 else []:
            protocol = {6: "tcp", 17: "udp"}.get(record["iana:protocolIdentifier"])
            version = "6" if "iana:sourceIPv6Address" in record else "4"
            ends = [
                (record[f"iana:{side}IPv{version}Address"], str(record[f"iana:{side}TransportPort"]))
                for side in ("source", "destination")]
            records[protocol, frozenset(ends)].append((record, ends))
        flows = packets_of(path)
        found = []
        for key, packets in flows.items():
            if len(records[key]) != 1:
                continue
            record, ends = records[key][0]
            there = [packet for packet in packets if packet["source"] == ends[0]]
            back = [packet for packet in packets if packet["source"] != ends[0]]
            if (record["iana:packetDeltaCount"], record["iana@reverse:packetDeltaCount"]) == (len(there), len(back)):
                found.append((record, packets, there, back))
        _matched[path] = found
    return _matched[path]


#: Not those made to be wrong, nor those of many flows of a packet: tshark takes its time.
SOURCES = [path for path in captures() if not {"malformed", "hostile"} & set(path.parts) and path.stat().st_size < 1_000_000]


def everything():
    return [flow for path in SOURCES for flow in matched(path)]


def moments(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0
    return (min(values, default=0), statistics.fmean(values) if values else 0, deviation, max(values, default=0))


def gaps_of(packets):
    """Between each packet and the latest before it: 0 where the capture goes back in time."""
    gaps, latest = [], None
    for packet in packets:
        if latest is not None:
            gaps.append(max(0, packet["time"] - latest))
        latest = max(packet["time"], latest or 0)
    return gaps


def test_flow_statistics_are_those_of_the_packets():
    flows = everything()
    assert len(flows) > 300
    for record, packets, there, back in flows:
        for prefix, registered, part in (
                ("martlet:", "iana:", there), ("martlet@reverse:", "iana@reverse:", back), ("martlet:biflow", None, packets)):
            def name(text, prefix=prefix):
                return prefix + (text[0].upper() + text[1:] if prefix.endswith("biflow") else text)

            for kind, values in (("IpTotalLength", [packet["length"] for packet in part]), ("PacketGap", gaps_of(part))):
                for word, value in zip(("minimum", "mean", "deviation", "maximum"), moments(values)):
                    own = registered and kind == "IpTotalLength" and word in ("minimum", "maximum")
                    found = record[registered + word + kind if own else name(word + kind)]
                    assert math.isclose(found, value, rel_tol=2e-6, abs_tol=1e-3), (kind, word, found, value, packets[0])
            for bit, flag in enumerate(FLAGS):
                own = registered and bit < 6
                found = record[f"{registered}tcp{flag}TotalCount" if own else name(f"tcp{flag}TotalCount")]
                assert found == sum(packet["flags"] >> bit & 1 for packet in part), (flag, packets[0])


def test_traffic_classes_are_those_of_the_packets():
    flows = everything()
    for record, _, there, back in flows:
        for side, part in (("", there), ("@reverse", back)):
            classes = [packet["class"] for packet in part]
            assert record[f"iana{side}:ipDiffServCodePoint"] == (classes[0] >> 2 if classes else 0)
            points = sum(1 << point for point in {value >> 2 for value in classes})
            assert record[f"martlet{side}:ipDiffServCodePoints"] == points
            codes = sum(1 << code for code in {value & 3 for value in classes})
            assert record[f"martlet{side}:ipCongestionNotificationCodes"] == codes
            assert record[f"martlet{side}:ipCongestionExperiencedCount"] == sum(value & 3 == 3 for value in classes)
            labels = [packet["label"] for packet in part]
            assert record[f"iana{side}:flowLabelIPv6"] == (labels[0] if labels else 0)
            assert record[f"martlet{side}:flowLabelIPv6ChangeCount"] == sum(a != b for a, b in pairwise(labels))
    assert any(record["iana:flowLabelIPv6"] for record, *_ in flows)
    assert sum(record["iana:ipDiffServCodePoint"] != 0 for record, *_ in flows) > 10


#: Flows of which tshark's time of the handshake is another one, by capture, with the reason.
OTHER_HANDSHAKES = {
    "http_asymmetric.pcapng": "one direction alone, which tshark measures by itself",
    "tls_1.3_unidirectional_client.pcapng": "one direction alone",
    "tls_with_huge_ch.pcapng": "the SYN is repeated: Karn's rule",
    "fuzz-2006-06-26-2594.pcap": "damaged headers",
    "rtsp.pcap": "each packet was captured several times: martlet takes the first copy",
}


def test_handshakes_take_as_long_as_tshark_says():
    measured, other = 0, set()
    for path in SOURCES:
        for record, packets, *_ in matched(path):
            server, client = (record.get(f"martlet:handshake{side}RoundTrip") for side in ("Server", "Client"))
            times = [float(packet["tcp.analysis.initial_rtt"]) * 1e6 for packet in packets if packet["tcp.analysis.initial_rtt"]]
            if record["iana:protocolIdentifier"] != 6 or len({packet["tcp.stream"] for packet in packets}) != 1:
                continue
            if (server and client) or times:
                measured += 1
                # Of a connection that is refused the server's part is all.
                if not times or not server or abs(server + client - times[0]) > 2:
                    other.add(path.name)
    assert measured > 100
    assert other <= OTHER_HANDSHAKES.keys()


def test_repeated_and_late_segments_are_those_of_tshark():
    """Together they are the same but for a few flows; which of both a segment is, docs/elements.md says otherwise than tshark."""
    same = different = late = found_late = 0
    for record, packets, there, back in everything():
        if record["iana:protocolIdentifier"] != 6 or len({packet["tcp.stream"] for packet in packets}) != 1:
            continue
        for side, part in (("", there), ("@reverse", back)):
            again = sum(bool(packet["tcp.analysis.retransmission"] or packet["tcp.analysis.out_of_order"]) for packet in part)
            assert record[f"martlet{side}:tcpZeroWindowCount"] == sum(bool(packet["tcp.analysis.zero_window"]) for packet in part)
            found = record[f"martlet{side}:tcpRetransmissionCount"] + record[f"martlet{side}:tcpOutOfOrderCount"]
            same, different = (same + 1, different) if found == again else (same, different + 1)
            late += sum(bool(packet["tcp.analysis.out_of_order"]) for packet in part)
            found_late += record[f"martlet{side}:tcpOutOfOrderCount"]
    assert same > 500 and different <= same // 200, (same, different)
    assert late and found_late
