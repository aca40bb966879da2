"""Models in the exporter: what it makes of records is what Python makes of CSV, and what a model says of it is exported.

Most objects here are a few lines of C that are compiled by the test: one writes the features that it gets to a file, so that they
can be compared bit for bit. Estimators are compiled by `martlet.compile_model` where treelite and their libraries are installed.
"""

import collections
import hashlib
import importlib
import io
import json
import math
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from harness import CAPTURES, MARTLET, ROOT, Live, is_root, offline, read_pcap, run, write_pcap
from model_files import handmade

numpy = pytest.importorskip("numpy", reason="numpy is not installed: models are not tested (pip install numpy pandas)")
pandas = pytest.importorskip("pandas", reason="pandas is not installed: models are not tested (pip install pandas)")
sys.path.insert(0, str(ROOT / "Python/src"))
models = importlib.import_module("martlet.models")

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")

PLUGINS = "pstats,phists,nettisa,bstats,flowstats,rtt"
#: Every way to make a feature, of fields of each plugin.
FEATURES = [
    "octetDeltaCount", "reverseOctetDeltaCount", "packetDeltaCount", "tcpControlBits", "flowEndReason", "protocolIdentifier",
    "destinationTransportPort", "duration", "flowEndMicroseconds", "flowStartMicroseconds",
    *(f"packetLength[{index}]" for index in range(30)), *(f"packetTime[{index}]" for index in range(30)),
    *(f"packetDirection[{index}] * packetLength[{index}]" for index in range(8)),
    *(f"phistSrcSizes[{index}]" for index in range(8)), *(f"phistDstInterPacketTime[{index}]" for index in range(8)),
    "count(packetLength)", "count(burstSrcPackets)", "burstSrcBytes[0]", "burstSrcTimeStop[0] - burstSrcTimeStart[0]",
    "ntsMeanPacketPayload", "ntsKurtosisPacketPayload", "ntsTimeDistribution", "ntsMeanDifftimes",
    "meanPacketGap", "reverseDeviationIpTotalLength", "biflowMeanPacketGap", "handshakeServerRoundTrip",
    "log1p(octetDeltaCount)", "log1p(ntsMeanScaledTime)", "log1p(-packetDeltaCount)", "sqrt(reverseOctetDeltaCount)",
    "sqrt(packetDeltaCount - 3)", "abs(octetDeltaCount - reverseOctetDeltaCount)", "octetDeltaCount / packetDeltaCount",
    "reverseOctetDeltaCount / reversePacketDeltaCount", "1 / (packetDeltaCount - packetDeltaCount)",
    "clip(packetLength[0], 10, 1.5e2)", "min(packetLength[0], packetLength[1])", "max(duration, ntsMeanPacketPayload)",
    "-(octetDeltaCount + 2.5) * 3e-2 - log1p(1 + abs(packetTime[1] - packetTime[0])) / 7",
]


#: Captures with a link that is not read.
FOREIGN_LINKS = ("link-chdlc", "link-user0", "merged", "two-interfaces")


def recorder(folder, features, **other):
    """A model that writes down what it gets, and where."""
    rows = folder / "rows"
    body = (f'FILE *o = fopen("{rows}", "ab"); fwrite(f, 8, {len(features)}, o); fclose(o); s[0] = 1; s[1] = 0;')
    return handmade(folder, body, features, name="recorder", **other), rows


def table(*captures, options=()):
    """The flows of captures in CSV."""
    done = offline(
        *captures, export="csv:-", options=["--plugins", PLUGINS, "--csv-names", "short", *options])
    assert done.status == 0, done.err
    return pandas.read_csv(io.BytesIO(done.out))


def readable():
    """The captures that ship, but those of links that are not read."""
    return [path for path in sorted(CAPTURES.glob("*.pcap*")) if path.stem not in FOREIGN_LINKS]


def records(done):
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def bits(numbers):
    """Each number's bits, one pattern for all NaNs."""
    numbers = numpy.asarray(numbers, dtype=numpy.float64)
    return numpy.where(numpy.isnan(numbers), numpy.nan, numbers).view(numpy.uint64)


# Features


