"""martlet.collect: against RFC 7011's own examples, tshark, martlet's JSON, other exporters, and what is broken on purpose."""

import collections
import gzip
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from martlet import rotation  # noqa: E402
from martlet._ipfix.templates import Budget  # noqa: E402
from martlet.collect import Limits, collect  # noqa: E402
from martlet.rotation import ParquetRotation, write_parquet  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MARTLET = Path(os.environ.get("MARTLET", ROOT / ".build/release/martlet"))
CAPTURES = ROOT / "Tests/Captures"
needs_martlet = pytest.mark.skipif(not MARTLET.exists(), reason="no release build of martlet")


# Messages by hand

def message(*sets, sequence=0, domain=1, exported=1_700_000_000):
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), exported, sequence, domain) + body


def set_of(kind, *records):
    body = b"".join(records)
    return struct.pack("!HH", kind, 4 + len(body)) + body


def fields(*specifiers):
    return b"".join(
        struct.pack("!HH", number, size) if enterprise == 0 else struct.pack("!HHI", number | 0x8000, size, enterprise)
        for enterprise, number, size in specifiers)


def template(number, *specifiers):
    return set_of(2, struct.pack("!HH", number, len(specifiers)) + fields(*specifiers))


def options_template(number, scope, *specifiers):
    return set_of(3, struct.pack("!HHH", number, len(specifiers), scope) + fields(*specifiers))


def read(tmp_path, *messages, **options):
    """(rows, the collector) of a file of these messages."""
    path = tmp_path / "messages.ipfix"
    path.write_bytes(b"".join(messages))
    with collect(path, **options) as collector:
        rows = [row for batch in collector for row in batch.to_pylist()]
    return rows, collector


def values(rows):
    """Rows without what stands before each, and without what they do not have."""
    about = ("exporter", "observationDomainId", "exportTime")
    return [{name: value for name, value in row.items() if value is not None and name not in about} for row in rows]


# RFC 7011, appendix A

RFC_TEMPLATE = bytes.fromhex("0002001c 01000005 00080004 000c0004 000f0004 00020004 00010004")
RFC_DATA = bytes.fromhex(
    "01000040 c000020c c00002fe c0000201 00001391 00518c81"
    "c000021b c0000217 c0000202 000002ec 0005ef46"
    "c0000238 c0000241 c0000203 00000005 00001986")
RFC_RECORDS = [
    ("192.0.2.12", "192.0.2.254", "192.0.2.1", 5009, 5344385),
    ("192.0.2.27", "192.0.2.23", "192.0.2.2", 748, 388934),
    ("192.0.2.56", "192.0.2.65", "192.0.2.3", 5, 6534)]
RFC_NAMES = ["sourceIPv4Address", "destinationIPv4Address", "ipNextHopIPv4Address", "packetDeltaCount", "octetDeltaCount"]


def test_the_data_set_of_appendix_a(tmp_path):
    rows, collector = read(tmp_path, message(RFC_TEMPLATE, RFC_DATA))
    assert values(rows) == [dict(zip(RFC_NAMES, record)) for record in RFC_RECORDS]
    assert rows[0]["observationDomainId"] == 1 and rows[0]["exportTime"].timestamp() == 1_700_000_000
    assert collector.counters.losses() == {} and collector.counters.records == 3


def test_the_options_of_appendix_a(tmp_path):
    template_set = bytes.fromhex("00030018 01020003 0001 008d0004 00290002 002a0002 0000")
    data = bytes.fromhex("01020014 00000001 015927d9 00000002 02b24fb2")
    rows, collector = read(tmp_path, message(template_set, data))
    assert rows == [] and collector.counters.options_records == 2
    assert [(one["iana:lineCardId"], one["iana:exportedMessageTotalCount"], one["iana:exportedFlowRecordTotalCount"])
            for one in collector.options] == [(1, 345, 10201), (2, 690, 20402)]


def test_variable_lengths_of_appendix_a(tmp_path):
    # A.5: the short form has one octet of length, the long one 255 and two more; both may have any length.
    name = (0, 82, 0xFFFF)  # interfaceName
    rows, _ = read(tmp_path, message(template(300, name, (0, 4, 1)), set_of(
        300, b"\x05hello\x06", b"\xff\x00\x05hello\x11", b"\xff\x01\x2c" + b"x" * 300 + b"\x01", b"\x00\x02")))
    assert [(row["interfaceName"], row["protocolIdentifier"]) for row in rows] == [
        ("hello", 6), ("hello", 17), ("x" * 300, 1), ("", 2)]


def test_every_type_has_its_value(tmp_path):
    """RFC 7011 section 6.1: the values are computed by hand."""
    ntp = 2_208_988_800 + 1_000_000_000
    columns = [
        ((0, 1, 8), b"\xff" * 8, "octetDeltaCount", 2**64 - 1),
        ((0, 2, 3), b"\x01\x00\x02", "packetDeltaCount", 65538),  # reduced size (section 6.2)
        ((0, 434, 4), b"\xff\xff\xff\xfe", "mibObjectValueInteger", -2),
        ((0, 311, 4), struct.pack("!f", 0.5), "samplingProbability", 0.5),
        ((0, 276, 1), b"\x01", "dataRecordsReliability", True),
        ((0, 56, 6), bytes(range(6)), "sourceMacAddress", "00:01:02:03:04:05"),
        ((0, 82, 8), "grün".encode() + b"\0\0\0", "interfaceName", "grün"),
        ((0, 27, 16), bytes.fromhex("20010db8000000000000000000000001"), "sourceIPv6Address", "2001:db8::1"),
        ((0, 313, 4), b"\x00\x01\xfe\xff", "ipHeaderPacketSection", b"\x00\x01\xfe\xff"),
        ((0, 210, 3), b"\0\0\0", None, None),  # padding
        ((0, 150, 4), struct.pack("!I", 1_000_000_000), "flowStartSeconds", 1_000_000_000 * 10**9),
        ((0, 152, 8), struct.pack("!Q", 1_000_000_000_123), "flowStartMilliseconds", 1_000_000_000_123 * 10**6),
        # Half a second, a quarter of a second; and the eleven lowest bits of microseconds say nothing.
        ((0, 154, 8), struct.pack("!II", ntp, 0x800007FF), "flowStartMicroseconds", 1_000_000_000_500_000_000),
        ((0, 156, 8), struct.pack("!II", ntp, 0x40000000), "flowStartNanoseconds", 1_000_000_000_250_000_000),
        # What would be before 1970 is in the next era of NTP: 2036-02-07T06:28:16Z.
        ((0, 155, 8), struct.pack("!II", 0, 0), "flowEndMicroseconds", 2_085_978_496 * 10**9),
        ((0, 153, 8), b"\xff" * 8, "flowEndMilliseconds", None),  # beyond what nanoseconds hold
    ]
    rows, _ = read(tmp_path, message(
        template(256, *(one[0] for one in columns)), set_of(256, b"".join(one[1] for one in columns))))
    shown = {name: value.value if hasattr(value, "value") else value for name, value in values(rows)[0].items()}
    assert shown == {name: value for _, _, name, value in columns if value is not None}
    assert list(rows[0]).count("flowEndMilliseconds") == 1


