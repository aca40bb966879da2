"""One page about the flows of captures: who talked, when, by which protocols, to which names, and how their packets look.

    Path("report.html").write_text(martlet.report(martlet.flows("a.pcap", plugins="pstats,tls").to_arrow(), title="a.pcap"))

The page is whole in itself: no script, nothing from the network, and it says so to the browser (Content-Security-Policy), so that
a name in a capture that is meant to be run is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from . import _svg
from ._columns import Floats, column, read_table
from ._style import STYLE
from ._svg import number, octets, seconds, text

__all__ = ["report"]

COLUMNS = 96
#: Round lengths of a column in seconds.
LENGTHS = [*(factor * 10.0 ** exponent for exponent in range(-6, 0) for factor in (1, 2, 5)), 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
           *(60.0 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720)),
           *(86400.0 * days for days in (1, 2, 7, 30, 91, 365, 730, 1825, 3650))]
#: Services by protocol and port: those whose names say more than the port.
SERVICES = {
    (6, 22): "SSH", (6, 25): "SMTP", (6, 53): "DNS", (17, 53): "DNS", (17, 67): "DHCP", (17, 68): "DHCP", (6, 80): "HTTP",
    (6, 110): "POP3", (17, 123): "NTP", (6, 143): "IMAP", (17, 137): "NetBIOS", (17, 161): "SNMP", (6, 179): "BGP",
    (6, 389): "LDAP", (6, 443): "HTTPS", (17, 443): "QUIC", (6, 445): "SMB", (17, 500): "IKE", (6, 554): "RTSP",
    (6, 587): "SMTP", (6, 853): "DNS over TLS", (6, 993): "IMAPS", (17, 1194): "OpenVPN", (6, 1194): "OpenVPN", (6, 1883): "MQTT",
    (17, 1900): "SSDP", (6, 3306): "MySQL", (6, 3389): "RDP", (17, 3478): "STUN", (17, 4789): "VXLAN", (6, 5060): "SIP",
    (17, 5060): "SIP", (17, 5353): "mDNS", (6, 5432): "PostgreSQL", (6, 6379): "Redis", (6, 8080): "HTTP", (6, 8443): "HTTPS",
    (17, 51820): "WireGuard"}
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 132: "SCTP",
             136: "UDP-Lite"}
CLASSES = (("tcp", "TCP"), ("udp", "UDP"), ("other", "other"))


@dataclass
class Flows:
    """What the page needs of a table, a value for each flow."""

    source: pa.Array
    destination: pa.Array
    source_port: npt.NDArray[np.int64]
    destination_port: npt.NDArray[np.int64]
    protocol: npt.NDArray[np.int64]
    #: Seconds since 1970.
    start: Floats
    end: Floats
    sent: Floats
    received: Floats
    packets: Floats
    name: pa.Array
    table: pa.Table

    @property
    def octets(self) -> Floats:
        return self.sent + self.received

    def __len__(self) -> int:
        return len(self.start)


def _numbers(table: pa.Table, *names: str) -> Floats:
    array = column(table, *names)
    if array is None:
        return np.zeros(table.num_rows)
    return np.asarray(pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False))


def _seconds(table: pa.Table, which: str) -> Floats:
    array = column(table, *(f"flow{which}{unit}" for unit in ("Nanoseconds", "Microseconds", "Milliseconds", "Seconds")))
    if array is None:
        raise ValueError(f"the flows have no flow{which}…")
    times = pc.fill_null(array.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()), 0)
    return np.asarray(times.to_numpy(zero_copy_only=False)) / 1e9


def _texts(table: pa.Table, *names: str) -> pa.Array:
    """The first of the columns that has something, for each flow; null where none has."""
    found = pa.nulls(table.num_rows, pa.string())
    for name in names:
        if (array := column(table, name)) is not None:
            words = array.cast(pa.string())
            found = pc.coalesce(found, pc.if_else(pc.equal(words, ""), None, words))
    return found


def _flows(table: pa.Table) -> Flows:
    start = _seconds(table, "Start")
    source, destination = (
        pc.fill_null(_texts(table, f"{side}IPv4Address", f"{side}IPv6Address"), "?") for side in ("source", "destination"))
    return Flows(
        source, destination, _numbers(table, "sourceTransportPort").astype(np.int64),
        _numbers(table, "destinationTransportPort").astype(np.int64),
        _numbers(table, "protocolIdentifier").astype(np.int64), start, np.maximum(_seconds(table, "End"), start),
        _numbers(table, "octetDeltaCount"), _numbers(table, "reverseOctetDeltaCount"),
        _numbers(table, "packetDeltaCount") + _numbers(table, "reversePacketDeltaCount"),
        _texts(table, "TLSSNI", "quicSNI", "httpHost"), table)


def _service(protocol: int, source_port: int, destination_port: int) -> str:
    """What the ports say: a service known by name on either side, else the destination's port."""
    for port in (destination_port, source_port):
        if name := SERVICES.get((protocol, port)):
            return name
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    return f"{name} {destination_port}" if protocol in (6, 17, 132, 136) else name