@pytest.mark.parametrize("rounding", ["float32", "float64"])
def test_features_are_those_of_python_bit_for_bit(tmp_path, rounding):
    """Over all captures that ship, one flow after the other."""
    path, rows = recorder(tmp_path, FEATURES, rounding=rounding)
    flows = table(*readable(), options=["--plugin", f"model:file={path}"])
    seen = numpy.fromfile(rows).reshape(-1, len(FEATURES))
    assert len(seen) == len(flows) > 1000
    wanted = models.features(flows, FEATURES, rounding=rounding)
    for index, feature in enumerate(FEATURES):
        differing = numpy.flatnonzero(bits(seen[:, index]) != bits(wanted[:, index]))
        assert not len(differing), (feature, seen[differing[0], index], wanted[differing[0], index])
    # And there is something to compare.
    assert numpy.isfinite(wanted).any(axis=0).sum() >= len(FEATURES) - 2
    assert (flows["modelLabel"] == "good").all() and (flows["modelScore"] == 1).all()


def test_features_by_arithmetic(tmp_path):
    """UDP: 2 packets of 100 octets each, by hand; what a flow does not have is the model's number."""
    flows = {
        "octetDeltaCount": [200, 200], "packetDeltaCount": [2, 0], "packetLength": ["[72,72]", ""],
        "flowStartMicroseconds": ["2024-01-01T00:00:00.000001Z"] * 2, "flowEndMicroseconds": ["2024-01-01T00:00:01.500001Z"] * 2,
        "packetTime": ['["2024-01-01T00:00:00.000001Z","2024-01-01T00:00:00.250001Z"]', ""]}
    found = models.features(
        flows, ["octetDeltaCount / packetDeltaCount", "packetLength[1]", "count(packetLength)", "flowEndMicroseconds",
                "packetTime[1]", "packetLength[2]"], missing=-1)
    assert found.tolist() == [[100, 72, 2, 1_500_000, 250_000, -1], [-1, -1, -1, 1_500_000, -1, -1]]


def test_the_fields_of_32_bits_are_those_that_are_declared():
    listed = run("--list-plugins").out.decode()
    names = set()
    for line in listed.splitlines():
        if line.startswith("    field ") and ", float32" in line:
            owner, name = line.split()[1].rstrip(",").split(":")
            names.add("reverse" + name[0].upper() + name[1:] if owner.endswith("@reverse") else name)
    assert names == models.FLOAT32


@pytest.mark.parametrize("text, what", [
    ("octetDeltaCount +", "ends where"), ("octetDeltaCount)", "goes on"), ("exp(octetDeltaCount)", "calls 'exp'"),
    ("octetDeltaCount[", "index"), ("((octetDeltaCount)", "lacks"), ("octetDeltaCount $", "goes on"), ("", "ends where"),
    ("(" * 40 + "octetDeltaCount" + ")" * 40, "too many brackets"), ("+".join(["1"] * 33), "more than 64 parts"),
    ("1" + "0" * 600, "longer than"), ("1.2.3", "wrong number"), ("packetLength[5000]", "index"),
])
def test_expressions_that_are_none(tmp_path, text, what):
    path = handmade(tmp_path, "", [text])
    done = run("--plugins", "pstats", "--plugin", f"model:file={path}", "--pcap", CAPTURES / "udp.pcap")
    assert done.status == 64 and what in done.err.decode()


#: Expressions at a limit of the exporter, and one beyond it.
LIMITS = [
    ("+".join(["1"] * 32), True), ("+".join(["1"] * 33), False),
    ("(" * 15 + "1" + ")" * 15, True), ("(" * 16 + "1" + ")" * 16, False),
    ("packetLength[1023]", True), ("packetLength[1024]", False), ("1" + "0" * 307, True), ("1" + "0" * 309, False),
    ("-" * 511 + "1", True), ("-" * 512 + "1", False), ("min(1, 2)" + " + min(1, 2)" * 15, True),
    ("clip(1, 2, 3)" + "+1" * 29, True), ("clip(1, 2, 3)" + "+1" * 30, False),
    ("-1" + "-(-1)" * 20, True), ("-1" + "-(-1)" * 21, False), ("octetDeltaCount\t+ 1", False),
    ("octetDeltaCount + 1", True), ("1e308", True), ("1e309", False), ("1.", True), ("count(packetLength)" + "+1" * 31, True),
]


@pytest.mark.parametrize("text, fits", LIMITS)
def test_limits_are_the_same_in_python(tmp_path, text, fits):
    path = handmade(tmp_path, "s[0] = 1; s[1] = 0;", [text])
    done = run("--plugins", "pstats", "--plugin", f"model:file={path}", "--pcap", CAPTURES / "udp.pcap", "--export", "json:-")
    assert (done.status == 0) == fits, done.err
    check = importlib.import_module("martlet._models.expressions").check
    if fits:
        check([text])
    else:
        with pytest.raises(models.ModelError):
            check([text])


