"""The examples of docs/collecting.md run, in order, where the whole package is."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
martlet = pytest.importorskip("martlet")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/collecting.md").read_text(encoding="utf-8")
MARTLET = Path(os.environ.get("MARTLET", ROOT / ".build/release/martlet"))


@pytest.mark.skipif(not MARTLET.exists(), reason="no release build of martlet")
def test_the_examples_run(tmp_path, monkeypatch):
    if not hasattr(martlet, "flows"):
        pytest.skip("the package is not whole")
    (tmp_path / "capture.pcap").write_bytes((ROOT / "Tests/Captures/demo.pcap").read_bytes())
    monkeypatch.setenv("PYTHONPATH", str(Path(martlet.__file__).absolute().parents[1]))
    monkeypatch.chdir(tmp_path)
    subprocess.run(
        [MARTLET, "--plugins", "pstats,tls", "--export", "ipfix:flows.ipfix", "capture.pcap"], check=True, capture_output=True)
    names = {}
    blocks = re.findall(r"^```(python|console)\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) >= 6
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, "docs/collecting.md", "exec"), names)
            continue
        for line in block.splitlines():
            command = shlex.split(line.removeprefix("$ "))
            assert command[:3] == ["python", "-m", "martlet"]
            done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert names["labelled"].matched > 0
    assert sum(1 for _ in Path("live").glob("flows-*.parquet")) >= 1
    assert Path("report.html").read_text(encoding="utf-8").count("<svg") > 8


def test_the_counters_of_the_page_are_those_that_there_are():
    from martlet.collect import Counters
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.M)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    counters = Counters()
    for name in vars(counters):
        setattr(counters, name, 1)
    assert named == set(counters.losses())
