#!/usr/bin/env python3
"""What the worker adds to receive-only on the same device, in one run.

    Benchmarks/live.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge]

Two devices, one worker lcore. net_pcap replays a capture of ordinary size mix (make-mix.py) with infinite_rx=1: the whole packet
path. net_null gives zero-filled frames, which the dissector turns away at the Ethernet type ("not IP"): what the loop costs
besides flows, that is polling, describing frames, one clock read per burst, the call into the engine and freeing; plugins never
see such a frame, so they are left out.

Receive-only and each set of plugins take turns, N rounds; the figures are CPU nanoseconds per packet of the worker lcore
(its thread's CPU time, so that a busy neighbour does not count), medians, and the difference to receive-only. Where they go is
told by one more run of each set with --cycles, which reads the time stamp counter between the passes of a burst.
"""
import statistics

import common


def measure(title, device, sets, options):
    """Runs all sets in turn on one device and prints its table; the rows for JSON."""
    costs, last = {name: [] for name, _ in sets}, {}
    for _ in range(options.rounds):
        for name, arguments in sets:
            last[name] = common.run(options.martlet, device, arguments, options.seconds, huge=not options.no_huge)
            costs[name].append(common.cost(last[name]))
    print(f"{title:36}{'ns/packet':>10}{'min':>8}{'max':>8}{'added':>8}{'not IP':>8}")
    rows = []
    for name, _ in sets:
        added = common.added(costs[name], costs["receive-only"])
        discarded = last[name].get("not IP", [0])[0] / last[name]["received"][0]
        rows.append({"device": title, "set": name, "ns": statistics.median(costs[name]), "added": added,
                     "not_ip": discarded, "all": costs[name]})
        print(f"{name:36}{rows[-1]['ns']:10.1f}{min(costs[name]):8.1f}{max(costs[name]):8.1f}{added:8.1f}{discarded:8.0%}")
    print(f"{'cycles per packet by pass':36}" + "".join(f"{name:>10}" for name in common.PASSES))
    for row, (name, arguments) in zip(rows, sets):
        if "--receive-only" in arguments:
            continue
        found = common.run(
            options.martlet, device, [*arguments, "--cycles"], options.seconds, huge=not options.no_huge)
        row["cycles"] = {name: found[name][0] for name in common.PASSES if name in found}
        print(f"{name:36}" + "".join(f"{row['cycles'].get(name, 0):10.1f}" for name in common.PASSES))
    return rows


def main():
    parser = common.parser(__doc__, seconds=2, rounds=5)
    parser.add_argument("--no-huge", action="store_true")
    options = parser.parse_args()
    with common.ordinary_mix() as mix:
        sets = [*common.SETS, ("all", ["--plugins", "all"])]
        rows = measure("net_pcap infinite_rx, one queue", common.pcap_device(mix), sets, options)
    print()
    rows += measure("net_null, one queue", common.null_device(), common.SETS[:2], options)
    common.save(options.json, rows)


main()