def refusal(path, plugins="pstats", options=""):
    words = ["--plugins", plugins] if plugins else []
    done = run(*words, "--plugin", f"model:file={path}{options}", "--pcap", CAPTURES / "udp.pcap", "--export", "json:-")
    error = done.err.decode()
    assert done.status == 64 and not done.out and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("feature, plugins, what", [
    ("packetLength[3]", "", "no enabled plugin has the field packetLength: add --plugins pstats"),
    ("tcpRetransmissionCount", "pstats", "add --plugins rtt"),
    ("nothingLikeIt", "pstats", "no plugin has a field 'nothingLikeIt'"),
    ("tlsSNI", "tls", "no plugin has a field"), ("TLSSNI", "tls", "TLSSNI is a text"),
    ("sourceIPv4Address", "", "is an address"), ("packetLength", "pstats", "is a list: say which entry"),
    ("octetDeltaCount[0]", "", "is no list"), ("count(octetDeltaCount)", "", "is no list"),
    ("ingressInterface", "", "known only when the record leaves"),
])
def test_fields_that_records_do_not_have(tmp_path, feature, plugins, what):
    assert what in refusal(handmade(tmp_path, "", [feature]), plugins)


# Verdicts


def test_the_highest_score_is_the_label(tmp_path):
    path = handmade(tmp_path, "s[0] = 0.25; s[1] = f[0] > 1000 ? 0.5 : 0.125;")
    for record in records(offline(CAPTURES / "demo.pcap", options=["--plugin", f"model:file={path}"])):
        large = record["iana:octetDeltaCount"] > 1000
        assert record["martlet:modelLabel"] == ("bad" if large else "good")
        assert record["martlet:modelScore"] == (0.5 if large else 0.25)
        assert record["martlet:modelName"] == "hand 1" and record["martlet:modelLatency"] == 0


def test_one_output_is_the_second_classs_probability_and_without_classes_a_value(tmp_path):
    one = handmade(tmp_path, "s[0] = 0.125;", outputs=1, name="one")
    value = handmade(tmp_path, "s[0] = -17.5;", classes=[], name="value")
    record, *_ = records(offline(
        CAPTURES / "udp.pcap", options=["--plugin", f"model:file={one}", "--plugin", f"model:file={value}"]))
    assert (record["martlet:modelLabel"], record["martlet:modelScore"]) == ("good", 0.875)
    assert (record["martlet:model2Label"], record["martlet:model2Score"]) == ("", -17.5)
    assert (record["martlet:modelName"], record["martlet:model2Name"]) == ("one 1", "value 1")


def test_a_low_score_has_no_label_and_no_number_no_verdict(tmp_path):
    low = handmade(tmp_path, "s[0] = 0.4; s[1] = 0.6;", name="low")
    done = offline(CAPTURES / "udp.pcap", options=["--plugin", f"model:file={low},min-score=0.7"])
    assert {(r["martlet:modelLabel"], round(r["martlet:modelScore"], 6)) for r in records(done)} == {("", 0.6)}
    none = handmade(tmp_path, "s[0] = NAN; s[1] = INFINITY;", name="none")
    done = offline(CAPTURES / "udp.pcap", options=["--plugin", f"model:file={none}"])
    found = records(done)
    assert found and not any("martlet:modelLabel" in record for record in found)
    assert done.counters["scores_unusable"] == len(found)


def one_flow(folder, packets):
    """The first so many packets of a connection, and how many it has."""
    link, all_packets = read_pcap(CAPTURES / "tls13.pcap")
    key = {all_packets[0][-1][34:36], all_packets[0][-1][36:38]}
    own = [packet for packet in all_packets if {packet[-1][34:36], packet[-1][36:38]} == key]
    path = folder / f"first-{packets}.pcap"
    write_pcap(path, link, own[:packets])
    return path, len(own)


