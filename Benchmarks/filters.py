#!/usr/bin/env python3
"""What --filter costs for each packet, live and offline, in one run.

    Benchmarks/filters.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge]

Expressions that all packets of the mix (make-mix.py) pass, so that what is added to a run without a filter is the filter alone,
and one that few do, which saves more than it costs. Live the worker lcore runs them over net_pcap with infinite_rx=1 (CPU
nanoseconds of its thread); offline libpcap's interpreter does, over the mix 64 times (CPU time of the process, the same over it
16 times subtracted, which has the start, too). With and without take turns, N rounds: medians of the differences, and their
extremes.

"passes" is the share of packets that the filter lets through, "run by" what runs it live.
"""
import re
import resource
import statistics
import subprocess
import sys

import common

EXPRESSIONS = [
    ("a length", "greater 1"),
    ("a port", "not tcp port 1"),
    ("a network", "not net 203.0.113.0/24"),
    ("five ports and two networks",
     "not (tcp port 1 or tcp port 2 or udp port 3 or udp port 4 or tcp port 5 or net 203.0.113.0/24 or net 198.51.100.0/24)"),
    ("flags of TCP, by index", "not (tcp[13] & 0x3f = 0x3f)"),
    ("few pass", "tcp port 443 and less 80"),
]


def live(options, mix, expressions):
    """name -> its row."""
    device, costs, shares = common.pcap_device(mix), {None: []}, {}
    methods = {}
    for _ in range(options.rounds):
        for name, expression in [(None, None), *expressions]:
            arguments = ["--filter", expression] if name else []
            found = common.run(options.martlet, device, arguments, options.seconds, huge=not options.no_huge)
            costs.setdefault(name, []).append(common.cost(found))
            shares[name] = 1 - found.get("filtered", [0])[0] / found["received"][0]
    for name, expression in expressions:
        methods[name] = method(options.martlet, expression)
    base = costs.pop(None)
    return statistics.median(base), {
        name: {"live": common.added(values, base), "live_all": [one - other for one, other in zip(values, base)],
               "passes": shares[name], "method": methods[name]}
        for name, values in costs.items()}


def method(martlet, expression):
    """What runs the expression live."""
    done = subprocess.run(
        [martlet, "--lcores", common.LCORES[1], "--no-pci", "--no-huge", "--no-shconf", "-m", "200", "--vdev=net_null0", "--",
         "--duration", "0.1", "--flows", "1024", "--filter", expression], capture_output=True, text=True, timeout=60)
    found = re.search(r"^martlet: filter '.*': (.*)$", done.stderr, re.M)
    return found[1] if found else sys.exit(done.stderr)


def offline(options, mix, expressions):
    """The nanoseconds per packet without a filter, and name -> those that are added."""
    def seconds(times, arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            [options.martlet, *arguments, "--stats", "600", "--export", "ipfix:/dev/null", "--pcap", *[mix] * times],
            capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, common.totals(done.stderr)["received"][0]

    def cost(arguments):
        (long, many), (short, few) = seconds(64, arguments), seconds(16, arguments)
        return (long - short) / (many - few) * 1e9
    costs = {None: []}
    for _ in range(options.rounds):
        for name, expression in [(None, None), *expressions]:
            costs.setdefault(name, []).append(cost(["--filter", expression] if name else []))
    base = costs.pop(None)
    return statistics.median(base), {name: [one - other for one, other in zip(values, base)] for name, values in costs.items()}


def main():
    parser = common.parser(__doc__, seconds=2, rounds=5)
    parser.add_argument("--no-huge", action="store_true")
    options = parser.parse_args()
    with common.ordinary_mix() as mix:
        base, rows = live(options, mix, EXPRESSIONS)
        base_offline, added = offline(options, mix, EXPRESSIONS)
    print(f"without a filter: {base:.1f} ns live, {base_offline:.1f} ns offline")
    print(f"{'filter':32}{'passes':>8}{'live, added':>13}{'extremes':>18}{'offline, added':>16}{'extremes':>18}  run by")
    for name, _ in EXPRESSIONS:
        row = rows[name]
        row["offline"], row["offline_all"] = statistics.median(added[name]), added[name]
        extremes = [f"{min(row[key]):.1f}, {max(row[key]):.1f}" for key in ("live_all", "offline_all")]
        print(f"{name:32}{row['passes']:8.1%}{row['live']:13.1f}{extremes[0]:>18}{row['offline']:16.1f}{extremes[1]:>18}"
              f"  {row['method']}")
    common.save(options.json, {"without": base, "without_offline": base_offline, "filters": rows})


main()
