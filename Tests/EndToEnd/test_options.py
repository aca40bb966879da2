"""What the stream says of itself: options records (RFC 7011 section 4, RFC 5610), by the reader written from the RFCs, and by
collectors that have never heard of Martlet."""

import re
import subprocess

import pytest
from harness import (
    CAPTURES, DISCARDS, MARTLET, REVERSE, Live, Session, UDPCollector, file_messages, have, nfacctd, nfdump, number,
    offline, run, tshark, write_pcap)
from test_ipfix import MANY, TCPCollector

PLUGINS = ["--plugins", "tls,pstats:time=us,flowstats,idpcontent,rtt"]
#: The scope of each kind of record, and its other elements, by IANA's numbers; 20 is Martlet's receiveQueue.
OWN = 32473
KINDS = {
    ((0, 346), (0, 303)): [339, 344, 345, 210, 342, 343, 341, 340],
    ((0, 145),): [173],
    ((0, 149), (0, 143)): [[163, 41, 42, 40], [164, 165, 152, 153]],
    ((0, 144),): [166, 152, 153],
    ((0, 10), (OWN, 20)): [86],
    ((0, 10),): [[135], [82]],
    ((0, 143),): [36, 37],
    ((0, 302),): [304, 305, 306],
    ((0, 149),): [10, 83],
}
#: RFC 5610 section 3.1, which are the numbers of IANA's "IPFIX Information Element Data Types".
TYPES = [
    "octetArray", "unsigned8", "unsigned16", "unsigned32", "unsigned64", "signed8", "signed16", "signed32", "signed64",
    "float32", "float64", "boolean", "macAddress", "string", "dateTimeSeconds", "dateTimeMilliseconds",
    "dateTimeMicroseconds", "dateTimeNanoseconds", "ipv4Address", "ipv6Address", "basicList"]


def read(path):
    session = Session()
    for message in file_messages(path):
        session.message(message)
    return session


def of_kind(session, element):
    """The options records that have an element which only one kind has outside of the scope."""
    return [record for scope, record in session.options if (0, element) in record and (0, element) not in scope]


def text(record, element):
    return record[0, element].rstrip(b"\0").decode()


@pytest.fixture
def damaged(tmp_path):
    """Four flows' packets and five that no flow counts: three cut in the IP header, one in the UDP header, one that is ARP."""
    def frame(index, cut=None, kind=b"\x08\x00"):
        packet = bytes(12) + kind + bytes([
            0x45, 0, 0, 28 + 8, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, index, 0, 1, 0, 2, 0, 16, 0, 0]) + bytes(8)
        return packet if cut is None else packet[:cut]
    packets = [frame(index) for index in range(4)]
    packets += [frame(9, cut) for cut in (20, 24, 30, 38)] + [frame(9, kind=b"\x08\x06")]
    path = tmp_path / "damaged.pcap"
    write_pcap(path, 1, [((1000 + index, 500000), len(packet), packet) for index, packet in enumerate(packets)])
    return path, sum(len(packet) for packet in packets[4:8])


