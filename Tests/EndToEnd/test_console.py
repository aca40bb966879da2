"""What somebody sees who looks on: rates and totals, the end of a run over captures, progress, the table, and errors."""
import json
import os
import re
import signal
import subprocess

import pytest
from harness import CAPTURES, CORPUS, NO_HUGE, ONE_QUEUE, Live, file_prefix, is_root, offline, run, stats_lines, write_pcap
from harness import read_pcap
from terminal import on_a_terminal

DEMO, HTTP = CAPTURES / "demo.pcap", CAPTURES / "http.pcap"
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")


# Captures by their names alone.

def test_a_bare_name_is_a_capture(tmp_path):
    assert run(DEMO, "--export", "json:-").out == run("--pcap", DEMO, "--export", "json:-").out != b""
    both = run("--pcap", HTTP, DEMO, "--export", "json:-").out
    assert run(HTTP, DEMO, "--export", "json:-").out == run("--export", "json:-", HTTP, DEMO).out == both
    with open(DEMO, "rb") as capture:
        done = subprocess.run([os.environ.get("MARTLET", ".build/release/martlet"), "-", "--export", "json:-"], stdin=capture,
                              capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, 64)


def test_a_word_that_is_none():
    result = run("nonsense")
    assert result.status == 64 and len(result.messages) == 1 and "'nonsense'" in result.messages[0]


# Counters.

def infinite(*options):
    return ["--file-prefix", file_prefix(), *ONE_QUEUE, *NO_HUGE, "--no-pci",
            f"--vdev=net_pcap0,rx_pcap={DEMO},infinite_rx=1", "--", "--export", "json:/dev/null", "--duration", "1.5", *options]


@live
def test_rates_fit_a_hundred_columns():
    status, text = on_a_terminal(*infinite("--stats", "0.3"))
    assert status == 0, text
    lines = [line for line in text.splitlines() if "Mpps" in line]
    assert len(lines) >= 3 and max(map(len, lines)) <= 100, text
    assert re.fullmatch(r"martlet: +\d+\.\d{3} Mpps +\d+\.\d{3} Gbit/s +\d+ flows +(<1|\d+)% +\d+\w? new/s +busy \d+%"
                        r"( +export \d+%)?( +LOST .*)?", lines[-1]), lines[-1]
    # A device that always has packets keeps its worker busy.
    assert int(re.search(r"busy (\d+)%", lines[-1])[1]) > 30
    totals = text[text.index("martlet: totals"):]
    assert re.search(r"^ {2}packets +lcore 2$", totals, re.M) and re.search(r"^ {2}flows and records +lcore 2$", totals, re.M)
    assert re.search(r"^ {2}export +json:/dev/null$", totals, re.M) and "CPU ns per packet" in totals
    # What is 0 is left out.
    assert not re.search(r"^  \D+( +0)+$", totals, re.M), totals


@live
def test_losses_are_named():
    """Eight flows fit, and more come: each takes the place of another."""
    status, text = on_a_terminal(*infinite("--stats", "0.3", "--flows", "64"))
    assert status == 0
    lines = [line for line in text.splitlines() if "Mpps" in line]
    assert any(re.search(r"LOST .*(lack of resources|ring full)", line) for line in lines), text
    assert max(map(len, lines)) <= 100


@live
def test_an_idle_lcore_has_no_cost_per_packet():
    """http.pcap once, and then nothing: the worker's time is none of its packets'."""
    with Live([f"--vdev=net_pcap0,rx_pcap={HTTP}"], ["--export", "json:/dev/null", "--stats", "0.1"]) as probe:
        probe.wait_for(lambda: len(stats_lines(probe.text())) > 15)
        assert probe.stop() == 0
        assert "CPU ns per packet" not in probe.text(), probe.text()


def test_all_counters_remain_where_programs_read():
    result = offline(DEMO, export="json:/dev/null")
    names = {line.split("  ")[0].strip().replace(" ", "_") for line in run("--list-counters").out.decode().splitlines()[1:]}
    ports = {"missed", "no_mbuf", "errors"}
    assert names - ports <= result.counters.keys()
    assert result.counters["table_full"] == 0


