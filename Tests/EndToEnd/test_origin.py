"""--interface-names and --exporter-address: each record says where it comes from, in IPFIX and in lines, if it is asked."""

import ipaddress
import json
import os

import pytest
from harness import CAPTURES, NO_HUGE, TWO_QUEUES, Live, Session, file_messages, is_root, offline, run

DEMO = CAPTURES / "demo.pcap"
#: IANA's numbers: interfaceName, exporterIPv4Address, exporterIPv6Address.
NAME, IPV4, IPV6 = (0, 82), (0, 130), (0, 131)
KEYS = {NAME: "iana:interfaceName", IPV4: "iana:exporterIPv4Address", IPV6: "iana:exporterIPv6Address"}


def exported(tmp_path, *options):
    """The records of both kinds of output."""
    out, lines = tmp_path / "out.ipfix", tmp_path / "out.json"
    result = run(*options, "--export", f"ipfix:{out}", "--export", f"json:{lines}", "--pcap", DEMO, CAPTURES / "ipv6.pcap")
    assert result.status == 0, result.err
    session = Session()
    for message in file_messages(out):
        session.message(message)
    return session.records, [json.loads(line) for line in open(lines)]


@pytest.mark.parametrize("more", [[], ["--uniflow"], ["--plugins", "pstats,vlan", "--tunnels", "all"]],
                         ids=["", "uniflow", "plugins"])
@pytest.mark.parametrize("options,expected", [
    ([], {}),
    (["--interface-names"], {NAME: "pcap"}),
    (["--exporter-address", "192.0.2.7"], {IPV4: "192.0.2.7"}),
    (["--exporter-address", "2001:db8::7", "--interface-names"], {IPV6: "2001:db8::7", NAME: "pcap"}),
])
def test_records_say_where_they_come_from(tmp_path, options, expected, more):
    messages, records = exported(tmp_path, *options, *more)
    plain = exported(tmp_path, *more)[1]
    assert len(messages) == len(records) == len(plain) > 0
    for message, record, before in zip(messages, records, plain):
        shown = {
            element: message[element].decode() if element == NAME else str(ipaddress.ip_address(message[element]))
            for element in KEYS if element in message}
        assert shown == expected == {element: record[key] for element, key in KEYS.items() if key in record}
        assert {key: value for key, value in record.items() if key not in KEYS.values()} == before


def test_tables_have_a_column_for_each(tmp_path):
    out = tmp_path / "out.csv"
    assert run("--interface-names", "--exporter-address", "192.0.2.7", "--export", f"csv:{out}", "--pcap", DEMO).status == 0
    heading, *rows = (line.split(",") for line in out.read_text().splitlines())
    places = [heading.index(KEYS[element]) for element in (NAME, IPV4)]
    assert rows and {tuple(row[place] for place in places) for row in rows} == {("pcap", "192.0.2.7")}
    short = run("--interface-names", "--csv-names", "short", "--export", "csv:-", "--pcap", DEMO).out.decode()
    assert "interfaceName" in short.splitlines()[0].split(",")


def test_the_probes_address_is_not_anonymised():
    records = offline(DEMO, options=["--exporter-address", "192.0.2.7", "--anonymise", "truncate:0,0"]).records
    assert {record[KEYS[IPV4]] for record in records} == {"192.0.2.7"}


def test_declarations_have_them():
    declared = run("--print-schema", "json-schema", "--interface-names", "--exporter-address", "::1").out.decode()
    assert KEYS[NAME] in declared and KEYS[IPV6] in declared and KEYS[IPV4] not in declared


@pytest.mark.parametrize("value", ["", "localhost", "192.0.2", "192.0.2.256", "2001:db8::g", "192.0.2.1/32"])
def test_what_is_no_address_is_refused(value):
    result = run("--exporter-address", value, "--pcap", DEMO)
    assert result.status == 64 and len(result.messages) == 1 and "192.0.2.1 or 2001:db8::1" in result.messages[0]


@pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")
def test_each_port_has_its_name(tmp_path):
    """Two devices, with other packets each; the name stands beside the port's number."""
    out = tmp_path / "out.json"
    devices = [f"--vdev=net_pcap{number},rx_pcap={CAPTURES / name}" for number, name in enumerate(["http.pcap", "dns.pcap"])]
    options = ["--interface-names", "--export", f"json:{out}", "--stats", "0.1"]
    with Live(devices, options, lcores=TWO_QUEUES, mem=NO_HUGE) as live:
        counts = [offline(CAPTURES / name).counters["received"] for name in ("http.pcap", "dns.pcap")]
        live.wait_received(sum(counts))
        assert live.stop() == 0, live.text()
    records = [json.loads(line) for line in open(out)]
    named = {(record["iana:ingressInterface"], record[KEYS[NAME]]) for record in records}
    assert named == {(1, "net_pcap0"), (2, "net_pcap1")}
    ports = {record[KEYS[NAME]]: set() for record in records}
    for record in records:
        ports[record[KEYS[NAME]]] |= {record["iana:sourceTransportPort"], record["iana:destinationTransportPort"]}
    assert 80 in ports["net_pcap0"] and 53 in ports["net_pcap1"] and 53 not in ports["net_pcap0"]