def _services(flows: Flows) -> tuple[list[str], npt.NDArray[np.int64]]:
    """(names, the number of each flow's)."""
    keys = np.stack([flows.protocol, flows.source_port, flows.destination_port], axis=1)
    different, inverse = np.unique(keys, axis=0, return_inverse=True)
    names: dict[str, int] = {}
    numbers = np.array([names.setdefault(_service(*map(int, key)), len(names)) for key in different], np.int64)
    return list(names), numbers[inverse.reshape(-1)] if len(different) else numbers


def _clock(moment: float, step: float) -> str:
    """The time of day, as fine as the step, in UTC."""
    microseconds = round(moment * 1e6)
    when = time.gmtime(microseconds // 10**6)
    if step >= 30 * 86400:
        return time.strftime("%b %Y", when)
    if step >= 86400:
        return time.strftime("%d %b", when)
    if step >= 60:
        return time.strftime("%H:%M", when)
    if step >= 1:
        return time.strftime("%H:%M:%S", when)
    fraction = f"{microseconds % 10**6:06}"
    return f"{time.strftime('%H:%M:%S', when)}.{fraction[:3] if step >= 1e-3 else fraction}"


def _section(title: str, note: str, *content: str) -> str:
    return f'<section><h2>{title}</h2><p class="note">{note}</p>{"".join(content)}</section>'


def _key(*entries: tuple[str, str]) -> str:
    return '<div class="key">' + "".join(f'<span><i class="{kind}"></i>{word}</span>' for kind, word in entries) + "</div>"


def _over_time(flows: Flows) -> str:
    first, last = float(flows.start.min()), float(flows.end.max())
    each = next((one for one in LENGTHS if (last - first) / one <= COLUMNS), LENGTHS[-1])
    origin = math.floor(first / each) * each
    count = min(int((last - origin) / each) + 1, 4 * COLUMNS)
    kinds = np.where(flows.protocol == 6, 0, np.where(flows.protocol == 17, 1, 2))
    place = np.clip(((flows.start - origin) / each).astype(np.int64), 0, count - 1)
    until = np.clip(((flows.end - origin) / each).astype(np.int64), place, count - 1)
    begun = [np.bincount(place[kinds == kind], minlength=count) for kind in range(3)]
    # A flow's octets are spread evenly over its columns: differences are summed up, so that long flows cost no more.
    share = flows.octets / (until - place + 1)
    load = []
    for kind in range(3):
        here = kinds == kind
        rise = np.bincount(place[here], share[here], minlength=count + 1)
        fall = np.bincount(until[here] + 1, share[here], minlength=count + 1)
        load.append(np.maximum(np.cumsum(rise - fall)[:count], 0))
    every = next(one for one in (*LENGTHS, count * each + each) if one >= each and count * each / one <= 9)
    start = math.ceil(origin / every - 1e-9)
    marks = [(at, _clock(moment, every)) for step in range(64)
             if 0 <= (at := ((moment := (start + step) * every) - origin) / each) <= count]
    times = [_clock(origin + one * each, each if each >= 30 * 86400 else min(each, 1)) for one in range(count)]
    shown = [(kind, word, row) for row, (kind, word) in enumerate(CLASSES) if begun[row].any()]

    def titles(values: Sequence[npt.NDArray[Any]], say: Any) -> list[str]:
        return [
            f"{times[one]}: " + ", ".join(f"{word} {say(values[row][one])}" for _, word, row in shown if values[row][one] >= 0.5)
            for one in range(count)]
    return _section(
        "Over time", f"In UTC; a column is {seconds(each)}.", _key(*((kind, word) for kind, word, _ in shown)),
        "<h3>Flows that begin</h3>",
        _svg.columns(
            [(kind, begun[row].tolist()) for kind, _, row in shown], marks, titles(begun, number), "Flows that begin, over time"),
        "<h3>Octets, each flow's spread over its time</h3>",
        _svg.columns(
            [(kind, load[row].tolist()) for kind, _, row in shown], marks, titles(load, octets), "Octets over time", unit="B"))


def _sums(names: pa.Array, **values: Floats) -> list[dict[str, Any]]:
    """Sums by name, those with most octets first."""
    table = pa.table({"name": names, **{key: pa.array(value) for key, value in values.items()}})
    summed = table.group_by("name").aggregate([(key, "sum") for key in values])
    order = [("octets_sum", "descending"), ("name", "ascending")]
    rows: list[dict[str, Any]] = summed.take(pc.sort_indices(summed, sort_keys=order)[:10]).to_pylist()
    return rows


def _said(row: dict[str, Any]) -> str:
    flows = row["flows_sum"]
    return f"{octets(row['octets_sum'])} in {number(flows)} flow{'' if flows == 1 else 's'}"


def _talkers(flows: Flows) -> str:
    rows = _sums(
        pa.chunked_array([flows.source, flows.destination]).combine_chunks(),
        octets=np.concatenate([flows.octets] * 2), out=np.concatenate([flows.sent, flows.received]),
        into=np.concatenate([flows.received, flows.sent]), flows=np.ones(2 * len(flows)))
    return _section(
        "Top talkers", "Addresses with most octets.", _key(("sent", "sent"), ("received", "received")), _svg.bars(
            [(row["name"], [("sent", row["out_sum"]), ("received", row["into_sum"])],
              _said(row)) for row in rows], "Top talkers"))


def _protocols(flows: Flows, names: list[str], services: npt.NDArray[np.int64]) -> str:
    rows = _sums(
        pa.array(names, pa.string()).take(pa.array(services)), octets=flows.octets, flows=np.ones(len(flows)))
    return _section(
        "Protocols", "By octets; what the ports say.", _svg.bars(
            [(row["name"], [("plain", row["octets_sum"])], _said(row))
             for row in rows], "Protocols"))


def _names(flows: Flows) -> str:
    there = flows.name.is_valid()
    if not pc.any(there).as_py():
        return _section("Names", "No flow says to whom it wants to speak (TLS or QUIC SNI, HTTP Host).")
    mask = np.asarray(there.to_numpy(zero_copy_only=False))
    rows = _sums(flows.name.filter(there), octets=flows.octets[mask], flows=np.ones(int(mask.sum())))
    return _section(
        "Names", "What clients ask for: SNI of TLS and QUIC, HTTP's Host; by octets.", _svg.bars(
            [(row["name"], [("plain", row["octets_sum"])], _said(row))
             for row in rows], "Names"))


def _ends(flows: Flows, row: int) -> str:
    def end(address: str, port: int) -> str:
        return f"[{address}]:{port}" if ":" in address and port else f"{address}:{port}" if port else address
    return (f"{end(flows.source[row].as_py(), int(flows.source_port[row]))} → "
            f"{end(flows.destination[row].as_py(), int(flows.destination_port[row]))}")


def _chosen(lengths: pa.Array, flows: Flows, names: list[str], services: npt.NDArray[np.int64], count: int) -> list[int]:
    """Flows to look at: those with most packets in their sequence, of each service and name one before any has two."""
    sizes = np.asarray(pc.fill_null(pc.list_value_length(lengths), 0).to_numpy(zero_copy_only=False))
    order = np.lexsort((-flows.octets, -sizes))
    order = order[sizes[order] >= 2][:20000]
    seen: dict[tuple[str, str | None], int] = {}
    ranked = []
    for place, row in enumerate(order.tolist()):
        kind = names[services[row]], flows.name[row].as_py()
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], place, row))
    return [row for _, _, row in sorted(ranked)[:count]]


