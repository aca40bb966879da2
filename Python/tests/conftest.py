"""What the tests of the package share. They run in an environment that has the built wheel, and need the repository beside them
for its captures and for the binary whose output the package's is compared with."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "Tests/Captures"
MARTLET = os.environ.get("MARTLET", str(ROOT / ".build/release/martlet"))
#: Seconds that a child process may take.
PATIENCE = 120


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also tests that take a minute or a JVM")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long") or os.environ.get("MARTLET_LONG"):
        return
    long = [item for item in items if "long" in item.keywords]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if "long" not in item.keywords]


def pytest_report_header():
    import martlet

    return [f"martlet: {martlet.__file__}", f"binary: {MARTLET}"]


def json_records(capture, *options):
    """The records that the binary writes of a capture as JSON."""
    done = subprocess.run(
        [MARTLET, *options, "--export", "json:-", "--pcap", str(capture)], capture_output=True, text=True, timeout=PATIENCE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def capture_files():
    """Every capture that ships, also the malformed ones."""
    return sorted(path for path in CAPTURES.rglob("*") if path.suffix in (".pcap", ".pcapng"))


@pytest.fixture
def captures():
    return CAPTURES
