"""Captures: every record accounted for, the same on every run, and a clear word about what cannot be read."""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter

import pytest
from harness import (
    CAPTURES, CORPUS, FUNCTIONAL, captures, have, is_root, json_packets_and_octets, offline, read_pcap,
    run, stats_lines, totals, tshark, unaccounted, write_pcap, write_pcapng)
from test_plugin_memory import client_hello, packets

needs_corpus = pytest.mark.skipif(CORPUS is None, reason="needs ../shared/corpus")
CHECK = CORPUS / "check.py" if CORPUS else None

#: What is wrong with these on purpose: exit status 1 and one line.
DAMAGED = {
    "empty.pcap", "foreign.pcap", "huge-record.pcap", "truncated-file-header.pcap", "truncated-in-header.pcap",
    "truncated-in-packet.pcap", "truncated.pcapng",
}
#: Link types that martlet does not have, or several in one file, which libpcap refuses: an error is right, a crash not.
FOREIGN_LINKS = {"link-chdlc.pcap", "link-user0.pcap", "merged.pcapng", "two-interfaces.pcapng"}


def name_of(path):
    return str(path.relative_to(CORPUS if CORPUS and CORPUS in path.parents else CAPTURES))


def plugins():
    return {line.split()[0] for line in run("--list-plugins").out.decode().splitlines() if line[:1].strip()}


# Every capture.

@pytest.mark.parametrize("path", captures(), ids=name_of)
def test_every_packet_is_accounted_for_and_runs_repeat(path, tmp_path):
    runs = [offline(path, export=f"json:{tmp_path}/{number}", options=["--flows", "4096"]) for number in (1, 2)]
    for result in runs:
        assert result.status in (0, 1), result.err.decode()
        assert len(result.messages) == result.status, "one line exactly when it fails"
    counters = runs[0].counters
    assert unaccounted(counters) == 0, counters
    # An output is not even made when there is nothing that could be read.
    made = [tmp_path / number for number in "12" if (tmp_path / number).exists()]
    assert len(made) == 2 or (not made and runs[0].status == 1 and counters["received"] == 0)
    first, second = [path.read_bytes() for path in made] or [b"", b""]
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest(), "two runs differ"
    records = [json.loads(line) for line in first.splitlines()]
    assert len(records) == counters["flows_made"] == counters["exported"]
    assert counters["in_table"] == 0
    assert json_packets_and_octets(records)[0] == counters["packets_in_flows"]
    assert sum(counters[reason] for reason in ("idle", "active", "ended", "forced", "lack_of_resources")) == len(records)
    if path.parent == CAPTURES and path.name not in FOREIGN_LINKS:
        assert runs[0].status == 0, runs[0].err.decode()
    if path.parent.name == "malformed" and path.name in DAMAGED:
        assert runs[0].status == 1


#: Captures with times that Martlet refuses with a line (docs/architecture.md, "Time"); `test_flow_table.py` has them.
LATE_TIMES = {"y2603.pcapng", "yneg.pcapng"}

#: tshark decodes IP where martlet must not or the other way round; each with its reason.
TSHARK_DIFFERS = {
    # tshark only guesses whether a pseudo-wire has a control word, and takes the wrong guess for some frames:
    # all but the two ARP frames hold IP.
    "mpls.pcap": 111,
}


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
@pytest.mark.parametrize(
    "path", [p for p in captures() if p.parent.name != "malformed" and p.name not in FOREIGN_LINKS
             and "fuzz" not in p.name and p.name not in LATE_TIMES], ids=name_of)
def test_ip_packets_are_as_many_as_tshark_finds(path):
    expected = len(tshark(path, "-Y", "ip || ipv6", "-T", "fields", "-e", "frame.number"))
    counters = offline(path, export="json:/dev/null").counters
    ip = counters["received"] - counters["not_IP"] - counters["link_header_truncated"]
    assert ip == TSHARK_DIFFERS.get(path.name, expected)


# ipfixprobe's expected records.

