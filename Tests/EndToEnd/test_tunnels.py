"""Tunnels: what is inside makes the flow, as tshark sees it, whatever carries it.

Real traffic is put into each kind of tunnel by hand, from the RFCs; the flows must be those of the traffic itself, and those that
tshark finds innermost in the encapsulated capture.
"""
import collections
import contextlib
import ipaddress
import json
import struct
import subprocess
import sys
from collections import Counter

import pytest
from harness import (
    CAPTURES, Live, have, is_root, offline, read_pcap, run, stats_lines, tshark, unaccounted, write_pcap)
from test_live import EARLY, namespace

#: Real traffic: TCP with TLS, UDP, IPv6.
TRAFFIC = ["tls13.pcap", "udp.pcap", "ipv6.pcap", "dns.pcap"]
ENDS4 = bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2])
ENDS6 = ipaddress.ip_address("fd09::1").packed, ipaddress.ip_address("fd09::2").packed
OUTER = bytes.fromhex("020000000901") + bytes.fromhex("020000000902")


def ipv4(protocol, payload):
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + b"".join(ENDS4) + payload


def ipv6(protocol, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + b"".join(ENDS6) + payload


def udp(source, destination, payload):
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def ether(kind, payload):
    return OUTER + struct.pack("!H", kind) + payload


def over4(protocol, payload):
    return ether(0x0800, ipv4(protocol, payload))


def over6(protocol, payload):
    return ether(0x86DD, ipv6(protocol, payload))


def kind_of(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def datagram(port, header, source=50000):
    """A tunnel in UDP: what `header` makes of a frame."""
    return lambda frame: over4(17, udp(source, port, header + frame))


def gtpu(frame, extended=True):
    packet = frame[14:]
    rest = (bytes([0, 0, 0, 0x85, 1, 0x10, 9, 0]) if extended else b"") + packet
    head = struct.pack("!BBHI", 0x34 if extended else 0x30, 255, len(rest), 0x00ABCDEF)
    return over4(17, udp(2152, 2152, head + rest))


def erspan2(frame):
    return over4(47, struct.pack("!HHI", 0x1000, 0x88BE, 1) + struct.pack("!HHI", 0x1005, 0x0155, 0) + frame)


def erspan3(frame):
    return over4(47, struct.pack("!HHI", 0x1000, 0x22EB, 1) + struct.pack("!HHIHH", 0x2005, 0x0155, 9, 0, 0) + frame)


#: tshark has to be told what no packet says: a sublayer of 4 bytes, no cookie, Ethernet.
L2TP = ["-o", "l2tp.cookie_size:None", "-o", "l2tp.l2_specific:Default L2-Specific", "-d", "l2tp.pw_type==0,eth"]

#: Name of a case: kind, its number, whether the traffic inside is "frames", "packets", "4" or "6"; the wrapping; what tshark has
#: to be told.
Case = collections.namedtuple("Case", "kind number inside wrap tshark", defaults=[()])
CASES = {
    "gre": Case("gre", None, "packets", lambda f: over4(47, struct.pack("!HH", 0, kind_of(f[14:])) + f[14:])),
    "gre-key": Case("gre", 77, "packets", lambda f: over4(47, struct.pack("!HHI", 0x2000, kind_of(f[14:]), 77) + f[14:])),
    "gre-eth": Case("gre", None, "frames", lambda f: over4(47, struct.pack("!HH", 0, 0x6558) + f)),
    "gre-over-ipv6": Case("gre", 78, "packets", lambda f: over6(47, struct.pack("!HHI", 0x2000, kind_of(f[14:]), 78) + f[14:])),
    "nvgre": Case("nvgre", 0x123456, "frames", lambda f: over4(47, struct.pack("!HHI", 0x2000, 0x6558, 0x12345601) + f)),
    "nvgre-over-ipv6": Case("nvgre", 5, "frames", lambda f: over6(47, struct.pack("!HHI", 0x2000, 0x6558, 0x00000502) + f)),
    "erspan1": Case("erspan", None, "frames", lambda f: over4(47, struct.pack("!HH", 0, 0x88BE) + f)),
    "erspan2": Case("erspan", 0x155, "frames", erspan2),
    "erspan3": Case("erspan", 0x155, "frames", erspan3),
    "ipip": Case("ipip", None, "4", lambda f: over4(4, f[14:])),
    "4in6": Case("ipip", None, "4", lambda f: over6(4, f[14:])),
    "6in6": Case("ipip", None, "6", lambda f: over6(41, f[14:])),
    "6in4": Case("6in4", None, "6", lambda f: over4(41, f[14:])),
    "vxlan": Case("vxlan", 4711, "frames", datagram(4789, struct.pack("!II", 0x08000000, 4711 << 8))),
    "vxlan-8472": Case("vxlan", 4711, "frames", datagram(8472, struct.pack("!II", 0x08000000, 4711 << 8)),
                       ["-d", "udp.port==8472,vxlan"]),
    "vxlan-over-ipv6": Case("vxlan", 4712, "frames",
                            lambda f: over6(17, udp(50000, 4789, struct.pack("!II", 0x08000000, 4712 << 8) + f))),
    "vxlan-gpe": Case("vxlan-gpe", 12, "frames", datagram(4790, struct.pack("!II", 0x0C000003, 12 << 8))),
    "vxlan-gpe-ip": Case("vxlan-gpe", 12, "4",
                         lambda f: over4(17, udp(50000, 4790, struct.pack("!II", 0x0C000001, 12 << 8) + f[14:]))),
    "geneve": Case("geneve", 99, "frames",
                   datagram(6081, struct.pack("!BBHI", 2, 0, 0x6558, 99 << 8) + bytes([1, 2, 3, 1, 9, 9, 9, 9]))),
    "geneve-ip": Case("geneve", 99, "packets", lambda f: over4(
        17, udp(50000, 6081, struct.pack("!BBHI", 0, 0, kind_of(f[14:]), 99 << 8) + f[14:]))),
    "gtpu": Case("gtpu", 0xABCDEF, "packets", gtpu),
    "gtpu-plain": Case("gtpu", 0xABCDEF, "packets", lambda f: gtpu(f, extended=False)),
    "teredo": Case("teredo", None, "6", lambda f: over4(17, udp(50000, 3544, f[14:])), ["-d", "udp.port==3544,teredo"]),
    "l2tpv3": Case("l2tpv3", 0x1234, "frames", lambda f: over4(115, struct.pack("!II", 0x1234, 0) + f), L2TP),
    "l2tpv3-udp": Case("l2tpv3", 0x1234, "frames", datagram(1701, struct.pack("!HHII", 3, 0, 0x1234, 0), source=1701), L2TP),
    "mpls": Case("mpls", 1001, "frames", lambda f: ether(0x8847, struct.pack("!II", 1001 << 12 | 0x140, 0) + f),
                 ["-d", "mpls.label==1001,pwethcw"]),
    "pppoe": Case("pppoe", 4660, "packets", lambda f: ether(0x8864, struct.pack(
        "!BBHHH", 0x11, 0, 4660, len(f) - 12, 0x57 if f[14] >> 4 == 6 else 0x21) + f[14:])),
    "trill": Case("trill", None, "frames", lambda f: ether(0x22F3, struct.pack("!HHH", 20, 7, 8) + f)),
    "802.1ah": Case("802.1ah", 0x010203, "frames", lambda f: ether(0x88E7, bytes([0xE0, 1, 2, 3]) + f)),
    "802.1ah-tagged": Case("802.1ah", 0x010203, "frames",
                           lambda f: ether(0x88A8, struct.pack("!HH", 5, 0x88E7) + bytes([0xE0, 1, 2, 3]) + f)),
}


def traffic(inside):
    """The frames of real captures that `inside` can be of, without padding."""
    for name in TRAFFIC:
        link, packets = read_pcap(CAPTURES / name)
        assert link == 1, name
        for time, length, data in packets:
            kind = struct.unpack("!H", data[12:14])[0]
            other = {"4": 0x86DD, "6": 0x0800}.get(inside)
            if len(data) < length or kind not in (0x0800, 0x86DD) or kind == other:
                continue
            total = struct.unpack("!H", data[16:18])[0] if kind == 0x0800 else 40 + struct.unpack("!H", data[18:20])[0]
            yield time, data[:14 + total]


def capture(path, case):
    packets = sorted((time, len(data), data) for time, data in
                     ((time, case.wrap(frame)) for time, frame in traffic(case.inside)))
    write_pcap(path, 1, packets)
    return len(packets)


def conversation(source, source_port, destination, destination_port, protocol):
    return (*sorted([(source, source_port), (destination, destination_port)]), protocol)


def martlets(records):
    """Packets and octets of each conversation, both directions together."""
    sums = Counter()
    for record in records:
        version = "6" if record["iana:ipVersion"] == 6 else "4"
        key = conversation(
            record[f"iana:sourceIPv{version}Address"], record["iana:sourceTransportPort"],
            record[f"iana:destinationIPv{version}Address"], record["iana:destinationTransportPort"],
            record["iana:protocolIdentifier"])
        sums[key, "packets"] += record["iana:packetDeltaCount"] + record["iana@reverse:packetDeltaCount"]
        sums[key, "octets"] += record["iana:octetDeltaCount"] + record["iana@reverse:octetDeltaCount"]
    return sums


PROTOCOLS = {"tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
FIELDS = ["frame.protocols", "ip.src", "ip.dst", "ip.proto", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.plen",
          "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]


def tsharks(path, options):
    """The same of the innermost packets that tshark sees."""
    sums = Counter()
    lines = tshark(path, *options, "-T", "fields", "-E", "occurrence=l", *[w for f in FIELDS for w in ("-e", f)])
    for line in lines:
        value = dict(zip(FIELDS, line.split("\t"), strict=True))
        layers = value["frame.protocols"].split(":")
        last = max((n for n, layer in enumerate(layers) if layer in ("ip", "ipv6")), default=None)
        assert last is not None, line
        if layers[last] == "ip":
            source, destination, protocol = value["ip.src"], value["ip.dst"], int(value["ip.proto"])
            octets = int(value["ip.len"])
        else:
            source, destination, protocol = value["ipv6.src"], value["ipv6.dst"], int(value["ipv6.nxt"])
            octets = int(value["ipv6.plen"]) + 40
            # Extension headers come first.
            protocol = next((PROTOCOLS[layer] for layer in layers[last + 1:] if layer in PROTOCOLS), protocol)
        word = {6: "tcp", 17: "udp"}.get(protocol)
        ports = (int(value[f"{word}.srcport"]), int(value[f"{word}.dstport"])) if word else (0, 0)
        key = conversation(source, ports[0], destination, ports[1], protocol)
        sums[key, "packets"] += 1
        sums[key, "octets"] += octets
    return sums


def identifier(record):
    """The tunnel's number, from whichever element has it; nil for none."""
    for name in ("martlet:tunnelIdentifier", "iana:gtpuTEid", "iana:dot1qServiceInstanceId"):
        if name in record:
            return record[name]
    segment = record.get("iana:layer2SegmentId")
    if segment is None:
        return None
    # IANA: the encapsulation is in the first octet, 1 for VXLAN, 2 for NVGRE.
    assert segment >> 56 == {"vxlan": 1, "nvgre": 2}[record["martlet:tunnelType"]]
    return segment & 0xFFFFFF


def flows_of_traffic(inside, folder):
    path = folder / "plain.pcap"
    write_pcap(path, 1, sorted((time, len(frame), frame) for time, frame in traffic(inside)))
    return offline(path).records


@pytest.mark.parametrize("name", CASES)
def test_the_packet_inside_makes_the_flow(name, tmp_path):
    case, path = CASES[name], tmp_path / "in.pcap"
    count = capture(path, case)
    for option in ("all", case.kind):
        result = offline(path, options=["--tunnels", option])
        assert result.status == 0 and unaccounted(result.counters) == 0
        assert result.counters["tunnelled"] == count == result.counters["packets_in_flows"], result.counters
        records = result.records
        assert {r["martlet:tunnelType"] for r in records} == {case.kind}
        assert {identifier(r) for r in records} == {case.number}
        # A flow for each that the traffic has, of as many packets and octets.
        plain = flows_of_traffic(case.inside, tmp_path)
        assert len(records) == len(plain) and martlets(records) == martlets(plain)
    if have("tshark"):
        assert martlets(records) == tsharks(path, case.tshark)


@pytest.mark.parametrize("name", CASES)
def test_closed_tunnels_are_what_carries_them(name, tmp_path):
    case, path = CASES[name], tmp_path / "in.pcap"
    count = capture(path, case)
    others = [word for word in names_of_tunnels() if word != case.kind]
    for option in ("none", ",".join(others)):
        # GRE with a key around Ethernet is NVGRE where that is opened, else GRE.
        if option != "none" and case.kind == "nvgre":
            continue
        counters = offline(path, options=["--tunnels", option]).counters
        is_carried = case.kind not in ("mpls", "pppoe", "trill", "802.1ah")
        assert counters["tunnelled"] == 0 and counters["not_IP" if not is_carried else "packets_in_flows"] == count


def names_of_tunnels():
    return [line.split()[0] for line in run("--list-tunnels").out.decode().splitlines()[1:]]


def test_the_list_has_every_case():
    assert set(names_of_tunnels()) == {case.kind for case in CASES.values()}


@pytest.mark.parametrize("name", ["vxlan", "gre-key", "geneve", "gtpu", "ipip", "6in6", "pppoe"])
def test_which_packet_makes_the_flow(name, tmp_path):
    case, path = CASES[name], tmp_path / "in.pcap"
    count = capture(path, case)
    inner, outer, both = (
        offline(path, options=["--tunnels", "all", "--tunnel-records", word]) for word in ("inner", "outer", "both"))
    assert all(unaccounted(result.counters) == 0 for result in (inner, outer, both))
    carried = name != "pppoe"
    assert both.counters["outer_packets"] == (count if carried else 0)
    assert martlets(both.records) == martlets(inner.records) + (martlets(outer.records) if carried else Counter())
    if not carried:
        assert martlets(outer.records) == martlets(inner.records)
        return
    for record in outer.records:
        version = 6 if name == "6in6" else 4
        assert record[f"iana:sourceIPv{version}Address"] in ("10.9.0.1", "fd09::1")
        assert record["martlet:tunnelType"] == case.kind and identifier(record) == case.number


def test_a_record_for_each_direction(tmp_path):
    path = tmp_path / "in.pcap"
    client, server = next(traffic("4"))[1], None
    swapped = client[:26] + client[30:34] + client[26:30] + client[36:38] + client[34:36] + client[38:]
    server = gtpu(swapped).replace(struct.pack("!I", 0xABCDEF), struct.pack("!I", 0xFEDCBA))
    write_pcap(path, 1, [((1, 0), len(gtpu(client)), gtpu(client)), ((1, 1), len(server), server)])
    [biflow] = offline(path, options=["--tunnels", "gtpu"]).records
    assert (biflow["iana:gtpuTEid"], biflow["iana@reverse:gtpuTEid"]) == (0xABCDEF, 0xFEDCBA)
    uniflows = offline(path, options=["--tunnels", "gtpu", "--uniflow"]).records
    assert [(r["iana:flowDirection"], r["iana:gtpuTEid"]) for r in uniflows] == [(0, 0xABCDEF), (1, 0xFEDCBA)]
    assert len({r["iana:flowId"] for r in uniflows}) == 1
    # Every output has as many.
    for export in ("csv:-", "text:-"):
        assert offline(path, export=export, options=["--tunnels", "gtpu", "--uniflow"]).out.count(b"gtpu") >= 2


def test_outer_addresses(tmp_path):
    path = tmp_path / "in.pcap"
    capture(path, CASES["vxlan-over-ipv6"])
    for record in offline(path, options=["--tunnels", "vxlan", "--plugins", "tunnel"]).records:
        assert record["martlet:tunnelSourceAddress"] in ("fd09::1", "0x" + ENDS6[0].hex())
        assert record["martlet:tunnelDestinationTransportPort"] == 4789
        assert record["martlet:tunnelProtocolIdentifier"] == 17 and record["martlet:tunnelDepth"] == 1


def test_tables_have_columns_for_every_tunnel(tmp_path):
    path = tmp_path / "in.pcap"
    write_pcap(path, 1, [((1, n), len(f), f) for n, f in enumerate(
        CASES[name].wrap(frame) for name in ("vxlan", "gtpu", "ipip", "mpls", "802.1ah", "gre-key")
        for _, frame in list(traffic("4"))[:1])])
    rows = offline(path, export="csv:-", options=["--tunnels", "all"]).out.decode().splitlines()
    cells = [dict(zip(rows[0].split(","), row.split(","), strict=True)) for row in rows[1:]]
    assert sorted(row["martlet:tunnelType"] for row in cells) == ["802.1ah", "gre", "gtpu", "ipip", "mpls", "vxlan"]
    assert {row["iana:gtpuTEid"] for row in cells} == {"", str(0xABCDEF)}
    assert {row["martlet:tunnelIdentifier"] for row in cells} == {"", "77", "1001"}


@pytest.mark.parametrize("words", [["--tunnels", "vxlam"], ["--tunnels", ""], ["--tunnel-records", "inside"], ["--rss", "macs"]])
def test_wrong_words_name_the_right_ones(words):
    result = run(*words, "--pcap", CAPTURES / "demo.pcap")
    assert result.status == 64 and len(result.err.decode().splitlines()) == 1


@pytest.mark.skipif(not is_root(), reason="needs root")
@pytest.mark.parametrize("kind", ["vxlan", "gre", "ipip", "sit", "ip6gre", "geneve"])
def test_linux_own_tunnels(kind, tmp_path):
    """Traffic that goes through a tunnel device of the kernel, received on the wire below it."""
    more = {"vxlan": ["id", "42", "dstport", "4789"], "geneve": ["id", "42"], "gre": ["key", "42"], "ip6gre": ["key", "42"]}
    name = {"sit": "6in4", "ip6gre": "gre"}.get(kind, kind)
    version = "6" if kind == "sit" else "4"
    out = tmp_path / "out.json"
    with namespace() as ((a, b), ip), contextlib.ExitStack() as stack:
        ip("link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b)
        for place, device, last, other in ((a, "va", 1, 2), (b, "vb", 2, 1)):
            ip("-n", place, "addr", "add", f"10.99.0.{last}/24", "dev", device)
            ip("-n", place, "addr", "add", f"fd99::{last}/64", "dev", device, "nodad")
            ip("-n", place, "link", "set", device, "up")
            ends = [f"fd99::{last}", f"fd99::{other}"] if kind == "ip6gre" else [f"10.99.0.{last}", f"10.99.0.{other}"]
            local = [] if kind == "geneve" else ["local", ends[0]]
            try:
                ip("-n", place, "link", "add", "tun0", "type", kind, *more.get(kind, []), *local, "remote", ends[1])
            except subprocess.CalledProcessError as error:
                pytest.skip(f"this kernel has no {kind}: {error.stderr.strip()}")
            ip("-n", place, "addr", "add", f"10.88.0.{last}/24" if version == "4" else f"fd88::{last}/64", "dev", "tun0",
               *([] if version == "4" else ["nodad"]))
            ip("-n", place, "link", "set", "tun0", "up")
        live = stack.enter_context(Live(
            ["--vdev=net_af_packet0,iface=vb"], ["--export", f"json:{out}", "--stats", "0.1", "--tunnels", "all", *EARLY],
            prefix=["ip", "netns", "exec", b]))
        live.wait_for(lambda: stats_lines(live.text()))
        subprocess.run(
            ["ip", "netns", "exec", a, sys.executable, "-c", SENDER, version, "10.88.0.2" if version == "4" else "fd88::2"],
            check=True, timeout=30, capture_output=True)
        live.wait_for(lambda: live.latest["in_table"] == 0 and len(inside(out)) > 0)
        assert live.stop() == 0, live.text()
        assert unaccounted(live.counters) == 0
    records = inside(out)
    assert sum(r["iana:packetDeltaCount"] for r in records) == 40
    assert {r["martlet:tunnelType"] for r in records} == {name}
    assert {identifier(r) for r in records} == ({42} if kind in more else {None})


SENDER = """
import socket, sys
s = socket.socket(socket.AF_INET6 if sys.argv[1] == '6' else socket.AF_INET, socket.SOCK_DGRAM)
for n in range(40):
    s.sendto(bytes(100), (sys.argv[2], 5555))
"""


def inside(path):
    """The records of what was sent through the tunnel."""
    text = path.read_text() if path.exists() else ""
    records = map(json.loads, text[:text.rfind("\n") + 1].splitlines())
    return [r for r in records if r.get("iana:destinationTransportPort") == 5555]
