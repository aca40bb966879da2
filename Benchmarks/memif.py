#!/usr/bin/env python3
"""Traffic that dpdk-testpmd generates, over shared memory (net_memif), with loss counted on both sides.

    Benchmarks/memif.py [--martlet BIN] [--seconds S] [--rounds N] [--flows N] [--json FILE]

testpmd is memif's server and generates 64-byte packets on core 0, martlet is the client with its worker on core 1. Receive-only
and the flow engine take turns, N rounds. The figure is the time that the generator ran by the packets received: while
testpmd finds the ring full (TX-dropped, because the worker was busy) that is what a packet costs the worker in all. Needs hugepages (hugepages-setup.sh) and two CPUs.
"""
import argparse
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SETS = [
    ("receive-only", ["--receive-only"]),
    ("no plugin", []),
    ("pstats", ["--plugins", "pstats"]),
    ("pstats,tls,ovpn,idpcontent", ["--plugins", "pstats,tls,ovpn,idpcontent"]),
]


def hurry():
    """Before other programs on the machine, where we may: a ring of 2048 does not last over a neighbour's turn."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass


def generator_options(flows):
    """What makes this many flows: txonly has 256, flowgen as many as it is told."""
    if flows <= 256:
        return ["--forward-mode=txonly", "--txonly-multi-flow"]
    return ["--forward-mode=flowgen", f"--flowgen-flows={flows}"]


def run(options, arguments, folder, number):
    """One run: ns per packet, packets received, generated, dropped by testpmd, flows made, missed by martlet."""
    prefix, socket = f"mlt{os.getpid()}n{number}", f"{folder}/memif{number}.sock"
    device = f"socket={socket},socket-abstract=no,rsize=11,bsize=2048"
    testpmd = subprocess.Popen(
        ["dpdk-testpmd", "--lcores", "0@0,1@0", "--no-pci", f"--file-prefix={prefix}g", "-m", "256",
         f"--vdev=net_memif0,role=server,{device}", "--", "-i", "--nb-cores=1", "--txpkts=64", "--no-flush-rx"]
        + generator_options(options.flows),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hurry)
    martlet = None
    try:
        deadline = time.time() + 20
        while not os.path.exists(socket) and testpmd.poll() is None and time.time() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        martlet = subprocess.Popen(
            [options.martlet, "--lcores", "0@0,1@0,2@1", "--no-pci", f"--file-prefix={prefix}m", "-m", "400",
             "--single-file-segments", f"--vdev=net_memif0,role=client,{device}", "--", "--flows", str(1 << 19),
             "--duration", str(options.seconds + 3)] + arguments,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=hurry)
        time.sleep(2)
        testpmd.stdin.write("start\n")
        testpmd.stdin.flush()
        began = time.monotonic()
        time.sleep(options.seconds)
        # Stopped before martlet ends, so that what was generated has been fetched.
        testpmd.stdin.write("stop\n")
        testpmd.stdin.flush()
        elapsed = time.monotonic() - began
        err = martlet.communicate(timeout=options.seconds + 30)[1]
        out = testpmd.communicate("quit\n", timeout=20)[0]
    finally:
        for process in (martlet, testpmd):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for name in glob.glob(f"/dev/hugepages/{prefix}*"):
            os.unlink(name)
        for suffix in "gm":
            shutil.rmtree(f"/var/run/dpdk/{prefix}{suffix}", ignore_errors=True)
    found = {name: re.search(pattern, err, re.M) for name, pattern in [
        ("received", r"^\s*received\s+(\d+)"),
        ("flows", r"^\s*flows made\s+(\d+)"), ("missed", r"^\s*(?:missed|rx missed)\s+(\d+)")]}
    # testpmd's table for all ports, printed by `stop`.
    total = re.search(r"Accumulated forward statistics.*?TX-packets:\s*(\d+)\s+TX-dropped:\s*(\d+)", out, re.S)
    if not found["received"] or not total:
        sys.exit(f"memif: no figures\n{out}\n{err}")
    row = {name: float(match.group(1)) if match else 0 for name, match in found.items()}
    row["ns"] = elapsed * 1e9 / max(1, row["received"])
    row.update(sent=float(total.group(1)), dropped=float(total.group(2)))
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=f"{ROOT}/.build/release/martlet")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flows", type=int, default=100_000)
    parser.add_argument("--json")
    options = parser.parse_args()
    known = subprocess.run([options.martlet, "--list-plugins"], capture_output=True, text=True).stdout
    sets = [s for s in SETS if len(s[1]) < 2 or all(re.search(rf"^{p}\b", known, re.M) for p in s[1][1].split(","))]
    runs = {name: [] for name, _ in sets}
    with tempfile.TemporaryDirectory() as folder:
        number = 0
        for _ in range(options.rounds):
            for name, arguments in sets:
                runs[name].append(run(options, arguments, folder, number))
                number += 1
    print(f"{'memif, 64 bytes, ' + str(options.flows) + ' flows':36}{'ns/packet':>10}{'added':>8}{'Mpps':>8}"
          f"{'flows':>9}{'generated':>12}{'TX-dropped':>12}{'lost':>8}")
    rows = []
    for name, _ in sets:
        results = runs[name]
        middle = sorted(results, key=lambda r: r["ns"])[len(results) // 2]
        added = statistics.median(r["ns"] - b["ns"] for r, b in zip(results, runs["receive-only"]))
        lost = middle["sent"] - middle["received"]
        print(f"{name:36}{middle['ns']:10.1f}{added:8.1f}{1e3 / middle['ns']:8.2f}"
              f"{middle['flows']:9.0f}{middle['sent'] + middle['dropped']:12.0f}{middle['dropped']:12.0f}{lost:8.0f}")
        rows.append({"set": name, "added": added, "lost": lost, **middle, "all": [r["ns"] for r in results]})
    if options.json:
        with open(options.json, "w") as out:
            json.dump(rows, out, indent=1)


main()
