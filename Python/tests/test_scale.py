"""Functions for Spark, Dask and Ray: the same records as in one process."""

import multiprocessing
import pickle
import shutil
import sys

import pyarrow as pa
import pytest

import martlet
from conftest import CAPTURES

PATHS = [str(CAPTURES / name) for name in ("tls13.pcap", "dns.pcap", "http.pcap", "quic.pcap")]


def test_a_table_for_each_capture():
    tables = [martlet.capture_table(path, plugins="pstats") for path in PATHS]
    whole = martlet.flows(PATHS, plugins="pstats", threads=1).to_arrow()
    assert pa.concat_tables(tables).drop_columns("source_file").equals(whole.drop_columns("source_file"))
    frames = [martlet.capture_frame(path, plugins="tls,dns", inactive_timeout=20) for path in PATHS]
    assert frames[0].shape == (8, len(martlet.flows(PATHS[0], plugins="tls,dns").schema))
    # Dask takes the first one's types for all. Whole numbers of which some are missing become float64, and only they.
    texts = ["source_file", "TLSSNI", "DNSName", "sourceIPv4Address"]
    assert len({tuple(frame[texts].dtypes.map(str)) for frame in frames}) == 1


def test_in_other_processes():
    """What Dask and Ray do: the function goes to workers, tables come back."""
    function = pickle.loads(pickle.dumps(martlet.capture_table))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        tables = pool.map(function, PATHS)
    assert sum(table.num_rows for table in tables) == martlet.flows(PATHS).to_arrow().num_rows


def test_a_missing_capture_does_not_end_a_task():
    with pytest.warns(martlet.MartletWarning, match="nowhere.pcap"):
        batches = list(martlet.capture_batches([PATHS[0], "nowhere.pcap", PATHS[1]]))
    assert sum(batch.num_rows for batch in batches) == martlet.flows(PATHS[:2]).to_arrow().num_rows


def test_types_that_spark_has():
    from martlet.scale import spark_batch, spark_schema

    flows = martlet.flows(PATHS[0], plugins="basicplus,pstats,tls,flowhash,idpcontent", threads=1)
    schema = spark_schema(flows.schema)
    kinds = {str(field.type).replace("item: ", "").replace(" not null", "") for field in schema}
    assert kinds == {"string", "double", "int16", "int32", "int64", "timestamp[us, tz=UTC]", "binary", "list<int32>",
                     "list<timestamp[us, tz=UTC]>", "list<int16>", "list<int8>"}
    (batch,) = flows
    made = spark_batch(batch, schema)
    for name in ("octetDeltaCount", "packetLength", "TLSSNI", "IDPContent", "sourceTransportPort"):
        assert made.column(name).to_pylist() == batch.column(name).to_pylist()
    signed = [value - (1 << 64) * (value >> 63) for value in batch.column("flowId").to_pylist()]
    assert made.column("flowId").to_pylist() == signed


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("java"), reason="no java for Spark")
def test_spark(tmp_path, monkeypatch):
    # The workers' Python is this one.
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    spark = (
        sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2").config("spark.sql.session.timeZone", "UTC").getOrCreate())
    try:
        frame = martlet.spark_flows(spark, PATHS, plugins="pstats,tls,flowhash")
        rows = {(row.source_file, row.flowId): row for row in frame.collect()}
        expected = martlet.flows(PATHS, plugins="pstats,tls,flowhash", threads=1).to_arrow().to_pylist()
        assert len(rows) == len(expected)
        for wanted in expected:
            flow = wanted["flowId"] - (1 << 64) * (wanted["flowId"] >> 63)
            row = rows[wanted["source_file"], flow]
            for name in ("octetDeltaCount", "packetLength", "TLSSNI", "sourceIPv4Address", "protocolIdentifier", "duration"):
                assert row[name] == wanted[name], name
        assert frame.where("TLSSNI is not null").count() == sum(bool(row["TLSSNI"] is not None) for row in expected)
        frame.write.parquet(str(tmp_path / "out"))
        assert spark.read.parquet(str(tmp_path / "out")).count() == len(expected)
        zoo = martlet.spark_flows(spark, PATHS, schema="datazoo", partitions=2)
        assert zoo.count() == martlet.flows(PATHS, schema="datazoo").to_arrow().num_rows
    finally:
        spark.stop()
