"""Export to Kafka, against librdkafka's mock cluster in another process (kafka_mock.py) and a consumer that is not Martlet's:
which messages arrive, with which keys in which partitions, and what becomes of records when brokers do not do as they should.
"""
import json
import os
import re
import time
from collections import defaultdict
from pathlib import Path

import pytest

from harness import CAPTURES, Live, causes, free_port, offline, run
from kafka_mock import Cluster

confluent_kafka = pytest.importorskip("confluent_kafka", reason="needs confluent-kafka (Tests/requirements.txt)")

MANY = CAPTURES / "many-flows.pcap"
PLUGINS = ["--plugins", "tls,pstats,flowhash"]
#: Kafka's codes.
UNKNOWN_TOPIC, NOT_LEADER, TOO_LARGE, OUT_OF_ORDER = 3, 6, 10, 45
#: librdkafka's, with which the mock closes the connection.
TRANSPORT = -195


def consume(cluster, topic, partitions):
    """Every (partition, key, value) of a topic."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": cluster.brokers, "group.id": "test", "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found, finished, end = [], set(), time.monotonic() + 60
    while len(finished) < partitions:
        assert time.monotonic() < end, f"only partitions {finished} came to an end"
        for message in consumer.consume(10000, 0.2):
            if message.error():
                assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
                finished.add(message.partition())
            else:
                found.append((message.partition(), message.key(), message.value()))
    consumer.close()
    return found


def murmur2(data):
    """Kafka's hash of keys (org.apache.kafka.common.utils.Utils.murmur2)."""
    mask, length = 0xFFFFFFFF, len(data)
    value = 0x9747B28C ^ length
    for offset in range(0, length - 3, 4):
        word = int.from_bytes(data[offset:offset + 4], "little") * 0x5BD1E995 & mask
        word = (word ^ word >> 24) * 0x5BD1E995 & mask
        value = (value * 0x5BD1E995 & mask) ^ word
    rest = data[length & ~3:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & mask
    value = (value ^ value >> 13) * 0x5BD1E995 & mask
    return value ^ value >> 15


def whole(counters):
    """Whether every record is acknowledged or in one counter of losses."""
    return counters["exported"] == counters["acknowledged"] + sum(causes(counters).values())


def only(counters, *names):
    """Whether records were lost by these causes, and by no other."""
    return set(causes(counters)) == set(names)


def test_messages_are_the_lines_of_json():
    with Cluster(2, flows=4) as cluster:
        result = offline(CAPTURES / "demo.pcap", export=f"kafka://{cluster.brokers}/flows", options=PLUGINS)
        assert result.status == 0 and result.messages == [], result.err
        found = consume(cluster, "flows", 4)
    lines = run("--pcap", CAPTURES / "demo.pcap", *PLUGINS, "--export", "json:-").out.splitlines()
    assert sorted(value for *_, value in found) == sorted(lines) and len(lines) > 100
    counters = result.counters
    assert counters["acknowledged"] == len(lines) and whole(counters) and only(counters)
    assert counters["message_bytes"] == sum(map(len, lines))
    for partition, key, value in found:
        # The key is what plugin flowhash exports, and Java's partitioner puts it where it is.
        assert key == b"%016x" % json.loads(value)["iana:flowId"]
        assert partition == (murmur2(key) & 0x7FFFFFFF) % 4
    assert len({partition for partition, *_ in found}) == 4


def test_both_directions_and_all_records_of_a_flow_have_one_key():
    options = ["--uniflow", "--active-timeout", "0.2"]
    with Cluster(1, flows=8) as cluster:
        result = offline(CAPTURES / "demo.pcap", export=f"kafka://{cluster.brokers}/flows", options=options)
        assert result.status == 0, result.err
        found = consume(cluster, "flows", 8)
    keys, directions = defaultdict(set), defaultdict(set)
    for partition, key, value in found:
        record = json.loads(value)
        ends = [tuple(record.get(f"iana:{end}{name}") for name in ("IPv4Address", "IPv6Address", "TransportPort"))
                for end in ("source", "destination")]
        flow = (record["iana:protocolIdentifier"], frozenset(ends))
        keys[flow].add((partition, key))
        directions[flow].add(ends[0])
    assert len(found) > len(keys) > 50 and sum(len(ends) == 2 for ends in directions.values()) > 20
    # A flow may be in several VLANs, which are part of the key.
    assert all(len(places) == 1 for places in keys.values())


def test_an_outage_loses_only_what_is_counted():
    """Brokers go and come back during a live run whose local queue is too small for the time between."""
    with Cluster(2, flows=16) as cluster, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--active-timeout", "0.5", "--flows", "8192", "--stats", "0.1", "--drain-timeout", "30", "--export",
             f"kafka://{cluster.brokers}/flows?queue.buffering.max.messages=5000&reconnect.backoff.max.ms=500"]) as martlet:
        martlet.wait_for(lambda: martlet.latest.get("acknowledged", 0) > 2000)
        cluster.do("down")
        martlet.wait_for("warning: kafka://" + cluster.brokers + "/flows: no broker can be reached")
        martlet.wait_for(lambda: martlet.latest["queue_full"] > 1000)
        before = martlet.latest["acknowledged"]
        cluster.do("up")
        # Everything that waited comes, and new records do.
        martlet.wait_for(lambda: martlet.latest["acknowledged"] > before + 6000)
        martlet.wait_for(f"{cluster.brokers}/flows: goes on")
        assert martlet.stop() == 2, martlet.text()
        counters, text = martlet.counters, martlet.text()
        found = consume(cluster, "flows", 16)
    assert whole(counters) and only(counters, "queue_full"), counters
    # A broker that stores a batch and goes before it says so gets the batch again; the mock does not see that it is the same.
    assert counters["acknowledged"] <= len(found) <= counters["acknowledged"] + 5000
    places = defaultdict(set)
    for partition, key, _ in found:
        places[key].add(partition)
    assert len(places) == 1000 and all(len(place) == 1 for place in places.values())
    # librdkafka's own lines begin with the level between per cent signs.
    assert not re.search(r"(?m)^%\d\|", text)