def test_every_kind_of_record(tmp_path, damaged):
    """Values by arithmetic: what was exported is what came before, what was ignored is what the capture was made of."""
    capture, ignored_octets = damaged
    path = tmp_path / "out.ipfix"
    result = offline(
        capture, export=f"ipfix:{path}",
        options=["--odid", "77", "--active-timeout", "60", "--inactive-timeout", "10.5", "--ingress-interface", "5"])
    assert result.status == 0, result.err.decode()
    session, ends = Session(), []
    for message in file_messages(path):
        session.message(message)
        ends.append((len(session.options), session.messages, sum(session.lengths), len(session.records)))
    assert session.lost == 0 and session.first_sequence == 0
    assert result.counters["options"] == len(session.options)

    for scope, record in session.options:
        known = KINDS[scope]
        rest = [element for enterprise, element in record if (enterprise, element) not in scope]
        assert rest in (known if isinstance(known[0], list) else [known]), (scope, rest)
    assert {scope for scope, _ in session.options} == set(KINDS)

    name, = of_kind(session, 82)
    assert number(name, 10) == 5 and text(name, 82) == "pcap"
    description, = of_kind(session, 83)
    assert number(description, 149) == 77 and number(description, 10) == 5 and text(description, 83) == "damaged.pcap"
    timeouts, = of_kind(session, 36)
    assert (number(timeouts, 143), number(timeouts, 36), number(timeouts, 37)) == (1, 60, 11)
    selector, = of_kind(session, 304)
    assert [number(selector, element) for element in (302, 304, 305, 306)] == [1, 1, 1, 0]

    # At the start and at the end.
    first, last = of_kind(session, 41)
    assert [number(first, element) for element in (163, 41, 42, 40)] == [0, 0, 0, 0]
    place = next(index for index, (_, record) in enumerate(session.options) if record is last)
    _, messages, octets, records = [end for end in ends if end[0] <= place][-1]
    assert number(last, 149) == 77 and number(last, 143) == 1
    assert [number(last, element) for element in (163, 41, 42, 40)] == [4, messages, 4, octets]
    assert records == len(session.records) == 4
    ignored = of_kind(session, 164)[-1]
    assert number(ignored, 164) == 4 == sum(result.counters[name] for name in DISCARDS) - result.counters["not_IP"]
    assert number(ignored, 165) == ignored_octets
    assert [number(ignored, element) for element in (152, 153)] == [1004500, 1007500]
    unsent = of_kind(session, 166)[-1]
    assert number(unsent, 144) == 1 and [number(unsent, element) for element in (166, 152, 153)] == [0, 0, 0]
    queue = of_kind(session, 86)[-1]
    assert (number(queue, 10), number(queue, 20, OWN), number(queue, 86)) == (5, 0, 9)
    assert number(queue, 86) == result.counters["received"]

    # The flow key: version, protocol, ports and addresses, wherever the template has them.
    keys = {(0, element) for element in (60, 4, 7, 11, 8, 12, 27, 28)}
    indicators = of_kind(session, 173)
    assert len(indicators) == len(session.templates) - len(session.scopes)
    for record in indicators:
        fields = session.templates[77, number(record, 145)]
        named = {fields[bit][:2] for bit in range(64) if number(record, 173) >> bit & 1}
        assert named == keys & {field[:2] for field in fields} and len(named) == 6


def test_every_enterprise_element_is_described(tmp_path, mixed):
    """Before its template, with the type that --list-plugins says."""
    path = tmp_path / "out.ipfix"
    assert offline(mixed, export=f"ipfix:{path}", options=[*PLUGINS, "--private-enterprise-number", "4711"]).status == 0
    session, described = Session(), {}
    for message in file_messages(path):
        session.message(message)
        for record in of_kind(session, 339):
            described[number(record, 346), number(record, 303)] = record
        for (_, kind), fields in session.templates.items():
            for enterprise, element, _ in fields:
                assert enterprise in (0, REVERSE) or (enterprise, element) in described, (kind, enterprise, element)
    for record in session.records:
        for (_, element), value in record.items():
            # A basicList says what its entries are: a semantic, the element with its length, and its enterprise.
            if element == 291 and value[1] & 0x80:
                assert (int.from_bytes(value[5:9], "big"), int.from_bytes(value[1:3], "big") & 0x7FFF) in described
    assert {enterprise for enterprise, _ in described} == {8057, 39499, 4711}
    lists = subprocess.run([MARTLET, "--list-plugins"], capture_output=True, text=True).stdout
    types = dict(re.findall(r"field  (?:cesnet|martlet|flowmon):(\w+), (?:list of )?(\w+)", lists))
    for record in described.values():
        name = text(record, 341)
        assert name in ("receiveQueue", "filterExpression") or TYPES[number(record, 339)] == types[name], name
        assert number(record, 342) == number(record, 343) == 0


