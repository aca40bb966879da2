"""--filter: what passes is what tcpdump shows, offline and in native code on a worker lcore; what does not is counted."""

import json
import os
import re
import subprocess

import pytest
from harness import CAPTURES, NO_HUGE, Live, captures, have, is_root, json_packets_and_octets, offline, run, unaccounted

pytestmark = pytest.mark.skipif(not have("tcpdump"), reason="tcpdump says what passes")

EXPRESSIONS = [
    "tcp", "udp", "icmp", "icmp6", "ip", "ip6", "arp", "ip or ip6", "not ip", "sctp", "vlan", "vlan and tcp", "mpls", "pppoes",
    "port 53", "udp port 53", "tcp port 443", "not port 443", "src port 53", "dst port 53", "portrange 1000-40000",
    "tcp port 80 or tcp port 443 or udp port 443", "host 127.0.0.1", "src host 10.0.0.1", "net 10.0.0.0/8",
    "src net 192.168.0.0/16", "dst net 10.0.0.0 mask 255.255.255.0", "ip6 host ::1", "ip6 net fe80::/10",
    "not net 10.0.0.0/8 and not net 192.168.0.0/16", "ether host 00:00:00:00:00:00", "ether broadcast", "ether multicast",
    "ip multicast", "ip proto 47", "ip proto 50 or ip proto 17", "ip6 proto 58", "ether proto 0x86dd", "less 100", "greater 1000",
    "len > 200 and len < 900", "tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-fin|tcp-rst) != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", "ip[6:2] & 0x3fff != 0", "ip[8] < 64", "udp[4:2] > 100",
    "tcp and (ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0", "udp and udp[8:2] = 0x1603",
    "ether[12:2] = 0x8847 or ether[0] & 1 = 1", "ip[9] = 6 and tcp[13] & 7 != 0 or udp", "tcp src port 443 and greater 500",
]


@pytest.mark.parametrize("options", [[], ["--stats", "0"], ["--stats", "0", "--stats-format", "json"]])
def test_what_is_refused_leaves_no_totals(options):
    result = run("--pcap", CAPTURES / "demo.pcap", "--filter", "nonsense at all", "--export", "json:-", *options)
    assert result.status == 64 and result.out == b""
    assert len(result.err.splitlines()) == 1 and b"--filter" in result.err, result.err


def matching(path, expression):
    """How many packets tcpdump says match; None where it cannot read the capture or compile the expression for it."""
    # `tcpdump -r FILE EXPR | wc -l` says the same only where each packet is a line.
    done = subprocess.run(["tcpdump", "--count", "-r", path, expression], capture_output=True, text=True, timeout=60)
    found = re.search(r"(?m)^(\d+) packets?$", done.stdout + done.stderr)
    return int(found[1]) if found and done.returncode == 0 and "pcap_loop" not in done.stderr else None


def link_type(path):
    done = subprocess.run(["tcpdump", "--count", "-r", path], capture_output=True, text=True, timeout=60)
    found = re.search(r"link-type (\w+)", done.stderr)
    return found[1] if found and done.returncode == 0 and "pcap_loop" not in done.stderr else None


@pytest.fixture(scope="module")
def of_ethernet(tmp_path_factory):
    """All captures of Ethernet that can be read to their end, with a list of them for tcpdump."""
    found = [path for path in captures() if link_type(path) == "EN10MB" and offline(path).status == 0]
    assert len(found) > 30
    names = tmp_path_factory.mktemp("filter") / "names"
    names.write_text("".join(f"{path}\n" for path in found))
    return found, names


def test_there_are_fifty_expressions():
    assert len(set(EXPRESSIONS)) >= 50


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_many_packets_pass_as_tcpdump_shows(of_ethernet, expression):
    paths, names = of_ethernet
    done = subprocess.run(["tcpdump", "--count", "-V", names, expression], capture_output=True, text=True, timeout=60)
    expected = int(re.search(r"(?m)^(\d+) packets?$", done.stdout + done.stderr)[1])
    result = offline(*paths, options=["--filter", expression], export="csv:/dev/null")
    assert result.status == 0, result.err
    counters = result.counters
    assert counters["received"] - counters["filtered"] == expected
    assert unaccounted(counters) == 0 and counters["filtered_bytes"] <= counters["bytes"]
    assert (counters["filtered"] == 0) == (counters["filtered_bytes"] == 0)


