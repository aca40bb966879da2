"""Memory for what plugins keep of variable length: it follows --flows, and running out of it is said."""

import json
import os
import struct

import pytest
from harness import Live, have, is_root, run, tshark, write_pcap

ADDRESSES = bytes([10, 0, 0, 1, 10, 0, 0, 2])


def packets(count, payload):
    """One TCP segment with `payload` for each of `count` flows, all within a second."""
    total = 20 + 20 + len(payload)
    network = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, 6, 0) + ADDRESSES
    start = bytes(range(12)) + b"\x08\x00" + network
    for flow in range(count):
        transport = struct.pack("!HHIIBBHHH", flow & 0xFFFF, 443 + (flow >> 16), 1, 1, 0x50, 0x18, 1000, 0, 0)
        frame = start + transport + payload
        yield (1700000000, flow % 1000000), len(frame), frame


def client_hello(name):
    """RFC 8446 section 4.1.2 with a server_name (RFC 6066 section 3) and nothing else."""
    def field(size, data):
        return len(data).to_bytes(size, "big") + data

    extension = b"\0\0" + field(2, field(2, b"\0" + field(2, name)))
    body = b"\3\3" + bytes(32) + field(1, b"") + field(2, b"\x13\x01") + field(1, b"\0") + field(2, extension)
    return b"\x16\3\1" + field(2, b"\1" + field(3, body))


def warnings(text):
    return [line for line in text.splitlines() if "slab full" in line and "warning" in line]


@pytest.mark.parametrize("stats", [[], ["--stats", "0"]])
def test_what_plugins_go_without_is_said_at_the_end(tmp_path, stats):
    """64 MiB are 2047 pages of 32 KiB behind the unit that stands for no block; a quarter, 511, is left to small blocks.
    1536 pages of 16 blocks of 2 KiB hold 24576 payloads of 600 bytes: 424 of 25000 flows find none."""
    capture = tmp_path / "payloads.pcap"
    write_pcap(capture, 1, packets(25000, bytes(600)))
    # Twice as many records as flows, so that no bucket has to evict one, whose block would come back.
    result = run("--flows", "65536", "--plugin", "idpcontent:length=600", *stats, "--pcap", capture, "--export", "json:-")
    assert result.status == 0
    assert sum(len(record["cesnet:IDPContent"]) == 2 + 2 * 600 for record in result.records) == 24576
    lines = warnings(result.err.decode())
    assert len(lines) == 1 and " 424 blocks" in lines[0] and "--flows" in lines[0]
    if stats:
        assert result.counters["slab_full"] == 424
    # As the line says: more flows have more memory, these 128 MiB.
    more = run("--flows", "131072", "--plugin", "idpcontent:length=600", *stats, "--pcap", capture, "--export", "json:-")
    assert all(len(record["cesnet:IDPContent"]) == 2 + 2 * 600 for record in more.records)
    assert not warnings(more.err.decode())


@pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")
@pytest.mark.parametrize("flows,complete", [(262144, True), (131072, False)])
def test_live_memory_follows_the_flows(tmp_path, flows, complete):
    """A hello takes 512 bytes for its summary and 128 for its payload: 64 MiB, the least, are enough for 104 800 flows
    (2047 pages of 64 and of 256 blocks), 128 MiB for all of 120 000."""
    capture, out = tmp_path / "hellos.pcap", tmp_path / "out.json"
    write_pcap(capture, 1, packets(120000, client_hello(b"many.example")))
    with Live([f"--vdev=net_pcap0,rx_pcap={capture}"],
              ["--plugins", "tls,idpcontent", "--export", f"json:{out}", "--stats", "0.2", "--flows", flows,
               "--inactive-timeout", "1000", "--drain-timeout", "120"]) as live:
        live.wait_received(120000)
        assert live.stop(timeout=180) == 0, live.text()
        counters, text = live.counters, live.text()
    assert counters["packets_in_flows"] == 120000
    names = sum(json.loads(line).get("cesnet:TLSSNI") == "many.example" for line in open(out))
    if complete:
        assert names == 120000 and counters["slab_full"] == 0 and not warnings(text)
    else:
        assert names < 110000 and counters["slab_full"] > 10000
        assert len(warnings(text)) == 1 and f" {counters['slab_full']} blocks" in warnings(text)[0]


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
def test_the_hello_is_one_to_tshark_too(tmp_path):
    capture = tmp_path / "hello.pcap"
    write_pcap(capture, 1, packets(1, client_hello(b"many.example")))
    assert tshark(capture, "-Tfields", "-e", "tls.handshake.extensions_server_name") == ["many.example"]
