"""Files that are rotated and compressed: whole as soon as they are seen, every record in one of them, whatever happens."""

import csv
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections import Counter

import pytest
from harness import (
    CAPTURES, MARTLET, PATIENCE, Live, Session, causes, have, is_root, offline, run, wait_until, wait_until_taken,
    write_pcap)

MANY = CAPTURES / "many-flows.pcap"  # 1000 flows
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")
needs_zstd = pytest.mark.skipif(not have("zstd"), reason="needs zstd")


def decompressed(data, name):
    """The octets of a file, which zstd must find to be whole where it is compressed."""
    if ".zst" not in name:
        return data
    done = subprocess.run(["zstd", "-d", "-q", "-c"], input=data, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, (name, done.stderr)
    return done.stdout


def records(data, name):
    """The records of a file that is decoded by itself, each as something to compare; fails where it is not whole."""
    data = decompressed(data, name)
    if ".ipfix" in name:
        session, offset = Session(), 0
        while offset < len(data):
            length = struct.unpack_from("!H", data, offset + 2)[0]
            session.message(data[offset:offset + length])
            offset += length
        assert offset == len(data) and session.lost == 0
        return [tuple(sorted(record.items())) for record in session.records]
    text = data.decode()
    assert not text or text.endswith("\n"), name
    if ".json" in name:
        return [json.dumps(json.loads(line)) for line in text.splitlines()]
    if ".csv" in name:
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert rows[0][0] == "iana:flowEndReason"
        assert all(len(row) == len(rows[0]) for row in rows)
        return [tuple(row) for row in rows[1:]]
    lines = text.splitlines()
    assert lines[0].startswith("start (UTC)")
    return lines[1:]


def visible(folder):
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def all_records(folder, part=""):
    return [record for path in visible(folder) if part in path.name for record in records(path.read_bytes(), path.name)]


class Watcher:
    """Looks into a folder again and again, and reads each file once, as soon as it is there under its own name."""

    def __init__(self, folder):
        self.folder, self.seen, self.ends = folder, {}, threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self):
        while not self.ends.is_set():
            for entry in os.scandir(self.folder):
                if not entry.name.startswith(".") and entry.name not in self.seen:
                    with open(entry.path, "rb") as file:
                        self.seen[entry.name] = file.read()
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()

    def check(self):
        """What was seen first is all that there ever was, and decodes."""
        for name, data in self.seen.items():
            assert (self.folder / name).read_bytes() == data, name
            records(data, name)
        return self.seen