@pytest.mark.skipif(not have("ipfixDump"), reason="needs libfixbuf-tools")
def test_ipfixdump_shows_the_names(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    offline(mixed, export=f"ipfix:{path}", options=PLUGINS)

    def dump(*more):
        done = subprocess.run(
            ["ipfixDump", "--in", path, *more], capture_output=True, text=True, errors="replace", timeout=60)
        assert done.returncode == 0 and "arning" not in done.stderr and "rror" not in done.stderr, done.stderr
        return done.stdout
    assert "alien" in dump()
    shown = dump("--rfc5610")
    assert "alien" not in shown
    names = {key.split(":")[1] for record in run(*PLUGINS, "--pcap", mixed, "--export", "json:-").records
             for key in record if key.startswith(("cesnet", "martlet"))}
    assert len(names) > 20 and not {name for name in names if not re.search(rf"\b{name}\b", shown)}


@pytest.mark.skipif(not have("ipfixDump"), reason="needs libfixbuf-tools")
def test_ipfixdump_shows_the_filter(tmp_path):
    path, expression = tmp_path / "out.ipfix", "tcp port 443 or udp port 443"
    offline(CAPTURES / "demo.pcap", export=f"ipfix:{path}", options=["--filter", expression])
    filters = of_kind(read(path), 304)
    assert [(number(record, 302), number(record, 304)) for record in filters] == [(1, 1), (2, 5)]
    assert filters[1][OWN, 21].rstrip(b"\0").decode() == expression
    done = subprocess.run(
        ["ipfixDump", "--in", path, "--rfc5610"], capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0 and "arning" not in done.stderr and "rror" not in done.stderr, done.stderr
    assert re.search(rf"filterExpression.*{re.escape(expression)}", done.stdout), done.stdout


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
def test_tshark_shows_the_records(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    offline(mixed, export=f"ipfix:{path}", options=PLUGINS)
    capture = tmp_path / "out.pcap"
    write_datagrams(capture, path)
    decode = ["-d", "udp.port==4739,cflow"]
    assert tshark(capture, *decode, "-Y", "_ws.malformed || _ws.expert.severity >= warn") == []
    shown = "\n".join(tshark(capture, *decode, "-V"))
    for line in ("Information Element Name: TLSSNI", "IfName: pcap", "Selector Algorithm: Systematic count-based Sampling",
                 "Scope Field Count: 2", "Information Element Name: receiveQueue"):
        assert line in shown, line


def write_datagrams(path, messages):
    """A capture of the messages of a file as datagrams to port 4739."""
    def frame(message):
        length = len(message) + 8
        udp = (40000).to_bytes(2, "big") + (4739).to_bytes(2, "big") + length.to_bytes(2, "big") + bytes(2)
        ip = bytes([0x45, 0]) + (length + 20).to_bytes(2, "big") + bytes(4) + bytes([64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1])
        return bytes(12) + b"\x08\x00" + ip + udp + message
    frames = [frame(message) for message in file_messages(messages)]
    write_pcap(path, 1, [((1000, index), len(data), data) for index, data in enumerate(frames)])


@pytest.mark.skipif(not have("nfcapd") or not have("nfdump"), reason="needs nfdump")
def test_nfcapd_finds_nothing_wrong(tmp_path, mixed):
    """It logs the selector, and no error; flows are as many as without options records, and their sequence is right to it."""
    logs = []
    flows = nfdump(
        tmp_path, lambda port: offline(mixed, export=f"udp://127.0.0.1:{port}", options=PLUGINS), logs)
    assert len(flows) == len(offline(mixed).records) and {flow["sampled"] for flow in flows} == {0}
    assert re.search(r"Sequence Errors: 0, Bad Packets: 0", logs[-1]), logs[-1]
    assert not re.search(r"(?i)size error|too small|invalid|not enough|zero sampling", logs[-1]), logs[-1]


@pytest.mark.skipif(not have("nfacctd"), reason="needs pmacct")
def test_nfacctd_finds_nothing_wrong(tmp_path, mixed):
    """No line about flows that it expected and did not get, in the domain of these records."""
    rows = nfacctd(
        tmp_path, lambda port: offline(mixed, export=f"udp://127.0.0.1:{port}", options=[*PLUGINS, "--odid", "7"]), "in_iface",
        sum(record["iana:packetDeltaCount"] for record in offline(mixed).records))
    log = (tmp_path / "nfacctd.log").read_text()
    assert {row["IN_IFACE"] for row in rows} == {"1"}
    assert not re.search(r"expecting flow.*agent=127\.0\.0\.1:7$|malformed|WARN|ERROR", log, re.M), log


def test_a_new_session_begins_with_all_of_it():
    """Over TCP, where the collector goes away: names and interfaces come again before data, the numbers count them."""
    collector = TCPCollector(limit=6)
    with Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--plugins", "tls,rtt", "--export", f"tcp://127.0.0.1:{collector.port}", "--active-timeout", "0.5",
             "--inactive-timeout", "0.5", "--flows", "65536"]) as live:
        live.wait_for(lambda: len(collector.sessions) >= 2 and collector.sessions[1].messages > 5)
        assert live.stop() in (0, 2), live.text()
        collector.close()
    assert not collector.errors, collector.errors
    for session in collector.sessions[:2]:
        assert session.first_sequence == 0 and session.lost == 0
        assert {text(record, 82) for record in of_kind(session, 82)} == {"net_pcap0"}
        assert {"TLSSNI", "handshakeServerRoundTrip"} <= {text(record, 341) for record in of_kind(session, 341)}
        assert of_kind(session, 36)


def test_live_statistics_are_the_totals():
    with UDPCollector() as collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY}"],
            ["--export", f"udp://127.0.0.1:{collector.port}", "--inactive-timeout", "1", "--stats", "1",
             "--template-refresh", "1"]) as live:
        collector.receive_until(lambda session: len(of_kind(session, 41)) >= 3, live.process)
        assert live.stop() == 0, live.text()
        session = collector.drain()
        counters = live.counters
    last = of_kind(session, 41)[-1]
    assert number(last, 42) == len(session.records) == counters["exported"]
    assert number(last, 163) == counters["flows_made"]
    # All messages but the one that it came in.
    assert number(last, 41) == counters["messages"] - 1 == session.messages - 1
    assert number(last, 40) == counters["message_bytes"] - session.lengths[-1]
    assert number(of_kind(session, 86)[-1], 86) == counters["received"]
    port = of_kind(session, 135)[-1]
    assert number(port, 10) == 1 and number(port, 135) == counters["missed"] + counters["no_mbuf"] + counters["errors"]
    assert number(of_kind(session, 166)[-1], 166) == counters["ring_full"] + counters["export_dropped"] == 0
    # Interfaces and timeouts came with each refresh.
    assert len(of_kind(session, 82)) >= 2 and len(of_kind(session, 36)) == len(of_kind(session, 82))


