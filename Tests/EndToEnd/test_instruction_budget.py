"""Instructions per packet in the engine stay within the figures of instruction_budget.json.

Times cannot be a test on a machine that others use; callgrind's counts are the same on each run, and differ a little between
machines, since libc and libcrypto choose their code by the CPU. The traffic is a mix of the project's own captures
(Benchmarks/make-mix.py), so that the figures do not depend on what lies beside the checkout. What a figure may grow by is MARGIN;
what costs more on purpose writes new ones, with the reason in the commit:

    Tests/EndToEnd/test_instruction_budget.py --write        (or MARTLET_WRITE_BUDGET=1 with pytest)
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT / "Benchmarks"))

import instructions  # noqa: E402
from harness import MARTLET  # noqa: E402

BUDGET = HERE / "instruction_budget.json"
SETS = ["none", "pstats", "pstats,tls,ovpn,idpcontent"]
#: A figure may be this much more than what is written down.
MARGIN = 0.03
#: What the mix is made of: named, so that another capture in the folder does not change the figures.
CAPTURES = [
    "demo", "dns", "dtls", "http", "icmp", "ipv6", "many-flows", "mqtt", "openvpn", "openvpn-tcp", "quic", "retransmit", "sctp",
    "smtp", "starttls", "tcp", "tls-reordered", "tls-segmented", "tls12", "tls13", "udp", "udplite", "vxlan", "wireguard",
]
#: The smallest mix in which hellos, tunnels and fragments still have their share.
PACKETS, FLOWS = 8000, 800
#: A table in proportion to it: the sweep's share of a packet is that of the default table with 60 000 packets.
TABLE = ["--flows", "16384"]


def measured(folder):
    mix = folder / "mix.pcap"
    subprocess.run(
        [sys.executable, ROOT / "Benchmarks/make-mix.py", mix, "--packets", str(PACKETS), "--flows", str(FLOWS),
         *(ROOT / f"Tests/Captures/{name}.pcap" for name in CAPTURES)],
        check=True)
    counted = instructions.over_mix(MARTLET, mix, [plugins.replace(",", "+") for plugins in SETS], TABLE)
    return {plugins: round(counted[plugins.replace(",", "+")], 1) for plugins in SETS}


def write(found):
    BUDGET.write_text(json.dumps(found, indent=2) + "\n")


@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")
def test_instructions_per_packet(tmp_path):
    found = measured(tmp_path)
    if os.environ.get("MARTLET_WRITE_BUDGET"):
        write(found)
    budget = json.loads(BUDGET.read_text())
    assert found.keys() == budget.keys()
    over = {name: (found[name], budget[name]) for name in found if found[name] > budget[name] * (1 + MARGIN)}
    assert not over, f"more than {MARGIN:.0%} over (found, budget): {over}; meant? {__file__} --write"


if __name__ == "__main__":
    import tempfile

    assert sys.argv[1:] == ["--write"], __doc__
    with tempfile.TemporaryDirectory() as directory:
        write(measured(Path(directory)))
    print(BUDGET.read_text(), end="")