def trickle(flows, first=0):
    """A packet each of so many UDP flows, a tenth of a second apart, as records of a pcap file: with an inactive timeout of a
    second a flow ends some ten flows later."""
    out = []
    for number in range(first, first + flows):
        frame = bytes(12) + b"\x08\x00" + struct.pack(
            "!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2", number, 53, 8, 0)
        out.append(struct.pack("<IIII", 1000 + number // 10, number % 10 * 100_000, len(frame), len(frame)) + frame)
    return b"".join(out)


PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def reading(*arguments, **more):
    """martlet that reads a capture from a pipe."""
    process = subprocess.Popen(
        [MARTLET, "--pcap", "-", "--inactive-timeout", "1", *map(str, arguments)], stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, **more)
    process.stdin.write(PCAP_HEADER)
    process.stdin.flush()
    return process


def feed(process, flows, first=0):
    process.stdin.write(trickle(flows, first))
    process.stdin.flush()


def has_records(path):
    """Whether there is a file with some records in it."""
    return path.exists() and path.stat().st_size > 1000


def finish(process):
    process.stdin.close()
    text = process.stderr.read().decode()
    return process.wait(PATIENCE), text


@pytest.mark.parametrize("name", ["f.ipfix", "f.json", "f.csv", "f.text"])
@pytest.mark.parametrize("compress", [False, pytest.param(True, marks=needs_zstd)], ids=["plain", "zstd"])
def test_offline_by_size(tmp_path, name, compress):
    scheme = name.split(".")[1]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    end = ".zst?compress=zstd&level=1&rotate=4K" if compress else "?rotate=16K"
    result = run("--pcap", MANY, "--plugins", "pstats", "--export", f"{scheme}:{whole / name}",
                 "--export", f"{scheme}:{parts / name}{end}")
    assert result.status == 0 and result.messages == [] and hidden(parts) == []
    assert len(visible(parts)) > (1 if compress else 5)
    if not compress:
        assert all(path.stat().st_size <= 16384 for path in visible(parts))
    expected = all_records(whole)
    assert len(expected) == 1000
    assert Counter(all_records(parts)) == Counter(expected)


def test_other_programs_read_each_ipfix_file(tmp_path):
    # Without options records, which ipfixDump counts, too.
    url = f"ipfix:{tmp_path}/f.ipfix?rotate=32K&options=off"
    assert run("--pcap", MANY, "--plugins", "pstats", "--export", url).status == 0
    assert len(visible(tmp_path)) > 2
    dumped = 0
    for path in visible(tmp_path):
        if have("ipfixDump"):
            text = subprocess.run(["ipfixDump", "--in", path], capture_output=True, text=True, timeout=PATIENCE).stdout
            found = re.search(r"(\d+) Messages, (\d+) Data Records, (\d+) Template Records", text)
            assert int(found[3]) >= 1
            dumped += int(found[2])
        if have("tshark"):
            done = subprocess.run(
                ["tshark", "-n", "-r", path, "-V"], capture_output=True, text=True, errors="replace", timeout=PATIENCE)
            assert done.returncode == 0 and "No template found" not in done.stdout and "Malformed" not in done.stdout
    assert dumped == 1000 or not have("ipfixDump")


def test_offline_by_time(tmp_path):
    process = reading("--export", f"json:{tmp_path}/%s.json?rotate=1s", "--export", f"ipfix:{tmp_path}/f.ipfix?rotate=2s")
    with Watcher(tmp_path) as watcher:
        for number in range(0, 900, 30):
            feed(process, 30, number)
            time.sleep(0.1)
        assert finish(process) == (0, "")
    time.sleep(0.1)
    seen = watcher.check()
    times = sorted(int(name.split(".")[0]) for name in seen if name.endswith(".json"))
    # Every second has its file, so that one that is missing is seen.
    assert len(times) >= 3 and times == list(range(times[0], times[-1] + 1))
    filled = [path for path in visible(tmp_path) if path.suffix == ".json" and path.stat().st_size > 0]
    assert len(filled) >= 3
    for part in ("json", "ipfix"):
        assert len(set(all_records(tmp_path, part))) == 900
    assert hidden(tmp_path) == []


def test_names_have_local_time(tmp_path):
    zone = {**os.environ, "TZ": "Etc/GMT-5"}
    before = time.time()
    assert run("--pcap", MANY, "--export", f"csv:{tmp_path}/%Y%m%d%H%z.csv?rotate=1h", env=zone).status == 0
    names = {time.strftime("%Y%m%d%H", time.gmtime(moment + 5 * 3600)) + "+0500.csv" for moment in (before, time.time())}
    assert {path.name for path in visible(tmp_path)} <= names
    assert len(all_records(tmp_path)) == 1000


def test_no_file_is_overwritten(tmp_path):
    for _ in range(3):
        assert run("--pcap", MANY, "--export", f"csv:{tmp_path}/f.csv?rotate=1G").status == 0
    assert [path.name for path in visible(tmp_path)] == ["f.1.csv", "f.2.csv", "f.csv"]
    assert [len(records(path.read_bytes(), path.name)) for path in visible(tmp_path)] == [1000] * 3


REPEATED = f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"


def test_records_of_csv_are_whole_whatever_is_in_them(tmp_path):
    """A line feed in a cell (RFC 4180 section 2), which a hello's server name brings."""
    name = b"evil\n" * 30
    hello = bytes([3, 3]) + bytes(32) + bytes([0, 0, 2, 0x13, 1, 1, 0])
    extension = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    hello += struct.pack("!H", len(extension)) + extension
    payload = bytes([22, 3, 1]) + struct.pack("!HI", len(hello) + 4, 1 << 24 | len(hello)) + hello
    frames = []
    for flow in range(400):
        header = struct.pack("!HHIIBBHHH", 1000 + flow, 443, 1, 1, 0x50, 0x18, 0xFFFF, 0, 0)
        address = struct.pack("!BBHHHBBHII", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, 0xC0000201, 0xC0000202)
        frame = bytes(12) + b"\x08\x00" + address + header + payload
        frames.append(((1_700_000_000 + flow, 0), len(frame), frame))
    write_pcap(tmp_path / "in.pcap", 1, frames)
    folder = tmp_path / "out"
    folder.mkdir()
    result = run("--pcap", tmp_path / "in.pcap", "--plugins", "tls", "--export", f"csv:{folder}/f.csv?rotate=4K")
    assert result.status == 0 and len(visible(folder)) > 10
    found = all_records(folder)
    assert len(found) == 400 and all(name.decode() in row for row in found)


@live
@needs_zstd
def test_live_by_time_and_size(tmp_path):
    with Watcher(tmp_path) as watcher, Live(
            [REPEATED], ["--stats", "0.2", "--active-timeout", "1", "--export", f"ipfix:{tmp_path}/i-%s.ipfix?rotate=1s,64K",
                         "--export", f"json:{tmp_path}/j.json?rotate=128K",
                         "--export", f"csv:{tmp_path}/c-%H%M%S.csv.zst?rotate=1s&compress=zstd"]) as martlet:
        martlet.wait_for(lambda: martlet.latest.get("exported", 0) > 4000)
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(lambda: martlet.latest.get("exported", 0) > 5000)
        assert martlet.stop() == 0
        exported, lost = martlet.counters["exported"], martlet.counters["export_dropped"]
    seen = watcher.check()
    assert len(seen) > 20 and lost == 0 and hidden(tmp_path) == []
    assert len({name.split(".")[0] for name in seen if name.startswith("i-")}) >= 3
    for part in ("i-", "j.", "c-"):
        assert len(all_records(tmp_path, part)) == exported


@live
def test_hangup_begins_the_next_file(tmp_path):
    with Live([f"--vdev=net_pcap0,rx_pcap={MANY}"],
              ["--inactive-timeout", "1000", "--export", f"csv:{tmp_path}/f.csv?rotate=1d"]) as martlet:
        martlet.wait_for(lambda: hidden(tmp_path) == [".f.csv.part"])
        assert visible(tmp_path) == []
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(lambda: [path.name for path in visible(tmp_path)] == ["f.csv"])
        martlet.wait_for(lambda: hidden(tmp_path) == [".f.csv.part"])
        assert martlet.stop() == 0
    assert [path.name for path in visible(tmp_path)] == ["f.1.csv", "f.csv"] and hidden(tmp_path) == []
    # No flow ended before the signal: the first file has its heading.
    assert records((tmp_path / "f.csv").read_bytes(), "f.csv") == []
    assert len(records((tmp_path / "f.1.csv").read_bytes(), "f.1.csv")) == 1000


def test_what_a_killed_run_leaves_is_said(tmp_path):
    export = f"json:{tmp_path}/f-%Y.json?rotate=1d"
    process = reading("--export", export)
    feed(process, 200)
    wait_until(lambda: hidden(tmp_path) and has_records(tmp_path / hidden(tmp_path)[0]), "records", process)
    process.kill()
    process.wait(PATIENCE)
    process.stderr.close()
    left = hidden(tmp_path)
    assert visible(tmp_path) == [] and len(left) == 1
    data = (tmp_path / left[0]).read_bytes()
    assert 0 < len(records(data, "f.json")) < 200
    for number in (1, 2):
        result = run("--pcap", MANY, "--export", export)
        text = result.err.decode()
        assert result.status == 0 and text.count("\n") == 1 and f"was killed while it wrote {tmp_path}/{left[0]}" in text
        assert hidden(tmp_path) == left and (tmp_path / left[0]).read_bytes() == data
        assert len(all_records(tmp_path)) == 1000 * number
    # A run that goes on has left nothing.
    (tmp_path / left[0]).unlink()
    process = reading("--export", export)
    wait_until(lambda: hidden(tmp_path), "a file", process)
    assert run("--pcap", MANY, "--export", export).err == b""
    assert finish(process) == (0, "")


def test_a_folder_that_vanishes_and_returns(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    process = reading("--stats", "0", "--export", f"json:{folder}/f.json?rotate=1h")
    feed(process, 200)
    wait_until(lambda: has_records(folder / ".f.json.part"), "records", process)
    shutil.rmtree(folder)
    feed(process, 200, 200)
    said = process.stderr.readline().decode()
    assert "was deleted, or its folder" in said
    folder.mkdir()
    wait_until(lambda: hidden(folder), "the next file", process)
    feed(process, 200, 400)
    status, text = finish(process)
    stored = len(set(all_records(folder)))
    assert status == 2 and 200 <= stored < 600 and hidden(folder) == []
    assert f"{600 - stored} records were lost" in text and "was deleted, or its folder" in text.splitlines()[-1]


@live
def test_a_full_disk_is_waited_for_across_files(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", tmp_path], check=True)
    try:
        process = subprocess.Popen(
            [MARTLET, "--pcap", MANY, "--drain-timeout", str(PATIENCE), "--export", f"json:{tmp_path}/f.json?rotate=64K"],
            stderr=subprocess.PIPE)
        assert b"disk is full" in process.stderr.readline()
        found = []
        # A consumer that takes what is complete makes room.
        while process.poll() is None or visible(tmp_path):
            for path in visible(tmp_path):
                found += records(path.read_bytes(), path.name)
                path.unlink()
            time.sleep(0.01)
        process.stderr.close()
        assert process.returncode == 0 and len(found) == 1000 and len(set(found)) == 1000 and hidden(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@live
@needs_zstd
@pytest.mark.parametrize("ends", [False, True], ids=["room comes", "none comes"])
def test_a_full_disk_and_a_compressed_file(tmp_path, ends):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", tmp_path], check=True)
    try:
        process = subprocess.Popen(
            [MARTLET, "--pcap", MANY, "--drain-timeout", "1" if ends else str(PATIENCE),
             "--export", f"json:{tmp_path}/f.json.zst?compress=zstd"], stderr=subprocess.PIPE)
        assert b"disk is full" in process.stderr.readline()
        if not ends:
            subprocess.run(["mount", "-o", "remount,size=4m", tmp_path], check=True)
        text = process.communicate(timeout=PATIENCE)[1].decode()
        if ends:
            # It is no whole frame, so that none of its records counts.
            assert process.returncode == 2 and "1000 records were lost" in text.splitlines()[-1]
            assert visible(tmp_path) == [] and hidden(tmp_path) == [".f.json.zst.part"]
        else:
            assert process.returncode == 0 and len(set(all_records(tmp_path))) == 1000
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@live
def test_a_full_disk_to_the_end(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", tmp_path], check=True)
    try:
        result = offline(MANY, export=f"json:{tmp_path}/f.json?rotate=64K", options=["--drain-timeout", "1"])
        stored = len(set(all_records(tmp_path)))
        assert result.status == 2 and 0 < stored < 1000 and causes(result.counters) == {"disk_error": 1000 - stored}
        assert f"{1000 - stored} records were lost" in result.messages[-1]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_bad_input(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for argument, hint in [
            ("json:x?rotate=0", "300s"), ("json:x?rotate=0s", "1s to 366d"), ("json:x?rotate=1K", "4K to"),
            ("json:x?rotate=5m", "5min or 5M"), ("json:x?compress=lzma", "none of zstd"), ("json:x?level=9", "compress=zstd"),
            ("json:x-%Q?rotate=1h", "no conversion"), ("json:-?rotate=1h", "standard output"),
            ("json:-?compress=zstd", "standard output"), ("json:/dev/null?rotate=1h", "a device"),
            (f"json:{tmp_path}/fifo?rotate=1h", "a FIFO"), (f"json:{tmp_path}?compress=zstd", "a folder")]:
        result = run("--pcap", MANY, "--export", argument, cwd=tmp_path)
        assert result.status == 64 and hint in result.messages[0] and len(result.messages) == 1, argument
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]
    result = run("--pcap", MANY, "--export", f"json:{tmp_path}/nowhere/x?rotate=1h")
    assert result.status == 1 and "nowhere" in result.messages[0] and len(result.messages) == 1


def test_signals_offline_begin_the_next_file(tmp_path):
    process = reading("--export", f"json:{tmp_path}/f.json?rotate=1d")
    feed(process, 200)
    wait_until(lambda: has_records(tmp_path / ".f.json.part"), "records", process)
    process.send_signal(signal.SIGHUP)
    wait_until_taken(process)
    # Heeded with the next packets.
    feed(process, 200, 200)
    wait_until(lambda: [path.name for path in visible(tmp_path)] == ["f.json"], "a complete file", process)
    assert finish(process) == (0, "")
    assert len(set(all_records(tmp_path))) == 400 and len(visible(tmp_path)) == 2
