"""Labels: what joins is worked out by hand; a plain loop is the other side of the random case."""

import json
import random
import time

import pytest

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")

import martlet  # noqa: E402
from conftest import CAPTURES  # noqa: E402
from martlet.labels import join_labels, ndpi_labels, sni_labels  # noqa: E402

SECOND = 10**9
BASE = 1_700_000_000


def flows(*rows):
    """rows: (source, source port, destination, destination port, protocol, start, end), seconds behind BASE."""
    def version(address, wanted):
        return address if (":" in address) == (wanted == 6) else None
    time = pa.timestamp("ns", "UTC")
    return pa.table({
        "sourceIPv4Address": pa.array([version(row[0], 4) for row in rows], pa.string()),
        "destinationIPv4Address": pa.array([version(row[2], 4) for row in rows], pa.string()),
        "sourceIPv6Address": pa.array([version(row[0], 6) for row in rows], pa.string()),
        "destinationIPv6Address": pa.array([version(row[2], 6) for row in rows], pa.string()),
        "sourceTransportPort": pa.array([row[1] for row in rows], pa.uint16()),
        "destinationTransportPort": pa.array([row[3] for row in rows], pa.uint16()),
        "protocolIdentifier": pa.array([row[4] for row in rows], pa.uint8()),
        "flowStartMicroseconds": pa.array([int((BASE + row[5]) * SECOND) for row in rows], time),
        "flowEndMicroseconds": pa.array([int((BASE + row[6]) * SECOND) for row in rows], time),
    })


def truth(*rows):
    names = ["src_ip", "src_port", "dst_ip", "dst_port", "protocol", "first_seen", "last_seen", "label"]
    return pd.DataFrame([(*row[:5], BASE + row[5], BASE + row[6], row[7]) for row in rows], columns=names)


A, B = ("10.0.0.1", 1000, "192.0.2.1", 443, 6), ("192.0.2.1", 443, "10.0.0.1", 1000, 6)


def shown(labelled):
    return labelled.table["label"].to_pylist()


def test_either_direction_and_time():
    done = join_labels(
        flows((*A, 0, 5), (*B, 20, 25), (*A, 40, 45), ("10.0.0.1", 1000, "192.0.2.1", 443, 17, 0, 5)),
        truth((*A, 0, 5, "video"), (*A, 21, 22, "mail")), end="last_seen")
    assert shown(done) == ["video", "mail", None, None]
    assert (done.matched, done.unmatched, done.ambiguous, done.labels_unused, done.labels_left_out) == (2, 2, 0, 0, 0)


def test_source_and_destination_keep_their_ports():
    # The two addresses with each other's ports are another flow.
    done = join_labels(flows(("10.0.0.1", 443, "192.0.2.1", 1000, 6, 0, 5)), truth((*A, 0, 5, "video")))
    assert shown(done) == [None] and done.labels_unused == 1


@pytest.mark.parametrize("tolerance, expected", [(0.9, None), (1.0, "late"), (2, "late")])
def test_tolerance(tolerance, expected):
    assert shown(join_labels(flows((*A, 0, 5)), truth((*A, 6, 7, "late")), tolerance=tolerance)) == [expected]
    assert shown(join_labels(flows((*A, 8, 9)), truth((*A, 6, 7, "late")), end="last_seen", tolerance=tolerance)) == [expected]


def test_ambiguous_is_no_label():
    done = join_labels(
        flows((*A, 0, 5), (*A, 100, 105)),
        truth((*A, 0, 1, "one"), (*B, 3, 4, "two"), (*A, 100, 101, "one"), (*A, 102, 103, "one")))
    assert shown(done) == [None, "one"] and (done.matched, done.ambiguous, done.unmatched) == (1, 1, 0)


def test_a_long_label_behind_short_ones_is_found():
    done = join_labels(flows((*A, 50, 51)), truth((*A, 0, 100, "long"), (*A, 10, 11, "a"), (*A, 20, 21, "b")), end="last_seen")
    assert shown(done) == ["long"] and done.labels_unused == 2


