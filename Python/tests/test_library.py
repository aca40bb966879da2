"""A library that is not there, is damaged, or is for another machine: an ImportError says so."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import martlet
from martlet import _library


def error_with(library, tmp_path):
    """What a process says that has this library."""
    done = subprocess.run(
        [sys.executable, "-c", "import martlet; martlet.plugins()"], capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**os.environ, "MARTLET_LIBRARY": str(library)})
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


@pytest.fixture
def own():
    return bytearray(_library.library_path().read_bytes())


@pytest.mark.parametrize(("machine", "name"), [(183, "aarch64"), (40, "armv7l"), (999, "ELF machine 999")])
def test_another_architecture(own, machine, name, tmp_path):
    own[18:20] = machine.to_bytes(2, "little")
    (tmp_path / "lib.so").write_bytes(own[:4096])
    line = error_with(tmp_path / "lib.so", tmp_path)
    assert line.startswith(f"ImportError: martlet: this wheel is for {name} (64 bits), and this Python runs on ")
    assert line.endswith("install the wheel for this machine")


def test_a_library_that_is_cut(own, tmp_path):
    for length in (100, len(own) // 2):
        (tmp_path / "lib.so").write_bytes(own[:length])
        line = error_with(tmp_path / "lib.so", tmp_path)
        assert line == f"ImportError: martlet: {tmp_path}/lib.so is cut: install the wheel again"


def test_no_library_and_none_at_all(tmp_path):
    assert "no library at" in error_with(tmp_path / "nowhere.so", tmp_path)
    (tmp_path / "text.so").write_text("not a library, but long enough to be looked at" * 2)
    assert "is no shared library of Linux" in error_with(tmp_path / "text.so", tmp_path)


def test_another_library(tmp_path):
    libc = re.search(r"(/\S+/libc\.so\.6)$", Path("/proc/self/maps").read_text(), re.M)[1]
    assert "has no martlet_api_version: it is not libmartlet" in error_with(libc, tmp_path)


def test_versions_are_one():
    assert _library.version() == martlet.__version__ == importlib.metadata.version("martlet")