def test_librdkafkas_threads_keep_off_the_workers():
    with Cluster(1, flows=1) as cluster, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY}"], ["--export", f"kafka://{cluster.brokers}/flows", "--stats", "0.1"]) as martlet:
        martlet.wait_received(1000)

        def threads():
            found = {}
            for task in Path(f"/proc/{martlet.process.pid}/task").iterdir():
                status = dict(line.split(":\t") for line in (task / "status").read_text().splitlines() if ":\t" in line)
                found[f"{status['Name']} {task.name}"] = status["Cpus_allowed_list"]
            return found

        martlet.wait_for(lambda: any(name.startswith("rdk:broker1") for name in threads()))
        ours = {name: cpus for name, cpus in threads().items() if name.startswith("rdk:")}
        worker = next(cpus for name, cpus in threads().items() if re.match(r"(rte|dpdk)-worker-?2", name))
        # Lcores have CPUs 0 (control, export) and 1 (worker).
        free = set(range(os.cpu_count())) - {0, 1} or {0}
        assert worker == "1" and len(ours) >= 2
        for name, cpus in ours.items():
            assert "1" not in re.split(r"[,-]", cpus) and int(re.split(r"[,-]", cpus)[0]) in free, (name, cpus)
        assert martlet.stop() == 0


@pytest.mark.parametrize("command,parameters,causes,words", [
    ("produce-errors" + 60 * f" {TOO_LARGE}", "", ["delivery_refused"], "Message size too large"),
    (f"topic-error flows {UNKNOWN_TOPIC}", "topic.metadata.propagation.max.ms=500", ["delivery_refused"],
     "Unknown topic or partition"),
    ("down", "message.timeout.ms=500", ["delivery_timed_out"], "Message timed out"),
    ("down", "", ["delivery_given_up"], "no broker can be reached"),
], ids=["refused", "no-topic", "timeout", "given-up"])
def test_a_loss_has_its_cause(command, parameters, causes, words):
    with Cluster(1, flows=4) as cluster:
        cluster.do(command)
        result = offline(CAPTURES / "demo.pcap", export=f"kafka://{cluster.brokers}/flows?{parameters}",
                         options=["--drain-timeout", "2"])
    counters = result.counters
    assert result.status == 2 and whole(counters) and only(counters, *causes), counters
    assert counters["acknowledged"] == 0 and words in result.messages[-1], result.messages


def test_what_is_under_way_at_the_end_may_be_stored_or_not():
    """The answers come later than the run may take: what was sent is neither acknowledged nor known to be lost."""
    with Cluster(1, flows=4) as cluster:
        cluster.do("rtt 1500")
        # Versions, metadata and the producer's number take an answer each.
        result = offline(CAPTURES / "demo.pcap", export=f"kafka://{cluster.brokers}/flows", options=["--drain-timeout", "5"])
        cluster.do("rtt 0")
        found = consume(cluster, "flows", 4)
    counters = result.counters
    assert result.status == 2 and whole(counters) and only(counters, "delivery_unknown"), counters
    assert counters["acknowledged"] <= len(found) <= counters["acknowledged"] + counters["delivery_unknown"]


@pytest.mark.parametrize("errors", [[TRANSPORT], [NOT_LEADER, NOT_LEADER]], ids=["disconnected", "not-leader"])
def test_what_can_be_sent_again_is_not_lost(errors):
    with Cluster(1, flows=4) as cluster:
        cluster.do(f"produce-errors {' '.join(map(str, errors))}")
        result = offline(CAPTURES / "demo.pcap", export=f"kafka://{cluster.brokers}/flows")
        found = consume(cluster, "flows", 4)
    assert result.status == 0 and result.counters["acknowledged"] == len(found) == result.counters["exported"]