def test_early_features_are_those_of_a_flow_that_ends_there(tmp_path):
    """After six packets a model gets what the fields of a capture with these six packets say."""
    few, _ = one_flow(tmp_path, 6)
    whole, count = one_flow(tmp_path, 1000)
    assert count > 8
    # Why a flow ended is not known before it does.
    features = [feature for feature in FEATURES if feature != "flowEndReason"]
    path, rows = recorder(tmp_path, features)
    flows = table(whole, options=["--plugin", f"model:file={path},after=6"])
    seen = numpy.fromfile(rows).reshape(-1, len(features))
    assert len(seen) == 1
    wanted = models.features(table(few), features, rounding="float64")
    assert bits(seen).tolist() == bits(wanted).tolist()
    microseconds = models.features(table(few), ["flowEndMicroseconds"])[0][0]
    assert flows["modelLatency"].tolist() == [microseconds] and microseconds > 0
    # The record's own fields are those of the whole flow.
    plain = table(whole)
    assert flows[plain.columns].equals(plain)


def test_models_have_their_own_turns(tmp_path):
    """One after 2 packets, one after 4 where its score is high enough, one at the end."""
    whole, count = one_flow(tmp_path, 1000)
    features = ["packetDeltaCount + reversePacketDeltaCount"]
    value = handmade(tmp_path, "s[0] = f[0];", features, classes=[], name="value")
    unsure = handmade(tmp_path, "s[0] = f[0] > 4 ? 0.9 : 0.6; s[1] = 1 - s[0];", features, name="unsure")
    record, = records(offline(whole, options=[
        "--plugin", f"model:file={value},after=2", "--plugin", f"model:file={value}",
        "--plugin", f"model:file={unsure},after=4,min-score=0.8", "--plugin", f"model:file={value},after=4"]))
    assert [record[f"martlet:model{n}Score"] for n in ("", 2, 4)] == [2, count, 4]
    assert (record["martlet:model3Label"], record["martlet:model3Latency"]) == ("good", 0)
    assert 0 < record["martlet:modelLatency"] < record["martlet:model4Latency"]
    assert b"at most 4 models" in run(*["--plugin", f"model:file={value}"] * 5, "--pcap", whole).err


def test_an_alarm_exports_the_flow_at_once(tmp_path):
    whole, count = one_flow(tmp_path, 1000)
    path = handmade(tmp_path, "s[0] = 0; s[1] = 1;")
    first, rest = records(offline(whole, options=["--plugin", f"model:file={path},after=3,alarm=bad"]))
    packets = [r["iana:packetDeltaCount"] + r["iana@reverse:packetDeltaCount"] for r in (first, rest)]
    assert packets == [3, count - 3]
    # 4: forced end (RFC 5102, flowEndReason).
    assert (first["iana:flowEndReason"], first["martlet:modelLabel"]) == (4, "bad")
    assert "martlet:modelLabel" not in rest
    calm, = records(offline(whole, options=["--plugin", f"model:file={path},after=3,alarm=good"]))
    assert calm["martlet:modelLabel"] == "bad"
    assert "no class 'worse'" in refusal(path, options=",after=3,alarm=worse")
    assert "after=N" in refusal(path, options=",alarm=bad")


def test_uniflow_and_ipfix_have_the_verdict(tmp_path):
    path = handmade(tmp_path, "s[0] = 0; s[1] = 1;")
    found = records(offline(CAPTURES / "demo.pcap", options=["--uniflow", "--plugin", f"model:file={path}"]))
    assert {record.get("martlet:modelLabel") for record in found} >= {"bad"}


# With all plugins


#: All plugins but the one that asks the host and models: with a model as many as a record has bits for.
OTHERS = ",".join(
    name for name in re.findall(r"(?m)^(\w+)  ", run("--list-plugins").out.decode()) if name not in ("osquery", "model"))


@pytest.mark.parametrize("more", [[], ["--uniflow"], ["--tunnels", "all"], ["--active-timeout", "0.01"]])
def test_models_go_with_all_plugins(tmp_path, more):
    """The plugin that is more than a record has bits for changes nothing: osquery, which says nothing of captures, is in `all`.

    One model judges early and ends records, so that it wants packets for a while and then no more; one does so much later."""
    features = ["packetDeltaCount + reversePacketDeltaCount", "octetDeltaCount"]
    alarming = handmade(tmp_path, "s[0] = f[1] > 300; s[1] = 0.5;", features, name="alarming")
    value = handmade(tmp_path, "s[0] = f[0];", features, classes=[], name="value")
    judges = ["--plugin", f"model:file={alarming},after=3,alarm=good", "--plugin", f"model:file={value},after=12",
              "--plugin", f"model:file={value}"]
    all_, others = (offline(*readable(), options=["--plugins", plugins, *judges, *more]) for plugins in ("all", OTHERS))
    assert all_.out == others.out and all_.counters == others.counters
    found = records(all_)
    assert len(OTHERS.split(",")) == 31 and len(found) > 1000
    scores = {record["martlet:model2Score"] for record in found if record.get("martlet:model2Latency")}
    assert scores == ({12} if not more or "timeout" not in more[0] else scores)
    assert {record.get("martlet:modelLabel") for record in found} == {"good", "bad", None}
    # Without models the other fields are the same, where no alarm ends a record.
    calm = [word.replace(",alarm=good", "") for word in judges]
    judged = records(offline(*readable(), options=["--plugins", "all", *calm, *more]))
    plain = records(offline(*readable(), options=["--plugins", "all", *more]))
    assert [{key: value for key, value in record.items() if not key.startswith("martlet:model")} for record in judged] == plain


