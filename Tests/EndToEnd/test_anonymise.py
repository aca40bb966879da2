"""--anonymise: every address of every record is replaced, once and in all outputs; what would give them away is refused."""

import ipaddress
import json
import os
import subprocess

import pytest
from harness import CAPTURES, Session, file_messages, have, offline, run

DEMO = CAPTURES / "demo.pcap"
#: Crypto-PAn's sample.
KEY = bytes([21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
             216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2])
ADDRESSES = [f"iana:{name}" for name in (
    "sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address")]
MACS = ["iana:sourceMacAddress", "iana:destinationMacAddress"]
needs_openssl = pytest.mark.skipif(not have("openssl"), reason="openssl encrypts")


def encrypt(octets):
    return subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", KEY[:16].hex()],
                          input=octets, capture_output=True, check=True).stdout


def crypto_pan(addresses):
    """The addresses that Crypto-PAn puts in the place of others, from the paper's definition."""
    pad = int.from_bytes(encrypt(KEY[16:]), "big")
    found = {}
    for text in addresses:
        address = ipaddress.ip_address(text)
        bits = address.max_prefixlen
        whole = int(address) << (128 - bits)
        blocks = b"".join(
            (whole >> (128 - n) << (128 - n) | pad & ((1 << (128 - n)) - 1)).to_bytes(16, "big") for n in range(bits))
        flips = int("".join(str(octet >> 7) for octet in encrypt(blocks)[::16]), 2)
        found[text] = str(type(address)(int(address) ^ flips))
    return found


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


def without_addresses(record):
    return {name: value for name, value in record.items() if name not in ADDRESSES + MACS}


@needs_openssl
def test_all_addresses_are_those_of_crypto_pan(key_file):
    true = offline(DEMO, CAPTURES / "ipv6.pcap").records
    other = offline(DEMO, CAPTURES / "ipv6.pcap", options=["--anonymise", f"cryptopan:{key_file}"]).records
    expected = crypto_pan({record[name] for record in true for name in ADDRESSES if name in record})
    assert len(expected) > 5 and any(":" in address for address in expected)
    assert len(true) == len(other) > 10
    for before, after in zip(true, other):
        assert without_addresses(before) == without_addresses(after)
        for name in ADDRESSES:
            assert after.get(name) == expected.get(before.get(name)), name
        assert {after[name] for name in MACS} == {"00:00:00:00:00:00"}


def test_truncated_addresses(tmp_path):
    true = offline(DEMO, CAPTURES / "ipv6.pcap").records
    other = offline(DEMO, CAPTURES / "ipv6.pcap", options=["--anonymise", "truncate:16,48,keep-macs"]).records
    for before, after in zip(true, other, strict=True):
        for name in ADDRESSES:
            if name in before:
                bits = 48 if ":" in before[name] else 16
                network = ipaddress.ip_network(f"{before[name]}/{bits}", strict=False)
                assert after[name] == str(network.network_address)
        assert all(before[name] == after[name] for name in MACS)


def test_all_outputs_have_the_same(tmp_path, key_file):
    """A record is anonymised once: twice would be another address."""
    out = {name: tmp_path / name for name in ("ipfix", "json", "json2", "csv")}
    options = ["--anonymise", f"cryptopan:{key_file}", "--plugins", "flowhash"]
    for name, path in out.items():
        options += ["--export", f"{name.rstrip('2')}:{path}"]
    assert run(*options, "--pcap", DEMO).status == 0
    records = [json.loads(line) for line in open(out["json"])]
    assert out["json"].read_bytes() == out["json2"].read_bytes()
    alone = offline(DEMO, options=["--anonymise", f"cryptopan:{key_file}", "--plugins", "flowhash"])
    assert alone.records == records
    session = Session()
    for message in file_messages(out["ipfix"]):
        session.message(message)
    assert len(session.records) == len(records)
    for message, record in zip(session.records, records):
        for element, name in ((8, "iana:sourceIPv4Address"), (12, "iana:destinationIPv4Address")):
            if name in record:
                assert message[0, element] == ipaddress.ip_address(record[name]).packed
        assert message[0, 56] == message[0, 80] == bytes(6)
    rows = out["csv"].read_text().splitlines()
    column = rows[0].split(",").index("iana:sourceIPv4Address")
    assert [row.split(",")[column] for row in rows[1:]] == [r.get("iana:sourceIPv4Address", "") for r in records]


def test_the_flow_id_says_nothing_of_the_true_addresses(key_file):
    true = offline(DEMO, options=["--plugins", "flowhash"]).records
    other = offline(DEMO, options=["--plugins", "flowhash", "--anonymise", f"cryptopan:{key_file}"]).records
    assert not {r["iana:flowId"] for r in true} & {r["iana:flowId"] for r in other}
    assert len({r["iana:flowId"] for r in true}) == len({r["iana:flowId"] for r in other})


