"""Every column of the schemas against a plain implementation over packets that dpkt reads."""

import math

import pytest

import plain
from conftest import CAPTURES, json_records
import itertools

martlet = pytest.importorskip("martlet")
pytest.importorskip("dpkt")

#: Captures without tunnels, fragments and timeouts, and without QUIC, whose plugin ends flows: plain.py's flows are martlet's.
NAMES = ["tls13", "tls12", "tls-legacy", "http", "tcp", "udp", "dns", "ipv6", "smtp", "mqtt", "starttls", "retransmit",
         "wireguard", "openvpn", "openvpn-tcp", "vlan"]
#: TCP's flags with their bits (RFC 9293, section 3.1).
FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}


def key(row, names):
    return tuple(row[name] for name in names)


def pairs(name, schema, names):
    """(row, flow) for each flow of a capture; the last of the names is the start's column."""
    *names, start = names
    flows = sorted(plain.read(CAPTURES / f"{name}.pcap"), key=lambda flow: (flow.key, flow.packets[0].time))
    rows = martlet.flows(CAPTURES / f"{name}.pcap", schema=schema).to_arrow().to_pylist()
    rows.sort(key=lambda row: (key(row, names), row[start]))
    assert [key(row, names) for row in rows] == [flow.key for flow in flows], "the flows themselves"
    return list(zip(rows, flows))


def near(value, expected):
    return value == pytest.approx(expected, rel=2e-6, abs=1e-9)


# DataZoo

DATAZOO_KEY = ["SRC_IP", "DST_IP", "SRC_PORT", "DST_PORT", "PROTOCOL", "TIME_FIRST"]


