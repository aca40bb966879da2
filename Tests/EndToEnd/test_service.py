"""The unit for systemd is valid, restarts what was killed, and names options that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import CAPTURES, MARTLET, ROOT, UDPCollector, file_prefix, free_hugepages, have, is_root, run

UNIT = ROOT / "packaging/martlet@.service"


def settings(name):
    return re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text())


@pytest.mark.skipif(not have("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_valid(tmp_path):
    # The command has to be there, which is all that verifying it says about it.
    unit = tmp_path / "martlet@probe.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/martlet", str(Path(MARTLET).resolve())))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr + done.stdout == "", done.stderr


@pytest.mark.skipif(not have("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_shut_in():
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT], capture_output=True, text=True,
                          timeout=60)
    score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)[1])
    assert score <= 3.0, done.stdout
    # The manual has it, too.
    assert f"gives it {score}." in (ROOT / "docs/operations.md").read_text()


def test_the_example_is_a_command_line():
    example = dict(re.findall(r"(?m)^(\w+)=(.*)$", (ROOT / "packaging/system/example.conf").read_text()))
    assert set(example) == set(re.findall(r"\$([A-Z]+)\b", settings("ExecStart")[0]))
    # Its options are good; the device is another one here.
    with UDPCollector() as collector:
        options = example["OPTIONS"].replace("127.0.0.1:4739", f"127.0.0.1:{collector.port}").split()
        result = run("--pcap", CAPTURES / "demo.pcap", *options)
        assert result.status == 0 and collector.drain().records, result.err.decode()


def test_the_unit_restarts_what_was_killed_and_not_what_is_wrong():
    assert settings("Restart") == ["on-failure"] and settings("RestartPreventExitStatus") == ["64"]
    assert float(settings("RestartSec")[0].rstrip("s")) > 0
    # A service that is killed each time is given up only when it cannot be told from one that never works.
    assert settings("StartLimitIntervalSec") and int(settings("StartLimitBurst")[0]) > 1
    assert UNIT.read_text().index("StartLimitBurst") < UNIT.read_text().index("[Service]")


def test_the_units_options_exist():
    command, = settings("ExecStart")
    shown = run("--help").out.decode()
    for option in re.findall(r"--[a-z-]+\b", command.split(" -- ", 1)[1]):
        assert option in shown
    assert float(settings("TimeoutStopSec")[0].rstrip("s")) > 10  # --drain-timeout's default


@pytest.mark.skipif(not is_root() or not have("setpriv") or free_hugepages() < 80, reason="needs root, setpriv and hugepages")
def test_the_units_user_has_what_dpdk_needs(tmp_path):
    """Not root, the unit's capabilities, hugepages in a folder as tmpfiles.conf makes it, EAL's files in the unit's folder."""
    mode, = re.findall(r"(?m)^z /dev/hugepages\S* (\d+) root martlet", (ROOT / "packaging/system/tmpfiles.conf").read_text())
    # Folders under /tmp that only root may enter are no part of this.
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    pages, state = tmp_path / "hugepages", tmp_path / "state"
    for folder in (pages, state):
        folder.mkdir()
    shutil.chown(state, "nobody")
    shutil.copy(MARTLET, tmp_path / "martlet")
    shutil.copy(CAPTURES / "demo.pcap", tmp_path / "demo.pcap")
    subprocess.run(["mount", "-t", "hugetlbfs", "none", pages], check=True, timeout=60)
    try:
        shutil.chown(pages, "root", "nogroup")
        pages.chmod(int(mode, 8))
        capabilities = ",".join(f"+{name.lower().removeprefix('cap_')}" for name in settings("AmbientCapabilities")[0].split())
        done = subprocess.run(
            ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--no-new-privs", "--inh-caps", capabilities,
             "--ambient-caps", capabilities, "--bounding-set", f"-all,{capabilities}", tmp_path / "martlet", "--lcores",
             "0@0,1@0,2@1", "-m", "64", "--huge-dir", pages, "--no-pci", "--file-prefix", file_prefix(),
             "--vdev=net_af_packet0,iface=lo", f"--vdev=net_pcap0,rx_pcap={tmp_path}/demo.pcap", "--", "--seccomp", "on",
             "--config", "(0,0,2),(1,0,2)", "--duration", "3", "--export", f"json:{state}/flows.json"],
            capture_output=True, text=True, timeout=120, cwd=state, env={"RUNTIME_DIRECTORY": str(state)})
        assert done.returncode == 0, done.stderr
        assert (state / "flows.json").read_text().count("\n") > 50
        assert list(pages.iterdir()) == []
    finally:
        subprocess.run(["umount", pages], check=True, timeout=60)