def test_all_plugins_and_models_in_ipfix(tmp_path):
    """What the last slot has leaves by IPFIX and CSV as it does by JSON."""
    path = handmade(tmp_path, "s[0] = f[0] > 1000 ? 0.75 : NAN; s[1] = 0.25;")
    options = ["--plugins", "all", "--plugin", f"model:file={path}"]
    wanted = records(offline(CAPTURES / "demo.pcap", options=options))
    assert {record.get("martlet:modelLabel") for record in wanted} == {"good", None}
    rows = pandas.read_csv(io.BytesIO(offline(
        CAPTURES / "demo.pcap", export="csv:-", options=[*options, "--csv-names", "short"]).out))
    assert rows["modelLabel"].isna().tolist() == ["martlet:modelLabel" not in record for record in wanted]
    out = tmp_path / "flows.ipfix"
    assert offline(CAPTURES / "demo.pcap", export=f"ipfix:{out}", options=options).status == 0
    collect = pytest.importorskip("martlet.collect", exc_type=ImportError).collect
    with collect(out, names="full") as batches:
        sent = [row for batch in batches for row in batch.to_pylist()]
    # Rows of one template lie together there.
    names = ("iana:octetDeltaCount", "iana:protocolIdentifier", "martlet:modelLabel", "martlet:modelScore")
    assert collections.Counter(tuple(row[name] for name in names) for row in sent) == collections.Counter(
        tuple(record.get(name) for name in names) for record in wanted)


# Files


def test_files_that_are_refused(tmp_path):
    good = handmade(tmp_path, "s[0] = 1; s[1] = 0;", name="good")
    manifest = json.loads(good.read_text())

    def changed(**members):
        good.write_text(json.dumps({**manifest, **members}))
        return refusal(good)

    assert "'good'" not in changed(sha256="0" * 64) and "does not match its object" in refusal(good)
    assert "version 2" in changed(formatVersion=2)
    assert "is no manifest" in changed(format="pickle")
    assert "do not fit" in changed(outputs=3)
    assert "lists no features" in changed(features=[])
    assert "names no model" in changed(name="")
    assert "twice" in changed(classes=["a", "a"])
    assert "control characters" in changed(name="a\nb")
    assert "more than 128 octets" in changed(version="v" * 129)
    assert "2 features and 2 outputs, but its object has 1 and 2" in changed(features=["octetDeltaCount", "packetDeltaCount"])
    assert "more than 2048" in changed(features=["octetDeltaCount"] * 2049)
    assert "interface" in changed(interface=7)
    good.write_text("[" * 100_000)
    assert "is no manifest" in refusal(good)
    good.write_text(json.dumps({**manifest, "more": json.loads("[" * 100 + "]" * 100)}))
    assert "is no manifest" in refusal(good)
    good.write_bytes(b" " * (1 << 20) + json.dumps(manifest).encode())
    assert "more than 1 MiB" in refusal(good)
    good.write_text(json.dumps(manifest))
    records(offline(CAPTURES / "udp.pcap", options=["--plugin", f"model:file={good}"]))
    library = good.with_suffix(".so")
    library.write_bytes(library.read_bytes()[:-100])
    assert "does not match its object" in refusal(good)
    octets = library.read_bytes()[:1000]
    library.write_bytes(octets)
    assert "cannot be loaded" in changed(sha256=hashlib.sha256(octets).hexdigest())
    # An object for another machine, by ELF's e_machine: 183 is AArch64.
    path = handmade(tmp_path, "s[0] = 1; s[1] = 0;", name="foreign")
    whole = bytearray(path.with_suffix(".so").read_bytes())
    whole[18:20] = (183).to_bytes(2, "little")
    path.with_suffix(".so").write_bytes(whole)
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": hashlib.sha256(whole).hexdigest()}))
    assert "another kind of machine" in refusal(path)
    library.unlink()
    assert "No such file" in refusal(good)
    good.unlink()
    os.mkfifo(good)
    assert "it is a FIFO" in refusal(good)
    assert "No such file" in refusal(tmp_path / "nobody.model")
    assert "not called NAME.model" in refusal(CAPTURES / "udp.pcap")
    assert b"takes a model" in run("--plugin", "model", "--pcap", CAPTURES / "udp.pcap").err
    assert "martlet_model_predict" in refusal(handmade(tmp_path, "", symbol="predict", name="symbol"))
    assert "another interface (9)" in refusal(handmade(tmp_path, "", abi=9, name="abi"))


