"""Outputs and signals: what is opened when, what is lost and said, and how runs end whatever an output does."""

import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest
from harness import (
    CAPTURES, MARTLET, ONE_QUEUE, PATIENCE, Live, file_prefix, is_root, is_sleeping, memory, read_pcap, run, stats_lines, unread,
    wait_until, wait_until_it_reads, wait_until_it_sleeps, wait_until_taken)

MANY = CAPTURES / "many-flows.pcap"  # 1000 flows
REPLAY = f"--vdev=net_pcap0,rx_pcap={MANY}"
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")


def start(*arguments, **more):
    return subprocess.Popen([MARTLET, *map(str, arguments)], stderr=subprocess.PIPE, **more)


#: Seconds within which a run with `--drain-timeout 1` has ended on a busy machine too; the default would be 10.
SOON = 8


def end(process, number=signal.SIGTERM, timeout=PATIENCE):
    """(status, seconds, standard error) after a signal."""
    begin = time.monotonic()
    process.send_signal(number)
    text = process.communicate(timeout=timeout)[1].decode()
    return process.returncode, time.monotonic() - begin, text


def wait_until_full(pipe, process):
    """Waits until nothing more goes into the pipe: a writer whose next piece is longer than what is left waits, too."""
    before, same = -1, 0

    def full():
        nonlocal before, same
        now = unread(pipe)
        same = same + 1 if now == before and now > 0 and is_sleeping(process) else 0
        before = now
        return same >= 20
    wait_until(full, "a full pipe", process)


def lines(path):
    return path.read_bytes().count(b"\n")


def test_nothing_is_opened_before_everything_was_checked(tmp_path):
    out = tmp_path / "out.json"
    out.write_text("precious\n")
    for wrong in (["--export", "gopher://x"], ["--export", f"csv:{tmp_path}/./out.json"], ["--plugins", "none"]):
        assert run("--pcap", MANY, "--export", f"json:{out}", *wrong).status == 64
        assert out.read_text() == "precious\n"
    assert run("--pcap", tmp_path / "nowhere", "--export", f"json:{out}").status == 1
    assert out.read_text() == "precious\n"


def test_an_input_is_no_output(tmp_path):
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(MANY.read_bytes())
    os.link(capture, tmp_path / "other")
    assert run("--pcap", capture, "--export", f"json:{tmp_path}/other").status == 64
    assert capture.read_bytes() == MANY.read_bytes()


def test_files_are_not_for_everybody(tmp_path):
    assert run("--pcap", MANY, "--export", f"json:{tmp_path}/out").status == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) & ~0o640 == 0