#: Fields in which ipfixprobe's formula is not the right one: its deviation rounds the mean down, its kurtosis takes distances
#: from a mean that still moves, its time distribution subtracts a length from a time. The unit tests calculate them by hand.
PEER_DIFFERS = {
    "nettisa": {"cesnet:ntsStdevPacketPayload", "cesnet:ntsKurtosisPacketPayload", "cesnet:ntsTimeDistribution"},
    # ipfixprobe does not see the end of the mail's text, and so not QUIT: test_smtp_sees_the_end_of_a_mail has the bits.
    "smtp": {"cesnet:SMTPCommands"},
}

#: Plugins with several records for a flow. ipfixprobe repeats the flow's counters and times in each; Martlet counts each
#: packet once, so that volumes add up. Such lines are compared without them.
COUNTED_ONCE = {"netbios", "passivedns"}
COUNTERS = re.compile(r"^iana(@reverse)?:(octetDeltaCount|packetDeltaCount|tcpControlBits|flowStart\w+|flowEnd\w+)$")


def same_flow(record):
    return tuple(str(value) for key, value in sorted(record.items())
                 if "Address" in key or "Port" in key or key == "iana:protocolIdentifier" or "flowStart" in key)


def comparable_lines(name, lines):
    """The expected records without what ipfixprobe does otherwise, see `PEER_DIFFERS` and `COUNTED_ONCE`."""
    records = [json.loads(line) for line in lines]
    flows = Counter(map(same_flow, records))
    for record in records:
        if record["iana:flowStartMicroseconds"] in PEER_RECORDS_DIFFER.get(name, ()):
            continue
        repeats = name in COUNTED_ONCE and flows[same_flow(record)] > 1
        yield {key: value for key, value in record.items()
               if key not in PEER_DIFFERS.get(name, ()) and not (repeats and COUNTERS.match(key))}

#: Records, by their start, that ipfixprobe makes and Martlet does not.
PEER_RECORDS_DIFFER = {
    # Packet 5 is a retransmission of the request in packet 4, for which ipfixprobe begins another record. A stream has it
    # once: one record with the request, the response and the packets of both.
    "rtsp": {"2005-07-03T09:52:37.027000Z", "2005-07-03T09:52:38.693000Z"},
}


