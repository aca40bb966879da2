"""The transformer of scikit-learn."""

import datetime
import math
import subprocess
import sys

import numpy as np
import pandas
import polars
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import martlet
from conftest import CAPTURES, ROOT, json_records


DEMO = CAPTURES / "demo.pcap"
NAMES = ["octetDeltaCount", "log1p(reverseOctetDeltaCount)", "packetLength[0:3]", "log1p(packetLength[1])", "tlsCipherSuite",
         "count(packetLength)", "packetTime[1]", "flowEndMicroseconds"]


def microseconds(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e6)


@pytest.fixture(scope="module")
def records():
    return json_records(DEMO, "--plugins", "pstats,tls")


def expected(record, missing):
    lengths = record.get("cesnet:packetLength", [])
    first = [lengths[place] if place < len(lengths) else missing for place in range(3)]
    second = math.log1p(lengths[1]) if len(lengths) > 1 else missing
    start = microseconds(record["iana:flowStartMicroseconds"])
    times = [microseconds(text) - start for text in record.get("cesnet:packetTime", [])]
    return [
        record["iana:octetDeltaCount"], math.log1p(record["iana@reverse:octetDeltaCount"]), *first, second,
        record.get("martlet:tlsCipherSuite", missing),
        len(lengths) if "cesnet:packetLength" in record else missing, times[1] if len(times) > 1 else missing,
        microseconds(record["iana:flowEndMicroseconds"]) - start]


@pytest.mark.parametrize("missing", [0.0, -1.0, float("nan")])
def test_values(records, missing):
    made = martlet.FlowFeatures(NAMES, missing).fit_transform(martlet.flows(DEMO, plugins="pstats,tls"))
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made, np.array([expected(record, missing) for record in records], dtype=np.float64))


@pytest.mark.parametrize("kind", ["to_arrow", "to_pandas", "to_polars"])
def test_models_features_are_the_same_of_every_table(records, kind):
    """Times in lists, too, which each kind of table has as another type."""
    names = [name for name in NAMES if ":" not in name]
    table = getattr(martlet.flows(DEMO, plugins="pstats,tls"), kind)()
    made = martlet.features(table, names, missing=-1, rounding="float64")
    wanted = np.array([expected(record, -1) for record in records], dtype=np.float64)
    np.testing.assert_array_equal(made, np.delete(wanted, [2, 3, 4], axis=1))


def test_full_names_and_ranges_together():
    """From a table with full names, by either name; both lists of a product go on together."""
    flows = martlet.flows(DEMO, plugins="pstats", names="full")
    transformer = martlet.FlowFeatures(["iana@reverse:octetDeltaCount", "packetLength[0:2] * cesnet:packetDirection[0:2]"])
    made = transformer.fit_transform(flows)
    assert transformer.get_feature_names_out().tolist() == [
        "reverseOctetDeltaCount", "packetLength[0] * packetDirection[0]", "packetLength[1] * packetDirection[1]"]
    listed = json_records(DEMO, "--plugins", "pstats")
    products = [[one * way for one, way in zip(record.get("cesnet:packetLength", []), record.get("cesnet:packetDirection", []))]
                for record in listed]
    assert made.tolist() == [[record["iana@reverse:octetDeltaCount"], *(one + [0, 0])[:2]]
                             for record, one in zip(listed, products)]


def test_names_and_output():
    flows = martlet.flows(DEMO, plugins="pstats,tls")
    transformer = martlet.FlowFeatures(NAMES)
    frame = transformer.set_output(transform="pandas").fit_transform(flows.to_pandas())
    assert isinstance(frame, pandas.DataFrame)
    names = ["octetDeltaCount", "log1p(reverseOctetDeltaCount)", "packetLength[0]", "packetLength[1]", "packetLength[2]",
             "log1p(packetLength[1])", "tlsCipherSuite", "count(packetLength)", "packetTime[1]", "flowEndMicroseconds"]
    assert frame.columns.tolist() == names == transformer.get_feature_names_out().tolist()
    other = transformer.set_output(transform="polars").fit_transform(flows.to_polars())
    assert isinstance(other, polars.DataFrame) and other.columns == names
    np.testing.assert_array_equal(frame.to_numpy(), other.to_numpy())


def test_a_frame_keeps_its_index():
    frame = martlet.flows(DEMO, plugins="pstats").to_pandas().sample(20, random_state=1)
    made = martlet.FlowFeatures(["octetDeltaCount"]).set_output(transform="pandas").fit_transform(frame)
    assert made.index.tolist() == frame.index.tolist()
    assert made.octetDeltaCount.tolist() == frame.octetDeltaCount.tolist()


def test_without_names_identities_are_left_out():
    transformer = martlet.FlowFeatures().fit(martlet.flows(DEMO, plugins="nettisa,flowhash,vlan"))
    names = set(transformer.get_feature_names_out())
    assert {"octetDeltaCount", "duration", "ntsMeanPacketPayload"} <= names
    assert not names & {"sourceTransportPort", "destinationTransportPort", "flowId", "vlanId", "protocolIdentifier",
                        "flowStartMicroseconds", "sourceIPv4Address", "ingressInterface"}


def test_in_a_pipeline():
    frame = martlet.flows(DEMO, plugins="pstats,nettisa").to_pandas()
    labels = frame.protocolIdentifier == 6
    pipeline = make_pipeline(
        martlet.FlowFeatures(["packetLength[0:8]", "ntsMeanPacketPayload"]), RandomForestClassifier(random_state=0))
    assert clone(pipeline).fit(frame, labels).score(frame, labels) > 0.9
    assert pipeline.set_params(flowfeatures__missing=-1.0)[0].missing == -1.0


@pytest.mark.parametrize(("name", "words"), [
    ("packetLength", r"say packetLength\[0\]"), ("octetDeltaCount[0]", "say octetDeltaCount"),
    ("nix", "no column nix: choose its plugin"), ("exp(octetDeltaCount)", "calls 'exp', which is none of log1p"),
    ("log1p(octetDeltaCount", r"lacks a '\)'"),
    ("packetLength[3:3]", "has no element"), ("packetLength[-1]", "ends where"), ("", "ends where"),
    ("sourceIPv4Address", "is no number"), ("count(octetDeltaCount)", "say octetDeltaCount"),
    ("packetLength[0:2] * packetDirection[1:3]", "different ranges"), ("packetLength[1.5]", "index 1.5"),
    ("octetDeltaCount * 1.2.3", "wrong number 1.2.3"), ("count(sourceIPv4Address)", "is no list"),
])
def test_what_is_no_feature(name, words):
    with pytest.raises(ValueError, match=words):
        martlet.FlowFeatures([name]).fit_transform(martlet.flows(CAPTURES / "dns.pcap", plugins="pstats"))


def test_before_fit():
    with pytest.raises(NotFittedError):
        martlet.FlowFeatures(NAMES).transform(martlet.flows(DEMO))


def test_the_limits_are_those_of_the_exporter():
    done = subprocess.run([sys.executable, ROOT / "Python/tools/make_limits.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