@pytest.mark.parametrize("expression", ["tcp", "ip6", "udp port 53", "greater 200", "host 127.0.0.1"])
def test_a_capture_of_any_link_type_has_its_own_program(expression):
    compared = 0
    for path in sorted(CAPTURES.glob("*.pcap")):
        if link_type(path) in (None, "EN10MB") or offline(path).status != 0:
            continue
        expected = matching(path, expression)
        result = offline(path, options=["--filter", expression], export="csv:/dev/null")
        if expected is None:
            assert result.status != 0, f"{path}: tcpdump has no such filter"
            continue
        assert result.status == 0, result.err
        assert result.counters["received"] - result.counters["filtered"] == expected, path
        compared += 1
    assert compared >= 5


def test_what_passes_makes_the_flows_that_a_filtered_capture_makes(tmp_path):
    filtered = tmp_path / "filtered.pcap"
    subprocess.run(["tcpdump", "-r", CAPTURES / "demo.pcap", "-w", filtered, "tcp port 443"], capture_output=True, check=True)
    with_filter = offline(CAPTURES / "demo.pcap", options=["--filter", "tcp port 443", "--plugins", "pstats,tls"])
    assert with_filter.records and with_filter.records == offline(filtered, options=["--plugins", "pstats,tls"]).records


@pytest.mark.parametrize("arguments", [["--pcap", CAPTURES / "demo.pcap"], None], ids=["offline", "live"])
def test_a_wrong_expression_is_one_line_with_libpcaps_reason(tmp_path, arguments):
    out = tmp_path / "out.json"
    more = ["--filter", "tcp prot 443", "--export", f"json:{out}"]
    result = run(*more, *arguments) if arguments else run("--no-huge", "--", *more)
    assert result.status == 64 and len(result.messages) == 1
    assert "--filter 'tcp prot 443'" in result.messages[0] and "syntax error" in result.messages[0]
    assert not out.exists()


#: A list that does not fit DPDK's verifier, which walks each way through them.
LONG = " or ".join(f"ip6 host 2001:db8::{number:x}" for number in range(1, 40)) + " or udp"


@pytest.mark.parametrize("expression,method", [
    ("tcp port 443", "native code"), ("udp", "native code"), ("not ip", "native code"), ("greater 500", "native code"),
    ("vlan", "native code"), ("ip[6:2] & 0x3fff != 0", "native code"), ("net 10.0.0.0/8", "native code"),
    ("src net 192.168.0.0/16 or portrange 1000-40000", "native code"), ("ip6 host ::1 or icmp6", "native code"),
    # What DPDK 22.11 gets wrong is not given to it.
    ("tcp[tcpflags] & tcp-syn != 0", "libpcap's interpreter"), ("ip[6] & 0x40 != 0", "libpcap's interpreter"),
    ("tcp and (ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0", "libpcap's interpreter"),
    (LONG, "libpcap's interpreter"),
])
@pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")
def test_a_worker_lcore_lets_the_same_packets_pass(tmp_path, mixed, expression, method):
    out = tmp_path / "out.json"
    expected = offline(mixed, options=["--filter", expression]).counters
    with Live([f"--vdev=net_pcap0,rx_pcap={mixed}"],
              ["--filter", expression, "--export", f"json:{out}", "--stats", "0.1"], mem=NO_HUGE) as live:
        live.wait_received(expected["received"])
        assert live.stop() == 0, live.text()
        counters, text = live.counters, live.text()
    assert f"filter '{expression}': {method}" in text
    for name in ("received", "bytes", "filtered", "filtered_bytes", "packets_in_flows"):
        assert counters[name] == expected[name], name
    assert unaccounted(counters) == 0
    assert json_packets_and_octets([json.loads(line) for line in open(out)])[0] == counters["packets_in_flows"]
