"""Arrays for models against the records that the binary writes, element by element."""

import datetime
import random

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

import martlet
from conftest import CAPTURES, json_records
import itertools

TLS, DEMO = CAPTURES / "tls13.pcap", CAPTURES / "demo.pcap"


def microseconds(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1_000_000)


@pytest.mark.parametrize("length", [1, 5, 30])
@pytest.mark.parametrize("capture", [TLS, DEMO])
def test_sequences(capture, length):
    records = json_records(capture, "--plugins", "pstats")
    values, mask = martlet.flows(capture, plugins="pstats").sequences(length)
    assert values.shape == (len(records), 4, length) and values.dtype == np.float32
    assert mask.shape == (len(records), length) and mask.dtype == np.bool_
    for row, record in enumerate(records):
        sizes = record.get("cesnet:packetLength", [])[:length]
        times = [microseconds(text) for text in record.get("cesnet:packetTime", [])[:length]]
        gaps = [0] * bool(times) + [(later - earlier) / 1000 for earlier, later in itertools.pairwise(times)]
        expected = [sizes, gaps, record.get("cesnet:packetDirection", [])[:length], record.get("cesnet:packetFlag", [])[:length]]
        padding = [0] * (length - len(sizes))
        np.testing.assert_allclose(values[row], [channel + padding for channel in expected], rtol=1e-6)
        assert mask[row].tolist() == [True] * len(sizes) + [False] * len(padding)


def test_the_plugin_is_added():
    values, _ = martlet.flows(TLS).sequences(40)
    other, _ = martlet.flows(TLS, plugins="pstats:packets=40,time=us").sequences(40)
    assert np.array_equal(values, other)
    with pytest.raises(martlet.InvalidOption, match=r"pstats keeps 30 packets.*packets=50"):
        martlet.flows(TLS, plugins="pstats").sequences(50)
    with pytest.raises(martlet.InvalidOption, match="1 packet or more"):
        martlet.sequences(martlet.flows(TLS, plugins="pstats").to_arrow(), 0)


def test_histograms():
    records = json_records(DEMO, "--plugins", "phists")
    found = martlet.flows(DEMO).histograms()
    assert found.shape == (len(records), 4, 8) and found.dtype == np.uint32
    names = ["phistSrcSizes", "phistDstSizes", "phistSrcInterPacketTime", "phistDstInterPacketTime"]
    for row, record in enumerate(records):
        assert found[row].tolist() == [record.get(f"cesnet:{name}", [0] * 8) for name in names]
    assert found.sum() > 500


def test_tables_of_others():
    """A table that went through pandas or polars, also one that was filtered, gives the same arrays."""
    flows = martlet.flows([TLS, DEMO], plugins="pstats,phists", threads=1)
    table = flows.to_arrow()
    expected = martlet.sequences(table, 10)
    for other in (flows.to_pandas(), flows.to_pandas("pyarrow"), flows.to_polars(), flows):
        found = martlet.sequences(other, 10)
        assert np.allclose(found.values, expected.values) and np.array_equal(found.mask, expected.mask)
        assert np.array_equal(martlet.histograms(other), martlet.histograms(table))
    chosen = [3, 0, 77, 12]
    parts = martlet.sequences(table.take(chosen), 10)
    assert np.array_equal(parts.values, expected.values[chosen])
    assert np.array_equal(martlet.sequences(table.slice(5, 20), 10).mask, expected.mask[5:25])
    frame = flows.to_pandas()
    assert np.array_equal(martlet.histograms(frame[frame.protocolIdentifier == 6]), martlet.histograms(
        table.filter(pa.compute.equal(table.column("protocolIdentifier"), 6))))
    assert np.array_equal(martlet.sequences(flows.to_polars().filter(polars.col("protocolIdentifier") == 6)).mask,
                          martlet.sequences(table.filter(pa.compute.equal(table.column("protocolIdentifier"), 6))).mask)


def test_full_names():
    table = martlet.flows(TLS, plugins="pstats,phists", names="full").to_arrow()
    assert np.array_equal(martlet.sequences(table).values, martlet.flows(TLS, plugins="pstats").sequences().values)


@pytest.mark.parametrize("seed", range(20))
def test_lists_of_any_shape(seed):
    """Random lists, empty and missing ones, in chunks that begin anywhere, against a loop."""
    random.seed(seed)

    def one():
        count = random.choice([0, 0, 1, 2, 5, 40])
        return None if random.random() < 0.2 else count
    counts = [one() for _ in range(random.randrange(0, 30))]
    start = 1_700_000_000_000_000_000

    def column(kind, make):
        return pa.array([None if count is None else [make(place) for place in range(count)] for count in counts], pa.list_(kind))
    table = pa.table({
        "packetLength": column(pa.uint16(), lambda place: place + 1),
        "packetTime": column(pa.timestamp("ns", "UTC"), lambda place: start + place * place * 500_000),
        "packetFlag": column(pa.uint8(), lambda place: place % 256),
        "packetDirection": column(pa.int8(), lambda place: 1 if place % 3 else -1),
    })
    whole = pa.concat_tables([table.slice(0, 3), table.slice(3, 4), table.slice(7)])
    length = random.choice([1, 3, 8])
    values, mask = martlet.sequences(whole, length)
    for row, count in enumerate(counts):
        for place in range(length):
            there = place < (count or 0)
            assert mask[row, place] == there
            gap = (2 * place - 1) * 0.5 if place else 0
            expected = [place + 1, gap, 1 if place % 3 else -1, place] if there else [0] * 4
            assert values[row, :, place].tolist() == expected


def test_what_is_no_table():
    with pytest.raises(TypeError, match="not list"):
        martlet.sequences([1, 2, 3])
    with pytest.raises(martlet.InvalidOption, match="choose plugin pstats"):
        martlet.sequences(pandas.DataFrame({"a": [1]}))
    with pytest.raises(martlet.InvalidOption, match="choose plugin phists"):
        martlet.histograms(martlet.flows(TLS).to_arrow())


def test_no_flows(tmp_path):
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(TLS.read_bytes()[:24])
    values, mask = martlet.flows(empty).sequences(7)
    assert values.shape == (0, 4, 7) and mask.shape == (0, 7)
    assert martlet.flows(empty).histograms().shape == (0, 4, 8)
