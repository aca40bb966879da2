"""Live export over UDP, where messages are padded to one length and leave several at once, judged by real collectors."""

import re
import struct
import subprocess

import pytest
from harness import (
    CAPTURES, Live, UDPCollector, have, json_packets_and_octets, nfdump, offline, packets_and_octets,
    stats_lines, tshark, write_pcap)

MANY = CAPTURES / "many-flows.pcap"
#: Without plugins zeros follow the last record, with them its last field takes the padding.
PLUGINS = {"basic": [], "plugins": ["--plugins", "pstats,tls,ovpn,idpcontent"]}
TIMEOUTS = ["--inactive-timeout", "100000", "--active-timeout", "100000"]
PADDING = (0, 210)


def expected(file):
    """Flows, packets and octets, from a run that exports JSON."""
    records = offline(file, options=TIMEOUTS).records
    return len(records), *json_packets_and_octets(records)


def live(file, port, plugins, *options):
    """Plays a capture and exports all its flows at the end; the totals."""
    with Live([f"--vdev=net_pcap0,rx_pcap={file}"],
              [*PLUGINS[plugins], *TIMEOUTS, "--export", f"udp://127.0.0.1:{port}", "--stats", "0.1", *options]) as process:
        process.wait_for("worker")
        process.wait_for(lambda: len({line["received"] for line in stats_lines(process.text())[-4:]} - {0}) == 1
                         and len(stats_lines(process.text())) > 4)
        assert process.stop() == 0, process.text()
        return process.counters


@pytest.fixture(scope="module", params=PLUGINS)
def exported(request):
    """The messages of one live run, its session and its totals."""
    with UDPCollector() as collector:
        counters = live(MANY, collector.port, request.param)
        messages = []
        take = collector.session.message

        def keep(data):
            messages.append(data)
            take(data)

        collector.session.message = keep
        session = collector.drain()
    return request.param, messages, session, counters


def test_every_flow_arrives_in_messages_of_one_length(exported):
    plugins, messages, session, counters = exported
    assert (len(session.records), *packets_and_octets(session.records)) == expected(MANY)
    assert session.lost == 0 and session.first_sequence == 0
    assert counters["messages"] == len(messages) > 10 and counters["export_dropped"] == 0
    assert counters["message_bytes"] == sum(map(len, messages))
    full = sum(len(message) == 1458 for message in messages)
    assert full > 0.9 * len(messages), sorted(map(len, messages))
    paddings = [record[PADDING] for record in session.records if PADDING in record]
    assert any(paddings) == (plugins == "plugins") and not any(map(any, paddings))


def test_offline_runs_are_not_padded():
    with UDPCollector() as collector:
        assert offline(CAPTURES / "demo.pcap", export=f"udp://127.0.0.1:{collector.port}", options=PLUGINS["plugins"]).status == 0
        assert not any(PADDING in record for record in collector.drain().records)


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
def test_tshark_finds_nothing_wrong(tmp_path, exported):
    _, messages, session, _ = exported
    frames = []
    for number, message in enumerate(messages):
        udp = struct.pack("!HHHH", 40000, 4739, 8 + len(message), 0) + message
        local = bytes([127, 0, 0, 1])
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, local, local)
        frames.append(((number, 0), 14 + len(ip + udp), bytes(12) + b"\x08\x00" + ip + udp))
    path = tmp_path / "export.pcap"
    write_pcap(path, 1, frames)
    decode = ["-d", "udp.port==4739,cflow"]
    assert tshark(path, *decode, "-Y", "_ws.malformed || _ws.expert.severity == error") == []
    text = "\n".join(tshark(path, *decode, "-V"))
    assert "no template found" not in text.lower() and "malformed" not in text.lower()
    # tshark shows options records as flows, too.
    assert len(re.findall(r"^\s+Flow \d+( \[.*\])?$", text, re.M)) == len(session.records) + len(session.options)


@pytest.mark.skipif(not have("ipfixDump"), reason="needs libfixbuf-tools")
def test_ipfixdump_reads_every_record(tmp_path, exported):
    _, messages, session, _ = exported
    path = tmp_path / "export.ipfix"
    path.write_bytes(b"".join(messages))
    done = subprocess.run(
        ["ipfixDump", "--in", path, "--yaf"], capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0 and "rror" not in done.stderr, done.stderr
    # Options records are data records, too.
    assert len(re.findall(r"^--- data record", done.stdout, re.M | re.I)) == len(session.records) + len(session.options)
    packets = sum(int(n) for n in re.findall(r"(?i)\b(?:reverse)?packetDeltaCount\s*:\s*(\d+)", done.stdout))
    assert packets == packets_and_octets(session.records)[0]


@pytest.mark.skipif(not have("nfcapd") or not have("nfdump"), reason="needs nfdump")
@pytest.mark.parametrize("plugins", PLUGINS)
def test_nfdump_shows_every_flow(tmp_path, plugins):
    flows = nfdump(tmp_path, lambda port: live(MANY, port, plugins))

    def total(*names):
        return sum(flow.get(name, 0) for flow in flows for name in names)

    assert (len(flows), total("in_packets", "out_packets"), total("in_bytes", "out_bytes")) == expected(MANY)
