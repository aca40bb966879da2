#!/usr/bin/env python3
"""How two queues on two cores compare with one, next to receive-only.

    Benchmarks/queues.py [--martlet BIN] [--seconds S] [--rounds N] [--json FILE] [--no-huge]

The devices of live.py: net_pcap replays one capture per queue with infinite_rx=1, net_null gives each queue zero-filled frames
("not IP": the loop without flows). One queue and two take turns. The rate is packets per second of wall time; as a busy neighbour
halves that, the packets per second of CPU time are given, too: it is what two workers do on two CPUs of their own, contention for
memory included.
"""
import statistics

import common


def rates(found, queues, seconds):
    """Millions of packets per second of wall time, and of CPU time, all workers together."""
    costs = found["CPU ns per packet"][:queues]
    return sum(found["received"][:queues]) / seconds / 1e6, sum(1e3 / cost for cost in costs)


def measure(title, devices, sets, options):
    """Runs all sets in turn with one queue and with two and prints the device's table; the rows for JSON."""
    runs = {(name, queues): [] for name, _ in sets for queues in devices}
    for _ in range(options.rounds):
        for name, arguments in sets:
            for queues, device in devices.items():
                found = common.run(
                    options.martlet, device, arguments, options.seconds, workers=queues, huge=not options.no_huge)
                runs[name, queues].append(rates(found, queues, options.seconds))
    print(f"{title:28}{'1 queue':>18}{'2 queues':>18}{'scaling':>18}")
    print(f"{'Mpps':28}" + f"{'wall':>9}{'CPU':>9}" * 3)
    rows = []
    for name, _ in sets:
        one, two = runs[name, 1], runs[name, 2]
        row = {"device": title, "set": name}
        for index, kind in enumerate(("wall", "cpu")):
            row[f"one_{kind}"] = statistics.median(r[index] for r in one)
            row[f"two_{kind}"] = statistics.median(r[index] for r in two)
            row[f"scaling_{kind}"] = statistics.median(b[index] / a[index] for a, b in zip(one, two))
        rows.append(row)
        print(f"{name:28}" + "".join(
            f"{row[f'{column}_wall']:9.2f}{row[f'{column}_cpu']:9.2f}" for column in ("one", "two", "scaling")))
    return rows


def main():
    parser = common.parser(__doc__, seconds=2, rounds=3)
    parser.add_argument("--no-huge", action="store_true")
    options = parser.parse_args()
    with common.ordinary_mix() as mix:
        rows = measure(
            "net_pcap infinite_rx", {queues: common.pcap_device(mix, queues) for queues in (1, 2)}, common.SETS, options)
    print()
    rows += measure("net_null", {queues: common.null_device() for queues in (1, 2)}, common.SETS[:2], options)
    common.save(options.json, rows)


main()
