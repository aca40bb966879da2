"""Parquet: complete or absent, in parts by columns and by time, readable by others."""

import os
import signal
import subprocess
import sys
import time

import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest

import martlet
from conftest import CAPTURES

DNS, TLS = CAPTURES / "dns.pcap", CAPTURES / "tls13.pcap"


def test_one_file(tmp_path):
    flows = martlet.flows([DNS, TLS], plugins="pstats,tls", threads=1)
    (path,) = flows.to_parquet(tmp_path / "out")
    table = flows.to_arrow()
    read = pyarrow.parquet.read_table(path)
    assert read.num_rows == table.num_rows and read.schema.names == table.schema.names
    for name in table.schema.names:
        assert read.column(name).to_pylist() == table.column(name).to_pylist(), name
    assert os.listdir(tmp_path / "out") == ["flows-0.parquet"]
    assert polars.read_parquet(path).height == table.num_rows


def test_partitions(tmp_path):
    flows = martlet.flows([DNS, CAPTURES / "demo.pcap"], schema="datazoo")
    paths = flows.to_parquet(tmp_path, partition_by=["day", "PROTOCOL"])
    read = pyarrow.dataset.dataset(tmp_path, partitioning="hive").to_table().to_pandas()
    table = flows.to_pandas()
    assert len(read) == len(table) and len(paths) > 3
    assert sorted(read.PROTOCOL) == sorted(table.PROTOCOL)
    assert set(read.day) == set(table.TIME_FIRST.dt.strftime("%Y-%m-%d"))
    with pytest.raises(ValueError, match="no column nix"):
        flows.to_parquet(tmp_path / "other", partition_by="nix")
    assert not (tmp_path / "other").exists()


def test_several_files(tmp_path):
    flows = martlet.flows(CAPTURES / "many-flows.pcap")
    paths = flows.to_parquet(tmp_path, rows_per_file=100)
    rows = [pyarrow.parquet.read_metadata(path).num_rows for path in paths]
    assert len(rows) > 3 and max(rows) <= 100 and sum(rows) == flows.to_arrow().num_rows


def test_what_is_there_stays(tmp_path):
    flows = martlet.flows(DNS)
    (path,) = flows.to_parquet(tmp_path)
    before = os.stat(path).st_mtime_ns
    with pytest.raises(FileExistsError, match="overwrite=True"):
        martlet.flows(TLS).to_parquet(tmp_path)
    assert os.stat(path).st_mtime_ns == before
    martlet.flows(TLS).to_parquet(tmp_path, overwrite=True)
    assert pyarrow.parquet.read_table(path).column("source_file").to_pylist() == [str(TLS)] * 8


def test_an_error_leaves_nothing(tmp_path, monkeypatch):
    flows = martlet.flows([DNS, TLS], batch_rows=5)

    def failing(schema, batch):
        raise RuntimeError("no more")
    monkeypatch.setattr(martlet.flows(DNS, schema="datazoo")._schema_choice.__class__, "convert", failing)
    with pytest.raises(RuntimeError, match="no more"):
        martlet.flows([DNS, TLS], schema="datazoo").to_parquet(tmp_path / "out")
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []
    assert flows.to_parquet(tmp_path / "out")


SCRIPT = """
import sys, martlet
flows = martlet.flows([{capture!r}] * 200000, plugins="pstats", threads=2, progress=False)
print("begun", flush=True)
{work}
"""


@pytest.mark.parametrize("work", ["flows.to_parquet({out!r})", "flows.to_arrow()", "flows.to_pandas()", "flows.to_polars()"])
def test_interrupt(work, tmp_path):
    """Ctrl-C in the middle of a run of minutes: it ends within seconds, by KeyboardInterrupt, and leaves no file."""
    out = str(tmp_path / "out")
    script = SCRIPT.format(capture=str(CAPTURES / "many-flows.pcap"), work=work.format(out=out))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n", process.stderr.read()
        time.sleep(1)
        if "parquet" in work:
            end = time.monotonic() + 30
            while not any(files for _, _, files in os.walk(out)) and time.monotonic() < end:
                time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert time.monotonic() - began < 10
    assert "KeyboardInterrupt" in errors, errors
    assert process.returncode in (-signal.SIGINT, 130, 1)
    assert [name for _, _, names in os.walk(out) for name in names] == []


def http(path, host):
    """A capture of one HTTP request to a host of any name."""
    import dpkt

    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with open(path, "wb") as file:
        writer = dpkt.pcap.Writer(file)
        segment = dpkt.tcp.TCP(sport=40000, dport=80, flags=dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH, seq=1, data=request)
        packet = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=6, data=segment)
        writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet, type=0x0800)), 1_700_000_000)
    return path


def test_folders_of_names_that_packets_bring(tmp_path):
    """A name of 255 octets, each three in a folder's name, which has 255 at most; one that leads elsewhere; and none."""
    names = ["ü" * 100, "/" * 200, "../../..", "."]
    captures = [http(tmp_path / f"{place}.pcap", name) for place, name in enumerate(names)]
    paths = martlet.flows([*captures, DNS], plugins="http").to_parquet(tmp_path / "out", partition_by="httpHost")
    folders = {os.path.relpath(path, tmp_path / "out").split(os.sep)[0] for path in paths}
    assert len(paths) == len(folders) == len(names) + 1
    assert {"httpHost=..%2F..%2F..", "httpHost=.", "httpHost=__HIVE_DEFAULT_PARTITION__"} < folders
    assert max(len(os.fsencode(folder)) for folder in folders) <= 255
    assert sum(pyarrow.parquet.read_metadata(path).num_rows for path in paths) == martlet.flows(DNS).to_arrow().num_rows + 4


def test_lists_are_no_folders(tmp_path):
    with pytest.raises(martlet.InvalidOption, match="packetLength has lists"):
        martlet.flows(DNS, plugins="pstats").to_parquet(tmp_path / "out", partition_by="packetLength")
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_files_get_their_names(tmp_path, monkeypatch):
    """All of them are there, those before are gone, and Ctrl-C is acted on then."""
    flows = martlet.flows([DNS, TLS], plugins="tls", threads=1)
    out = tmp_path / "out"
    flows.to_parquet(out, partition_by="protocolIdentifier")
    replace = os.replace

    def interrupted(*names):
        signal.raise_signal(signal.SIGINT)
        replace(*names)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flows.to_parquet(out, partition_by="destinationTransportPort", overwrite=True)
    ports = {str(port) for port in flows.to_arrow().column("destinationTransportPort").to_pylist()}
    found = {path.parent.name for path in out.rglob("*.parquet")}
    assert found == {f"destinationTransportPort={port}" for port in ports} and len(ports) > 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
