"""A Kafka cluster for tests: librdkafka's mock in a process of its own, which does what standard input says.

    kafka_mock.py BROKERS       prints HOST:PORT,… of its brokers, then answers each line with "ok"

    topic NAME PARTITIONS       makes a topic
    down | up                   all brokers refuse connections, or take them again
    rtt MILLISECONDS            every answer takes so long
    produce-errors CODE…        the next ProduceRequests fail with these codes of Kafka's (RD_KAFKA_RESP_ERR_…), one each
    topic-error NAME CODE       the metadata of the topic are this error

It keeps what was produced: at most 5 MB in each partition.
"""
import ctypes
import subprocess
import sys

PRODUCE_REQUEST = 0


def serve(brokers):
    library = ctypes.CDLL("librdkafka.so.1")
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    library.rd_kafka_mock_broker_set_down.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_up.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_rtt.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
    library.rd_kafka_mock_topic_set_error.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]
    reason = ctypes.create_string_buffer(512)
    client = library.rd_kafka_new(0, None, reason, len(reason))
    assert client, reason.value.decode()
    cluster = library.rd_kafka_mock_cluster_new(client, brokers)
    assert cluster
    print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "topic":
            library.rd_kafka_mock_topic_create(cluster, words[0].encode(), int(words[1]), 1)
        elif command == "down":
            library.rd_kafka_mock_broker_set_down(cluster, -1)
        elif command == "up":
            library.rd_kafka_mock_broker_set_up(cluster, -1)
        elif command == "rtt":
            library.rd_kafka_mock_broker_set_rtt(cluster, -1, int(words[0]))
        elif command == "produce-errors":
            codes = (ctypes.c_int * len(words))(*map(int, words))
            library.rd_kafka_mock_push_request_errors_array(cluster, PRODUCE_REQUEST, len(words), codes)
        elif command == "topic-error":
            library.rd_kafka_mock_topic_set_error(cluster, words[0].encode(), int(words[1]))
        else:
            sys.exit(f"unknown command {command}")
        print("ok", flush=True)


class Cluster:
    """The mock as a process: `with Cluster() as cluster: cluster.down()`."""

    def __init__(self, brokers=1, **topics):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(brokers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True)
        self.brokers = self.process.stdout.readline().strip()
        assert ":" in self.brokers, "the mock cluster did not start"
        for name, partitions in topics.items():
            self.do(f"topic {name} {partitions}")

    def do(self, command):
        """Has the cluster do something, and waits until it is done."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n", command

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