def test_templates_are_repeated_by_messages():
    with UDPCollector() as collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--export", f"udp://127.0.0.1:{collector.port}", "--template-refresh-messages", "20", "--active-timeout", "0.5",
             "--inactive-timeout", "0.5", "--flows", "65536"]) as live:
        collector.receive_until(lambda session: session.template_records >= 3 * len(session.templates) > 0, live.process)
        assert live.stop() in (0, 2), live.text()


def test_options_and_padding_can_be_chosen(tmp_path, mixed):
    path = tmp_path / "out.ipfix"
    result = offline(mixed, export=f"ipfix:{path}?options=off", options=PLUGINS)
    session = read(path)
    assert result.status == 0 and not session.options and not session.scopes and session.records
    assert result.counters["options"] == 0
    for padding in ("on", "off"):
        with UDPCollector() as collector:
            assert offline(mixed, export=f"udp://127.0.0.1:{collector.port}?padding={padding}", options=PLUGINS).status == 0
            session = collector.drain()
        # paddingOctets, in templates with fields of variable length.
        has = any(field[1] == 210 for key, fields in session.templates.items() if key not in session.scopes for field in fields)
        assert has == (padding == "on")
    for argument in ("udp://host?options=maybe", "udp://host?padding=1", f"ipfix:{path}?padding=on", f"json:{path}?options=on"):
        refused = run("--pcap", mixed, "--export", argument)
        assert refused.status == 64 and len(refused.messages) == 1, refused.err


def test_records_that_no_datagram_holds_are_shortened(tmp_path):
    """`--mtu` below a record's length makes a longer message; nothing is lost for its length."""
    result = offline(CAPTURES / "demo.pcap", export=f"ipfix:{tmp_path}/out", options=["--mtu", "512", *PLUGINS])
    assert result.status == 0 and result.counters["oversize"] > 0
    assert result.counters["shortened"] == result.counters["export_dropped"] == 0
    assert len(read(tmp_path / "out").records) == result.counters["exported"]