@pytest.mark.skipif(not is_root(), reason="only root can give files away")
def test_only_roots_files_and_ones_own_are_trusted(tmp_path):
    path = handmade(tmp_path, "s[0] = 1; s[1] = 0;")
    for file in (path, path.with_suffix(".so")):
        file.chmod(0o664)
        assert f"chmod go-w {file}" in refusal(path)
        file.chmod(0o644)
        os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)
        assert f"belongs to user {pwd.getpwnam('nobody').pw_uid}" in refusal(path)
        # As that user the process is the one whose file it is.
        records(offline(CAPTURES / "udp.pcap", options=["--plugin", f"model:file={path}", "--user", "nobody"]))
        os.chown(file, 0, -1)


def test_list_models(tmp_path):
    path = handmade(tmp_path, "", ["packetLength[0]", "octetDeltaCount", "TLSSNI", "nothing"])
    listed = run("--list-models", path).out.decode()
    assert "hand  version 1; 2 classes from 4 features" in listed and "    class   bad\n" in listed
    assert "    feature packetLength[0]\n" in listed
    assert "    needs   --plugins pstats,tls\n" in listed and "unknown fields: nothing\n" in listed
    path.with_suffix(".so").write_bytes(b"")
    assert run("--list-models", path).status == 64


# While it runs


REPLAY = f"--vdev=net_pcap0,rx_pcap={CAPTURES / 'many-flows.pcap'},infinite_rx=1"


@pytest.mark.parametrize("more", [[], pytest.param(
    ["--user", "nobody"], marks=pytest.mark.skipif(not is_root(), reason="only root can become somebody else"))])
def test_sighup_takes_another_model_and_loses_no_flow(tmp_path, more):
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent).startswith("/tmp/") and is_root():
            parent.chmod(0o755)
    out = tmp_path / "out"
    out.mkdir()
    if more:
        shutil.chown(out, "nobody")
    path = handmade(tmp_path, "s[0] = 1; s[1] = 0;")
    options = ["--plugin", f"model:file={path}", "--active-timeout", "0.3", "--flows", "4096", "--stats", "1",
               "--export", f"json:{out}/flows.json", *more]
    with Live([REPLAY], options) as martlet:
        martlet.wait_received(20_000)
        # What is wrong leaves the model as it is.
        old = path.read_text()
        path.write_text(old.replace('"hand"', '""'))
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for("the models stay as they were")
        for version in ("2", "3"):
            handmade(tmp_path, "s[0] = 0; s[1] = 1;", version=version)
            martlet.process.send_signal(signal.SIGHUP)
            martlet.wait_for(f"now hand {version}")
            seen = martlet.latest["received"]
            martlet.wait_received(seen + 20_000)
        # The objects of the models before are unmapped.
        maps = open(f"/proc/{martlet.process.pid}/maps").read()
        assert len({line.split()[4] for line in maps.splitlines() if "martlet-model" in line}) == 1
        assert martlet.stop() in (0, 2), martlet.text()
        counters = martlet.counters
    found = [json.loads(line) for line in (out / "flows.json").read_text().splitlines()]
    labels = {(record["martlet:modelName"], record["martlet:modelLabel"]) for record in found}
    made = len(found)
    assert labels == {("hand 1", "good"), ("hand 2", "bad"), ("hand 3", "bad")}
    assert made + counters["export_dropped"] + counters["ring_full"] == counters["flows_made"], counters
    assert counters["scores_unusable"] == 0


# Estimators


