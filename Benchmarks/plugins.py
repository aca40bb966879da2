#!/usr/bin/env python3
"""What every plugin costs alone, over no plugin.

    Benchmarks/plugins.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge] [--instructions]

The ordinary mix (make-mix.py) through net_pcap with infinite_rx=1, as in live.py. Every run with a plugin (all that `martlet
--list-plugins` names) follows one without, and the figure is the median over N rounds of what it added: CPU nanoseconds per
packet of the worker lcore. The mix is repeated for ever with the same addresses: TCP flows that were closed begin anew in every
pass, all others only grow older, so what a plugin does with the first packets of UDP flows counts little here.

--instructions adds what callgrind counts in the engine per packet (instructions.py). Unlike times they are the same on a busy
machine. Needs valgrind.
"""
import statistics

import common
import instructions


def main():
    parser = common.parser(__doc__, seconds=1, rounds=3)
    parser.add_argument("--no-huge", action="store_true")
    parser.add_argument("--instructions", action="store_true", help="instructions per packet, too")
    options = parser.parse_args()
    names = common.plugin_names(options.martlet)
    alone, base, counted = {name: [] for name in names}, {name: [] for name in names}, {}
    with common.ordinary_mix() as mix:
        device = common.pcap_device(mix)
        for _ in range(options.rounds):
            for name in names:
                for costs, arguments in ((base, []), (alone, ["--plugins", name])):
                    found = common.run(options.martlet, device, arguments, options.seconds, huge=not options.no_huge)
                    costs[name].append(common.cost(found))
        if options.instructions:
            counted = instructions.over_mix(options.martlet, mix, ["none", *names])
    print(f"{'one plugin, net_pcap infinite_rx':36}{'ns/packet':>10}{'added':>8}{'min':>8}{'max':>8}"
          + (f"{'instructions added':>20}" if counted else ""))
    without = [cost for costs in base.values() for cost in costs]
    rows = [{"plugin": None, "ns": statistics.median(without), "instructions": counted.get("none")}]
    print(f"{'no plugin':36}{rows[0]['ns']:10.1f}{'':8}{min(without):8.1f}{max(without):8.1f}"
          + (f"{'(' + format(counted['none'], '.0f') + ')':>20}" if counted else ""))
    for name in names:
        row = {"plugin": name, "ns": statistics.median(alone[name]), "added": common.added(alone[name], base[name]),
               "all": alone[name], "all_without": base[name], "instructions": counted.get(name)}
        rows.append(row)
        print(f"{name:36}{row['ns']:10.1f}{row['added']:8.1f}{min(alone[name]):8.1f}{max(alone[name]):8.1f}"
              + (f"{counted[name] - counted['none']:20.0f}" if counted else ""))
    common.save(options.json, rows)


main()