def _sequences(flows: Flows, names: list[str], services: npt.NDArray[np.int64], count: int) -> str:
    lengths, directions, times = (column(flows.table, name) for name in ("packetLength", "packetDirection", "packetTime"))
    if lengths is None or directions is None:
        return _section("Packets of some flows", "There are none: plugin pstats gives them.")
    cards = []
    for row in _chosen(lengths, flows, names, services, count):
        sizes, ways = lengths[row].as_py(), directions[row].as_py() or []
        ways = (ways + [1] * len(sizes))[:len(sizes)]
        moments = [None] * len(sizes)
        if times is not None and times[row].is_valid and len(times[row]) == len(sizes):
            nanoseconds = times[row].values.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
            moments = [(one - nanoseconds[0]) / 1e9 for one in nanoseconds]
        titles = [f"packet {place + 1}: {size} octets {'sent' if way > 0 else 'received'}"
                  + (f", {seconds(moment)} after the first" if moment else "")
                  for place, (size, way, moment) in enumerate(zip(sizes, ways, moments, strict=True))]
        title, most = flows.name[row].as_py() or names[services[row]], max(1, *sizes)
        said = (f"{names[services[row]]} · {octets(float(flows.octets[row]))} in {number(float(flows.packets[row]))} packets"
                f" · up to {most} octets")
        cards.append(
            f'<div class="stem"><h3 title="{text(title, 300)}">{text(title)}</h3><p>{text(said)}</p>'
            f'{_svg.stems(sizes, ways, titles, most, f"Packet lengths of {title}")}'
            f'<p title="{text(_ends(flows, row), 300)}">{text(_ends(flows, row), 120)}</p></div>')
    if not cards:
        return _section("Packets of some flows", "No flow has two packets with payload.")
    return _section(
        "Packets of some flows",
        "The first packets with payload in order, as long as their stems: up what the source sent, down what it received.",
        _key(("sent", "sent"), ("received", "received")), f'<div class="stems">{"".join(cards)}</div>')


