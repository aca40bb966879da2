"""--mmdb: what databases know of both sides is in the records, and nothing in a database ends the program."""

import ipaddress
import json
import os
import random
import signal

import pytest
from harness import CAPTURES, NO_HUGE, Live, Session, file_messages, is_root, offline, run
from mmdb import database

DEMO = CAPTURES / "demo.pcap"
MANY = CAPTURES / "many-flows.pcap"
AS = [f"iana:bgp{side}AsNumber" for side in ("Source", "Destination")]
COUNTRY = ["martlet:sourceCountryCode", "martlet:destinationCountryCode"]
ORGANISATION = ["martlet:sourceAsOrganization", "martlet:destinationAsOrganization"]
FIELDS = [name for names in (AS, COUNTRY, ORGANISATION) for name in names]
SIDES = [("iana:sourceIPv4Address", "iana:sourceIPv6Address"), ("iana:destinationIPv4Address", "iana:destinationIPv6Address")]


def sides(record):
    """The addresses of both sides."""
    return [ipaddress.ip_address(next(record[name] for name in names if name in record)) for names in SIDES]


def autonomous(number, name):
    return {"autonomous_system_number": number, "autonomous_system_organization": name}


@pytest.fixture(scope="module")
def known():
    """What the databases say of networks that the capture has: networks -> (AS, country, organisation)."""
    records = offline(DEMO, CAPTURES / "ipv6.pcap").records
    addresses = sorted({address for record in records for address in sides(record)}, key=str)
    assert len(addresses) > 4
    found = {}
    for index, address in enumerate(addresses[::2]):
        found[str(ipaddress.ip_network(address))] = (64496 + index, "AQ" if index % 2 else "CZ", f"Example ÅS {index}")
    return found