def test_addresses_are_compared_as_such():
    done = join_labels(
        flows(("2001:db8::1", 5, "2001:db8::2", 53, 17, 0, 1)),
        truth(("2001:0DB8:0:0:0:0:0:2", 53, "2001:DB8::0001", 5, "UDP", 0, 1, "dns")))
    assert shown(done) == ["dns"]


def test_octets_are_addresses_too():
    table = flows((*A, 0, 5))
    octets = pa.array([bytes([10, 0, 0, 1])], pa.binary(4)), pa.array([bytes([192, 0, 2, 1])], pa.binary(4))
    table = table.drop_columns(["sourceIPv4Address", "destinationIPv4Address"]).append_column(
        "sourceIPv4Address", octets[0]).append_column("destinationIPv4Address", octets[1])
    assert shown(join_labels(table, truth((*A, 0, 5, "video")))) == ["video"]


def test_what_cannot_be_read_is_counted():
    done = join_labels(flows((*A, 0, 5)), truth(
        (*A[:4], "TCP", 0, 5, "video"), ("nonsense", 1000, "192.0.2.1", 443, "tcp", 0, 5, "x"),
        (*A[:4], "no protocol", 0, 5, "x"), (*A[:4], "6", 0, 5, None)))
    assert shown(done) == ["video"] and done.labels_left_out == 3