def test_another_producer_takes_the_place_of_one_that_failed():
    """A sequence that the broker does not expect ends an idempotent producer for good."""
    with Cluster(1, flows=4) as cluster, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--active-timeout", "0.5", "--flows", "8192", "--stats", "0.1", "--export",
             f"kafka://{cluster.brokers}/flows"]) as martlet:
        martlet.wait_for(lambda: martlet.latest.get("acknowledged", 0) > 2000)
        cluster.do(f"produce-errors {OUT_OF_ORDER}")
        martlet.wait_for("the producer failed, another one takes its place")
        before = martlet.latest["acknowledged"]
        martlet.wait_for(lambda: martlet.latest["acknowledged"] > before + 2000)
        assert martlet.stop() == 2, martlet.text()
        counters = martlet.counters
        found = consume(cluster, "flows", 4)
    assert whole(counters) and counters["delivery_unknown"] > 0, counters
    assert counters["acknowledged"] <= len(found) <= counters["acknowledged"] + counters["delivery_unknown"]


def test_offline_waits_for_room():
    with Cluster(1, flows=4) as cluster:
        cluster.do("rtt 100")
        result = offline(MANY, export=f"kafka://{cluster.brokers}/flows?queue.buffering.max.messages=50",
                         options=["--active-timeout", "0.001"])
        found = consume(cluster, "flows", 4)
    counters = result.counters
    assert result.status == 0 and only(counters) and counters["acknowledged"] == len(found) == counters["exported"] >= 1000


def test_the_end_keeps_to_its_time():
    """Nobody is there, and a SIGINT comes."""
    with Live([f"--vdev=net_pcap0,rx_pcap={MANY}"],
              ["--export", f"kafka://127.0.0.1:{free_port()}/flows", "--drain-timeout", "1", "--stats", "0.1"]) as martlet:
        martlet.wait_received(1000)
        start = time.monotonic()
        assert martlet.stop() == 2
        assert time.monotonic() - start < 20
        assert whole(martlet.counters) and only(martlet.counters, "delivery_given_up"), martlet.counters


def test_properties_come_from_a_file_and_secrets_are_not_shown(tmp_path):
    file = tmp_path / "kafka.conf"
    file.write_text("# what is not for everybody\n\n sasl.password = hidden\nsasl.username=martlet\nclient.id=one\n")
    with Cluster(1, flows=1) as cluster:
        result = offline(
            CAPTURES / "dns.pcap",
            export=f"kafka://{cluster.brokers}/flows?config={file}&client.id=two&ssl.key.password=secret&acks=1&debug=msg")
        assert result.status == 0, result.err
        assert len(consume(cluster, "flows", 1)) == result.counters["acknowledged"] > 0
    text = result.err.decode()
    # With `debug` librdkafka's own lines come through Martlet, under the client's name.
    assert "MessageSet with" in text and not re.search(r"(?m)^%\d\|", text)
    assert "hidden" not in text and "secret" not in text


@pytest.mark.parametrize("url,status,words", [
    ("kafka://broker", 64, "name a topic behind the brokers"),
    ("kafka://broker/flows?nonsense=1", 64, "No such configuration property: \"nonsense\""),
    ("kafka://broker/flows?acks=9999", 64, "outside allowed range"),
    ("kafka://broker/flows?config=/nowhere", 64, "cannot read /nowhere: No such file or directory"),
    ("kafka://broker/flows?config=/etc", 64, "cannot read /etc: it is a folder"),
    ("kafka://broker/flows?config=/dev/zero", 64, "cannot read /dev/zero: it is a device"),
    ("kafka://broker/flows?client.id=a%00b", 64, "no octet 0"),
    ("kafka://broker/flows?enable.idempotence=true&acks=1", 1, "`acks` must be set to `all`"),
    ("kafka://broker/flows?security.protocol=ssl&ssl.ca.location=/nowhere", 1, "ssl.ca.location failed"),
])
def test_what_cannot_be_is_said_in_one_line(url, status, words):
    result = run("--pcap", CAPTURES / "dns.pcap", "--export", url)
    assert result.status == status and len(result.err.splitlines()) == 1 and words in result.err.decode(), result.err


def test_a_name_that_cannot_be_found_is_said():
    result = offline(CAPTURES / "dns.pcap", export="kafka://broker.invalid/flows", options=["--drain-timeout", "1"])
    assert result.status == 2 and only(result.counters, "delivery_given_up")
    assert "no broker can be reached" in result.messages[-1] and "broker.invalid" in result.messages[-1]
