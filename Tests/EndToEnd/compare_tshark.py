#!/usr/bin/env python3
"""Compares Martlet's fields with tshark's over captures, and prints for each plugin and field how many are

  matched    the same in both
  missing    tshark has a value, Martlet none
  different  both have one, and not the same
  surplus    Martlet has a value where tshark has none, in a message that both have
  explained  missing, different or surplus for a reason that `tshark_differences.py` names
  broken     values in messages that tshark itself calls malformed or cut short, and that Martlet takes for none

    Tests/EndToEnd/compare_tshark.py [--verbose] [--plugins a,b] [CAPTURE…]

Without captures it takes those of Tests/Captures and of ../shared/corpus. The binary is MARTLET's or .build/release/martlet.
Exit status: 0, or 1 where a difference has no reason.
"""

import argparse
import bisect
import hashlib
import os
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness import captures, have, offline, run
from tshark_differences import REASONS, explain
from tshark_messages import flow_key, messages
from tshark_models import MODELS

#: What each plugin's elements begin with.
PREFIXES = {
    "tls": ("cesnet:TLSSNI", "cesnet:tls", "flowmon:tls", "martlet:tls"), "quic": ("cesnet:quic", "martlet:quic"),
    "dns": ("cesnet:DNS",), "http": ("cesnet:http", "flowmon:http", "martlet:http"), "sip": ("cesnet:SIP",),
    "smtp": ("cesnet:SMTP",), "mqtt": ("cesnet:mqtt",), "rtsp": ("cesnet:rtsp",), "ntp": ("cesnet:NTP",), "ssh": ("martlet:ssh",),
}
#: Options with which there is more to compare.
OPTIONS = {"mqtt": "mqtt:topiccount=1000"}
#: Ends of records behind which the next one is another flow's, not the same one's that a plugin cut: idle, active, over, no room.
FLOW_ENDS = {1, 2, 3, 5}


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def available():
    """The plugins that are compared and that the binary has."""
    listed = {line.split()[0] for line in run("--list-plugins").out.decode().splitlines() if line[:1].strip()}
    return [name for name in MODELS if name in listed]


def nanoseconds(text):
    time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return (int(time.timestamp()) * 10**6 + time.microsecond) * 1000


class Record:
    """A record of Martlet's."""

    def __init__(self, fields):
        self.fields = fields
        ends = [(fields[f"iana:{end}IPv{fields['iana:ipVersion']}Address"], fields.get(f"iana:{end}TransportPort", 0))
                for end in ("source", "destination")]
        self.key = flow_key(fields["iana:protocolIdentifier"], *ends)
        self.start, self.end = (nanoseconds(fields[f"iana:flow{edge}Microseconds"]) for edge in ("Start", "End"))

    def of(self, plugin):
        """The plugin's fields, those that say something."""
        return {name: value for name, value in self.fields.items() if name.startswith(PREFIXES[plugin])}


@dataclass
class Difference:
    """A field in which Martlet and tshark are not one."""
    capture: str
    plugin: str
    name: str
    #: "missing", "different", "surplus"
    kind: str
    frames: list
    tshark: object
    martlet: object
    #: Why it is so.
    reason: object = None

    def __str__(self):
        return (f"{self.capture} {self.plugin} {self.name.partition(':')[2]} {self.kind}, frames {self.frames[:3]}: "
                f"tshark {self.tshark!r}, martlet {self.martlet!r}")


@dataclass
class Comparison:
    """Of one capture: how many fields match, and what differs."""
    matched: Counter = field(default_factory=Counter)
    broken: Counter = field(default_factory=Counter)
    differences: list = field(default_factory=list)
    #: Records of a plugin for which tshark has no message.
    alone: list = field(default_factory=list)

    def update(self, other):
        self.matched.update(other.matched)
        self.broken.update(other.broken)
        self.differences += other.differences
        self.alone += other.alone


def epoch(bounds, time):
    return bisect.bisect_right(bounds, time)