def test_columns_have_the_names_given_and_a_csv_does(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("from;to;app;when\n192.0.2.1;10.0.0.1;video;2023-11-14T22:13:20.500Z\n")
    done = join_labels(
        flows((*A, 0, 5), (*A, 50, 51)), path, source="from", destination="to", source_port=None, destination_port=None,
        protocol=None, label="app", begin="when", into="application", delimiter=";")
    assert done.table["application"].to_pylist() == ["video", None]


@pytest.mark.parametrize("unit, factor", [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_units(unit, factor):
    labels = truth((*A, 0, 5, "video")).astype({"first_seen": "int64"})
    labels["first_seen"] *= factor
    assert shown(join_labels(flows((*A, 0, 0), (*A, 3, 4)), labels, unit=unit, tolerance=0)) == ["video", None]


def test_without_times_and_without_rows():
    assert shown(join_labels(flows((*A, 0, 5), (*B, 10**6, 10**6)), truth((*A, 0, 5, "video")), begin=None)) == ["video"] * 2
    assert shown(join_labels(flows((*A, 0, 5)), truth((*A, 0, 5, "video")).iloc[:0])) == [None]
    assert join_labels(flows(), truth((*A, 0, 5, "video"))).labels_unused == 1


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no column when; there are: src_ip"):
        join_labels(flows((*A, 0, 5)), truth((*A, 0, 5, "video")), begin="when")


@pytest.mark.parametrize("pairs", [7, 1 << 22])
def test_a_plain_loop_finds_the_same(monkeypatch, pairs):
    monkeypatch.setattr("martlet.labels.MOST_PAIRS", pairs)
    chance = random.Random(13)

    def row():
        ends = [(f"10.0.0.{chance.randrange(2)}", chance.randrange(2)), (f"10.0.0.{chance.randrange(2)}", chance.randrange(2))]
        start = chance.randrange(60)
        return (*ends[0], *ends[1], chance.choice([6, 17]), start, start + chance.randrange(6))
    ours = [row() for _ in range(300)]
    theirs = [(*row(), chance.choice("abc")) for _ in range(150)]
    expected = []
    for one in ours:
        found = {other[7] for other in theirs if other[4] == one[4] and {tuple(one[0:2]), tuple(one[2:4])} == {
            tuple(other[0:2]), tuple(other[2:4])} and other[5] <= one[6] + 1 and other[6] >= one[5] - 1}
        expected.append(found.pop() if len(found) == 1 else None)
    done = join_labels(flows(*ours), truth(*theirs), end="last_seen")
    assert shown(done) == expected and done.ambiguous > 10 and done.matched > 10


def test_ndpi_csv(tmp_path):
    """The header and the order of ndpiReader.c; the rows are by hand."""
    path = tmp_path / "ndpi.csv"
    path.write_text(
        "#flow_id|protocol|first_seen|last_seen|duration|src_ip|src_port|dst_ip|dst_port|ndpi_proto_num|ndpi_proto|proto_by_ip|"
        "server_name_sni|c_to_s_pkts\n"
        f"1|6|{BASE}.000|{BASE + 5}.250|5.250|10.0.0.1|1000|192.0.2.1|443|91.126|TLS.Google|Unknown|\"www.google.com|7\n"
        f"2|17|{BASE}.100|{BASE}.100|0.000|10.0.0.1|5353|192.0.2.53|53|5|DNS|Unknown|a|b|c|1\n")
    with pytest.warns(UserWarning, match="1 lines"):
        labels = ndpi_labels(path)
    assert labels.to_pylist() == [{
        "src_ip": "10.0.0.1", "src_port": 1000, "dst_ip": "192.0.2.1", "dst_port": 443, "protocol": "6", "first_seen": BASE,
        "last_seen": BASE + 5.25, "label": "TLS.Google"}]
    with pytest.warns(UserWarning):
        assert ndpi_labels(path, master=True)["label"].to_pylist() == ["TLS"]
    assert shown(join_labels(flows((*B, 0, 5)), labels, end="last_seen")) == ["TLS.Google"]


def test_ndpi_json(tmp_path):
    path = tmp_path / "ndpi.json"
    one = {"src_ip": "10.0.0.1", "dest_ip": "192.0.2.1", "src_port": 1000, "dst_port": 443, "ip": 4, "proto": "TCP",
           "ndpi": {"proto": "TLS.Google", "proto_id": "91.126"}}
    path.write_text(json.dumps(one) + "\n{broken\n[]\n")
    with pytest.warns(UserWarning, match="2 lines"):
        labels = ndpi_labels(path)
    assert shown(join_labels(flows((*A, 0, 5)), labels, begin=None)) == ["TLS.Google"]


def test_other_csv_is_not_taken_for_ndpi(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="ndpiReader"):
        ndpi_labels(path)


# Names

SUFFIXES = {"google.com": "google", "mail.google.com": "mail", ".video.example.": "video", "*.Wild.example": "wild",
            "xn--bcher-kva.example": "books"}


@pytest.mark.parametrize("name, label", [
    ("google.com", "google"), ("www.google.com", "google"), ("notgoogle.com", None), ("google.com.evil.example", None),
    ("a.b.mail.google.com", "mail"), ("WWW.GOOGLE.COM.", "google"), ("video.example", "video"), ("a.video.example", "video"),
    ("wild.example", "wild"), ("x.wild.example", "wild"), ("www.xn--bcher-kva.example", "books"), ("www.bücher.example", None),
    ("com", None), (".", None), ("..", None), ("", None), (None, None), ("google.com..", None),
    # The Kelvin sign is no k, although Unicode's lower case says so.
    ("mail.google.com\u212a", None),
])
def test_suffixes(name, label):
    assert sni_labels(pa.table({"TLSSNI": pa.array([name], pa.string())}), SUFFIXES)["label"].to_pylist() == [label]


def test_names_of_several_columns():
    table = pa.table({"TLSSNI": ["", None, "a.example"], "quicSNI": ["b.example", None, "b.example"]})
    assert sni_labels(table, {"a.example": "a", "b.example": "b"})["label"].to_pylist() == ["b", None, "a"]


def test_unknown_and_every_name(tmp_path):
    table = pa.table({"TLSSNI": pa.array(["a.example", "b.test", None]).dictionary_encode()})
    assert sni_labels(table, {"example": "e"}, unknown="other")["label"].to_pylist() == ["e", "other", None]
    assert sni_labels(table, {"example": "e", "*": "all"})["label"].to_pylist() == ["e", "all", None]
    path = tmp_path / "suffixes.csv"
    path.write_text("suffix,label\nexample,e\n")
    assert sni_labels(table, path, into="service")["service"].to_pylist() == ["e", None, None]
    assert sni_labels(table, pd.DataFrame({"s": ["test"], "l": ["t"]}))["label"].to_pylist() == [None, "t", None]


def test_a_suffix_with_two_labels_is_refused():
    with pytest.raises(ValueError, match="two labels"):
        sni_labels(pa.table({"TLSSNI": ["a"]}), {"a.example": "one", "A.example.": "two"})
    with pytest.raises(ValueError, match="none of the columns"):
        sni_labels(pa.table({"x": ["a"]}), {"a.example": "one"})


def test_it_is_fast_enough():
    """Keys that all are the same would be compared one by one by a plain join: 20000 flows with 20000 labels are 4e8 pairs."""
    count = 20_000
    table = flows(*((*A, second, second + 1) for second in range(0, 3 * count, 3)))
    labels = truth(*((*A, second, second + 1, "even" if second % 2 == 0 else "odd") for second in range(0, 3 * count, 3)))
    done = join_labels(table, labels, end="last_seen", tolerance=0.5)
    assert (done.matched, done.ambiguous) == (count, 0)


# What label files have in them


def udp_rows(**changes):
    """The first flow of a capture as a row of labels, and the flows."""
    flows = martlet.flows(CAPTURES / "udp.pcap", progress=False).to_arrow()
    flow = flows.slice(0, 1).to_pylist()[0]
    row = {
        "src_ip": flow["sourceIPv4Address"], "src_port": flow["sourceTransportPort"], "dst_ip": flow["destinationIPv4Address"],
        "dst_port": flow["destinationTransportPort"], "protocol": 17, "first_seen": flow["flowStartMicroseconds"].isoformat(),
        "label": "x"}
    return flows, {**row, **changes}


def joined(tmp_path, *rows, **options):
    """The labels of the first flow and the counts, by CSV."""
    flows = udp_rows()[0]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(",".join(map(str, words)) for words in [rows[0].keys(), *(row.values() for row in rows)]) + "\n")
    found = martlet.join_labels(flows, path, **options)
    return found.table["label"].to_pylist()[0], found


def test_times_beyond_nanoseconds(tmp_path):
    """A label without an end: the year 9999, which 64 bits of nanoseconds do not hold."""
    row = udp_rows(first_seen="2001-01-01 00:00:00", last_seen="9999-12-31 00:00:00")[1]
    assert joined(tmp_path, row, end="last_seen")[0] == "x"
    assert joined(tmp_path, udp_rows(first_seen="0001-01-01 00:00:00")[1])[0] is None
    day = udp_rows()[1]["first_seen"][:10]
    assert joined(tmp_path, udp_rows(first_seen=day)[1], tolerance=86400)[0] == "x"
    with pytest.raises(ValueError, match="no time since 1970"):
        joined(tmp_path, udp_rows(first_seen="12:00:00")[1])


def test_ports_that_are_none_match_nothing(tmp_path):
    """Also one that differs from the flow's by 2^17."""
    port = udp_rows()[1]["src_port"]
    for wrong in (port + (1 << 17), port + 65536, -1, "", 1e30, "inf"):
        label, found = joined(tmp_path, udp_rows(src_port=wrong)[1])
        assert label is None and found.labels_left_out == 1, wrong


def test_a_label_that_is_said_many_times():
    """30 000 flows of one key, and as many rows for it: that they say the same is seen before each meets each."""
    flows, row = udp_rows()
    many = pa.concat_tables([flows.slice(0, 1)] * 30_000)
    labels = pa.table({name: [value] * 30_000 for name, value in row.items()})
    began = time.process_time()
    found = martlet.join_labels(many, labels)
    assert (found.matched, found.labels_unused) == (30_000, 0)
    assert time.process_time() - began < 10