@pytest.fixture(scope="module")
def databases(known, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mmdb")
    numbers, countries = folder / "asn.mmdb", folder / "country.mmdb"
    numbers.write_bytes(database({net: autonomous(number, name) for net, (number, _, name) in known.items()}, "GeoLite2-ASN"))
    countries.write_bytes(database({net: {"country": {"iso_code": code}} for net, (_, code, _) in known.items()}, "Country"))
    return ["--mmdb", numbers, "--mmdb", countries]


def expected(record, known):
    """The fields that a record has to have."""
    facts = [known.get(str(ipaddress.ip_network(address)), (0, "", "")) for address in sides(record)]
    if not any(fact[0] for fact in facts):
        return {}
    return dict(zip(FIELDS, [*(f[0] for f in facts), *(f[1] for f in facts), *(f[2] for f in facts)]))


def test_records_have_what_the_databases_know(known, databases):
    plain = offline(DEMO, CAPTURES / "ipv6.pcap").records
    result = offline(DEMO, CAPTURES / "ipv6.pcap", options=databases)
    assert result.status == 0 and len(plain) == len(result.records)
    some = 0
    for before, after in zip(plain, result.records):
        facts = expected(before, known)
        assert {name: after[name] for name in FIELDS if name in after} == facts
        assert {name: value for name, value in after.items() if name not in FIELDS} == before
        some += bool(facts)
    assert some > 0
    assert result.counters["looked_up"] > 0 and result.counters["database_errors"] == 0


def test_ipfix_has_a_template_with_and_one_without(tmp_path, known, databases):
    out, text = tmp_path / "out.ipfix", tmp_path / "out.json"
    one = tmp_path / "one.mmdb"
    one.write_bytes(database({next(iter(known)): autonomous(64496, "One")}))
    exports = ["--export", f"ipfix:{out}", "--export", f"json:{text}"]
    assert run("--mmdb", one, *exports, "--pcap", DEMO, CAPTURES / "ipv6.pcap").status == 0
    session = Session()
    for message in file_messages(out):
        session.message(message)
    records = [json.loads(line) for line in open(text)]
    assert len(session.records) == len(records)
    for message, record in zip(session.records, records):
        assert ((0, 16) in message) == (AS[0] in record) == ((0, 17) in message)
        if AS[0] in record:
            assert [int.from_bytes(message[0, element], "big") for element in (16, 17)] == [record[name] for name in AS]
            own = [message[32473, element].decode() for element in (90, 91, 92, 93)]
            assert own == [record[name] for name in COUNTRY + ORGANISATION]
    assert {AS[0] in record for record in records} == {True, False}
    described = {int.from_bytes(r[0, 303], "big") for scope, r in session.options if scope == ((0, 346), (0, 303))}
    assert {90, 91, 92, 93} <= described


def test_tables_have_a_column_for_each(databases, known, tmp_path):
    out = tmp_path / "out.csv"
    assert run(*databases, "--plugins", "pstats", "--export", f"csv:{out}", "--pcap", DEMO).status == 0
    heading, *rows = out.read_text().splitlines()
    assert set(FIELDS) <= set(heading.split(","))
    column = heading.split(",").index(AS[0])
    numbers = [row.split(",")[column] for row in rows]
    assert numbers == [str(r[AS[0]]) if AS[0] in r else "" for r in offline(DEMO, options=databases).records]


def test_uniflows_have_their_sides_the_other_way_round(databases):
    pairs = {}
    for record in offline(DEMO, options=[*databases, "--uniflow"]).records:
        if AS[0] in record:
            pairs.setdefault(record["iana:flowId"], []).append([[record[side] for side in names] for names in (AS, COUNTRY)])
    both = [found for found in pairs.values() if len(found) == 2]
    assert both and all(first == [names[::-1] for names in second] for first, second in both)


def test_addresses_are_looked_up_before_they_are_replaced(databases):
    true = offline(DEMO, options=databases).records
    other = offline(DEMO, options=[*databases, "--anonymise", "truncate:0,0"]).records
    assert [[r.get(name) for name in FIELDS] for r in true] == [[r.get(name) for name in FIELDS] for r in other]
    assert {str(address) for r in other for address in sides(r)} <= {"0.0.0.0", "::"}


def test_a_database_of_ipv4_knows_nothing_of_ipv6(tmp_path):
    path = tmp_path / "four.mmdb"
    path.write_bytes(database({"0.0.0.0/1": autonomous(1, "low"), "128.0.0.0/1": autonomous(2, "high")}, version=4))
    result = offline(DEMO, CAPTURES / "ipv6.pcap", options=["--mmdb", path])
    assert result.status == 0 and result.counters["database_errors"] == 0
    assert {AS[0] in r for r in result.records if "iana:sourceIPv6Address" in r} == {False}
    assert {r[AS[0]] for r in result.records if "iana:sourceIPv4Address" in r} <= {1, 2}


@pytest.mark.parametrize("value,errors", [
    ({"country": {"iso_code": "de"}}, True), ({"country": {"iso_code": "DEU"}}, True),
    ({"country": {"iso_code": b"\x00\xff"}}, True), ({"country": {"iso_code": 5}}, True),
    ({"autonomous_system_number": "five"}, True), ({"autonomous_system_organization": 7}, True),
    ({"country": "DE"}, False), ([1, 2], False), ("text", False), ({}, False),
    ({"registered_country": {"iso_code": "DE"}}, False), ({"autonomous_system_organization": "é" * 200}, False),
    ({"autonomous_system_organization": b"\xff" * 60}, False),
])
def test_values_of_other_types_are_taken_for_nothing(tmp_path, value, errors):
    path = tmp_path / "odd.mmdb"
    path.write_bytes(database({"::/1": value}))
    result = offline(DEMO, CAPTURES / "ipv6.pcap", options=["--mmdb", path])
    assert result.status == 0
    assert (result.counters["database_errors"] > 0) == errors
    for record in result.records:
        assert len(record.get(ORGANISATION[0], "").encode()) <= 48 * 3
        assert record.get(COUNTRY[0], "") in ("", "DE") and record.get(AS[0], 0) == 0
        if value == {"autonomous_system_organization": "é" * 200} and ORGANISATION[0] in record:
            assert record[ORGANISATION[0]] == "é" * 24


def test_damaged_databases_end_nothing(tmp_path, databases):
    """Cut off and with octets changed: refused at start with a line, or read as far as it goes."""
    whole, path = open(databases[1], "rb").read(), tmp_path / "damaged.mmdb"
    numbers, refused = random.Random(5), 0
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt < 20:
            damaged = damaged[:len(whole) * attempt // 20]
        for _ in range(attempt % 7 + 1):
            if damaged:
                damaged[numbers.randrange(len(damaged))] = numbers.choice([0, 0xFF, 0x7F, numbers.randrange(256)])
        path.write_bytes(damaged)
        result = run("--mmdb", path, "--export", "json:/dev/null", "--pcap", CAPTURES / "dns.pcap", timeout=60)
        assert result.status in (0, 1), (attempt, result.status, result.err)
        if result.status:
            refused += 1
            assert len(result.messages) == 1 and str(path) in result.messages[0]
    assert 10 < refused < 60


@pytest.mark.parametrize("content", [None, b"", b"no database", bytes(1 << 16)])
def test_what_is_no_database_is_refused_before_files_are_touched(tmp_path, content):
    path, out = tmp_path / "some.mmdb", tmp_path / "out.json"
    if content is not None:
        path.write_bytes(content)
    result = run("--mmdb", path, "--export", f"json:{out}", "--pcap", DEMO)
    assert result.status == 1 and len(result.messages) == 1 and str(path) in result.messages[0] and not out.exists()


def test_what_is_no_file_is_not_waited_for(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, words in [(tmp_path, "a folder"), (fifo, "a FIFO"), ("/dev/zero", "a device"), ("/dev/tty", "")]:
        result = run("--mmdb", path, "--export", "json:-", "--pcap", DEMO, timeout=20)
        assert result.status == 1 and len(result.messages) == 1 and f"--mmdb {path}: " in result.messages[0]
        assert words in result.messages[0] and result.out == b""


@pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")
def test_a_hangup_reads_them_again(tmp_path):
    path, out = tmp_path / "asn.mmdb", tmp_path / "out.json"
    path.write_bytes(database({"::/1": autonomous(1, "before")}))
    with Live([f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
              ["--mmdb", path, "--export", f"json:{out}", "--stats", "0.1", "--active-timeout", "0.5"], mem=NO_HUGE) as live:
        live.wait_for(lambda: live.latest.get("exported", 0) > 0)
        path.write_bytes(b"broken")
        live.process.send_signal(signal.SIGHUP)
        live.wait_for("all stay as they were")
        path.write_bytes(database({"::/1": autonomous(2, "after")}))
        live.process.send_signal(signal.SIGHUP)
        live.wait_for("--mmdb: read again")
        seen = live.latest["exported"]
        live.wait_for(lambda: live.latest["exported"] > seen + 100)
        assert live.stop() == 0, live.text()
    # Link-local addresses are in the other half.
    numbers = [number for number in (json.loads(line).get(AS[0]) for line in open(out)) if number is not None]
    assert numbers[0] == 1 and numbers[-1] == 2 and set(numbers) == {1, 2}