def _histogram(values: Floats, label: str) -> str:
    """How many values are in each third of a decade, between 1 µs and 1 day; what is beyond is in the outermost."""
    exponents = np.log10(np.clip(values, 1e-6, 9e4))
    low, high, per = (math.floor(exponents.min()), math.floor(exponents.max()) + 1, 3) if len(values) else (-6, 0, 3)
    place = np.clip(((exponents - low) * per + 1e-9).astype(np.int64), 0, (high - low) * per - 1)
    counts = np.bincount(place, minlength=(high - low) * per)
    edges = [10 ** (low + one / per) for one in range(len(counts) + 1)]
    marks = [((one - low) * per, f"{10 ** one} s" if one >= 0 else seconds(10.0 ** one)) for one in range(low, high + 1)]
    titles = [f"{seconds(edges[one])} to {seconds(edges[one + 1])}: {number(float(count))}" for one, count in enumerate(counts)]
    return _svg.columns([("plain", counts.tolist())], marks, titles, label, width=560, height=200)


def _timing(flows: Flows) -> str:
    durations = flows.end - flows.start
    parts = [f"<div><h3>How long flows last (of more than one packet)</h3>"
             f"{_histogram(durations[flows.packets > 1], 'Durations of flows')}</div>"]
    if (array := column(flows.table, "packetTime")) is not None:
        values = pc.list_flatten(array).cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False)
        owner = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        gaps = np.diff(values)[np.diff(owner) == 0] / 1e9
        parts.append(f"<div><h3>Times between packets with payload</h3>{_histogram(gaps, 'Times between packets')}</div>")
    return _section("Timing", "Logarithmic: a column is a third of a decade.", f'<div class="pair">{"".join(parts)}</div>')


def _largest(flows: Flows, names: list[str], services: npt.NDArray[np.int64]) -> str:
    rows = []
    for row in np.argsort(-flows.octets, kind="stable")[:15].tolist():
        cells = [text(_ends(flows, row), 120), text(names[services[row]]), text(flows.name[row].as_py() or "", 48)]
        counts = [octets(float(flows.sent[row])), octets(float(flows.received[row])), number(float(flows.packets[row])),
                  seconds(float(flows.end[row] - flows.start[row]))]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells)
                    + "".join(f'<td class="n">{cell}</td>' for cell in counts) + "</tr>")
    head = "".join(f"<th>{word}</th>" for word in ("Flow", "Service", "Name"))
    head += "".join(f'<th class="n">{word}</th>' for word in ("Sent", "Received", "Packets", "Time"))
    return _section(
        "Largest flows", "By octets in both directions.",
        f'<div class="wide"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>')


def report(flows: Any, *, title: str = "capture", sequences: int = 12) -> str:
    """A page (HTML) about flows.

    :param flows: a table of flows (Arrow, pandas, or what ``martlet.flows`` gives), by their short or full names, with addresses
        as text. Plugin pstats gives it packets, tls, quic and http names.
    :param title: what stands above.
    :param sequences: of how many flows packets are shown at most.

    Sums are of the whole table; takes memory for some numbers a flow besides it. Raises ValueError where flows have no times.
    """
    table = read_table(flows)
    head = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>")
    foot = "<footer>Made by martlet.</footer></main></body></html>\n"
    if table.num_rows == 0:
        return f"{head}<header><h1>{text(title, 300)}</h1><p>No flows.</p></header>{foot}"
    values = _flows(table)
    names, services = _services(values)
    first, last = float(values.start.min()), float(values.end.max())
    hosts = len(pc.unique(pa.chunked_array([values.source, values.destination])))
    tiles = [
        (number(len(values)), "flows"), (number(float(values.packets.sum())), "packets"),
        (octets(float(values.octets.sum())), "of IP packets"), (number(hosts), "addresses"),
        (number(len(pc.unique(values.name.drop_null()))), "names"),
        (seconds(last - first), "from first to last")]
    when = time.strftime("%A, %d %B %Y, %H:%M:%S UTC", time.gmtime(math.floor(first)))
    return "".join([
        head, f"<header><h1>{text(title, 300)}</h1><p>From {when}</p></header><div class=\"tiles\">",
        *(f'<div class="tile"><b>{value}</b><span>{word}</span></div>' for value, word in tiles), "</div>",
        _over_time(values), f'<div class="pair">{_talkers(values)}{_protocols(values, names, services)}</div>', _names(values),
        _sequences(values, names, services, sequences), _timing(values), _largest(values, names, services), foot])
