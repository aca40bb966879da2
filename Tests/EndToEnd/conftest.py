import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness


def pytest_report_header():
    corpus = harness.CORPUS or "not there: tests on it are skipped"
    return [f"martlet: {harness.MARTLET}", f"corpus: {corpus}", f"free hugepages: {harness.free_hugepages()}"]


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not os.access(harness.MARTLET, os.X_OK):
        pytest.exit(f"no {harness.MARTLET}: run 'swift build -c release'", returncode=1)


@pytest.fixture(scope="session")
def mixed():
    """A capture of varied traffic that ships."""
    return harness.CAPTURES / "demo.pcap"


@pytest.fixture
def loopback_sniffer(tmp_path):
    """Starts tcpdump on lo for a UDP port; the result stops it when it has so many packets, and gives the capture's path."""
    import subprocess

    if not harness.is_root() or not harness.have("tcpdump"):
        pytest.skip("needs root and tcpdump")
    started = []

    def start(port):
        path = tmp_path / f"lo-{port}.pcap"
        process = subprocess.Popen(
            ["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-w", str(path), f"udp port {port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        line = process.stderr.readline()
        while line and b"listening" not in line:
            line = process.stderr.readline()
        assert line, "tcpdump did not start"
        started.append(process)

        def stop(packets):
            # tcpdump sees them a little later than those who sent them.
            harness.wait_until(lambda: len((harness.read_pcap(path) or (1, []))[1]) >= packets, "the packets of lo", process)
            process.terminate()
            process.wait(harness.PATIENCE)
            return path

        return stop

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()