def test_counters_as_json():
    err = run("--stats", "0.001", "--stats-format", "json", "--pcap", DEMO, HTTP, "--export", "json:/dev/null").err.decode()
    objects = [json.loads(line) for line in err.splitlines()]
    assert objects and objects[-1]["type"] == "totals" and all(o["type"] == "stats" for o in objects[:-1])
    totals = objects[-1]
    assert totals["counters"] == offline(DEMO, HTTP, export="json:/dev/null").counters | dict.fromkeys(
        ("missed", "no_mbuf", "errors"), 0)
    assert totals["workers"]["lcore 0"]["received"] == totals["counters"]["received"]
    assert totals["outputs"]["json:/dev/null"]["exported"] == totals["counters"]["exported"]


def test_the_form_of_counters_can_be_chosen():
    lines = run("--stats", "0", "--stats-format", "line", "--pcap", DEMO, "--export", "json:/dev/null").err.decode()
    assert re.search(r"^  packets ", lines, re.M) and not re.search(r"^  table full", lines, re.M)
    status, text = on_a_terminal("--stats", "0", "--stats-format", "full", "--pcap", DEMO, "--export", "json:/dev/null")
    assert status == 0 and re.search(r"^  table full +0$", text, re.M)


# The end of a run over captures, and how far it is.

SUMMARY = r"(\d+) packets?, (\d+) flows?, (\d+) records? in (\d+\.\d{3}) s \((\d+\.\d{3}) Mpps\) to "


def test_a_terminal_gets_a_line_at_the_end(tmp_path):
    out = tmp_path / "flows.json"
    status, text = on_a_terminal("--pcap", DEMO, "--export", f"json:{out}")
    found = re.fullmatch(rf"martlet: {SUMMARY}json:{re.escape(str(out))}\n", text)
    assert status == 0 and found, text
    counters = offline(DEMO, export="json:/dev/null").counters
    assert [int(found[n]) for n in (1, 2, 3)] == [counters[name] for name in ("received", "flows_made", "exported")]
    # Scripts that read standard error get nothing, and with --stats the totals begin with it.
    assert run("--pcap", DEMO, "--export", f"json:{out}").err == b""
    assert re.search(rf"^martlet: totals: {SUMMARY}", offline(DEMO).err.decode(), re.M)


