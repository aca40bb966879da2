"""Plugin osquery: a local osqueryi is asked by the control lcore, and what it says is in the records of this host's flows.

There is no osqueryi in Debian: these tests write a script that answers like one.
"""

import json
import os
import struct
import time
from pathlib import Path

import pytest
from harness import Live, is_root, run, wait_until, write_pcap

#: A connection of the host, one of its network's, and a datagram between the ends of the first.
OURS, OTHER = ("10.0.0.1", 40000, "10.0.0.2", 443, 6), ("10.0.0.3", 40000, "10.0.0.2", 443, 6)
DATAGRAM = ("10.0.0.1", 40000, "10.0.0.2", 443, 17)

SYSTEM = {"name": "Debian GNU/Linux", "major": "12", "minor": "7", "build": "", "platform": "debian", "platform_like": "",
          "arch": "x86_64", "version": "6.1.0-25-amd64", "hostname": "prüfstand"}
SOCKETS = [
    {"protocol": "6", "local_address": "::ffff:10.0.0.2", "local_port": "443", "remote_address": "::ffff:10.0.0.1",
     "remote_port": "40000", "name": "nginx", "username": "www-data"},
    {"protocol": "6", "local_address": "10.0.0.9", "local_port": "22", "remote_address": "10.0.0.8", "remote_port": "1",
     "name": "sshd", "username": "root"},
]
FIELDS = {
    "cesnet:OSQueryProgramName": "nginx", "cesnet:OSQueryUsername": "www-data",
    "cesnet:OSQueryOSName": "Debian GNU/Linux", "cesnet:OSQueryOSMajor": 12, "cesnet:OSQueryOSMinor": 7,
    "cesnet:OSQueryOSBuild": "UNDEFINED", "cesnet:OSQueryOSPlatform": "debian", "cesnet:OSQueryOSPlatformLike": "UNDEFINED",
    "cesnet:OSQueryOSArch": "x86_64", "cesnet:OSQueryKernelVersion": "6.1.0-25-amd64",
    "cesnet:OSQuerySystemHostname": "prüfstand",
}

needs_live = pytest.mark.skipif(not is_root() or (os.cpu_count() or 1) < 2, reason="live tests need root and two CPUs")


def packet(source, source_port, destination, destination_port, protocol):
    body = (struct.pack("!HHIIBBHHH", source_port, destination_port, 1, 1, 0x50, 0x10, 1000, 0, 0) if protocol == 6
            else struct.pack("!HHHH", source_port, destination_port, 8, 0))
    addresses = b"".join(bytes(map(int, address.split("."))) for address in (source, destination))
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0)
    return bytes(range(12)) + b"\x08\x00" + header + addresses + body


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "flows.pcap"
    frames = [packet(*flow) for flow in (OURS, OTHER, DATAGRAM)]
    write_pcap(path, 1, [((1700000000, number), len(frame), frame) for number, frame in enumerate(frames)])
    return path


class Fake:
    """A program called osqueryi that notes that it was asked and answers."""

    def __init__(self, folder, body=None):
        self.path, self.asked, self.number = folder / "osqueryi", folder / "asked", folder / "number"
        (folder / "system").write_text(json.dumps([SYSTEM]))
        (folder / "sockets").write_text(json.dumps(SOCKETS))
        self.path.write_text(f"""#!/bin/sh
echo "$#:$1:$2" >> {self.asked}
echo $$ > {self.number}
{body or f'case "$2" in *process_open_sockets*) cat {folder}/sockets;; *) cat {folder}/system;; esac'}
""")
        self.path.chmod(0o755)

    @property
    def questions(self):
        return self.asked.read_text().splitlines() if self.asked.exists() else []

    def is_gone(self):
        return not Path(f"/proc/{self.number.read_text().strip()}").exists()


