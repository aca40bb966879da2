"""What the live benchmarks share: options, the capture they replay, runs of martlet and what its totals say.

Not a program. The benchmarks are live.py, filters.py, enrichment.py, queues.py, exporters.py, plugins.py and memif.py.
"""
import argparse
import contextlib
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
MARTLET = f"{ROOT}/.build/release/martlet"

# The sets of plugins that the targets name, with receive-only as what the device alone costs.
SETS = [
    ("receive-only", ["--receive-only"]),
    ("no plugin", []),
    ("pstats", ["--plugins", "pstats"]),
    ("pstats,tls,ovpn,idpcontent", ["--plugins", "pstats,tls,ovpn,idpcontent"]),
]

# The passes of a burst, as `--cycles` names them.
PASSES = ["receive", "dissect", "find", "states", "account", "sweep", "release"]

# Control and export on CPU 0, the worker alone on CPU 1. A second worker shares CPU 0 with those two, which sleep when there is
# little to do.
LCORES = {1: "0@0,1@0,2@1", 2: "0@0,1@0,2@1,3@0"}


def parser(document, seconds, rounds):
    """The options that every benchmark has; `document` is the module's text."""
    made = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--martlet", default=MARTLET)
    made.add_argument("--seconds", type=float, default=seconds, help=f"length of one run ({seconds})")
    made.add_argument("--rounds", type=int, default=rounds, help=f"how often everything is measured ({rounds})")
    made.add_argument("--json", help="leave the figures in this file")
    return made


def plugin_names(martlet):
    """Every plugin that this build has, but the one that needs a model."""
    listed = subprocess.run([martlet, "--list-plugins"], check=True, capture_output=True, text=True).stdout
    return [name for name in re.findall(r"^(\w+)  ", listed, re.M) if name != "model"]


def has_option(martlet, option):
    """Whether this build knows the option."""
    return option in subprocess.run([martlet, "--help"], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def ordinary_mix():
    """The capture that all benchmarks read (make-mix.py)."""
    with tempfile.TemporaryDirectory() as folder:
        mix = f"{folder}/mix.pcap"
        subprocess.run([sys.executable, f"{HERE}/make-mix.py", mix], check=True)
        yield mix


def pcap_device(mix, queues=1):
    """net_pcap replays the capture for ever; every rx_pcap= is a queue."""
    return "net_pcap0," + f"rx_pcap={mix}," * queues + "infinite_rx=1"


def null_device():
    """net_null gives bursts of zero-filled 64-byte frames, as many queues as asked for."""
    return "net_null0,size=64,copy=0"


def totals(text):
    """martlet's tables at the end: every counter's values, a total over the workers behind them when there are several."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"  (\S.*?)((?:  +[\d.]+)+)", line)
        if match:
            found[match.group(1)] = [float(word) for word in match.group(2).split()]
    return found


def passes(text):
    """The first worker's cycles per packet in each pass, where `--cycles` asked for them."""
    table = re.search(r"^  cycles per packet .*\n((?:  (?!counter).*\n)+)", text, re.M)
    return {name: values[0] for name, values in totals(table.group(1)).items()} if table else {}


def cycles_per_nanosecond():
    """The time stamp counter's rate: Linux takes bogomips, two per cycle, from it where it is constant."""
    with open("/proc/cpuinfo") as file:
        return float(re.search(r"^bogomips\s*: ([\d.]+)", file.read(), re.M).group(1)) / 2000


def clean_up(prefix):
    """Removes what a killed DPDK program with this --file-prefix left."""
    for name in glob.glob(f"/dev/hugepages/{prefix}map_*"):
        with contextlib.suppress(OSError):
            os.unlink(name)
    shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)


def run(martlet, device, arguments, seconds, workers=1, huge=True):
    """One run of martlet on a device that always has packets: its totals."""
    prefix = f"mltbench{os.getpid()}"
    command = [martlet, "--lcores", LCORES[workers], "--no-pci", f"--file-prefix={prefix}", "-m", "500"]
    command += [] if huge else ["--no-huge", "--no-shconf"]
    command += [f"--vdev={device}", "--", "--flows", "131072", "--duration", str(seconds), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    finally:
        clean_up(prefix)
    found = totals(done.stderr)
    if done.returncode != 0 or not {"received", "CPU ns per packet"} <= found.keys():
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return found


def cost(found):
    """CPU nanoseconds per packet of the only worker: its thread's CPU time, so that a busy neighbour does not count."""
    return found["CPU ns per packet"][0]


def added(costs, base):
    """The median of the differences round by round, so that a slow phase of the machine touches both sides."""
    return statistics.median(one - other for one, other in zip(costs, base))


def save(path, figures):
    """Leaves the figures as JSON where a path was given."""
    if path:
        with open(path, "w") as out:
            json.dump(figures, out, indent=1)
