#!/usr/bin/env python3
"""Puts the figures of a run of bench.sh into docs/performance.md.

    Benchmarks/report.py FOLDER        (that bench.sh left in Benchmarks/results; then Tests/EndToEnd/test_readme.py --write)

Writes the tables between the page's `<!-- NAME: … -->` marks whose JSON is there, and the line on machine, commit and date. The
text around them is for people to read again: what was missed, and why.
"""
import json
import re
import statistics
import sys
import textwrap
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/performance.md"
PASSES = ["receive", "dissect", "find", "states", "account", "sweep", "release"]
FLOWS = {1000: "1 k", 100_000: "100 k", 1_000_000: "1 M", 10_000_000: "10 M"}
SETS = {"none": "no plugin", "pstats": "pstats", "pstats+tls+ovpn+idpcontent": "the four"}


def table(heads, rows, left=1):
    """A Markdown table whose first columns are text and the others numbers."""
    lines = [heads, ["---"] * left + ["---:"] * (len(heads) - left), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine(found):
    day = found["date"][:10]
    return textwrap.fill(
        f"**These figures** are those of commit {found['commit']} on {day}, on a machine with {found['cpus']} CPUs "
        f"({found['processor']}), {round(found['memory_kB'] / 2**20)} GiB, Linux {found['kernel']}, {found['swift']}, DPDK "
        f"{found['dpdk']} and 2 MiB hugepages; load at the start {found['load']}. Neighbours of a virtual machine cannot be "
        "seen from inside, so ratios and differences within one run are what counts.", 128)


def mix_rows(rows):
    """live.json's rows of the mix; its others are net_null's."""
    return [row for row in rows if row["device"].startswith("net_pcap")]


def live(rows):
    rows = mix_rows(rows)
    base = next(row for row in rows if row["set"] == "receive-only")["all"]
    lines = []
    for row in rows:
        added, ends = "", ""
        if row["set"] != "receive-only":
            each = [one - other for one, other in zip(row["all"], base, strict=True)]
            added, ends = f"{statistics.median(each):.1f}", f"{min(each):.1f}, {max(each):.1f}"
        lines.append([row["set"], f"{row['ns']:.0f}", f"{min(row['all']):.0f} – {max(row['all']):.0f}", added, ends])
    return table(["", "ns/packet, median", "min – max", "added to receive-only", "added, extremes"], lines)


def cycles(rows):
    lines = [
        [row["set"], *(f"{row['cycles'][name]:.0f}" if row["cycles"].get(name) else "" for name in PASSES)]
        for row in mix_rows(rows) if row.get("cycles")]
    return table(["", *PASSES], lines)


def plugins(rows):
    base, alone = rows[0], sorted(rows[1:], key=lambda row: row["added"])
    counted = base.get("instructions")
    heads = ["plugin", f"ns added per packet (without: {base['ns']:.0f})"]
    lines = [[row["plugin"], f"{row['added']:.1f}"] for row in alone]
    if counted:
        heads.append(f"instructions added (without: {counted:.0f})")
        for line, row in zip(lines, alone, strict=True):
            line.append(f"{row['instructions'] - counted:.0f}")
    return table(heads, lines)


def queues(rows):
    keys = ["one_wall", "two_wall", "one_cpu", "two_cpu", "scaling_wall", "scaling_cpu"]
    heads = ["", "1 queue, wall", "2 queues, wall", "1 queue, CPU", "2 queues, CPU", "scaling, wall", "scaling, CPU"]
    return table(heads, [[row["set"], *(f"{row[key]:.2f}" for key in keys)] for row in mix_rows(rows)])


def plain(rows):
    """engine.json's rows of ordinary 64-byte traffic."""
    return [row for row in rows if row["shape"] == "ordinary" and row["sizes"] == "64"]


def size(flows):
    """The number of flows as the tables have it; with new flows the table has a little more than was asked for."""
    return FLOWS[min(FLOWS, key=lambda known: abs(known - flows))]


def engine(rows):
    still = [row for row in plain(rows) if row["plugins"] == "none" and row["newShare"] == 0]
    first = still[0]["nanoseconds"]
    passes = ["dissect", "find", "account", "sweep"]
    lines = [
        [size(row["flows"]), f"{row['nanoseconds']:.1f}", f"{row['nanoseconds'] / first:.2f}", f"{row['nanosecondsC']:.1f}",
         f"{row['ratio']:.2f}", *(f"{row['passes'].get(name, 0):.0f}" for name in passes)]
        for row in still]
    heads = ["flows", "Swift, ns/packet", "by 1 k", "C, ns/packet", "Swift / C, median of pairs", "cycles: dissect", *passes[1:]]
    return table(heads, lines)


def matrix(rows):
    shares, lines = sorted({row["newShare"] for row in plain(rows)}), []
    for plugins_, name in SETS.items():
        mine = [row for row in plain(rows) if row["plugins"] == plugins_]
        for number, flows in enumerate(sorted({row["flows"] for row in mine})):
            cells = {row["newShare"]: f"{row['nanoseconds']:.1f}" for row in mine if row["flows"] == flows}
            title = f"{name}, {size(flows)} flows" if number == 0 else size(flows)
            lines.append([title, *(cells.get(share, "") for share in shares)])
    return table(["ns per packet, 64 bytes", *(f"{share:.0%} new".replace("%", " %") for share in shares)], lines)


def memif(rows):
    lines = [
        [row["set"], f"{row['cpu_ns']:.1f}", f"{min(row['slices']):.1f} – {max(row['slices']):.1f}",
         f"{row['busy_ns']:.1f}" if row.get("busy_ns") else "", f"{row['lost']:.0f}"]
        for row in rows]
    return table(["", "CPU, ns/packet in all", "min – max of half seconds", "without empty polls", "sent − received"], lines)


def export(rows):
    outputs = list(dict.fromkeys(row["output"] for row in rows))
    lines = []
    for records in dict.fromkeys(row["records"] for row in rows):
        mine = {row["output"]: row for row in rows if row["records"] == records}
        octets = mine["IPFIX to memory"]["bytesPerRecord"] if "IPFIX to memory" in mine else 0
        costs = (f"{mine[name]['nanoseconds']:.0f}" if name in mine else "" for name in outputs)
        lines.append([records, f"{octets:.0f}", *costs])
    return table(["records", "octets", *outputs], lines)


def exporters(rows):
    lines = [[row["records"], f"{row['one']:.2f}", f"{row['two']:.2f}", f"{row['scaling']:.2f}"] for row in rows]
    return table(["million records/s over UDP", "one export lcore", "two", "scaling"], lines)


def enrichment(rows):
    lines = [
        [row["addresses"], f"{row['looked_up']:.1%}".replace("%", " %"), f"{row['added']:.0f}",
         f"{min(row['all']):.0f}, {max(row['all']):.0f}"] for row in rows]
    return table(["addresses", "looked up", "ns added per record", "extremes"], lines)


def filters(found):
    lines = []
    for name, row in found["filters"].items():
        ends = [f"{min(row[key]):.1f}, {max(row[key]):.1f}" for key in ("live_all", "offline_all")]
        lines.append([
            name, row["method"], f"{row['passes']:.0%}".replace("%", " %"), f"{row['live']:.1f}", ends[0],
            f"{row['offline']:.1f}", ends[1]])
    heads = [
        "filter", "run live by", "passes", f"ns added per packet, live (without: {found['without']:.0f})", "extremes",
        f"offline (without: {found['without_offline']:.0f})", "extremes"]
    return table(heads, lines, left=2)


#: The page's marks: from which file, made how.
PARTS = [
    ("machine", "machine", machine), ("live", "live", live), ("cycles", "live", cycles), ("plugins", "plugins", plugins),
    ("queues", "queues", queues), ("engine", "engine", engine), ("matrix", "engine", matrix), ("memif", "memif", memif),
    ("export", "export", export), ("exporters", "exporters", exporters), ("enrichment", "enrichment", enrichment),
    ("filters", "filters", filters),
]


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    text = PAGE.read_text()
    for mark, file, make in PARTS:
        source = Path(sys.argv[1]) / f"{file}.json"
        if not source.exists():
            print(f"{mark}: no {source}", file=sys.stderr)
            continue
        part = re.compile(rf"(<!-- {mark}: [^\n]*-->\n).*?(<!-- end -->)", re.S)
        made = make(json.loads(source.read_text()))
        text, count = part.subn(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
        if count != 1:
            sys.exit(f"{PAGE}: there are {count} parts {mark}")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
