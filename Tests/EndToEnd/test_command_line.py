"""The command line: usage errors are 64 with one line; what the machine lacks is one line that says what to do."""

import re

import pytest
from harness import CAPTURES, Live, file_prefix, free_hugepages, is_root, run

HTTP = CAPTURES / "http.pcap"


def one_line(result):
    lines = [line for line in result.err.decode().splitlines() if "warning" not in line]
    assert len(lines) == 1, result.err.decode()
    assert lines[0].startswith("martlet: ")
    return lines[0]


@pytest.mark.parametrize("arguments,named", [
    (["--nonsense"], "--nonsense"),
    (["--pcap"], "--pcap"),
    (["--pcap", HTTP, "--export", "gopher://x"], "gopher"),
    (["--pcap", HTTP, "--export", "udp://"], "udp://"),
    (["--pcap", HTTP, "--export", "udp://127.0.0.1:99999"], "99999"),
    (["--pcap", HTTP, "--active-timeout", "soon"], "soon"),
    (["--pcap", HTTP, "--inactive-timeout=-1"], "-1"),
    (["--pcap", HTTP, "--flows", "0"], "0"),
    (["--pcap", HTTP, "--mtu", "10"], "10"),
    (["--pcap", HTTP, "--timestamps", "days"], "days"),
    (["--pcap", HTTP, "--odid", "4294967296"], "4294967296"),
    (["--pcap", HTTP, "--private-enterprise-number", "29305"], "29305"),
    (["--pcap", HTTP, "--plugins", "nonsense"], "nonsense"),
    (["--pcap", HTTP, "--plugin", "pstats:nonsense=1"], "nonsense"),
    (["--pcap", HTTP, "--plugin", "pstats:packets=many"], "many"),
    (["--pcap", HTTP, "--config", "(0,0"], "(0,0"),
    (["--no-pci", "--no-huge", "--nonsense", "--"], "nonsense"),
    (["--lcores", "nonsense", "--no-pci", "--no-huge", "--"], "lcore"),
    (["--lcores", "0@0,1@1", "-l", "0", "--no-pci", "--no-huge", "--"], "lcores"),
    (["--lcores", "0@0", "--no-pci", "--no-huge", "--vdev=net_null0", "--"], "lcore"),
    (["--lcores", "0@0,1@1", "--no-pci", "--no-huge", "--vdev=net_null0", "--"], "lcore"),
    (["-l", "0-99", "--no-pci", "--no-huge", "--vdev=net_null0", "--"], "lcore"),
], ids=lambda value: " ".join(map(str, value[-4:])).replace("/", "_") if isinstance(value, list) else "")
def test_usage_errors(arguments, named):
    if "--" in arguments:
        if not is_root():
            pytest.skip("EAL needs root")
        arguments = ["--file-prefix", file_prefix(), *arguments]
    result = run(*arguments)
    assert result.status == 64, (result.status, result.err.decode())
    assert named in one_line(result)
    assert result.out == b""


def test_an_unknown_plugin_lists_the_choices():
    listed = {line.split()[0] for line in run("--list-plugins").out.decode().splitlines() if line[:1].strip()}
    line = one_line(run("--pcap", HTTP, "--plugins", "nonsense"))
    assert listed and all(name in line for name in listed)


@pytest.mark.parametrize("option,text", [("--help", "--export"), ("--version", "martlet"), ("--list-plugins", "pstats"),
                                         ("--list-counters", "packets in flows"), ("--list-exports", "source=ADDRESS")])
def test_information_needs_neither_root_nor_eal(option, text):
    result = run(option)
    assert result.status == 0 and text in result.out.decode() and result.err == b""


def test_help_shows_every_option():
    text = run("--help").out.decode()
    for option in ("plugins", "plugin", "export", "active-timeout", "inactive-timeout", "flows", "queues", "config", "odid",
                   "mtu", "template-refresh", "timestamps", "stats", "list-plugins", "help", "version", "pcap"):
        assert f"--{option}" in text


live = pytest.mark.skipif(not is_root(), reason="EAL needs root")


def start(*eal, mem=("--no-huge", "-m", "128")):
    return run("--file-prefix", file_prefix(), "--no-pci", *mem, *eal, "--", "--export", "json:/dev/null")


@live
def test_no_port():
    result = start("--lcores", "0@0,1@0,2@1")
    assert result.status not in (0, 64)
    assert "no port" in one_line(result) and "--vdev" in one_line(result)


@live
def test_a_nic_that_is_not_there():
    result = run(
        "--file-prefix", file_prefix(), "--lcores", "0@0,1@0,2@1", "--no-huge", "-m", "128", "-a", "0000:77:00.0", "--",
        "--export", "json:/dev/null")
    assert result.status not in (0, 64)
    assert "0000:77:00.0" in one_line(result) and "dpdk-devbind.py" in one_line(result)


@live
@pytest.mark.parametrize("device,named", [
    ("net_pcap0,rx_pcap=/nowhere.pcap", "nowhere.pcap"), ("net_nonsense0", "net_nonsense0"),
    ("net_af_packet0,iface=nowhere0", "net_af_packet0"),
])
def test_a_device_that_does_not_start(device, named):
    result = start("--lcores", "0@0,1@0,2@1", f"--vdev={device}")
    assert result.status not in (0, 64)
    assert named in one_line(result)


@live
def test_more_queues_than_lcores():
    result = run(
        "--file-prefix", file_prefix(), "--lcores", "0@0,1@0,2@1", "--no-pci", "--no-huge", "-m", "128",
        "--vdev=net_null0", "--", "--queues", "4", "--export", "json:/dev/null")
    assert result.status == 64 and "lcore" in one_line(result)


@live
def test_the_same_file_prefix_twice(mixed):
    with Live([f"--vdev=net_pcap0,rx_pcap={mixed}"], ["--export", "json:/dev/null"]) as first:
        first.wait_for("worker")
        mem = [] if free_hugepages() >= 64 else ["--no-huge", "-m", "128"]
        result = run("--file-prefix", first.file_prefix, "--lcores", "0@0,1@0,2@1", "--no-pci", *mem, "--vdev=net_null0", "--",
                     "--export", "json:/dev/null")
        assert first.stop() == 0
    assert result.status not in (0, 64) and "--file-prefix" in one_line(result)


def test_cycles_of_each_pass_stand_in_the_totals():
    plain = ["--pcap", CAPTURES / "demo.pcap", "--stats", "0", "--plugins", "pstats", "--export", "json:/dev/null"]
    table = run(*plain, "--cycles").err.decode().partition("cycles per packet")[2]
    for name in ("dissect", "find", "states", "account", "sweep"):
        cycles = re.search(rf"^  {name} +([\d.]+)$", table, re.M)
        assert cycles and float(cycles[1]) > 0, table
    assert "cycles per packet" not in run(*plain).err.decode()
