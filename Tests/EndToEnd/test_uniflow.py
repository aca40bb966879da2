"""A record per direction: what a biflow says in two halves, and collectors that know no biflows count all of it."""

import csv

import pytest
from harness import CAPTURES, have, json_packets_and_octets, nfacctd, nfdump, offline, tshark

PLUGINS = ["--plugins", "pstats,tls,basicplus,bstats,phists,flowhash,idpcontent"]
#: What says the same for both directions, and what the reverse one has from the other end.
MIRRORED = {
    f"iana:{there}{what}": f"iana:{here}{what}"
    for what in ("IPv4Address", "IPv6Address", "TransportPort", "MacAddress")
    for there, here in (("source", "destination"), ("destination", "source"))}
SHARED = ["flowEndReason", "flowStartMicroseconds", "flowEndMicroseconds", "ipVersion", "protocolIdentifier", "ingressInterface"]
VOLUMES = ["octetDeltaCount", "packetDeltaCount", "tcpControlBits"]


def halves(biflow):
    """The uniflows of a biflow, as the documentation describes them; flowId is flowhash's."""
    forward = {key: value for key, value in biflow.items() if "@reverse:" not in key}
    yield {**forward, "iana:flowDirection": 0}
    if biflow["iana@reverse:packetDeltaCount"] == 0:
        return
    reverse = {f"iana:{name}": biflow[f"iana:{name}"] for name in SHARED}
    reverse |= {key: biflow[other] for key, other in MIRRORED.items() if other in biflow}
    reverse |= {key.replace("@reverse:", ":"): value for key, value in biflow.items() if "@reverse:" in key}
    yield {**reverse, "iana:flowId": biflow["iana:flowId"], "iana:flowDirection": 1}


@pytest.fixture(scope="module")
def capture():
    return sorted(CAPTURES.glob("*.pcap*"))


def test_the_halves_say_what_the_biflow_says(capture):
    for path in capture:
        biflows = offline(path, options=PLUGINS)
        if biflows.status != 0:
            continue
        expected = [half for biflow in biflows.records for half in halves(biflow)]
        for options in (PLUGINS, [PLUGINS[0], PLUGINS[1].replace(",flowhash", "")]):
            result = offline(path, options=["--uniflow", *options])
            assert result.status == 0 and result.records == expected, path
        assert f"exported{len(expected):>12}".split() == next(
            line.split()[:2] for line in result.err.decode().splitlines() if line.strip().startswith("exported "))


def test_a_table_has_the_columns_of_either_half(tmp_path):
    path = CAPTURES / "tls13.pcap"
    offline(path, export=f"csv:{tmp_path}/t.csv", options=["--uniflow", *PLUGINS])
    with open(tmp_path / "t.csv", newline="") as rows:
        table = list(csv.DictReader(rows))
    records = offline(path, options=["--uniflow", *PLUGINS]).records
    assert len(table) == len(records) > 0
    for row, record in zip(table, records):
        assert not any("@reverse" in column for column in row)
        assert {key for key, value in row.items() if value} <= record.keys()
        for key in ("iana:octetDeltaCount", "iana:ipTTL", "iana:flowDirection", "iana:sourceTransportPort"):
            assert row[key] == str(record[key])


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
@pytest.mark.parametrize("plugins", [[], ["--plugins", "pstats,tls,basicplus"]])
def test_templates_are_shared_and_without_reverse_elements(tmp_path, plugins):
    out = tmp_path / "u.ipfix"
    offline(CAPTURES / "tls13.pcap", export=f"ipfix:{out}", options=["--uniflow", *plugins])
    verbose = tshark(out, "-V")
    assert not any("Reverse" in line for line in verbose)
    # One for each set of fields that occurs, however many sets of plugins and directions it comes from.
    records = offline(CAPTURES / "tls13.pcap", options=["--uniflow", *plugins]).records
    kinds = {frozenset(record) for record in records}
    assert sum(line.strip().startswith("Template (Id") for line in verbose) == len(kinds) >= 1


@pytest.mark.skipif(not have("nfcapd") or not have("nfdump"), reason="needs nfdump")
def test_nfdump_keeps_each_directions_flags(tmp_path, capture):
    path = CAPTURES / "tls13.pcap"
    flows = nfdump(tmp_path, lambda port: offline(path, export=f"udp://127.0.0.1:{port}", options=["--uniflow"]))
    records = offline(path, options=["--uniflow"]).records

    def flags(text):
        return sum(1 << "FSRPAUEC".index(letter) for letter in text if letter in "FSRPAUEC")

    shown = sorted((f["src_port"], f["dst_port"], f["in_packets"], f["in_bytes"], flags(f["tcp_flags"])) for f in flows)
    assert shown == sorted(
        (r["iana:sourceTransportPort"], r["iana:destinationTransportPort"], r["iana:packetDeltaCount"],
         r["iana:octetDeltaCount"], r["iana:tcpControlBits"]) for r in records)


@pytest.mark.skipif(not have("nfacctd"), reason="needs pmacct")
def test_pmacct_counts_both_directions(tmp_path):
    path = CAPTURES / "tls13.pcap"
    packets, octets = json_packets_and_octets(offline(path).records)
    rows = nfacctd(
        tmp_path, lambda port: offline(path, export=f"udp://127.0.0.1:{port}", options=["--uniflow"]), "tcpflags", packets)
    assert sum(int(row["PACKETS"]) for row in rows) == packets
    assert sum(int(row["BYTES"]) for row in rows) == octets


def test_interfaces_have_numbers():
    path = CAPTURES / "tls13.pcap"
    for options, number in [([], 1), (["--ingress-interface", "7"], 7), (["--ingress-interface", "0=4294967295"], 4294967295),
                            (["--ingress-interface", "7", "--ingress-interface", "0=8"], 8)]:
        records = offline(path, options=options).records
        assert {record["iana:ingressInterface"] for record in records} == {number}
    for wrong in ("0", "1=7", "x", "=", "0=", "0=0", "-1", "4294967296", "65536=1"):
        result = offline(path, options=[f"--ingress-interface={wrong}"])
        assert result.status == 64 and len(result.err.splitlines()) == 1, result.err