@pytest.mark.parametrize("name", NAMES)
def test_datazoo(name):
    for row, flow in pairs(name, "datazoo", DATAZOO_KEY):
        packets = plain.sequence(flow, skip_repeated=True)
        times = [packet.time // 1_000_000 for packet in packets]
        gaps = [0] * bool(times) + [later - earlier for earlier, later in itertools.pairwise(times)]
        directions = [packet.direction for packet in packets]
        assert row["PPI"] == [
            gaps, directions, [packet.payload for packet in packets], [packet.flags >> 3 & 1 for packet in packets]]
        assert row["PPI_LEN"] == len(packets)
        assert near(row["PPI_DURATION"], (times[-1] - times[0]) / 1000 if times else 0)
        # A roundtrip is a request and its response, of which the last may be missing.
        turns = [direction for number, direction in enumerate(directions) if number == 0 or direction != directions[number - 1]]
        assert row["PPI_ROUNDTRIPS"] == len(turns) // 2
        ends = [flow.packets[0].time, flow.packets[-1].time]
        # Without pandas a time is a datetime, which ends at microseconds; these captures have no more.
        assert [round(row[column].timestamp() * 1e6) for column in ("TIME_FIRST", "TIME_LAST")] == [end // 1000 for end in ends]
        assert near(row["DURATION"], (ends[1] - ends[0]) / 1e9)
        for suffix, direction in (("", 1), ("_REV", -1)):
            assert row[f"PACKETS{suffix}"] == len(flow.of(direction))
            assert row[f"BYTES{suffix}"] == sum(packet.octets for packet in flow.of(direction))
            for flag, bit in FLAGS.items():
                assert row[f"FLAG_{flag}{suffix}"] == bool(flow.bits(direction) & bit), flag
        histograms = plain.histograms(flow)
        found = [row[f"PHIST_{side}_{what}"] for what in ("SIZES", "IPT") for side in ("SRC", "DST")]
        assert found == (histograms or [None] * 4)
        closed = bool((flow.bits(1) | flow.bits(-1)) & 5)
        reasons = [row[f"FLOW_ENDREASON_{reason}"] for reason in ("IDLE", "ACTIVE", "END", "OTHER")]
        assert reasons == [False, False, closed, not closed]


def test_datazoo_names():
    path = CAPTURES / "tls13.pcap"
    rows = martlet.flows(path, schema="datazoo").to_arrow().to_pylist()
    records = {record["iana:sourceTransportPort"]: record for record in json_records(path, "--plugins", "tls")}
    assert len(rows) == len(records) == 8
    for row in rows:
        record = records[row["SRC_PORT"]]
        assert row["TLS_SNI"] == (record["cesnet:TLSSNI"] or None)
        assert "0x" + row["TLS_JA3"] == record["flowmon:tlsJa3Fingerprint"]
    rows = martlet.flows(CAPTURES / "quic.pcap", schema="datazoo").to_arrow().to_pylist()
    names = [record.get("cesnet:quicSNI") or None for record in json_records(CAPTURES / "quic.pcap", "--plugins", "quic")]
    assert sorted(map(str, (row["QUIC_SNI"] for row in rows))) == sorted(map(str, names)) and any(names)


# nfstream

NFSTREAM_KEY = ["src_ip", "dst_ip", "src_port", "dst_port", "protocol", "bidirectional_first_seen_ms"]
WAYS = {"bidirectional": (1, -1), "src2dst": (1,), "dst2src": (-1,)}


@pytest.mark.parametrize("name", NAMES)
def test_nfstream(name):
    for row, flow in pairs(name, "nfstream", NFSTREAM_KEY):
        for way, directions in WAYS.items():
            packets = [packet for packet in flow.packets if packet.direction in directions]
            count, total, *sizes = plain.summary([packet.octets for packet in packets])
            assert (row[f"{way}_packets"], row[f"{way}_bytes"]) == (count, total)
            shown = [row[f"{way}_{part}_ps"] for part in ("min", "max", "mean", "stddev")]
            assert shown == pytest.approx(sizes, rel=2e-6), way
            _, _, *gaps = plain.summary([gap / 1000 for gap in plain.microsecond_gaps(packets)])
            shown = [row[f"{way}_{part}_piat_ms"] for part in ("min", "max", "mean", "stddev")]
            assert shown == pytest.approx(gaps, rel=1e-5, abs=1e-6), way
            for flag, bit in FLAGS.items():
                assert row[f"{way}_{flag.lower()}_packets"] == sum(bool(packet.flags & bit) for packet in packets)
            noted = plain.sequence(flow, zeros=True)
            if way == "dst2src" and not any(packet.direction < 0 for packet in noted):
                assert row["dst2src_first_seen_ms"] is None and row["dst2src_last_seen_ms"] is None
                continue
            first, last = packets[0].time // 1_000_000, packets[-1].time // 1_000_000
            assert row[f"{way}_first_seen_ms"] == first
            # A direction's length is its mean gap times their number, in single precision.
            assert abs(row[f"{way}_last_seen_ms"] - last) <= (way != "bidirectional")
            assert abs(row[f"{way}_duration_ms"] - (last - first)) <= 2 * (way != "bidirectional")
        padding = [-1] * (30 - len(noted))
        assert row["splt_direction"] == [int(packet.direction < 0) for packet in noted] + padding
        assert row["splt_ps"] == [packet.payload for packet in noted] + padding
        gaps = [0] * bool(noted) + [gap / 1000 for gap in plain.microsecond_gaps(noted)]
        assert row["splt_piat_ms"] == pytest.approx(gaps + padding)
        assert row["ip_version"] == (6 if ":" in row["src_ip"] else 4)
        assert row["src_oui"] == row["src_mac"][:8]
        assert row["expiration_id"] == 0


# CICFlowMeter

CIC_KEY = ["Src IP", "Dst IP", "Src Port", "Dst Port", "Protocol", "Timestamp"]


@pytest.mark.parametrize("name", NAMES)
def test_cicflowmeter(name):
    for row, flow in pairs(name, "cicflowmeter", CIC_KEY):
        duration = (flow.packets[-1].time - flow.packets[0].time) // 1000
        assert row["Flow ID"] == "-".join(map(str, flow.key))
        assert row["Flow Duration"] == duration
        noted = plain.sequence(flow, limit=255, zeros=True)
        whole = len(noted) == len(flow.packets)
        ways = {"Fwd": flow.of(1), "Bwd": flow.of(-1)}
        payloads = {way: plain.summary([packet.payload for packet in packets]) for way, packets in ways.items()}
        payloads["all"] = plain.summary([packet.payload for packet in flow.packets])

        def payload(column, expected, whole=whole, row=row):
            """A column about payloads, which needs all packets."""
            assert row[column] is None if not whole else near(row[column], expected), column

        assert row["Total Fwd Packet"] == len(ways["Fwd"]) and row["Total Bwd packets"] == len(ways["Bwd"])
        for way, (count, total, minimum, maximum, mean, deviation) in payloads.items():
            if way == "all":
                continue
            payload(f"Total Length of {way} Packet", total)
            payload(f"{way} Packet Length Max", maximum)
            payload(f"{way} Packet Length Min", minimum)
            payload(f"{way} Packet Length Mean", mean)
            payload(f"{way} Packet Length Std", deviation)
            payload(f"{way} Segment Size Avg", mean)
            assert near(row[f"{way} Packets/s"], count * 1e6 / duration if duration else 0)
        _, total, minimum, maximum, mean, deviation = payloads["all"]
        payload("Packet Length Min", minimum)
        payload("Packet Length Max", maximum)
        payload("Packet Length Mean", mean)
        payload("Packet Length Std", deviation)
        payload("Packet Length Variance", deviation**2)
        payload("Average Packet Size", mean)
        if duration:
            payload("Flow Bytes/s", total * 1e6 / duration)
            assert near(row["Flow Packets/s"], len(flow.packets) * 1e6 / duration)
        else:
            assert row["Flow Bytes/s"] is None and row["Flow Packets/s"] is None
        for way, packets in {"Flow": flow.packets, **ways}.items():
            _, total, minimum, maximum, mean, deviation = plain.summary(plain.microsecond_gaps(packets))
            shown = [row[f"{way} IAT {part}"] for part in ("Min", "Max", "Mean", "Std")]
            assert shown == pytest.approx([minimum, maximum, mean, deviation], rel=1e-5, abs=1e-3)
            if way != "Flow":
                assert row[f"{way} IAT Total"] == pytest.approx(total, rel=1e-6, abs=1)
        for flag, bit in FLAGS.items():
            assert row[f"{flag} Flag Count"] == sum(bool(packet.flags & bit) for packet in flow.packets)
        for way, packets in ways.items():
            for flag, bit in (("PSH", 8), ("URG", 32)):
                assert row[f"{way} {flag} Flags"] == sum(bool(packet.flags & bit) for packet in packets)
        assert near(row["Down/Up Ratio"], len(ways["Bwd"]) / len(ways["Fwd"]))
        gaps = plain.microsecond_gaps(flow.packets)
        subflows = 1 + sum(gap > 1_000_000 for gap in gaps)
        for way, packets in ways.items():
            payload(f"Subflow {way} Packets", len(packets) / subflows)
            payload(f"Subflow {way} Bytes", payloads[way][1] / subflows)
        for column, way in (("FWD Init Win Bytes", "Fwd"), ("Bwd Init Win Bytes", "Bwd")):
            assert row[column] == (ways[way][0].window if ways[way] else 0)
        payload("Fwd Act Data Pkts", sum(packet.payload > 0 for packet in ways["Fwd"]))
        active, idle, begun = [], [], 0
        for number, gap in enumerate(gaps):
            if gap > 5_000_000:
                idle.append(gap)
                if (length := (flow.packets[number].time - flow.packets[begun].time) // 1000) > 0:
                    active.append(length)
                begun = number + 1
        for column, values in (("Active", active), ("Idle", idle)):
            _, _, minimum, maximum, mean, deviation = plain.summary(values)
            for part, expected in (("Min", minimum), ("Max", maximum), ("Mean", mean), ("Std", deviation)):
                payload(f"{column} {part}", expected)


def test_activity_and_subflows(tmp_path):
    """A flow whose pauses are made by hand: 2 s after the second packet, 7 s after the fourth, 6 s after the fifth."""
    import dpkt

    path = tmp_path / "pauses.pcap"
    moments = [0, 0.5, 2.5, 3.0, 10.0, 16.0, 16.25]
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for moment in moments:
            datagram = dpkt.udp.UDP(sport=1000, dport=2000, ulen=18, data=b"0123456789")
            packet = dpkt.ip.IP(src=b"\x0a\x00\x00\x01", dst=b"\x0a\x00\x00\x02", p=17, ttl=64, data=datagram)
            packet.len = len(packet)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet, type=0x0800)), ts=1_700_000_000 + moment)
    (row,) = martlet.flows(path, schema="cicflowmeter").to_arrow().to_pylist()
    # Active from 0 to 3 s, then for an instant at 10 s, which is none; idle for 7 and for 6 s.
    assert [row[f"Active {part}"] for part in ("Mean", "Std", "Max", "Min")] == [3e6, 0, 3e6, 3e6]
    assert [row[f"Idle {part}"] for part in ("Mean", "Max", "Min")] == [6.5e6, 7e6, 6e6]
    assert near(row["Idle Std"], 1e6 / math.sqrt(2))
    # Pauses of more than a second: 2, 7 and 6 s.
    assert row["Subflow Fwd Packets"] == 7 / 4 and row["Subflow Fwd Bytes"] == 70 / 4