def test_addresses_may_stay_octets(tmp_path):
    rows, _ = read(tmp_path, message(RFC_TEMPLATE, RFC_DATA), addresses="binary")
    assert rows[0]["sourceIPv4Address"] == bytes([192, 0, 2, 12])


def test_names_may_be_full(tmp_path):
    rows, _ = read(tmp_path, message(
        template(256, (0, 1, 4), (29305, 1, 4), (8057, 808, 2), (4242, 7, 2)), set_of(256, bytes(8) + b"abcd")), names="full")
    assert values(rows) == [
        {"iana:octetDeltaCount": 0, "iana@reverse:octetDeltaCount": 0, "cesnet:TLSSNI": "ab", "en4242:en4242id7": b"cd"}]


def test_an_element_that_comes_twice_has_two_columns(tmp_path):
    rows, _ = read(tmp_path, message(template(256, (0, 1, 1), (0, 1, 1)), set_of(256, b"\x01\x02")))
    assert values(rows) == [{"octetDeltaCount": 1, "octetDeltaCount_2": 2}]


def test_lists(tmp_path):
    """RFC 6313 section 4.5.1: of fixed and of variable length, of an enterprise's element, empty, absent."""
    fixed = b"\x03" + struct.pack("!HH", 2, 2) + b"\x00\x01\x00\x02"
    texts = b"\x03" + struct.pack("!HH", 82, 0xFFFF) + b"\x01a\x00\xff\x00\x02bc"
    enterprise = b"\x03" + struct.pack("!HHI", 0x8000 | 1016, 1, 8057) + b"\xff\x01"
    empty = b"\x03" + struct.pack("!HH", 2, 2)

    def var(data):
        return bytes([len(data)]) + data
    rows, collector = read(tmp_path, message(
        template(256, (0, 291, 0xFFFF), (0, 4, 1)),
        set_of(256, *(var(one) + b"\x06" for one in (fixed, texts, enterprise, empty)))))
    assert values(rows) == [
        {"packetDeltaCount": [1, 2], "protocolIdentifier": 6}, {"interfaceName": ["a", "", "bc"], "protocolIdentifier": 6},
        {"packetDirection": [-1, 1], "protocolIdentifier": 6}, {"packetDeltaCount": [], "protocolIdentifier": 6}]
    assert collector.counters.losses() == {}


# RFC 5610

def type_record(enterprise, number, kind, name):
    return struct.pack("!IHB", enterprise, number, kind) + bytes([len(name)]) + name.encode()


TYPES = options_template(400, 2, (0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 341, 0xFFFF))


def test_names_and_types_are_learned(tmp_path):
    data = template(256, (4242, 7, 2), (4242, 8, 4)), set_of(256, b"\x01\x00" + b"\xc0\x00\x02\x01")
    rows, _ = read(tmp_path, message(*data), message(
        TYPES, set_of(400, type_record(4242, 7, 2, "fooCount"), type_record(4242, 8, 18, "barAddress")), sequence=1),
        message(data[1], sequence=3))
    # What is told in a batch holds for all of it: a record and what says what it means may come in either order.
    assert values(rows) == [{"fooCount": 256, "barAddress": "192.0.2.1"}] * 2


def test_names_from_outside_are_checked(tmp_path):
    bad = [(0, 1, 2, "mine"), (4242, 7, 99, "kind"), (4242, 7, 2, "a b"), (4242, 7, 2, "<script>"), (4242, 7, 2, "x" * 101)]
    rows, collector = read(
        tmp_path, message(TYPES, set_of(400, *(type_record(*one) for one in bad))),
        message(template(256, (0, 1, 1), (4242, 7, 1)), set_of(256, b"\x01\x02"), sequence=5))
    assert values(rows) == [{"octetDeltaCount": 1, "en4242id7": b"\x02"}]
    assert collector.counters.types_refused == 4  # those of IANA's elements are passed over


def test_what_one_exporter_says_is_not_another_ones(tmp_path):
    with collect("udp://127.0.0.1:0", latency=0.05) as collector:
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        data = message(template(256, (4242, 7, 1)), set_of(256, b"\x07"), sequence=1)
        senders[0].sendto(message(TYPES, set_of(400, type_record(4242, 7, 1, "mine"))), collector.address)
        for sender in senders:
            sender.sendto(data, collector.address)
        rows = take(collector, 2)
        for sender in senders:
            sender.close()
    assert sorted(map(str, values(rows))) == sorted(map(str, [{"mine": 7}, {"en4242id7": b"\x07"}]))


# Templates and sequences

def take(collector, count, seconds=20):
    """The rows of batches until there are `count`."""
    timer = threading.Timer(seconds, collector.stop)
    timer.start()
    rows = []
    try:
        for batch in collector:
            rows += batch.to_pylist()
            if len(rows) >= count:
                break
    finally:
        timer.cancel()
    return rows


def send(address, *data):
    with socket.create_connection(address) as connection:
        for one in data:
            connection.sendall(one)