def align(expected, records, plugin):
    """Pairs of both in their orders, None where one has no partner: those that agree in most fields."""
    def score(mine, theirs):
        # Martlet's times are in whole microseconds.
        if mine.is_timed and not theirs.start <= mine.time // 1000 * 1000 <= theirs.end:
            return 0
        return 1 + sum(theirs.fields.get(name) == value for name, value in mine.fields.items())

    # best[i][j] is what the ends from i and j on are worth.
    best = [[0.0] * (len(records) + 1) for _ in range(len(expected) + 1)]
    scores = [[score(mine, theirs) for theirs in records] for mine in expected]
    for i in range(len(expected) - 1, -1, -1):
        for j in range(len(records) - 1, -1, -1):
            pair = scores[i][j] and scores[i][j] + best[i + 1][j + 1]
            best[i][j] = max(best[i + 1][j], best[i][j + 1], pair)
    i = j = 0
    while i < len(expected) and j < len(records):
        if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
            yield expected[i], records[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            yield expected[i], None
            i += 1
        else:
            yield None, records[j]
            j += 1
    yield from ((mine, None) for mine in expected[i:])
    yield from ((None, theirs) for theirs in records[j:])


def compare(path, plugins):
    """One capture."""
    result, capture = Comparison(), name_of(path)
    found = messages(path)
    run_of = offline(path, options=["--plugins", ",".join(OPTIONS.get(name, name) for name in plugins)])
    if run_of.status != 0 and not run_of.out:
        return result
    records = sorted(map(Record, run_of.records), key=lambda record: record.start)

    # Where flows with the same key end and begin.
    bounds, last = defaultdict(list), {}
    for record in records:
        before = last.get(record.key)
        if before and before.fields["iana:flowEndReason"] in FLOW_ENDS:
            bounds[record.key].append(record.start)
        last[record.key] = record

    for plugin in plugins:
        protocols, model = MODELS[plugin]
        flows = defaultdict(lambda: ([], []))
        for message in found:
            if message.protocol in protocols:
                flows[message.key, epoch(bounds[message.key], message.time // 1000 * 1000)][0].append(message)
        for record in records:
            if record.of(plugin):
                flows[record.key, epoch(bounds[record.key], record.start)][1].append(record)
        for mine, theirs in flows.values():
            for expected, record in align(list(model(mine)), theirs, plugin):
                weigh(expected, record, plugin, capture, result)
    return result


def weigh(expected, record, plugin, capture, result):
    """Compares a record with what it is to be; one of them may be missing."""
    if expected is None:
        result.alone.append((capture, plugin, record))
        return
    if record is None and expected.is_broken:
        result.broken.update((plugin, name) for name in expected.fields)
        return
    got = record.of(plugin) if record else {}

    def differ(name, kind):
        result.differences.append(
            Difference(capture, plugin, name, kind, expected.frames, expected.fields.get(name), got.get(name)))

    for name, value in expected.fields.items():
        if got.get(name) == value:
            result.matched[plugin, name] += 1
        else:
            differ(name, "different" if got.get(name) else "missing")
    # Where tshark stopped at something malformed Martlet may have read on.
    for name, value in got.items():
        if name not in expected.fields and value not in NOTHING and name not in NOT_OF_TSHARK and not expected.is_broken:
            differ(name, "surplus")


#: Values of fields that say that there is none.
NOTHING = (0, "", "0x", [])
#: Fields that tshark 4.0 does not have: JA4, which `test_fingerprints.py` has, further connections of one flow, and the bytes
#: of a short header whose connection is not known.
NOT_OF_TSHARK = {"cesnet:tlsJa4", "martlet:quicJa4", "cesnet:quicMultiplexed", "martlet:quicShortHeaderID",
                 "martlet:quicReverseShortHeaderID"}


def distinct(paths):
    """Those of the captures whose bytes no other one has."""
    seen = {}
    for path in paths:
        seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    return list(seen.values())


def compare_all(paths, plugins):
    """All captures, as many at a time as there are processors, and the reasons for what differs."""
    result = Comparison()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(lambda path: compare(path, plugins), sorted(distinct(paths), key=lambda path: -path.stat().st_size)):
            result.update(one)
    explain(result.differences)
    return result


COLUMNS = ["matched", "missing", "different", "surplus", "explained", "broken"]


def table(result):
    """Lines: a plugin's sums, and below them its fields."""
    counts = Counter((one.plugin, one.name, "explained" if one.reason else one.kind) for one in result.differences)
    for title, counter in (("matched", result.matched), ("broken", result.broken)):
        counts.update({(*field, title): number for field, number in counter.items()})
    alone = Counter(plugin for _, plugin, _ in result.alone)
    yield f"{'plugin, field':<28}" + "".join(f"{title:>10}" for title in COLUMNS)
    for plugin in MODELS:
        names = sorted({name for owner, name, _ in counts if owner == plugin})
        rows = [[counts[plugin, name, title] for title in COLUMNS] for name in names]
        if not rows:
            continue
        yield f"{plugin:<28}" + "".join(f"{sum(column):>10}" for column in zip(*rows)) + (
            f"  and {alone[plugin]} records of Martlet's alone" if alone[plugin] else "")
        for name, row in zip(names, rows):
            yield f"  {name.partition(':')[2]:<26}" + "".join(f"{value:>10}" for value in row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=lambda text: Path(text).resolve())
    parser.add_argument("--plugins", type=lambda text: text.split(","))
    parser.add_argument("--verbose", action="store_true", help="show each difference")
    arguments = parser.parse_args()
    if not have("tshark"):
        parser.error("needs tshark")
    plugins = arguments.plugins or available()
    result = compare_all(arguments.captures or captures(), plugins)
    print("\n".join(table(result)))
    for reason in REASONS:
        count = sum(one.reason is reason for one in result.differences)
        if count:
            print(f"{count} explained: {reason.plugin}: {reason.text}")
    unexplained = [one for one in result.differences if one.reason is None]
    if arguments.verbose:
        print("\n".join(map(str, unexplained)))
        for capture, plugin, record in result.alone:
            print(f"{capture} {plugin} alone: {record.of(plugin)}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