def offline(capture, *plugins, folder="/nowhere"):
    arguments = [word for plugin in plugins for word in ("--plugin", plugin)]
    return run(*arguments, "--pcap", capture, "--export", "json:-",
               env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin"})


def fields(record):
    return {key: value for key, value in record.items() if "OSQuery" in key}


def warnings(text):
    return [line for line in text.splitlines() if "osquery" in line]


def test_flows_of_this_host_have_program_user_and_system(capture, tmp_path):
    fake = Fake(tmp_path)
    result = offline(capture, "osquery", folder=tmp_path)
    assert result.status == 0 and not result.err
    assert [fields(record) for record in result.records] == [FIELDS, {}, {}]
    # Two questions, each of them one argument behind --json.
    assert [question.split(":")[:2] for question in fake.questions] == [["2", "--json"]] * 2


def test_its_path_may_be_given(capture, tmp_path):
    Fake(tmp_path)
    result = offline(capture, f"osquery:path={tmp_path}/osqueryi")
    assert fields(result.records[0]) == FIELDS


def test_nothing_is_asked_without_the_plugin(capture, tmp_path):
    fake = Fake(tmp_path)
    assert offline(capture, "pstats", folder=tmp_path).status == 0
    assert not fake.questions


@pytest.mark.parametrize("option,why", [
    ("", "cannot ask osqueryi: there is none in PATH"),
    (":path=/nowhere/osqueryi", "cannot ask /nowhere/osqueryi: it is no program")])
def test_where_there_is_none_it_is_said(capture, option, why):
    result = offline(capture, f"osquery{option}")
    assert result.status == 0 and [fields(record) for record in result.records] == [{}] * 3
    assert len(warnings(result.err.decode())) == 1 and why in result.err.decode()


@pytest.mark.parametrize("body,why", [
    ("exit 3", "ends with status 3"), ("kill -9 $$", "is killed by signal 9"), ("echo Error", "says what is no table in JSON"),
    ("yes '{'", "says more than 4 MiB")])
def test_what_is_no_answer_is_said_once(capture, tmp_path, body, why):
    fake = Fake(tmp_path, body)
    result = offline(capture, "osquery", folder=tmp_path)
    assert result.status == 0 and len(result.records) == 3
    assert warnings(result.err.decode()) == [f"martlet: warning: plugin osquery: {tmp_path}/osqueryi {why}"]
    assert len(fake.questions) == 1 and fake.is_gone()


def test_one_that_does_not_end_is_killed_with_what_it_started(capture, tmp_path):
    # It closes its output: only the time limit of ten seconds ends it.
    fake = Fake(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; exec >/dev/null; wait")
    start = time.monotonic()
    result = offline(capture, "osquery", folder=tmp_path)
    assert result.status == 0 and time.monotonic() - start < 60
    assert "osqueryi takes too long" in result.err.decode()
    assert fake.is_gone()
    # Whoever inherits the grandchild takes its status.
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    wait_until(lambda: not child.exists() or child.read_text().rsplit(")", 1)[1].split()[0] == "Z", "the end of what it started")


def children(process):
    """States of the process's children."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(parent) == process.pid:
            yield state


@needs_live
def test_live_the_control_lcore_asks_again_and_again(capture, tmp_path):
    fake, out = Fake(tmp_path), tmp_path / "out.json"
    with Live([f"--vdev=net_pcap0,rx_pcap={capture}"],
              ["--plugin", f"osquery:path={fake.path},interval=1", "--export", f"json:{out}"]) as live:
        # When the connections are asked for once more, the first answer has been taken.
        wait_until(lambda: len(fake.questions) >= 3, "a second question for connections", live.process)
        wait_until(lambda: not list(children(live.process)), "an osqueryi whose status was taken", live.process)
        assert live.stop() == 0
        assert not warnings(live.text())
    records = sorted(map(json.loads, out.read_text().splitlines()), key=len, reverse=True)
    assert [fields(record) for record in records] == [FIELDS, {}, {}]
    assert sum("kernel_info" in question for question in fake.questions) == 1


@needs_live
def test_live_one_that_hangs_holds_up_nothing(capture, tmp_path):
    fake, out = Fake(tmp_path, "exec sleep 1000"), tmp_path / "out.json"
    with Live([f"--vdev=net_pcap0,rx_pcap={capture}"],
              ["--plugin", f"osquery:path={fake.path}", "--stats", "0.1", "--export", f"json:{out}"]) as live:
        live.wait_received(3)
        wait_until(lambda: fake.number.exists() and fake.number.read_text(), "a question", live.process)
        start = time.monotonic()
        assert live.stop() == 0 and time.monotonic() - start < 10
    assert fake.is_gone()
    assert len(out.read_text().splitlines()) == 3