def over_tcp(*data, rows=None, **options):
    """(rows, collector) of what is sent over a connection."""
    with collect("tcp://127.0.0.1:0", latency=0.02, **options) as collector:
        sender = threading.Thread(target=send, args=(collector.address, *data))
        sender.start()
        found = []
        timer = threading.Timer(1.0 if rows is None else 20.0, collector.stop)
        timer.start()
        for batch in collector:
            found += batch.to_pylist()
            if rows is not None and len(found) >= rows:
                collector.stop()
        timer.cancel()
        sender.join()
    return found, collector


ONE = (0, 4, 1)


def test_a_withdrawn_template_may_mean_something_else():
    rows, collector = over_tcp(
        message(template(256, ONE), set_of(256, b"\x06")),
        message(set_of(2, struct.pack("!HH", 256, 0)), template(256, (0, 60, 1)), set_of(256, b"\x04"), sequence=1),
        message(set_of(2, struct.pack("!HH", 2, 0)), sequence=2), message(set_of(256, b"\x04"), sequence=2), rows=2)
    assert values(rows) == [{"protocolIdentifier": 6}, {"ipVersion": 4}]
    assert collector.counters.sets_without_template == 1


def test_a_template_must_not_change_over_tcp():
    rows, collector = over_tcp(
        message(template(256, ONE), set_of(256, b"\x06")), message(template(256, (0, 60, 1)), set_of(256, b"\x04"), sequence=1))
    assert values(rows) == [{"protocolIdentifier": 6}]
    assert collector.counters.losses() == {"malformed_messages": 1}