def estimators():
    """Name, how it is made, whether it takes NaN, and how far its scores may be from those of its own program."""
    def sklearn(name, **options):
        ensemble = pytest.importorskip("sklearn.ensemble")
        return getattr(ensemble, name)(random_state=1, **options)

    def xgboost(name, **options):
        return getattr(pytest.importorskip("xgboost"), name)(n_estimators=20, max_depth=4, **options)

    def lightgbm(name):
        return getattr(pytest.importorskip("lightgbm"), name)(n_estimators=20, min_child_samples=5, verbose=-1)

    # XGBoost's sums are of 32 bits, and its exponential is another one.
    return [
        pytest.param(lambda: sklearn("RandomForestClassifier", n_estimators=30), 1e-12, id="RandomForestClassifier"),
        pytest.param(lambda: sklearn("ExtraTreesClassifier", n_estimators=30), 1e-12, id="ExtraTreesClassifier"),
        pytest.param(lambda: sklearn("HistGradientBoostingClassifier", max_iter=20), 1e-12, id="HistGradientBoosting"),
        pytest.param(lambda: xgboost("XGBClassifier"), 1e-6, id="XGBClassifier"),
        pytest.param(lambda: lightgbm("LGBMClassifier"), 1e-12, id="LGBMClassifier"),
    ]


LEARNT = ["octetDeltaCount", "log1p(reverseOctetDeltaCount)", "duration", "ntsMeanPacketPayload", "ntsKurtosisPacketPayload",
          *(f"packetLength[{index}]" for index in range(8)), *(f"packetTime[{index}]" for index in range(4))]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("make, tolerance", estimators())
def test_labels_and_scores_are_the_estimators(tmp_path, make, tolerance, classes):
    pytest.importorskip("treelite", reason="treelite is not installed: estimators are not compiled")
    captures = [path for path in readable() if path.suffix == ".pcap"]
    flows = table(*captures)
    names = {443: "tls", 53: "dns"} if classes == 3 else {443: "tls"}
    truth = [names.get(port, "other") for port in flows["destinationTransportPort"]]
    estimator = make()
    encode = "XGB" in type(estimator).__name__
    order = sorted(set(truth))
    inputs = models.features(flows, LEARNT, rounding="float64" if "LGBM" in type(estimator).__name__ or "Hist" in
                             type(estimator).__name__ else "float32")
    estimator.fit(inputs, [order.index(label) for label in truth] if encode else truth)
    path = models.compile_model(estimator, LEARNT, tmp_path / "learnt", classes=order, version="7")
    assert json.loads(path.read_text())["classes"] == order
    found = table(*captures, options=["--plugin", f"model:file={path}"])
    probabilities = estimator.predict_proba(inputs)
    assert found["modelLabel"].tolist() == [order[index] for index in probabilities.argmax(axis=1)]
    assert numpy.abs(found["modelScore"] - probabilities.max(axis=1)).max() <= max(tolerance, 2**-24)
    model = models.Model(path)
    own = model.scores(flows)
    wanted = probabilities if own.shape[1] == classes else probabilities[:, 1:]
    assert numpy.abs(own - wanted).max() <= tolerance
    assert [label for label, _ in model.predict(flows)] == found["modelLabel"].tolist()
    assert [score for _, score in model.predict(flows)] == found["modelScore"].astype(numpy.float32).astype(float).tolist()
    assert (found["modelName"] == "learnt 7").all()


def test_what_cannot_be_compiled(tmp_path):
    pytest.importorskip("treelite")
    linear = pytest.importorskip("sklearn.linear_model").LogisticRegression()
    with pytest.raises(models.ModelError):
        models.compile_model(linear, ["octetDeltaCount"], tmp_path / "linear")
    forest = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(2).fit([[1, 2], [3, 4]], ["a", "b"])
    with pytest.raises(models.ModelError, match="takes 2 features, not 1"):
        models.compile_model(forest, ["octetDeltaCount"], tmp_path / "forest")
    with pytest.raises(models.ModelError, match="calls 'exp'"):
        models.compile_model(forest, ["exp(a)", "b"], tmp_path / "forest")
    with pytest.raises(models.ModelError, match="cannot run the compiler"):
        models.compile_model(forest, ["a", "b"], tmp_path / "forest", compiler="/nowhere/cc")
    with pytest.raises(models.ModelError, match="do not fit"):
        models.compile_model(forest, ["a", "b"], tmp_path / "forest", classes=["x", "y", "z"])
    for what, options in [
        ("128 octets", {"version": "v" * 129}), ("none of a text", {"name": "a\nb"}), ("missing", {"missing": math.inf}),
        ("one name", {"classes": ["\u00e9", "e\u0301"]}),
    ]:
        with pytest.raises(models.ModelError, match=what):
            models.compile_model(forest, ["a", "b"], tmp_path / "forest", **options)
    for feature in ("packetLength[1024]", "+".join(["1"] * 33), "1" * 513):
        with pytest.raises(models.ModelError, match="feature"):
            models.compile_model(forest, [feature, "b"], tmp_path / "forest")
    assert list(tmp_path.iterdir()) == []