@pytest.fixture(scope="module")
def long_capture(tmp_path_factory):
    """Enough packets for some seconds."""
    link, packets = read_pcap(DEMO)
    path = tmp_path_factory.mktemp("long") / "long.pcap"
    write_pcap(path, link, packets * max(1, 3_000_000 // len(packets)))
    return path


def test_long_runs_show_how_far_they_are(long_capture):
    status, text = on_a_terminal("--pcap", long_capture, "--plugins", "all", "--export", "json:/dev/null")
    shown = re.findall(r"\r\x1b\[Kmartlet: (\d+)% of \S+ bytes, \S+ bytes/s, [^:]* left: long\.pcap", text)
    assert status == 0 and shown == sorted(shown, key=int) and all(int(share) <= 100 for share in shown), text[:500]
    assert shown, "no progress: the machine is too fast for this capture"
    # At the end the line is gone, and the last one stands alone.
    assert re.search(rf"\r\x1b\[Kmartlet: {SUMMARY}json:/dev/null\n$", text) or re.search(
        rf"\r\x1b\[K\r?martlet: {SUMMARY}json:/dev/null\n$", text), text[-300:]
    # Nobody looks on.
    assert run("--pcap", long_capture, "--export", "json:/dev/null").err == b""


def test_names_of_files_are_no_commands(tmp_path):
    """A terminal obeys ESC and the like wherever they stand; JSON has them escaped."""
    name = tmp_path / "\x1b]0;x\x07\x9b2J\x7f\r\u202e\u00fc.pcap"
    shown = f"{tmp_path}/\ufffd]0;x\ufffd\ufffd2J\ufffd\ufffd\ufffd\u00fc.pcap"
    name.write_bytes(DEMO.read_bytes()[:-1])
    result = run("--pcap", name, "--export", "json:/dev/null")
    assert result.status == 1 and result.err.decode().startswith(f"martlet: {shown} is damaged"), result.err
    _, text = on_a_terminal("--pcap", name, "--export", f"json:{tmp_path}/a\x1b[2J")
    assert shown in text and not re.search("[\x1b\x07\x7f-\x9f\u202e]", text), text
    _, text = on_a_terminal("--pcap", DEMO, "--stats", "0", "--export", f"json:{tmp_path}/a\x1b[2J\n\n  received  7")
    assert f"{tmp_path}/a\ufffd[2J" in text and "\x1b" not in text and "\n  received  7" not in text, text
    result = run("--pcap", name, "--export", "json:/dev/null", "--log-format", "json")
    assert json.loads(result.err.decode().splitlines()[-1])["message"].startswith(f"{name} is damaged")


def test_progress_and_ctrl_c(long_capture):
    status, text = on_a_terminal("--pcap", long_capture, "--plugins", "all", "--export", "json:/dev/null",
                                 signal_at=("% of", signal.SIGINT))
    assert status == 0 and text.rstrip().endswith("json:/dev/null"), text[-300:]


def test_what_comes_through_a_pipe_is_counted(long_capture, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cp", long_capture, fifo]) as copy:
        status, text = on_a_terminal("--pcap", fifo, "--plugins", "all", "--export", "json:/dev/null")
        assert status == 0 and copy.wait(60) == 0
    shown = [float(number) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[unit] for number, unit in re.findall(
        r"\r\x1b\[Kmartlet: ([\d.]+)([KMG]?) bytes, [1-9]\S* bytes/s: fifo", text)]
    # What was captured: less than the file has, which says of each packet when it was and how long.
    assert shown and shown == sorted(shown) and 0 < shown[-1] < long_capture.stat().st_size, text[:500]


# The table.

def shown(*arguments):
    return run("--pcap", *arguments).out.decode().splitlines()


def test_the_table_fits_120_columns():
    files = sorted(CAPTURES.glob("*.pcap")) + (sorted((CORPUS / "functional").glob("*.pcap"))[:40] if CORPUS else [])
    for options in ([], ["--plugins", "all"], ["--plugins", "all", "--uniflow"]):
        widths = [len(line) for line in shown(*files, *options)]
        assert max(widths) <= 120 and len(widths) > 100


def test_the_table_shows_what_the_records_have():
    records = [json.loads(line) for line in run("--pcap", DEMO, "--export", "json:-").out.splitlines()]
    heading, *lines = shown(DEMO)
    assert heading.startswith("start (UTC)") and len(lines) == len(records)
    for line, record in zip(lines, records):
        start = record["iana:flowStartMicroseconds"]
        assert line.startswith(f"{start[5:10]} {start[11:23]}"), (line, start)
        source = record.get("iana:sourceIPv4Address")
        if source:
            assert source in line
        words = line.split()
        packets = record["iana:packetDeltaCount"], record.get("iana@reverse:packetDeltaCount", 0)
        assert [int(word) for word in words[-5:-3] if word.isdigit()] == list(packets) or "lack" in line, line
        assert heading.index("pkts→") + 4 >= line.index(" → ")


def test_wide_has_everything(tmp_path):
    path = tmp_path / "flows.txt"
    assert run("--pcap", DEMO, "--plugins", "tls", "--export", f"text:{path}").status == 0
    assert shown(DEMO, "--plugins", "tls", "--wide") == path.read_text().splitlines()
    # The narrow one has the same fields, on lines of their own.
    narrow = "\n".join(shown(CAPTURES / "tls13.pcap", "--plugins", "tls"))
    assert re.search(r"^ {4}\S*TLSSNI=\S+", narrow, re.M) or "TLSSNI=" in narrow


# CSV for data frames.

def test_short_names_are_attributes(tmp_path):
    pandas = pytest.importorskip("pandas")
    long, short = tmp_path / "long.csv", tmp_path / "short.csv"
    for path, options in ((long, []), (short, ["--csv-names", "short"])):
        result = run("--pcap", CAPTURES / "tls13.pcap", DEMO, "--plugins", "all", "--export", f"csv:{path}", *options)
        assert result.status == 0, result.err
    before, after = pandas.read_csv(long, dtype=str), pandas.read_csv(short, dtype=str)
    assert len(set(after.columns)) == len(after.columns) == len(before.columns) + 2
    assert list(after.columns[-2:]) == ["duration", "source_file"]
    assert all(re.fullmatch(r"[A-Za-z]\w*", name) for name in after.columns), list(after.columns)
    for name in ("sourceIPv4Address", "octetDeltaCount", "reverseOctetDeltaCount", "TLSSNI"):
        assert name in after.columns, list(after.columns)
    # The same values, but for JA3.
    for old, new in zip(before.columns, after.columns):
        mine, theirs = before[old].fillna(""), after[new].fillna("")
        if "Ja3" in old:
            assert any(theirs) and list(theirs) == [value.removeprefix("0x") for value in mine]
            assert all(re.fullmatch(r"([0-9a-f]{32})?", value) for value in theirs)
        else:
            assert list(mine) == list(theirs), old
    # Each record names the file that its first packet is in.
    names = [str(CAPTURES / "tls13.pcap"), str(DEMO)]
    assert set(after["source_file"]) == set(names)
    counts = [run("--pcap", name, "--plugins", "all", "--export", "json:-").out.count(b"\n") for name in names]
    assert [list(after["source_file"]).count(name) for name in names] == counts
    start, end = (pandas.to_datetime(after[f"flow{word}Microseconds"]) for word in ("Start", "End"))
    assert ((end - start).dt.total_seconds() - after["duration"].astype(float)).abs().max() < 2e-6


def test_the_fixed_header_stays(tmp_path):
    path = tmp_path / "flows.csv"
    run("--pcap", DEMO, "--export", f"csv:{path}")
    header = path.read_text().splitlines()[0].split(",")
    assert "duration" not in header and all(":" in name for name in header)


# What newcomers type.

@pytest.mark.parametrize("words,ours", [
    (["--odid", "-3", "--pcap", str(DEMO)], "'-3' is not a whole number from 0"),
    (["--active-timeout", "-1", "--pcap", str(DEMO)], "'-1' is not a number of seconds"),
    (["-i", "raw;ifc=eth0", "-p", "pstats"], "--pcap"),
    (["-p", "pstats;tls", "-o", "ipfix;host=localhost"], "--plugins"),
    (["-o", "ipfix;host=localhost;port=4739;udp"], "--export udp://"),
    (["-s", "cache;size=17;active=40"], "--active-timeout"),
    (["-s", "128", "--pcap", str(DEMO)], "--flows"),
    (["-n", "127.0.0.1:2055", "-T", "%IPV4_SRC_ADDR"], "--export udp://127.0.0.1:2055"),
    (["-n", "none", "-P", "/tmp"], "--export"),
    (["-e", "0", "-t", "60"], "--drain-timeout"),
    (["-t", "60"], "--active-timeout"),
    (["-d", "15"], "--inactive-timeout"),
    (["-T", "%L7_PROTO"], "--plugins"),
    (["-r", str(DEMO)], "--pcap"),
    (["--in", str(DEMO), "--out", "x"], "--pcap"),
    (["-n", "4", "-l", "0-3"], "'--'"),
], ids=lambda value: " ".join(value)[:30].replace("/", "_") if isinstance(value, list) else "")
def test_options_of_others_name_ours(words, ours):
    result = run(*words, timeout=20)
    assert result.status == 64 and len(result.messages) == 1, result.err
    assert ours in result.messages[0], result.messages[0]
