"""--sample: how many packets make flows, that whole flows are sampled or none, and that collectors are told."""

import collections
import json
import os
import struct

import pytest
from harness import CAPTURES, NO_HUGE, Live, Session, file_messages, is_root, offline, run, unaccounted

MANY = CAPTURES / "many-flows.pcap"
DEMO = CAPTURES / "demo.pcap"


def selector(tmp_path, *options):
    """The record that says how packets are selected: element -> octets."""
    out = tmp_path / "out.ipfix"
    assert offline(DEMO, options=options, export=f"ipfix:{out}").status == 0
    session = Session()
    for message in file_messages(out):
        session.message(message)
    found = {tuple(sorted(record.items())) for scope, record in session.options if scope == ((0, 302),)}
    assert len(found) == 1
    return {element: octets for (_, element), octets in found.pop()}


def key(record):
    return json.dumps([record.get(f"iana:{name}") for name in (
        "sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address", "sourceTransportPort",
        "destinationTransportPort", "protocolIdentifier", "flowStartMicroseconds")])


@pytest.mark.parametrize("rate", [2, 3, 10, 100, 5000])
def test_the_first_of_each_n_packets_makes_flows(rate):
    result = offline(DEMO, options=["--sample", f"1/{rate}"])
    counters = result.counters
    assert counters["received"] == 1137 and counters["received"] - counters["not_sampled"] == -(-1137 // rate)
    assert unaccounted(counters) == 0
    assert 0 < counters["not_sampled_bytes"] < counters["bytes"]


def test_counters_of_records_are_those_of_what_was_sampled():
    """A capture in which each second packet is left out by hand makes the same flows."""
    sampled = offline(MANY, options=["--sample", "1/2"])
    assert sum(r["iana:packetDeltaCount"] + r["iana@reverse:packetDeltaCount"] for r in sampled.records) \
        == sampled.counters["packets_in_flows"] == sampled.counters["received"] // 2


def test_random_takes_one_of_each_n():
    counters = offline(DEMO, options=["--sample", "random:1/10"]).counters
    # Of the last seven the chosen one may be among the three that do not come.
    assert counters["received"] - counters["not_sampled"] in (113, 114)
    assert unaccounted(counters) == 0


def test_flows_are_sampled_whole():
    everything = {key(record): record for record in offline(MANY, options=["--plugins", "pstats"]).records}
    sampled = offline(MANY, options=["--plugins", "pstats", "--sample", "flow:1/4"])
    assert unaccounted(sampled.counters) == 0
    assert 0.15 * len(everything) < len(sampled.records) < 0.35 * len(everything)
    for record in sampled.records:
        assert record == everything[key(record)], "as without sampling"
    assert sampled.records == offline(MANY, options=["--plugins", "pstats", "--sample", "flow:1/4"]).records


def test_both_directions_of_a_flow_are_sampled_together():
    with_both = [r for r in offline(DEMO, options=["--sample", "flow:1/2"]).records if r["iana@reverse:packetDeltaCount"]]
    everything = collections.Counter(key(r) for r in offline(DEMO).records if r["iana@reverse:packetDeltaCount"])
    assert with_both and not collections.Counter(map(key, with_both)) - everything


def test_packets_are_sampled_among_those_that_pass_the_filter():
    counters = offline(DEMO, options=["--sample", "1/10", "--filter", "tcp port 443"]).counters
    passed = counters["received"] - counters["filtered"]
    assert passed - counters["not_sampled"] == counters["packets_in_flows"] == -(-passed // 10)
    assert unaccounted(counters) == 0


def number(octets):
    return int.from_bytes(octets, "big")


def test_collectors_are_told(tmp_path):
    told = selector(tmp_path)
    assert {k: number(v) for k, v in told.items()} == {302: 1, 304: 1, 305: 1, 306: 0}
    told = selector(tmp_path, "--sample", "1/100")
    assert {k: number(v) for k, v in told.items()} == {302: 1, 304: 1, 305: 1, 306: 99}
    told = selector(tmp_path, "--sample", "random:1/100")
    assert {k: number(v) for k, v in told.items()} == {302: 1, 304: 3, 309: 1, 310: 100}
    told = selector(tmp_path, "--sample", "flow:1/8")
    assert struct.unpack("!d", told.pop(311)) == (0.125,)
    assert {k: number(v) for k, v in told.items()} == {302: 1, 390: 4}


@pytest.mark.parametrize("value", ["", "10", "1/0", "2/10", "1/", "1/x", "1/-5", ":1/5", "often:1/5", "flow:", "1/9999999999"])
def test_other_values_are_refused(value):
    result = run("--sample", value, "--pcap", DEMO)
    assert result.status == 64 and len(result.messages) == 1 and "1/N" in result.messages[0]


@pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")
@pytest.mark.parametrize("sample,expected", [("1/10", (114, 114)), ("random:1/10", (113, 114)), ("flow:1/2", (1, 1136))])
def test_live(tmp_path, sample, expected):
    with Live([f"--vdev=net_pcap0,rx_pcap={DEMO}"], ["--sample", sample, "--export", f"json:{tmp_path}/out", "--stats", "0.1"],
              mem=NO_HUGE) as live:
        live.wait_received(1137)
        assert live.stop() == 0, live.text()
        counters = live.counters
    assert unaccounted(counters) == 0
    assert expected[0] <= counters["received"] - counters["not_sampled"] <= expected[1]