def datagrams(collector, *data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for one in data:
            sender.sendto(one, collector.address)


def test_a_template_may_change_over_udp_and_domains_have_their_own():
    with collect("udp://127.0.0.1:0", latency=0.05) as collector, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for one in (message(template(256, ONE), set_of(256, b"\x06")),
                    message(template(256, (0, 60, 1)), set_of(256, b"\x04"), sequence=1),
                    message(set_of(256, b"\x01"), domain=2), message(template(256, ONE), set_of(256, b"\x11"), domain=2)):
            sender.sendto(one, collector.address)
        rows = take(collector, 3)
    assert sorted(map(str, values(rows))) == sorted(map(str, [
        {"protocolIdentifier": 6}, {"ipVersion": 4}, {"protocolIdentifier": 17}]))
    assert collector.counters.losses() == {"sets_without_template": 1}


def test_templates_over_udp_die():
    with collect("udp://127.0.0.1:0", latency=0.05, template_lifetime=0.3) as collector, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(message(template(256, ONE), set_of(256, b"\x06")), collector.address)
        assert len(take_more(collector, 1)) == 1
        time.sleep(0.2)
        sender.sendto(message(template(256, ONE), sequence=1), collector.address)  # sent again: it lives on
        time.sleep(0.2)
        sender.sendto(message(set_of(256, b"\x07"), sequence=1), collector.address)
        assert len(take_more(collector, 1)) == 1
        time.sleep(0.4)
        sender.sendto(message(set_of(256, b"\x08"), sequence=2), collector.address)
        assert take(collector, 1, seconds=0.5) == []
    assert collector.counters.losses() == {"templates_expired": 1, "sets_without_template": 1}


def take_more(collector, count):
    rows = []
    while len(rows) < count:
        rows += next(collector).to_pylist()
    return rows


def test_gaps_are_counted_and_what_is_late_is_no_loss():
    def one(sequence):
        return message(template(256, ONE), set_of(256, b"\x06"), sequence=sequence)
    with collect("udp://127.0.0.1:0", latency=0.05) as collector, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # 0, then 1 to 3 are missing, 4 comes, 2 comes late; the number begins again behind 2^32 - 1 in another domain.
        for data in (one(0), one(4), one(2), one(5),
                     message(template(256, ONE), set_of(256, b"\x06"), sequence=2**32 - 1, domain=9),
                     message(set_of(256, b"\x06"), sequence=0, domain=9)):
            sender.sendto(data, collector.address)
        take(collector, 6)
    assert collector.counters.lost_records == 2 and collector.counters.out_of_order == 1
    assert collector.counters.sequence_resets == 0


# What is broken

BROKEN = {
    "a length beyond the message": struct.pack("!HHIII", 10, 40, 0, 0, 1),
    "a length below the header": struct.pack("!HHIII", 10, 8, 0, 0, 1),
    "a set of three octets": message(struct.pack("!HH", 256, 3)),
    "a set beyond the message": message(struct.pack("!HH", 2, 400)),
    "half a set header": message(b"\x00\x02"),
    "a template beyond its set": message(set_of(2, struct.pack("!HH", 256, 5))),
    "a template with a reserved number": message(set_of(2, struct.pack("!HH", 255, 1) + fields(ONE))),
    "an options template without scope": message(set_of(3, struct.pack("!HHH", 256, 1, 0) + fields(ONE))),
    "an options template with more scope than fields": message(set_of(3, struct.pack("!HHH", 256, 1, 2) + fields(ONE))),
    "records without octets": message(template(256, (0, 1, 0))),
    "a value beyond its set": message(template(256, (0, 82, 0xFFFF)), set_of(256, b"\x09abc")),
    "a long value beyond its set": message(template(256, (0, 82, 0xFFFF)), set_of(256, b"\xff\x01\x00abc")),
    "half a long length": message(template(256, (0, 82, 0xFFFF)), set_of(256, b"\xff\x01")),
    "a fixed field behind one that is too long": message(
        template(256, (0, 82, 0xFFFF), (0, 1, 4)), set_of(256, b"\x03abc\0\0\0")),
    "a list without header": message(template(256, (0, 291, 0xFFFF)), set_of(256, b"\x04\xff\x00\x02\x00")),
    "a list of half an entry": message(template(256, (0, 291, 0xFFFF)), set_of(256, b"\x08\xff\x00\x02\x00\x02\x01\x02\x03")),
    "a list of entries without octets": message(template(256, (0, 291, 0xFFFF)), set_of(256, b"\x06\xff\x00\x02\x00\x00\x01")),
    "a list's value beyond it": message(template(256, (0, 291, 0xFFFF)), set_of(256, b"\x07\xff\x00\x52\xff\xff\x05a")),
    "an enterprise's list without its number": message(
        template(256, (0, 291, 0xFFFF)), set_of(256, b"\x07\xff\x80\x02\x00\x01\x00\x00")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_malformed_message_is_dropped(what):
    good = message(template(900, ONE), set_of(900, b"\x06"))
    with collect("udp://127.0.0.1:0", latency=0.05) as collector:
        datagrams(collector, BROKEN[what])
        datagrams(collector, good)
        rows = take(collector, 1)
    assert values(rows) == [{"protocolIdentifier": 6}]
    assert collector.counters.malformed_messages == 1


@pytest.mark.parametrize("what", BROKEN)
def test_a_malformed_message_ends_a_connection(what):
    good = message(template(900, ONE), set_of(900, b"\x06"))
    again = message(set_of(900, b"\x07"), sequence=1)
    rows, collector = over_tcp(good, BROKEN[what] + again)
    assert values(rows) == [{"protocolIdentifier": 6}]
    losses = collector.counters.losses()
    assert losses.pop("malformed_messages", 0) + losses.pop("truncated", 0) == 1
    assert set(losses) <= {"messages_behind_malformed"}


def test_a_flood_of_templates_and_withdrawals_costs_what_its_octets_cost(tmp_path):
    """64 KiB of templates, and 64 KiB of withdrawals of all of them, 16 000 times: each took seconds when it was compared with
    all others. Datagrams bring the former to whoever listens."""
    flood = b"".join(struct.pack("!HHHH", 256 + number, 1, 4, 1) for number in range(8180))
    known = message(set_of(2, flood[:4000 * 8]), set_of(256, b"\x06"))
    withdrawals = message(set_of(2, struct.pack("!HH", 2, 0) * 16_000), set_of(256, b"\x06"))
    mixed = message(set_of(2, *(flood[place:place + 8] + struct.pack("!HH", 2, 0) for place in range(0, 8 * 5000, 8))))
    began = time.process_time()
    rows, collector = read(tmp_path, message(set_of(2, flood)), withdrawals, known, withdrawals, mixed)
    assert time.process_time() - began < 2
    assert len(rows) == 1 and collector.counters.templates_refused == 8180 - 4096
    assert collector.counters.sets_without_template == 2 and collector.counters.malformed_messages == 0


def test_withdrawals_in_their_order(tmp_path):
    """RFC 7011 section 8.1: of all templates, of those of options, of one; what comes behind is new."""
    options = options_template(300, 1, (0, 149, 4), (0, 41, 8))
    withdraw_templates, withdraw_options = (set_of(kind, struct.pack("!HH", kind, 0)) for kind in (2, 3))
    one, other = template(256, ONE), template(257, ONE)
    data, option = set_of(256, b"\x06"), set_of(300, struct.pack("!IQ", 1, 7))
    rows, collector = read(
        tmp_path, message(one, other, options, data, option), message(withdraw_templates, data, option, template(256, ONE), data),
        message(set_of(257, b"\x06"), withdraw_options, option, data), message(template(258, ONE), withdraw_templates, one, data),
        message(set_of(258, b"\x06"), data), message(withdraw_templates, domain=2), message(data))
    assert len(rows) == 6 and collector.counters.options_records == 2
    assert collector.counters.sets_without_template == 4


def test_digests_that_are_none(tmp_path):
    """A list of JA3's digests, and a digest that the stream says is a number (RFC 5610): both would be hexadecimal."""
    digest = fields((39499, 357, 2))
    inner = b"\x03" + digest + b"\x01\x02\x03\x04"
    listed = message(template(256, (0, 291, 65535)), set_of(256, bytes([len(inner)]) + inner))
    rows, _ = read(tmp_path, listed)
    assert list(values(rows)[0].values()) == [[b"\x01\x02", b"\x03\x04"]]
    number = [message(TYPES, set_of(400, type_record(39499, 357, 2, "number"))),
              message(template(256, (39499, 357, 2)), set_of(256, b"\x01\x02"), sequence=1)]
    rows, _ = read(tmp_path, *number)
    assert list(values(rows)[0].values()) == [0x0102]


@pytest.mark.filterwarnings("error")
def test_a_signalling_nan_is_no_warning(tmp_path):
    """float32 in a field of float64 (RFC 7011 section 6.2): 0x7F800001 by IEEE 754."""
    rows, _ = read(tmp_path, message(template(256, (0, 320, 4)), set_of(256, b"\x7f\x80\0\x01", b"\x40\x20\0\0")))
    first, second = (row["absoluteError"] for row in values(rows))
    assert first != first and second == 2.5


def test_templates_of_all_senders_have_one_bound(monkeypatch):
    """Each datagram from another address, as a forger would: the longest silent are forgotten. Who speaks goes on."""
    monkeypatch.setattr(Budget, "MOST", 20_000)
    many = fields(*((0, 1 + number, 4) for number in range(400)))
    flood = message(set_of(2, *(struct.pack("!HH", 256 + number, 400) + many for number in range(15))))
    with collect("udp://127.0.0.1:0", latency=0.05) as collector:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend:
            friend.connect(collector.address)
            friend.send(message(template(256, ONE)))
            for number in range(40):
                datagrams(collector, flood)
                friend.send(message(set_of(256, b"\x06"), sequence=number))
            assert len(take(collector, 40)) == 40
        budget = next(iter(collector._receiver.sessions())).templates.budget
        assert budget.weight < 20_000 and collector.counters.sessions_forgotten >= 35
        assert collector.counters.sets_without_template == 0
    # Over TCP nobody is forgotten, and templates beyond the bound are refused.
    monkeypatch.setattr(Budget, "MOST", 30)
    _, collector = over_tcp(message(*(template(256 + number, ONE, ONE, ONE) for number in range(10))))
    assert collector.counters.templates_refused == 6


def test_other_versions_are_counted():
    netflow = struct.pack("!HHIIII", 9, 0, 0, 0, 0, 0)
    with collect("udp://127.0.0.1:0", latency=0.05) as collector:
        datagrams(collector, netflow, b"", b"GET / HTTP/1.0\r\n\r\n", message(template(256, ONE), set_of(256, b"\x06")))
        assert len(take(collector, 1)) == 1
    assert collector.counters.not_ipfix == 3 and collector.counters.malformed_messages == 0
    assert over_tcp(netflow)[1].counters.not_ipfix == 1


def test_padding_is_passed_over(tmp_path):
    rows, _ = read(tmp_path, message(
        set_of(2, struct.pack("!HH", 256, 1) + fields((0, 1, 4)), b"\0\0\0"), set_of(256, b"\0\0\0\x05\0\0\0")))
    assert values(rows) == [{"octetDeltaCount": 5}]


def test_a_file_that_ends_early_gives_what_is_whole(tmp_path):
    whole = message(template(256, ONE), set_of(256, b"\x06"))
    rows, collector = read(tmp_path, whole, message(set_of(256, b"\x07"), sequence=1)[:-1])
    assert len(rows) == 1 and collector.counters.losses() == {"truncated": 1}


def test_what_a_session_may_keep_has_bounds(tmp_path):
    limits = Limits(templates=10, fields=40, types=2, domains=3)
    types = message(TYPES, set_of(400, *(type_record(4242, n, 2, f"n{n}") for n in range(1, 9))), domain=99)
    messages = [types] + [message(template(256 + n, ONE, ONE, ONE), set_of(256 + n, b"\1\2\3"), sequence=n) for n in range(30)]
    messages += [message(domain=n + 10) for n in range(20)]
    with collect("udp://127.0.0.1:0", latency=0.3, limits=limits) as collector:
        datagrams(collector, *messages)
        assert len(take(collector, 9)) == 9
        session, = collector._receiver.sessions()
        assert len(session.templates) <= 10 and session.templates.fields <= 40 and len(session.expected) <= 3
        assert collector.counters.templates_refused == 21  # one of the ten is that of the types
        assert len(session.model.learned) == 2 and collector.counters.types_refused == 6
    rows, collector = read(tmp_path, message(
        template(256, *((4242, n, 1) for n in range(1, 51))), set_of(256, bytes(50))), columns=13)
    assert len(rows[0]) == 13 and collector.counters.values_left_out == 40


def test_large_records_do_not_pile_up(tmp_path, monkeypatch):
    """However few rows they are: 40 records of 60000 octets leave in batches of some 300 kB."""
    monkeypatch.setattr("martlet._ipfix.assembly.MOST_OCTETS", 300_000)
    large = b"\xff\xea\x60" + bytes(60_000)
    path = tmp_path / "large.ipfix"
    path.write_bytes(b"".join(
        message(template(256, (0, 313, 0xFFFF)), set_of(256, large), sequence=number) for number in range(40)))
    with collect(path, limits=Limits(octets=100_000), latency=60) as collector:
        batches = list(collector)
    assert sum(batch.num_rows for batch in batches) == 40
    assert max(batch.nbytes for batch in batches) < 700_000


def plain_walk(data, begin, end, widths):
    """(records as [(begin, length) of each field of variable length], whether one does not fit) of one set, octet by octet."""
    records, at = [], begin
    while end - at >= sum(widths) + len(widths) - 1:
        record = []
        for width in widths[:-1]:
            at += width
            if at >= end:
                return records, True
            length = data[at]
            at += 1
            if length == 255:
                if at + 2 > end:
                    return records, True
                length = int.from_bytes(data[at:at + 2], "big")
                at += 2
            record.append((at, length))
            at += length
        at += widths[-1]
        if at > end:
            return records, True
        records.append(record)
    return records, False


@pytest.mark.parametrize("sets", [1, 11, 12, 50])
@pytest.mark.parametrize("widths", [[0, 0], [3, 0, 2], [0, 0, 0, 1], [5]])
def test_many_sets_at_once_are_walked_as_one(sets, widths):
    np = pytest.importorskip("numpy")
    from martlet._ipfix.walk import walk
    chance = random.Random(sets * 100 + len(widths))
    data = bytes(chance.choice((0, 0, 1, 2, 3, 9, 255)) for _ in range(4000))
    begins = [chance.randrange(3900) for _ in range(sets)]
    ends = [begin + chance.choice((0, 1, 7, 40, 90)) for begin in begins]
    found = walk(np.frombuffer(data, np.uint8), np.array(begins), np.array(ends), widths)
    for number, (begin, end) in enumerate(zip(begins, ends)):
        records, bad = plain_walk(data, begin, end, widths)
        rows = np.flatnonzero(found.sets == number).tolist()
        assert bool(found.bad[number]) == bad
        places = list(zip(found.begins, found.lengths))
        assert [[(int(first[row]), int(length[row])) for first, length in places] for row in rows] == records
        for row, record in zip(rows, records):
            assert [int(run[row]) for run in found.runs[1:]] == [first + length for first, length in record]


def test_random_damage_is_survived():
    """Messages of martlet with octets turned, cut and repeated: none raises, and whole ones still come through."""
    types = message(TYPES, set_of(400, type_record(4242, 7, 2, "fooCount")))
    base = [types, message(RFC_TEMPLATE, RFC_DATA, sequence=1), message(
        template(300, (0, 291, 0xFFFF), (0, 82, 0xFFFF), (4242, 7, 2)),
        set_of(300, b"\x09\xff\x00\x02\x00\x02\0\1\0\2\x03abc\0\1", b"\x07\xff\x00\x52\xff\xff\x01a\x00\0\2"), sequence=4)]
    chance = random.Random(7011)
    from martlet._ipfix.columns import Decoder, Malformed
    from martlet._ipfix.counters import Counters
    from martlet._ipfix.session import Session
    counters = Counters()
    session = Session("test", Decoder(), counters, Limits(), collections.deque(maxlen=10), Budget(), is_stream=False)
    refused = 0
    for round in range(3000):
        data = bytearray(chance.choice(base))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 3, 255, chance.randrange(256)))
        if chance.random() < 0.3:
            data = data[:chance.randrange(len(data))]
        if chance.random() < 0.8 and len(data) >= 4:
            data[0:4] = struct.pack("!HH", 10, len(data))
        try:
            session.take(bytes(data), 0.0)
        except Malformed:
            refused += 1
        if round % 7 == 0:
            session.flush()
    session.flush()
    before = counters.records
    for one in base:
        session.take(one, 1.0)
    assert sum(table.rows for table in session.flush()) == 5 and counters.records == before + 5
    assert 100 < refused < 3000 and counters.malformed_messages > 0


# Against others

def canonical(value):
    """A value as martlet's JSON has it."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if hasattr(value, "isoformat"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, list):
        return [canonical(one) for one in value]
    return value


def as_json(row):
    return {name: canonical(value) for name, value in row.items() if value is not None}


def answer(value):
    """cesnet:DNSRData is octets, of addresses too; JSON shows those as such."""
    octets = bytes.fromhex(value.removeprefix("0x"))
    is_address = len(octets) in (4, 16) and (b"\0" in octets or not octets.isascii())
    return str(ipaddress.ip_address(octets)) if is_address else octets.decode()


#: Sent in milliseconds; JSON has what Martlet knows.
MILLISECONDS = {"cesnet:packetTime", "cesnet:burstSrcTimeStart", "cesnet:burstSrcTimeStop", "cesnet:burstDstTimeStart",
                "cesnet:burstDstTimeStop"}


def comparable(name, value):
    if name in MILLISECONDS:
        return [one[:-4] for one in value]
    if name == "cesnet:DNSRData" and value.startswith("0x"):
        return answer(value)
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


@needs_martlet
@pytest.mark.parametrize("capture", ["demo", "tls13", "quic", "vlan", "ipv6", "http", "mqtt"])
def test_values_are_those_of_json(tmp_path, capture):
    """Every value of martlet's JSON is that of the IPFIX of the same run, which has been through this decoder."""
    path = tmp_path / "flows.ipfix"
    done = subprocess.run(
        [MARTLET, "--plugins", "all", "--export", f"ipfix:{path}", "--export", "json:-", CAPTURES / f"{capture}.pcap"],
        capture_output=True, timeout=120)
    expected = [json.loads(line) for line in done.stdout.splitlines()]
    with collect(path, names="full", batch_rows=50) as collector:
        rows = [row for batch in collector for row in batch.to_pylist()]
    assert collector.counters.losses() == {} and len(rows) == len(expected) > 0

    def key(record):
        return json.dumps([record[name] for name in (
            "iana:flowStartMicroseconds", "iana:sourceTransportPort", "iana:destinationTransportPort", "iana:octetDeltaCount")])
    found = sorted((as_json(row) for row in rows), key=key)
    for record, wanted in zip(found, sorted(expected, key=key), strict=True):
        assert {name: comparable(name, record.get(name)) for name in wanted} == {
            name: comparable(name, value) for name, value in wanted.items()}


@needs_martlet
def test_columns_are_those_of_captures(tmp_path):
    """Short names give what martlet.flows gives of the same capture: names, values, and types but for dictionaries."""
    martlet = pytest.importorskip("martlet")
    if not hasattr(martlet, "flows"):
        pytest.skip("the package is not whole")
    path, capture = tmp_path / "flows.ipfix", CAPTURES / "tls13.pcap"
    subprocess.run(
        [MARTLET, "--plugins", "pstats,tls,phists", "--export", f"ipfix:{path}", "--timestamps", "us", capture], check=True,
        capture_output=True, timeout=120)
    expected = martlet.flows(str(capture), plugins="pstats,tls,phists", progress=False).to_arrow().drop_columns(
        ["source_file", "duration"])
    with collect(path) as collector:
        found = pa.Table.from_batches(list(collector)).drop_columns(["exporter", "observationDomainId", "exportTime"])
    absent = [name for name in expected.column_names if name not in found.column_names]
    assert all(expected[name].null_count == len(expected) for name in absent)
    assert set(found.column_names) <= set(expected.column_names)
    keys = [(name, "ascending") for name in ("flowStartMicroseconds", "sourceTransportPort", "octetDeltaCount")]
    expected, found = expected.sort_by(keys), found.sort_by(keys)
    for name in found.column_names:
        ours, theirs = found[name].to_pylist(), expected[name].to_pylist()
        if name == "packetTime":  # milliseconds on the wire
            ours, theirs = ([[one.value // 10**6 for one in row] for row in rows] for rows in (ours, theirs))
        assert ours == theirs, name


@needs_martlet
@pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark")
def test_values_are_those_of_tshark(tmp_path):
    path = tmp_path / "flows.ipfix"
    subprocess.run([MARTLET, "--export", f"ipfix:{path}?options=off", CAPTURES / "many-flows.pcap"], check=True, timeout=120,
                   capture_output=True)
    columns = {
        "cflow.srcaddr": "sourceIPv4Address", "cflow.dstaddr": "destinationIPv4Address", "cflow.srcport": "sourceTransportPort",
        "cflow.dstport": "destinationTransportPort", "cflow.protocol": "protocolIdentifier"}
    shown = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", "-E", "occurrence=a", *(word for name in columns for word in ("-e", name))],
        capture_output=True, text=True, timeout=120, check=True).stdout
    expected = collections.Counter()
    for line in shown.splitlines():
        parts = [part.split(",") for part in line.split("\t")]
        expected.update(record for record in zip(*parts) if all(record))
    found = collections.Counter()
    with collect(path) as collector:
        for batch in collector:
            found.update(tuple(str(row[name]) for name in columns.values()) for row in batch.to_pylist())
    assert found == expected and sum(found.values()) > 500


@needs_martlet
@pytest.mark.parametrize("url", ["tcp", "udp", "tls"])
def test_a_running_probe(tmp_path, url):
    """What martlet sends over the loopback is what its JSON says, as sums."""
    options, parameters = {}, ""
    if url == "tls":
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
             "-out", "certificate.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
            cwd=tmp_path, check=True, capture_output=True)
        options = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem"}
        parameters = f"?ca={tmp_path / 'certificate.pem'}"
    with collect(f"{url}://127.0.0.1:0", latency=0.1, **options) as collector:
        probe = subprocess.Popen(
            [MARTLET, "--plugins", "pstats,tls", "--export", f"{url}://127.0.0.1:{collector.address[1]}{parameters}", "--export",
             "json:-", CAPTURES / "demo.pcap"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expected = []

        def wait():
            out, _ = probe.communicate(timeout=60)
            expected.extend(json.loads(line) for line in out.splitlines())
            time.sleep(0.5)
            collector.stop()
        waiter = threading.Thread(target=wait)
        waiter.start()
        rows = [row for batch in collector for row in batch.to_pylist()]
        waiter.join()
    assert collector.counters.losses() == {}
    assert len(rows) == len(expected) > 100
    for name, key in (("octetDeltaCount", "iana:octetDeltaCount"), ("reverseOctetDeltaCount", "iana@reverse:octetDeltaCount")):
        assert sum(row[name] for row in rows) == sum(record[key] for record in expected)
    assert sorted(row["TLSSNI"] for row in rows if row["TLSSNI"]) == sorted(
        record["cesnet:TLSSNI"] for record in expected if record.get("cesnet:TLSSNI"))
    statistics = [one for one in collector.options if one.get("iana:exportedFlowRecordTotalCount") is not None]
    assert statistics[-1]["iana:exportedFlowRecordTotalCount"] == len(rows)


@needs_martlet
def test_a_live_probe(tmp_path, monkeypatch):
    """Martlet on a virtual device, with statistics while it runs: each of its packets is in a record that came."""
    monkeypatch.syspath_prepend(ROOT / "Tests/EndToEnd")
    harness = pytest.importorskip("harness")
    _, packets = harness.read_pcap(CAPTURES / "many-flows.pcap")
    collector = collect("tcp://127.0.0.1:0", latency=0.1)
    batches = []
    reader = threading.Thread(target=lambda: batches.extend(collector))
    reader.start()
    url = f"tcp://127.0.0.1:{collector.address[1]}"
    with harness.Live(
            [f"--vdev=net_pcap0,rx_pcap={CAPTURES / 'many-flows.pcap'}"], ["--export", url, "--stats", "1"],
            mem=harness.NO_HUGE, directory=tmp_path) as live:
        live.wait_received(len(packets))
        assert live.stop() == 0
        counters = live.counters
    time.sleep(0.5)
    collector.stop()
    reader.join()
    assert collector.counters.losses() == {}
    assert sum(batch.num_rows for batch in batches) == counters["exported"] > 500
    names = ("packetDeltaCount", "reversePacketDeltaCount")
    assert sum(sum(batch[name].to_pylist()) for batch in batches for name in names) == len(packets)


def udp_flows_of(run, seconds=20):
    with collect("udp://127.0.0.1:0", latency=0.1) as collector:
        process = run(collector.address[1])
        timer = threading.Timer(seconds, collector.stop)
        timer.start()

        def wait():
            process.wait(seconds)
            time.sleep(0.5)
            collector.stop()
        threading.Thread(target=wait, daemon=True).start()
        rows = [row for batch in collector for row in batch.to_pylist()]
        timer.cancel()
    return rows, collector


def capture_sums(path):
    """(IP packets, their octets) of a capture without fragments and tunnels, by tshark."""
    lines = subprocess.run(
        ["tshark", "-n", "-r", path, "-Y", "ip or ipv6", "-T", "fields", "-e", "ip.len", "-e", "ipv6.plen"],
        capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    lengths = [int(old) if old else int(new) + 40 for old, new in (line.split("\t") for line in lines)]
    return len(lengths), sum(lengths)


@pytest.mark.skipif(shutil.which("softflowd") is None or shutil.which("tshark") is None, reason="no softflowd or tshark")
def test_softflowd(tmp_path):
    capture = CAPTURES / "tcp.pcap"
    rows, collector = udp_flows_of(lambda port: subprocess.Popen(
        ["timeout", "5", "softflowd", "-r", capture, "-v", "10", "-n", f"127.0.0.1:{port}", "-d", "-p", tmp_path / "pid",
         "-c", "none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert collector.counters.malformed_messages == 0
    assert (sum(row["packetDeltaCount"] for row in rows), sum(row["octetDeltaCount"] for row in rows)) == capture_sums(capture)
    assert {row["protocolIdentifier"] for row in rows} == {6}


@pytest.mark.skipif(shutil.which("pmacctd") is None or shutil.which("tshark") is None, reason="no pmacctd or tshark")
def test_pmacctd(tmp_path):
    capture = CAPTURES / "tcp.pcap"

    def run(port):
        settings = tmp_path / "pmacctd.conf"
        settings.write_text(
            f"daemonize: false\npcap_savefile: {capture}\nplugins: nfprobe[a]\nnfprobe_receiver: 127.0.0.1:{port}\n"
            "nfprobe_version: 10\naggregate[a]: src_host, dst_host, src_port, dst_port, proto\n"
            "nfprobe_timeouts[a]: expint=1:maxlife=3\n")
        return subprocess.Popen(["timeout", "6", "pmacctd", "-f", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows, collector = udp_flows_of(run)
    assert collector.counters.malformed_messages == 0
    assert (sum(row["packetDeltaCount"] for row in rows), sum(row["octetDeltaCount"] for row in rows)) == capture_sums(capture)


# Files

def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def test_parquet_files_have_so_many_rows(tmp_path):
    files = write_parquet((batch(a=list(range(n, n + 7))) for n in range(0, 70, 7)), tmp_path / "out", rows=30)
    assert [pq.read_table(path).num_rows for path in files] == [30, 30, 10]
    assert [value for path in files for value in pq.read_table(path)["a"].to_pylist()] == list(range(70))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in files)


def test_a_column_that_comes_later_is_null_before(tmp_path):
    path, = write_parquet([batch(a=[1]), batch(a=[2], b=["x"])], tmp_path)
    assert pq.read_table(path).to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_failure_leaves_whole_files_only(tmp_path):
    def batches():
        yield batch(a=list(range(15)))
        raise RuntimeError("gone")
    with pytest.raises(RuntimeError):
        write_parquet(batches(), tmp_path, rows=10)
    file, = tmp_path.iterdir()
    assert pq.read_table(file).num_rows == 10


def test_a_disk_that_is_slow_stops_nobody(tmp_path, monkeypatch):
    """Batches go on while a file waits for the disk, whose name comes only then; a disk that fails is an error."""
    held, sync = threading.Event(), os.fsync

    def slow(descriptor):
        assert held.wait(20)
        sync(descriptor)
    monkeypatch.setattr("os.fsync", slow)
    with ParquetRotation(tmp_path, rows=1) as files:
        for value in range(5):
            files.write(batch(a=[value]))
        assert files.files == [] and not list(tmp_path.glob("flows-*"))
        held.set()
    assert [pq.read_table(path)["a"].to_pylist() for path in files.files] == [[0], [1], [2], [3], [4]]

    def full(descriptor):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"), ParquetRotation(tmp_path / "full", rows=1) as files:
        files.write(batch(a=[1]))
    assert not list((tmp_path / "full").glob("flows-*"))


def test_files_end_with_time(tmp_path):
    with ParquetRotation(tmp_path, rotate=0.1) as files:
        files.write(batch(a=[1]))
        time.sleep(0.15)
        files.tick()
        assert files._writer is None
        files.write(batch(a=[2]))
    assert len(files.files) == 2


def test_an_empty_batch_comes_where_nothing_else_does():
    with collect("udp://127.0.0.1:0", latency=0.05, heartbeat=0.1) as collector:
        assert next(collector).num_rows == 0
        datagrams(collector, message(RFC_TEMPLATE, RFC_DATA))
        assert len(take(collector, 3)) == 3
        assert next(collector).num_rows == 0 and "octetDeltaCount" in next(collector).schema.names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_whole_files(tmp_path, number):
    environment = {**os.environ, "PYTHONPATH": str(Path(rotation.__file__).absolute().parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "martlet", "collect", "tcp://127.0.0.1:0", "--parquet", tmp_path / "out", "--rotate", "300",
         "--rows", "4"], stderr=subprocess.PIPE, text=True, env=environment)
    port = int(process.stderr.readline().rsplit(" ", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(message(RFC_TEMPLATE, RFC_DATA) + message(RFC_DATA, sequence=3))
        time.sleep(0.3)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "6 records" in said and "/s" in said
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [table.num_rows for table in tables] == [4, 2]
    assert tables[0]["octetDeltaCount"].to_pylist() == [5344385, 388934, 6534, 5344385]


def test_packed_files(tmp_path):
    path = tmp_path / "flows.ipfix.gz"
    path.write_bytes(gzip.compress(message(RFC_TEMPLATE, RFC_DATA)))
    with collect(path) as collector:
        assert sum(batch.num_rows for batch in collector) == 3


def test_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    def write():
        with open(pipe, "wb") as file:
            file.write(message(RFC_TEMPLATE, RFC_DATA))
            file.flush()
            told.wait(20)
    told = threading.Event()
    threading.Thread(target=write, daemon=True).start()
    with collect(pipe, latency=0.05) as collector:
        # What has come is there while the pipe is open, and whoever waits for more can be told to stop.
        assert next(collector).num_rows == 3
        threading.Timer(0.1, collector.stop).start()
        assert list(collector) == []
    told.set()


def test_addresses_of_ipv6_senders():
    with collect("udp://[::1]:0", latency=0.05) as collector, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind(("::1", 0))
        sender.sendto(message(RFC_TEMPLATE, RFC_DATA), collector.address)
        assert {row["exporter"] for row in take(collector, 3)} == {f"[::1]:{sender.getsockname()[1]}"}


@pytest.mark.parametrize("source", ["http://127.0.0.1:1", "tcp://", "tls://127.0.0.1:0", "udp://127.0.0.1:0/path"])
def test_a_source_that_is_none(source):
    with pytest.raises(ValueError):
        collect(source)


@pytest.mark.parametrize("name", ["latency", "heartbeat", "batch_rows", "columns"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_numbers_that_are_none(tmp_path, name, value):
    with pytest.raises(ValueError, match="more than 0"):
        collect("udp://127.0.0.1:0", **{name: value})
    with pytest.raises(ValueError, match="rotate is more than 0"):
        ParquetRotation(tmp_path, rotate=value)
    assert list(tmp_path.iterdir()) == []


def test_a_stop_behind_the_end_is_nothing():
    with collect("udp://127.0.0.1:0") as collector:
        pass
    collector.stop()


def test_a_schema_asked_for_is_kept(tmp_path):
    schema = pa.schema([("octetDeltaCount", pa.uint64()), ("TLSSNI", pa.string()), ("packetDeltaCount", pa.string())])
    rows, collector = read(tmp_path, message(RFC_TEMPLATE, RFC_DATA), schema=schema)
    assert rows[0] == {"octetDeltaCount": 5344385, "TLSSNI": None, "packetDeltaCount": None} and len(rows) == 3
    assert collector.counters.values_left_out == 12


def test_a_client_that_is_no_tls_client_keeps_nobody_out(tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "all.pem",
         "-out", "certificate.pem", "-subj", "/CN=localhost", "-days", "2"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    files = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "all.pem"}
    with collect("tls://127.0.0.1:0", latency=0.05, **files) as collector:
        with socket.create_connection(collector.address) as noise:
            noise.sendall(b"no hello at all\r\n\r\n")

            def client():
                with context.wrap_socket(socket.create_connection(collector.address)) as connection:
                    connection.sendall(message(RFC_TEMPLATE, RFC_DATA))
            threading.Thread(target=client, daemon=True).start()
            assert len(take(collector, 3)) == 3
    assert collector.counters.handshakes_failed == 1


def test_the_table_of_elements_is_that_of_the_project():
    done = subprocess.run([sys.executable, ROOT / "Python/tools/make_registry.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