def test_a_long_flow_has_no_columns_about_payloads(tmp_path):
    import dpkt

    path = tmp_path / "long.pcap"
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number in range(300):
            datagram = dpkt.udp.UDP(sport=1000, dport=2000, ulen=18, data=b"0123456789")
            packet = dpkt.ip.IP(src=b"\x0a\x00\x00\x01", dst=b"\x0a\x00\x00\x02", p=17, ttl=64, data=datagram)
            packet.len = len(packet)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet, type=0x0800)), ts=1_700_000_000 + number / 100)
    (row,) = martlet.flows(path, schema="cicflowmeter").to_arrow().to_pylist()
    assert row["Total Fwd Packet"] == 300 and row["Total Length of Fwd Packet"] is None and row["Active Mean"] is None
    assert row["Fwd IAT Mean"] == pytest.approx(10_000, rel=1e-5)


def test_there_is_no_such_schema():
    with pytest.raises(martlet.InvalidOption, match="datazoo, nfstream, cicflowmeter"):
        martlet.flows(CAPTURES / "dns.pcap", schema="zeek")


def test_a_schema_needs_its_plugins_options():
    with pytest.raises(martlet.InvalidOption, match="needs pstats:packets=255"):
        martlet.flows(CAPTURES / "dns.pcap", plugins="pstats:packets=10", schema="cicflowmeter")


@pytest.mark.parametrize("option", [{"names": "full"}, {"addresses": "binary"}, {"uniflow": True}])
def test_options_that_do_not_go_with_a_schema(option):
    with pytest.raises(martlet.InvalidOption, match="does not go with schema="):
        martlet.flows(CAPTURES / "dns.pcap", schema="datazoo", **option)


@pytest.mark.parametrize("schema", ["datazoo", "nfstream", "cicflowmeter"])
def test_the_columns_of_no_flow(schema, tmp_path):
    """A capture without a packet has the same columns with the same types."""
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((CAPTURES / "dns.pcap").read_bytes()[:24])
    none = martlet.flows(empty, schema=schema).to_arrow()
    some = martlet.flows(CAPTURES / "dns.pcap", schema=schema).to_arrow()
    assert none.num_rows == 0 and some.num_rows > 0
    assert none.schema == some.schema
