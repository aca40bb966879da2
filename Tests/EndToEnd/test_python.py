"""The Python package: its wheel in an empty environment, then its own tests, types and style in one with what they need.

The environments are made of the system's Python and of PyPI. That with packages stays in .build for the next run; the wheel in
it is always the new one. MARTLET_WHEEL_LIBRARY names a libmartlet that is made already. `./test.sh --long` (MARTLET_SOAK) adds
the tests with Spark, and all captures with all options.
"""
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness

PACKAGE = harness.ROOT / "Python"
REQUIREMENTS = PACKAGE / "tests/requirements.txt"
#: A library that is made already; else Python/build-wheel.sh makes one.
LIBRARY = os.environ.get("MARTLET_WHEEL_LIBRARY")
SYSTEM_PYTHON = "/usr/bin/python3"
LONG = bool(os.environ.get("MARTLET_LONG") or os.environ.get("MARTLET_SOAK"))

#: Without what a developer may have set: the wheel must stand for itself.
PLAIN = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MARTLET_LIBRARY"))}


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=options.pop("timeout", 300),
        env=options.pop("env", PLAIN), **options)
    assert done.returncode == 0, f"{command[0]}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel; building the library takes minutes where nothing of it was built before."""
    library = ["--library", LIBRARY] if LIBRARY else []
    folder = tmp_path_factory.mktemp("wheel")
    printed = run(PACKAGE / "build-wheel.sh", *library, folder, timeout=1200)
    return Path(printed.splitlines()[-1])


@pytest.fixture(scope="module")
def environment(wheel):
    """A Python with the wheel and what the tests need."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + bytes([LONG])).hexdigest()
    folder = harness.ROOT / ".build/python-venv"
    note = folder / "requirements.sha256"
    python = folder / "bin/python"
    if not note.is_file() or note.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        run(SYSTEM_PYTHON, "-m", "venv", folder)
        extra = ["pyspark"] if LONG else []
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:" if not extra else
            "pyarrow,pandas,polars", "-r", REQUIREMENTS, *extra, timeout=900)
        note.write_text(wanted)
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--force-reinstall", "--no-deps", wheel)
    return python


def test_the_wheels_name_and_content(wheel):
    """One wheel for every Python 3 of a platform, with the library and nothing of a build."""
    assert re.fullmatch(r"martlet-\d+\.\d+\.\d+-py3-none-(manylinux_\d+_\d+|linux)_x86_64\.whl", wheel.name)
    names = run(SYSTEM_PYTHON, "-m", "zipfile", "-l", wheel).split()
    assert {"martlet/libmartlet.so", "martlet/py.typed", "martlet/__init__.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or "tests" in name]


def test_an_empty_environment(wheel, tmp_path):
    """Without any other package: records come through the Arrow interface, and what needs more says what to install."""
    run(SYSTEM_PYTHON, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", wheel)
    script = f"""
import martlet
flows = martlet.flows({str(harness.CAPTURES / "dns.pcap")!r}, plugins="dns")
print(flows.__arrow_c_stream__())
print(martlet.plugins()["dns"].fields[0].element)
for what in (flows.to_arrow, flows.to_pandas, flows.sequences, lambda: martlet.FlowFeatures, lambda: martlet.FlowDataset):
    try:
        what()
    except ImportError as error:
        print(error)
"""
    lines = run(python, "-c", script, cwd=tmp_path).splitlines()
    assert lines[0].startswith('<capsule object "arrow_array_stream"') and lines[1] == "cesnet:DNSAnswers"
    assert lines[2:] == [
        "Flows.to_arrow needs pyarrow: pip install 'martlet[arrow]'",
        "Flows.to_pandas needs pandas: pip install 'martlet[pandas]'",
        "Flows.sequences needs pyarrow: pip install 'martlet[arrow]'",
        "martlet.FlowFeatures needs sklearn: pip install 'martlet[learn]'",
        "martlet.FlowDataset needs torch: pip install 'martlet[torch]'",
    ]


def test_types(environment):
    assert "no issues found" in run(environment, "-m", "mypy", "--cache-dir", harness.ROOT / ".build/mypy", cwd=PACKAGE)


def test_style():
    ruff = harness.ROOT / ".build-venv/bin/ruff"
    if not ruff.is_file():
        pytest.skip("no ruff: ./test.sh format without --no-install")
    run(ruff, "check", "--no-cache", "--quiet", PACKAGE)


def test_the_packages_own_tests(environment, tmp_path):
    options = ["--long"] if LONG else []
    printed = run(
        environment, "-m", "pytest", "-q", "-ra", *options, PACKAGE / "tests", cwd=tmp_path, timeout=600,
        env={**PLAIN, "MARTLET": harness.MARTLET})
    print(printed)
    assert " passed" in printed.splitlines()[-1]