@needs_corpus
@pytest.mark.parametrize("path", sorted(FUNCTIONAL.glob("*.expected.jsonl")) if FUNCTIONAL else [], ids=lambda p: p.name)
def test_records_are_the_expected_ones(path, tmp_path):
    name = path.name.split(".")[0]
    if name != "basic" and name not in plugins():
        pytest.skip(f"there is no plugin {name} yet")
    options = ["--plugins", name] if name != "basic" else []
    got = tmp_path / "got.jsonl"
    result = offline(FUNCTIONAL / f"{name}.pcap", export=f"json:{got}", options=options)
    assert result.status == 0, result.err.decode()
    if name in PEER_DIFFERS or name in COUNTED_ONCE or name in PEER_RECORDS_DIFFER:
        comparable = tmp_path / path.name
        if name in COUNTED_ONCE:
            records = [json.loads(line) for line in got.read_text().splitlines()]
            assert json_packets_and_octets(records)[0] == result.counters["packets_in_flows"]
        with open(path) as lines, open(comparable, "w") as out:
            out.writelines(json.dumps(record) + "\n" for record in comparable_lines(name, lines))
        path = comparable
    if name == "netbios":
        # Its expected file was written by a program that leaves control characters out.
        got.write_text(re.sub(r"\\u00[01]\w", "", got.read_text()))
    done = subprocess.run([sys.executable, CHECK, path, got], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@needs_corpus
def test_smtp_sees_the_end_of_a_mail():
    record, = [r for r in offline(FUNCTIONAL / "smtp.pcap", options=["--plugins", "smtp"]).records
               if "cesnet:SMTPCommands" in r]
    # EHLO, MAIL, RCPT, DATA, QUIT; two answers to AUTH LOGIN.
    assert record["cesnet:SMTPCommands"] == 0x1 | 0x4 | 0x8 | 0x10 | 0x400 | 0x8000


#: Several lines per flow, or flows cut by the plugin: the basic fields hold only with the plugin.
NEEDS_PLUGIN = {
    "netbios": "one line per name", "passivedns": "one line per answer", "sip": "the plugin cuts flows",
    "rtsp": "the plugin cuts flows", "http": "the plugin cuts flows", "wg": "the plugin cuts flows",
    "dns": "the plugin ends flows at once", "ntp": "the plugin ends flows at once",
    "mqtt": "the plugin cuts flows",
}
BASIC = re.compile(r"^iana(@reverse)?:(octetDeltaCount|packetDeltaCount|flowStart\w+|flowEnd\w+|protocolIdentifier"
                   r"|tcpControlBits|\w+TransportPort|\w+IPv[46]Address|\w+MacAddress|ipVersion)$")


@needs_corpus
@pytest.mark.parametrize("path", sorted(FUNCTIONAL.glob("*.expected.jsonl")) if FUNCTIONAL else [], ids=lambda p: p.name)
def test_basic_fields_are_the_expected_ones_without_plugin(path, tmp_path):
    name = path.name.split(".")[0]
    if name in NEEDS_PLUGIN:
        pytest.skip(NEEDS_PLUGIN[name])
    expected, got = tmp_path / "basic.expected.jsonl", tmp_path / "got.jsonl"
    with open(path) as lines, open(expected, "w") as out:
        for line in lines:
            out.write(json.dumps({k: v for k, v in json.loads(line).items() if BASIC.match(k)}) + "\n")
    result = offline(FUNCTIONAL / f"{name}.pcap", export=f"json:{got}")
    assert result.status == 0, result.err.decode()
    done = subprocess.run([sys.executable, CHECK, expected, got], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


# Formats.

@pytest.fixture(scope="module")
def plain():
    """(link type, packets) of a capture with microseconds."""
    return read_pcap(CAPTURES / "http.pcap")


@pytest.mark.parametrize("order", "<>", ids=["little", "big"])
@pytest.mark.parametrize("nano", [False, True], ids=["micro", "nano"])
@pytest.mark.parametrize("write", [write_pcap, write_pcapng])
def test_formats_give_the_same_records(plain, tmp_path, write, nano, order):
    link, packets = plain
    reference = offline(CAPTURES / "http.pcap").records
    assert reference
    scale = 1000 if nano else 1
    path = tmp_path / "capture"
    write(path, link, [((s, f * scale), n, d) for (s, f), n, d in packets], order=order, nano=nano)
    assert offline(path).records == reference


LINKS = {  # link type: (number, header before the IP packet for version 4, 6)
    "raw": (101, b"", b""),
    "ipv4": (228, b"", None),
    "sll": (113, bytes(14) + b"\x08\x00", bytes(14) + b"\x86\xdd"),
    "sll2": (276, b"\x08\x00" + bytes(18), b"\x86\xdd" + bytes(18)),
    "null-little": (0, struct.pack("<I", 2), struct.pack("<I", 10)),
    "null-big": (0, struct.pack(">I", 2), struct.pack(">I", 30)),
    "loop": (108, struct.pack(">I", 2), struct.pack(">I", 24)),
    "ppp": (9, b"\xff\x03\x00\x21", b"\xff\x03\x00\x57"),
    "ppp-bare": (9, b"\x00\x21", b"\x00\x57"),
}


@pytest.mark.parametrize("link", LINKS)
def test_link_types_give_the_same_flows(plain, tmp_path, link):
    number, four, six = LINKS[link]
    packets, ethernet = [], []
    for time, _, data in plain[1]:
        kind = data[12:14]
        header = {b"\x08\x00": four, b"\x86\xdd": six}.get(kind)
        if header is None:
            continue
        packets.append((time, len(header) + len(data) - 14, header + data[14:]))
        ethernet.append((time, len(data), data))
    write_pcap(tmp_path / "link", number, packets)
    write_pcap(tmp_path / "ethernet", 1, ethernet)
    reference, got = offline(tmp_path / "ethernet").records, offline(tmp_path / "link").records
    for record in reference + got:
        for mac in ("iana:sourceMacAddress", "iana:destinationMacAddress"):
            record.pop(mac, None)
    assert reference and got == reference


def test_several_captures_are_read_in_order(plain, tmp_path):
    link, packets = plain
    half = len(packets) // 2
    write_pcap(tmp_path / "1", link, packets[:half])
    write_pcapng(tmp_path / "2", link, packets[half:])
    whole = offline(CAPTURES / "http.pcap").records
    assert offline(tmp_path / "1", tmp_path / "2").records == whole
    result = run("--pcap", tmp_path / "1", tmp_path / "nowhere", tmp_path / "2", "--export", "json:-")
    assert result.status == 1 and result.records == whole
    assert len(result.messages) == 1 and "nowhere" in result.messages[0]


def test_standard_input(plain):
    with open(CAPTURES / "http.pcap", "rb") as file:
        done = subprocess.run(
            [run.__globals__["MARTLET"], "--pcap", "-", "--export", "json:-"], stdin=file, capture_output=True, timeout=30)
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == offline(CAPTURES / "http.pcap").records


def test_a_packet_longer_than_an_mbuf(tmp_path):
    payload = bytes(60000)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    frame = bytes(12) + b"\x08\x00" + ip + struct.pack("!HHHH", 1, 2, 8 + len(payload), 0) + payload
    write_pcap(tmp_path / "long", 1, [((1, 0), len(frame), frame)])
    records = offline(tmp_path / "long").records
    assert json_packets_and_octets(records) == (1, 60028)


# What cannot be read.

def bad_files(directory):
    whole = (CAPTURES / "http.pcap").read_bytes()
    (directory / "empty").write_bytes(b"")
    (directory / "truncated").write_bytes(whole[:len(whole) // 2 + 5])
    (directory / "foreign").write_bytes(b"#!/bin/sh\necho this is no capture\n" * 50)
    (directory / "directory").mkdir()
    return directory


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "foreign", "directory"])
def test_bad_file_gives_one_line(tmp_path, kind):
    path = bad_files(tmp_path) / kind
    result = offline(path)
    assert result.status not in (0, 64) and result.status > 0
    assert len(result.messages) == 1 and str(path) in result.messages[0], result.err.decode()
    if kind == "truncated":
        _, packets = read_pcap(path)
        assert result.counters["received"] == len(packets) > 0
        assert json_packets_and_octets(result.records)[0] == result.counters["packets_in_flows"] > 0
        assert f"after packet {len(packets)}" in result.messages[0]
    else:
        assert result.out == b""


def test_the_damaged_packet_is_numbered_within_its_file(tmp_path):
    path = bad_files(tmp_path) / "truncated"
    result = offline(CAPTURES / "dns.pcap", path)
    assert f"after packet {len(read_pcap(path)[1])}:" in result.messages[0]


@pytest.fixture
def nobody(tmp_path_factory):
    """How to run as an ordinary user, and a directory of that user's."""
    if not is_root():
        pytest.skip("needs root, to become another user")
    if not have("setpriv"):
        pytest.skip("needs setpriv")
    import tempfile
    directory = tempfile.mkdtemp(prefix="martlet-nobody.", dir="/tmp")
    shutil.copy(run.__globals__["MARTLET"], f"{directory}/martlet")
    shutil.copy(CAPTURES / "http.pcap", f"{directory}/http.pcap")
    for root, _, files in os.walk(directory):
        os.chown(root, 65534, 65534)
        for file in files:
            os.chmod(f"{root}/{file}", 0o755)
    yield ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={directory}",
           f"XDG_RUNTIME_DIR={directory}"], directory
    shutil.rmtree(directory)


def as_nobody(nobody, *arguments):
    done = subprocess.run(
        [*nobody[0], f"{nobody[1]}/martlet", *arguments], cwd=nobody[1], capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


def test_an_ordinary_user_reads_captures(nobody):
    status, out, err = as_nobody(nobody, "--pcap", "http.pcap", "--export", "json:-", "--export", "ipfix:out.ipfix")
    assert status == 0, err
    assert [json.loads(line) for line in out.splitlines()] == offline(CAPTURES / "http.pcap").records
    assert os.stat(f"{nobody[1]}/out.ipfix").st_size > 0


def test_an_unreadable_file_gives_one_line(nobody):
    os.chmod(f"{nobody[1]}/http.pcap", 0)
    os.chown(f"{nobody[1]}/http.pcap", 0, 0)
    status, out, err = as_nobody(nobody, "--pcap", "http.pcap", "--export", "json:-")
    assert status == 1 and out == b""
    assert err.count("\n") == 1 and "http.pcap" in err and "ermission" in err


def test_live_without_permission_says_what_to_do(nobody):
    status, _, err = as_nobody(nobody, "--lcores", "0@0,1@0,2@1", "--no-pci", "--vdev=net_null0", "--")
    assert status not in (0, 64)
    lines = [line for line in err.splitlines() if line.startswith("martlet: ") and "warning" not in line]
    assert len(lines) == 1, err
    assert re.search(r"root|sudo|--no-huge|hugepages-setup", lines[0]), err


def test_an_output_that_cannot_be_written(tmp_path):
    result = run("--pcap", CAPTURES / "http.pcap", "--export", f"json:{tmp_path}/no/such/place")
    assert result.status not in (0, 64) and len(result.messages) == 1
    assert "no/such/place" in result.messages[0]


def test_a_full_disk_is_reported():
    result = run("--pcap", CAPTURES / "many-flows.pcap", "--export", "json:/dev/full")
    assert result.status == 2 and len(result.messages) == 1
    assert "/dev/full" in result.messages[0]


# Snap lengths.

def prefixes(data, most=160, step=61):
    """Lengths to cut at: all of the headers, then a step."""
    return [*range(min(len(data), most)), *range(most, len(data), step)]


def corpus_groups():
    files = [p for p in captures() if p.parent.name != "malformed"]
    return [files[i::12] for i in range(12)]


@pytest.mark.parametrize("group", range(12))
def test_every_prefix_of_every_packet_is_survived(group, tmp_path):
    """One run reads all cut packets of several captures, converted to pcap by editcap where necessary."""
    cut = []
    for number, path in enumerate(corpus_groups()[group]):
        if read_pcap(path) is None and have("editcap"):
            subprocess.run(["editcap", "-F", "pcap", path, tmp_path / "converted"], capture_output=True, timeout=60)
            path = tmp_path / "converted" if (tmp_path / "converted").exists() else path
        content = read_pcap(path)
        if content is None:
            continue
        link, packets = content
        if link in (104, 147):
            continue
        seen, pieces = set(), []
        for time, length, data in packets:
            # Packets that begin alike and have the same length are the same to a dissector.
            shape = (len(data), data[12:24], data[46:48])
            if shape in seen or len(seen) >= 120:
                continue
            seen.add(shape)
            pieces += [(time, length, data[:n]) for n in prefixes(data)]
        write_pcap(tmp_path / str(number), link, pieces)
        cut.append((tmp_path / str(number), len(pieces)))
    assert cut
    result = offline(*(p for p, _ in cut), export="json:/dev/null", options=["--plugins", "all"])
    assert result.status == 0, result.err.decode()[-2000:]
    assert result.counters["received"] == sum(n for _, n in cut)
    assert unaccounted(result.counters) == 0


# Outputs for people and data frames.

def test_csv_and_text_show_the_same_flows(tmp_path, mixed):
    result = offline(mixed)
    csv, text = tmp_path / "flows.csv", tmp_path / "flows.txt"
    assert run("--pcap", mixed, "--export", f"csv:{csv}", "--export", f"text:{text}").status == 0
    lines = text.read_text().splitlines()
    assert len(lines) == len(result.records) + 1
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(csv)
    assert len(frame) == len(result.records)
    column = next(c for c in frame.columns if c.endswith("packetDeltaCount") and "reverse" not in c)
    assert frame[column].sum() == sum(r["iana:packetDeltaCount"] for r in result.records)


def test_stats_lines_appear(mixed):
    err = run("--stats", "0.001", "--pcap", *[mixed] * 200, "--export", "json:/dev/null").err.decode()
    assert stats_lines(err)
    assert stats_lines(err)[-1]["received"] <= totals(err)["received"]


def test_any_bytes_in_a_name_are_read_back(tmp_path):
    """Server names of random octets: Python's json and csv read every record, and text that was UTF-8 as it was sent."""
    generator, names = random.Random(8), []
    for number in range(3000):
        length = generator.randrange(1, 60)
        alphabet = [range(256), range(128), b'",\r\n\t =+-@\\\'\0\x1b', range(0x80, 0x100)][number % 4]
        name = bytes(generator.choice(alphabet) for _ in range(length))
        if number % 8 == 1:
            name = "".join(chr(generator.choice([0x41, 0x7F, 0x85, 0xE9, 0x202E, 0x2028, 0xFEFF, 0xFFFD, 0x1F600]))
                           for _ in range(length // 4 + 1)).encode()
        names.append(name)
    frames = [frame for name in names for frame in packets(1, client_hello(name))]
    # Each in a flow of its own, whose port says which.
    frames = [((1700000000, number), length, data[:34] + struct.pack("!H", number + 1) + data[36:])
              for number, (_, length, data) in enumerate(frames)]
    write_pcap(tmp_path / "names.pcap", 1, frames)
    table = tmp_path / "names.csv"
    result = run("--plugins", "tls", "--csv-escape", "none", "--pcap", tmp_path / "names.pcap", "--export", "json:-",
                 "--export", f"csv:{table}")
    assert result.status == 0
    records = {record["iana:sourceTransportPort"]: record.get("cesnet:TLSSNI", "") for record in
               (json.loads(line) for line in result.out.decode("utf-8").splitlines())}
    assert len(records) == len(names) == result.out.count(b"\n")
    with open(table, newline="", encoding="utf-8") as rows:
        cells = {int(row["iana:sourceTransportPort"]): row["cesnet:TLSSNI"] for row in csv.DictReader(rows)}
    for port, name in enumerate(names, 1):
        # Python replaces what is no UTF-8 in the same way. NUL, which breaks readers of CSV, is replaced there (docs/ipfix.md),
        # and a name of nothing else is an empty cell.
        assert records[port] == name.decode("utf-8", errors="replace"), name
        assert cells[port] == (records[port].replace("\0", "\ufffd") if name.strip(b"\0") else ""), name


def test_names_of_hosts_move_no_terminal_and_no_spreadsheet(tmp_path):
    """Server names with ESC and C1 controls, bidirectional marks, formulas (the names are the packets' own, as hex dumps
    show)."""
    capture = CORPUS and CORPUS / "hostile/sni-c1.pcap"
    if not capture or not capture.exists():
        pytest.skip("no ../shared/corpus/hostile")
    text = offline(capture, export="text:-", options=["--plugins", "tls"]).out.decode()
    shown = re.findall(r"TLSSNI=(\S+)", text)
    assert shown == ['"\\u009b31mred\\u009b0m"', '"\\u001b[31mred"', "=cmd|calc!A1", '"a\\u202eb"', "@SUM(1+1)"]
    names = ["\x9b31mred\x9b0m", "\x1b[31mred", "=cmd|calc!A1", "a\u202eb", "@SUM(1+1)"]
    records = offline(capture, options=["--plugins", "tls"]).records
    assert [record["cesnet:TLSSNI"] for record in records] == names
    for escape, cells in [("formulas", names[:2] + ["'=cmd|calc!A1", "a\u202eb", "'@SUM(1+1)"]), ("none", names)]:
        table = tmp_path / f"{escape}.csv"
        offline(capture, export=f"csv:{table}", options=["--plugins", "tls", "--csv-escape", escape])
        with open(table, newline="", encoding="utf-8") as rows:
            assert [row["cesnet:TLSSNI"] for row in csv.DictReader(rows)] == cells