def test_a_reader_that_has_seen_enough_is_no_failure():
    process = start("--pcap", MANY, "--export", "json:-", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 0 and process.stderr.read() == b""


def test_a_file_that_may_not_grow_stays_whole(tmp_path):
    out = tmp_path / "out.json"
    result = run("--pcap", MANY, "--drain-timeout", "1", "--export", f"json:{out}", prefix=["prlimit", "--fsize=8192"])
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert result.status == 2 and 0 < len(records) < 1000
    assert f"{1000 - len(records)} records were lost" in result.messages[-1]


@live
def test_a_full_disk_is_waited_for(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", tmp_path], check=True)
    try:
        process = start("--pcap", MANY, "--drain-timeout", PATIENCE, "--export", f"json:{tmp_path}/out.json")
        said = process.stderr.readline().decode()
        # What fits is written up to the last whole line.
        wait_until(lambda: (tmp_path / "out.json").read_text().endswith("}\n"), "whole lines", process)
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path], check=True)
        text = said + process.communicate(timeout=PATIENCE)[1].decode()
        assert process.returncode == 0 and "disk is full" in text and text.count("warning") == 1
        assert len([json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]) == 1000
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_fifo_without_reader_holds_up_nobody(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    process = start(
        "--pcap", MANY, "--drain-timeout", "1", "--export", f"json:{tmp_path}/fifo", "--export", f"csv:{tmp_path}/csv")
    # The other output has its heading, and reading waits for the FIFO's reader.
    wait_until(lambda: (tmp_path / "csv").exists() and lines(tmp_path / "csv") > 0, "the heading", process)
    wait_until_it_sleeps(process)
    # Neither of these ends a run.
    for number in (signal.SIGHUP, signal.SIGUSR1):
        process.send_signal(number)
        wait_until_taken(process)
    assert process.poll() is None
    status, seconds, text = end(process)
    assert status == 2 and seconds < SOON and "1000 records were lost" in text
    assert lines(tmp_path / "csv") == 1001


def test_a_stalled_standard_output_ends_in_time():
    read, write = os.pipe()
    process = start("--pcap", MANY, "--drain-timeout", "1", "--export", "json:-", stdout=write)
    wait_until_full(read, process)
    status, seconds, text = end(process)
    assert status == 2 and seconds < SOON and "records were lost" in text
    os.close(read)
    os.close(write)


def test_a_second_signal_ends_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    process = start("--pcap", MANY, "--export", f"json:{tmp_path}/fifo", "--export", f"csv:{tmp_path}/csv")
    wait_until((tmp_path / "csv").exists, "an output that is opened", process)
    process.send_signal(signal.SIGTERM)
    wait_until_taken(process)
    assert process.poll() is None
    status, seconds, _ = end(process)
    # After the first alone it would wait for the reader for 10 seconds.
    assert status == 1 and seconds < SOON


def test_signals_reach_a_reader_that_waits():
    process = start("--pcap", "-", "--export", "json:/dev/null", stdin=subprocess.PIPE)
    process.stdin.write(MANY.read_bytes()[:20000])
    process.stdin.flush()
    wait_until_it_reads(process, process.stdin)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        process.send_signal(number)
        wait_until_taken(process)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_collector_that_does_not_answer_is_said_soon():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        begin = time.monotonic()
        process = start("--pcap", MANY, "--drain-timeout", "1", "--export", f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        said = process.stderr.readline().decode()
        # After two seconds; the connection itself fails only after minutes, and the records are given up after 30 seconds.
        assert "no answer yet" in said and time.monotonic() - begin < 20
        assert end(process)[0] == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors(tmp_path, closed):
    out = tmp_path / "out"
    done = subprocess.run(
        ["sh", "-c", f'exec {closed}; exec "$0" "$@"', MARTLET, "--pcap", MANY, "--stats", "0", "--export", f"json:{out}"],
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 1000


@pytest.mark.parametrize("arguments", [["--help"], ["--pcap", MANY, "--export", "json:-"]], ids=["help", "records"])
def test_a_closed_standard_output_is_said(arguments):
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', MARTLET, *arguments], stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 1 and b"standard output" in done.stderr and done.stderr.count(b"\n") == 1


@live
def test_live_signals_rotation_and_what_is_left_behind(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    csv, packets = tmp_path / "flows.csv", len(read_pcap(MANY)[1])
    with Live([REPLAY], ["--drain-timeout", "1", "--stats", "0.1", "--inactive-timeout", "1000",
                         "--export", f"json:{tmp_path}/fifo", "--export", f"csv:{csv}"]) as martlet:
        martlet.wait_received(packets)
        # Its heading.
        martlet.wait_for(lambda: lines(csv) == 1)
        csv.rename(tmp_path / "flows.csv.1")
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(csv.exists)
        martlet.process.send_signal(signal.SIGUSR1)
        martlet.wait_for("martlet: totals")
        begin = time.monotonic()
        assert martlet.stop(signal.SIGTERM) == 2
        assert time.monotonic() - begin < SOON
        assert "1000 records were lost" in martlet.text()
        assert lines(csv) == 1001 and lines(tmp_path / "flows.csv.1") == 1
        assert not os.path.exists(f"/var/run/dpdk/{martlet.file_prefix}")


@live
def test_a_stalled_standard_error_ends_in_time(tmp_path):
    read, write = os.pipe()
    process = subprocess.Popen(
        [MARTLET, *ONE_QUEUE, *memory(), "--no-pci", "--file-prefix", file_prefix(), REPLAY, "--", "--stats", "0.005",
         "--inactive-timeout", "1000", "--drain-timeout", "5", "--export", f"json:{tmp_path}/out"], stderr=write)
    os.close(write)
    seen = b""
    # What came may end within a line.
    while (stats_lines(seen.decode().rpartition("\n")[0]) or [{"received": 0}])[-1]["received"] < len(read_pcap(MANY)[1]):
        seen += os.read(read, 4096)
    before, same = 0, 0
    # From here on nobody reads it.
    while same < 20:
        time.sleep(0.02)
        same = same + 1 if unread(read) == before > 0 else 0
        before = unread(read)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0 and lines(tmp_path / "out") == 1000
    os.close(read)


@live
def test_a_failed_start_opens_and_leaves_nothing(tmp_path):
    prefix = file_prefix()
    result = run("--file-prefix", prefix, *ONE_QUEUE, "--no-pci", "--no-huge", "-m", "128", "--vdev=net_pcap0,rx_pcap=/nowhere",
                 "--", "--export", f"json:{tmp_path}/out")
    assert result.status == 1
    assert not (tmp_path / "out").exists() and not os.path.exists(f"/var/run/dpdk/{prefix}")