def test_leaves_and_thresholds_that_are_no_numbers(tmp_path):
    """A boosted tree by hand: its one threshold, or one of its leaves, is NaN."""
    builder = pytest.importorskip("treelite.model_builder")

    def tree(threshold=0.5, leaf=0.25, count=1):
        made = builder.ModelBuilder(
            threshold_type="float64", leaf_output_type="float64", tree_annotation=builder.TreeAnnotation(
                num_tree=count, target_id=[0] * count, class_id=[0] * count), base_scores=[0.0],
            metadata=builder.Metadata(
                num_feature=1, task_type="kBinaryClf", average_tree_output=False, num_target=1, num_class=[1],
                leaf_vector_shape=(1, 1)),
            postprocessor=builder.PostProcessorFunc(name="sigmoid", sigmoid_alpha=1.0))
        for _ in range(count):
            made.start_tree()
            made.start_node(0)
            made.numerical_test(
                feature_id=0, threshold=threshold, default_left=True, opname="<", left_child_key=1, right_child_key=2)
            made.end_node()
            for key in (1, 2):
                made.start_node(key)
                made.leaf(leaf)
                made.end_node()
            made.end_tree()
        return made.commit()
    models.compile_model(tree(), ["octetDeltaCount"], tmp_path / "fine", classes=["a", "b"])
    for estimator, what in [(tree(threshold=math.nan), "no number"), (tree(leaf=math.nan), "no numbers"),
                            (tree(count=65537), "65537 trees")]:
        with pytest.raises(models.ModelError, match=what):
            models.compile_model(estimator, ["octetDeltaCount"], tmp_path / "tree", classes=["a", "b"])


def test_manifests_that_lie_of_their_object_in_python(tmp_path):
    """It writes as many scores as it has, whatever its manifest says."""
    source = handmade(tmp_path, "", name="other")
    body = "for (int i = 0; i < 4; i++) s[i] = f[i % 2]; }\nvoid martlet_model_predict_rows(const double *f, double *s, long n) {"
    path = handmade(tmp_path, body, ["octetDeltaCount", "packetDeltaCount"], classes="abcd", name="lies")
    manifest = json.loads(path.read_text())
    models.Model(path)
    for changes in ({"outputs": 1, "classes": ["a", "b"]}, {"outputs": 400_000}, {"features": ["octetDeltaCount"]},
                    {"interface": 2}):
        path.write_text(json.dumps({**manifest, **changes}))
        with pytest.raises(models.ModelError, match="its object"):
            models.Model(path)
    for text in ("[]", "7", "{}", '{"format": "martlet-model", "formatVersion": 1}', json.dumps({**manifest, "missing": "x"})):
        path.write_text(text)
        with pytest.raises(models.ModelError):
            models.Model(path)
    with pytest.raises(models.ModelError, match="1 features, and these are"):
        models.Model(source).run(numpy.zeros((3, 2)))


def test_the_page_runs(tmp_path):
    """The blocks of docs/models.md in order: lines of martlet, and Python."""
    pytest.importorskip("treelite")
    pytest.importorskip("sklearn")
    shutil.copy(CAPTURES / "demo.pcap", tmp_path / "flows.pcap")
    page = (ROOT / "docs/models.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```|^    (martlet [^\n]*)$", page, re.M | re.S)
    outputs = []
    for python, line in blocks:
        words = [sys.executable, "-c", python] if python else [MARTLET, *shlex.split(line)[1:]]
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT / "Python/src")})
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert len(outputs) == 4 and "'other'" in outputs[1] and "needs   --plugins nettisa,pstats" in outputs[2]
    assert all("martlet:modelLabel" in record for record in map(json.loads, outputs[3].splitlines()))