def test_uniflows_have_the_same_addresses_both_ways(key_file):
    records = offline(DEMO, options=["--uniflow", "--anonymise", f"cryptopan:{key_file}"]).records
    ends = {}
    for record in records:
        pair = [record.get(ADDRESSES[0]) or record.get(ADDRESSES[2]), record.get(ADDRESSES[1]) or record.get(ADDRESSES[3])]
        ends.setdefault(record["iana:flowId"], []).append((record["iana:flowDirection"], pair))
    both = [sides for sides in ends.values() if {direction for direction, _ in sides} == {0, 1}]
    assert both
    for sides in both:
        forward = next(pair for direction, pair in sides if direction == 0)
        assert all(pair == (forward if direction == 0 else forward[::-1]) for direction, pair in sides)


@needs_openssl
def test_addresses_in_plugins_fields_are_replaced(key_file):
    capture = CAPTURES / "dns.pcap"
    true = offline(capture, options=["--plugins", "passivedns"]).records
    other = offline(capture, options=["--plugins", "passivedns", "--anonymise", f"cryptopan:{key_file},force"]).records
    before = [r["cesnet:DNSRData"] for r in true if "cesnet:DNSRData" in r]
    after = [r["cesnet:DNSRData"] for r in other if "cesnet:DNSRData" in r]
    assert before and [crypto_pan([address])[address] for address in before] == after


@pytest.mark.parametrize("plugin", ["tls", "quic", "idpcontent", "http", "dns", "passivedns", "dnssd", "smtp", "sip", "rtsp",
                                    "ssh", "ssdp", "netbios", "mqtt", "ntp", "osquery"])
def test_plugins_that_export_payload_or_names_are_refused(tmp_path, plugin):
    out = tmp_path / "out.json"
    more = ["--plugins", f"pstats,{plugin}", "--export", f"json:{out}", "--pcap", DEMO]
    result = run("--anonymise", "truncate:24,64", *more)
    assert result.status == 64 and len(result.messages) == 1
    assert f"--anonymise: {plugin} export" in result.messages[0] and not out.exists()
    if plugin != "osquery":
        assert run("--anonymise", "truncate:24,64,force", *more).status == 0


def test_harmless_plugins_run():
    assert offline(DEMO, options=["--plugins", "pstats,phists,bstats,nettisa,basicplus,icmp,vlan,mpls,rtt,qos,flowstats",
                                  "--anonymise", "truncate:24,64"]).status == 0


@pytest.mark.parametrize("content", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\n"], ids=["raw", "hex", "line"])
def test_forms_of_the_key(tmp_path, key_file, content):
    path = tmp_path / "other,key"
    path.write_bytes(content)
    path.chmod(0o400)
    records = offline(DEMO, options=["--anonymise", f"cryptopan:{path},force"]).records
    assert records == offline(DEMO, options=["--anonymise", f"cryptopan:{key_file}"]).records


@pytest.mark.parametrize("content,mode,reason", [
    (KEY[:31], 0o600, "has no key"), (KEY + KEY, 0o600, "has no key"), (b"", 0o600, "has no key"),
    (b"g" * 64, 0o600, "has no key"), (b"x" * 5000, 0o600, "has no key"),
    (KEY, 0o640, "chmod 600"), (KEY, 0o604, "chmod 600"), (None, 0, "No such file")])
def test_a_key_file_that_is_none_is_refused(tmp_path, content, mode, reason):
    path, out = tmp_path / "key", tmp_path / "out.json"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    result = run("--anonymise", f"cryptopan:{path}", "--export", f"json:{out}", "--pcap", DEMO)
    assert result.status == 1 and len(result.messages) == 1
    assert str(path) in result.messages[0] and reason in result.messages[0] and not out.exists()


def test_a_key_is_read_from_a_file_only(tmp_path):
    """A FIFO would be waited for, and a device gives what octets it likes."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path, words in [(tmp_path, "a folder"), (fifo, "a FIFO"), ("/dev/urandom", "a device")]:
        result = run("--anonymise", f"cryptopan:{path}", "--export", "json:-", "--pcap", DEMO, timeout=20)
        assert result.status == 1 and len(result.messages) == 1 and result.out == b""
        assert f"key file {path}: it is {words}" in result.messages[0]


@pytest.mark.parametrize("value", ["", "cryptopan", "cryptopan:", "truncate:24", "truncate:33,64", "truncate:24,129",
                                   "truncate:a,b", "truncate:24,64,never", "scramble:key"])
def test_other_values_are_refused(value):
    result = run("--anonymise", value, "--pcap", DEMO)
    assert result.status == 64 and len(result.messages) == 1 and "cryptopan:KEYFILE" in result.messages[0]
