"""What the flow table promises of captures: late times, the order at the end, its reasons, and every flow's place."""

import json
import random
import struct

import pytest
from harness import run, write_pcap, write_pcapng


def frame(source, destination, ports, flags=None):
    """An IPv4 packet: TCP with these flags, or UDP of one octet."""
    if flags is None:
        transport = struct.pack(">HHHH", *ports, 9, 0) + b"x"
    else:
        transport = struct.pack(">HHIIBBHHH", *ports, 1, 1, 0x50, flags, 512, 0, 0)
    header = struct.pack(
        ">BBHHHBBHII", 0x45, 0, 20 + len(transport), 0, 0, 64, 17 if flags is None else 6, 0, source, destination)
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + header + transport


def records(path, *options):
    result = run(*options, "--pcap", path, "--export", "json:-")
    return result, [json.loads(line) for line in result.out.decode().splitlines() if line]


def start(record):
    return next(value for key, value in record.items() if key.startswith("iana:flowStart"))


@pytest.mark.parametrize("seconds, expected", [
    (0x7FFFFFFF, "2038-01-19T03:14:07"), (0x80000000, "2038-01-19T03:14:08"),
    (0xFFFFFFF0, "2106-02-07T06:28:00")])
def test_pcap_has_times_up_to_2106(seconds, expected, tmp_path):
    data = frame(0x0A000001, 0x0A000002, (1, 2))
    write_pcap(tmp_path / "late", 1, [((seconds, 250000), len(data), data)])
    result, (record,) = records(tmp_path / "late")
    assert result.status == 0
    assert start(record) == f"{expected}.250000Z"


def test_pcapng_has_times_up_to_2540(tmp_path):
    data = frame(0x0A000001, 0x0A000002, (1, 2))
    write_pcapng(tmp_path / "late", 1, [((5_000_000_000, 1000), len(data), data)])
    _, (record,) = records(tmp_path / "late")
    assert start(record) == "2128-06-11T08:53:20.001000Z"


@pytest.mark.parametrize("seconds", [18_000_000_001, 20_000_000_000, (1 << 64) // 10**6 - 1])
def test_later_times_are_refused_with_a_line(seconds, tmp_path):
    data = frame(0x0A000001, 0x0A000002, (1, 2))
    write_pcapng(tmp_path / "late", 1, [((1000, 0), len(data), data), ((seconds, 0), len(data), data)])
    result, read = records(tmp_path / "late")
    assert result.status == 1
    assert len(read) == 1
    line, = result.err.decode().splitlines()
    assert "after packet 1" in line and "2540" in line


def test_the_end_is_in_order_and_says_what_was_closed(tmp_path):
    """Flows in an order that is no hash's; a third has a FIN, a third a RST."""
    packets = []
    for number in range(3000):
        data = frame(random.getrandbits(32), random.getrandbits(32), (1, 2), (0x02, 0x11, 0x14)[number % 3])
        packets.append(((1_700_000_000, number * 10), len(data), data))
    write_pcap(tmp_path / "flows", 1, packets)
    _, read = records(tmp_path / "flows")
    assert [record["iana:flowEndReason"] for record in read] == [4, 3, 3] * 1000
    assert [start(record) for record in read] == sorted(start(record) for record in read)


def test_no_flow_leaves_while_the_table_has_room(tmp_path):
    """Each of 262,144 random flows has two packets, far apart in the file: 49 share a bucket with more than seven others."""
    generator = random.Random(1)
    flows = [frame(generator.getrandbits(32), generator.getrandbits(32), (7, 9)) for _ in range(262144)]
    write_pcap(
        tmp_path / "flows", 1,
        [((1_700_000_000 + number // 50000, number % 50000), len(data), data)
         for number, data in enumerate(flows + flows)])
    _, read = records(tmp_path / "flows", "--flows", 262144)
    assert len(read) == len(flows)
    assert {(record["iana:flowEndReason"], record["iana:packetDeltaCount"]) for record in read} == {(4, 2)}


def test_as_many_flows_as_can_be_asked_for(tmp_path):
    """It works, or is refused with a line: this is 64 GiB and more."""
    data = frame(0x0A000001, 0x0A000002, (1, 2))
    write_pcap(tmp_path / "one", 1, [((1000, 0), len(data), data)])
    for flows in (268435456, 1 << 30):
        result, read = records(tmp_path / "one", "--flows", flows, "--plugins", "tls")
        lines = result.err.decode().splitlines()
        assert (result.status, len(read)) == (0, 1) or (result.status == 1 and len(lines) == 1), lines
