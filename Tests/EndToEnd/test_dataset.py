"""A data set made with csv: loads into pandas with the types that its fields have, and gives docs/machine-learning.md's model.

`Tests/EndToEnd/test_dataset.py --write` writes that page's figures anew.
"""
import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

import harness

pandas = pytest.importorskip("pandas", reason="pandas is not installed: data sets are not tested (pip install pandas)")

TIMES = ["iana:flowStartMicroseconds", "iana:flowEndMicroseconds"]
COUNTS = [
    "iana:octetDeltaCount", "iana@reverse:octetDeltaCount", "iana:packetDeltaCount", "iana@reverse:packetDeltaCount",
    "iana:flowEndReason", "iana:ipVersion", "iana:protocolIdentifier", "iana:tcpControlBits",
    "iana@reverse:tcpControlBits", "iana:sourceTransportPort", "iana:destinationTransportPort",
]
TEXTS = ["iana:sourceMacAddress", "iana:destinationMacAddress", "iana:sourceIPv4Address", "iana:sourceIPv6Address"]
SEQUENCES = ["cesnet:packetLength", "cesnet:packetTime", "cesnet:packetFlag", "cesnet:packetDirection"]
HISTOGRAMS = [
    "cesnet:phistSrcSizes", "cesnet:phistDstSizes", "cesnet:phistSrcInterPacketTime", "cesnet:phistDstInterPacketTime"]
WHOLE = ["cesnet:ntsMinPacketPayload", "cesnet:ntsMaxPacketPayload"]


@pytest.fixture(scope="module")
def table(mixed, tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "flows.csv"
    harness.subprocess.run(
        [harness.MARTLET, "--pcap", mixed, "--plugins", "pstats,phists,nettisa", "--export", f"csv:{path}"],
        check=True, timeout=60)
    return pandas.read_csv(path, parse_dates=TIMES)


def test_there_are_flows(table):
    assert len(table) > 50
    assert table.columns.is_unique


def test_times_are_utc(table):
    for name in TIMES:
        assert isinstance(table[name].dtype, pandas.DatetimeTZDtype), name
        assert str(table[name].dt.tz) == "UTC", name
    assert (table[TIMES[1]] >= table[TIMES[0]]).all()


def test_counts_are_whole_numbers(table):
    for name in COUNTS:
        assert pandas.api.types.is_integer_dtype(table[name]), f"{name} is {table[name].dtype}"
    assert (table["iana:packetDeltaCount"] > 0).all()
    for name in WHOLE:
        present = table[name].dropna()
        assert pandas.api.types.is_numeric_dtype(present) and (present % 1 == 0).all(), name


def test_statistics_are_floating_point(table):
    names = [name for name in table.columns if name.startswith("cesnet:nts") and name not in WHOLE]
    assert len(names) == 11
    for name in names:
        assert pandas.api.types.is_float_dtype(table[name]), f"{name} is {table[name].dtype}"


def test_addresses_are_text(table):
    for name in TEXTS:
        assert pandas.api.types.is_string_dtype(table[name].dropna()), f"{name} is {table[name].dtype}"
    # Exactly one family's address is there, as the version says.
    assert (table["iana:sourceIPv4Address"].notna() == (table["iana:ipVersion"] == 4)).all()
    assert (table["iana:sourceIPv6Address"].notna() == (table["iana:ipVersion"] == 6)).all()


def test_lists_are_json(table):
    lists = {name: table[name].dropna().map(json.loads) for name in SEQUENCES + HISTOGRAMS}
    lengths = [column.map(len).tolist() for column in (lists[name] for name in SEQUENCES)]
    assert all(one == lengths[0] for one in lengths) and max(lengths[0]) <= 30
    for name in HISTOGRAMS:
        assert set(lists[name].map(len)) == {8}, name
    assert set(lists["cesnet:packetDirection"].explode().dropna()) <= {1, -1}
    times = pandas.to_datetime(lists["cesnet:packetTime"].explode().dropna(), utc=True)
    assert times.notna().all()


# docs/machine-learning.md

PAGE = harness.ROOT / "docs/machine-learning.md"
REQUIREMENTS = harness.ROOT / "docs/examples/requirements.txt"
RESULT = re.compile(r"(<!-- result: [^\n]*-->\n```\n)(.*?)(```\n<!-- end -->)", re.DOTALL)


def train():
    """What docs/examples/train.py prints."""
    done = subprocess.run(
        [sys.executable, harness.ROOT / "docs/examples/train.py"], capture_output=True, text=True, timeout=300,
        env={**os.environ, "MARTLET": harness.MARTLET})
    assert done.returncode == 0, done.stderr
    return done.stdout


def has_versions_of_the_page():
    pinned = dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    return all(metadata.version(name) == pinned[name] for name in ("numpy", "pandas", "scikit-learn"))


def test_the_pages_figures_are_what_train_prints():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: docs/machine-learning.md's figures are not checked")
    printed, shown = train(), RESULT.search(PAGE.read_text())[2]
    if has_versions_of_the_page():
        assert printed == shown, "run Tests/EndToEnd/test_dataset.py --write"
        return
    # Other versions draw other trees: the flows must be the same, the accuracies near.
    def split(text):
        counts, _, model = text.partition("\n\n")
        return counts, [float(number) for number in re.findall(r"(?:demo\.pcap|other \d+|features\)): (\d\.\d+)", model)]
    (counts, accuracies), (shown_counts, shown_accuracies) = split(printed), split(shown)
    assert counts == shown_counts
    assert len(accuracies) == 4 and accuracies == pytest.approx(shown_accuracies, abs=0.06)


def test_the_pages_sentences_have_its_figures():
    text = PAGE.read_text()
    shown = RESULT.search(text)[2]
    known, tested, others = re.search(r"(\d+) of (\d+) test flows have .* other (\d+):", shown).groups()
    learned = sum(int(row.split()[1]) for row in re.findall(r"^(?:dns|http|mqtt|quic|smtp|tls) +\d+ +\d+$", shown, re.M))
    words = " ".join(text[text.index("## 5."):].split())
    assert f"with {learned} flows to learn from" in words
    assert f"{known} of its {tested} flows" in words and f"the other {others} says" in words
    assert f"One wrong flow is {1 / int(tested):.3f}" in words


if __name__ == "__main__":
    assert sys.argv[1:] == ["--write"] and has_versions_of_the_page(), __doc__
    result = train()
    PAGE.write_text(RESULT.sub(lambda match: match[1] + result + match[3], PAGE.read_text()))
