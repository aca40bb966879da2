"""Labels for flows: from a table that knows flows by their addresses, ports and times, or from the names that clients ask for.

    labelled = martlet.join_labels(martlet.flows("a.pcap").to_arrow(), "truth.csv", label="application", begin="start")
    labelled.table, labelled.unmatched, labelled.ambiguous

    martlet.sni_labels(table, {"googlevideo.com": "video", "google.com": "google"})
"""

from __future__ import annotations

import ipaddress
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ._columns import column, plain, read_table

__all__ = ["Labelled", "join_labels", "ndpi_labels", "sni_labels"]

Numbers = npt.NDArray[np.int64]

#: Protocols that label files call by their names; others are numbers.
PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ospf": 89, "sctp": 132,
             "udplite": 136, "udp-lite": 136}
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
MOST_PORT = 65535
#: Pairs of a flow and a label that are compared at once.
MOST_PAIRS = 1 << 22
#: The latest time, in nanoseconds, so that sums of times stay within 64 bits: in 2116.
FOREVER = 1 << 62


@dataclass(frozen=True)
class Labelled:
    """Flows with their labels."""

    #: The flows as they were, with one column more; null where no label is, or several are.
    table: pa.Table
    #: Flows with a label, without one, and with different ones at once.
    matched: int
    unmatched: int
    ambiguous: int
    #: Labels that no flow has got, and those whose addresses, ports or times could not be read.
    labels_unused: int
    labels_left_out: int


def _need(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        raise ValueError(f"there is no column {name}; there are: {', '.join(table.column_names)}")
    return plain(table[name])


def _address(value: Any) -> bytes | None:
    """An address in 16 octets, IPv4 as IPv6 has it (::ffff:0:0/96); None for what is none."""
    try:
        address = ipaddress.ip_address(value.strip() if isinstance(value, str) else value)
    except (ValueError, TypeError):
        return None
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _numpy(array: pa.Array, null: int) -> Numbers:
    """Integers, with `null` for what is not there."""
    return np.asarray(pc.fill_null(array, null).to_numpy(zero_copy_only=False)).astype(np.int64)


class _Addresses:
    """Numbers for addresses: the same for two texts of one address, -1 for what is none."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}

    def of(self, array: pa.Array) -> Numbers:
        found = array.dictionary_encode()
        words = [_address(value) for value in found.dictionary.to_pylist()]
        numbers = np.array([-1 if one is None else self.numbers.setdefault(one, len(self.numbers)) for one in words] + [-1])
        return numbers[_numpy(found.indices, len(words))]


def _integers(array: pa.Array | None, rows: int, names: Mapping[str, int] | None = None) -> Numbers:
    """Integers; -1 for null, and for what is none. Without a column zeros."""
    if array is None:
        return np.zeros(rows, np.int64)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        def number(text: str | None) -> int:
            text = (text or "").strip().lower()
            return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else (names or {}).get(text, -1)
        found = array.dictionary_encode()
        numbers = np.array([number(one) for one in found.dictionary.to_pylist()] + [-1], np.int64)
        return numbers[_numpy(found.indices, len(numbers) - 1)]
    values = np.asarray(pc.fill_null(array.cast(pa.float64()), -1).to_numpy(zero_copy_only=False))
    return np.where(np.abs(values) < 1 << 53, np.nan_to_num(values), -1).astype(np.int64)


def _nanoseconds(array: pa.Array, unit: str) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """(times in nanoseconds since 1970, which are none); numbers are in `unit`."""
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = _times_of(array)
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(array.type):
        # The year 9999, for what has no end, is more than nanoseconds in 64 bits have.
        each, times = UNITS[array.type.unit], _numpy(array.cast(pa.int64()), 0)
        return np.clip(times, -FOREVER // each, FOREVER // each) * each, missing
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_null(array.type)):
        raise ValueError(f"{array.type} is no time since 1970: give timestamps, text in ISO 8601 or numbers")
    if pa.types.is_integer(array.type):
        whole = np.asarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False)).astype(np.int64)
        missing |= np.abs(whole) > FOREVER // UNITS[unit]
        return np.where(missing, 0, whole) * UNITS[unit], missing
    values = np.asarray(pc.fill_null(array.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))
    missing |= ~np.isfinite(values) | (np.abs(values) > FOREVER // UNITS[unit])
    values = np.where(missing, 0.0, values)
    seconds = np.floor(values)
    # Whole units first: a double has no room for the nanoseconds of today.
    return seconds.astype(np.int64) * UNITS[unit] + np.rint((values - seconds) * UNITS[unit]).astype(np.int64), missing


def _times_of(texts: pa.Array) -> pa.Array:
    """Times in ISO 8601, UTC where they say nothing else; null for what is none."""
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    return pa.array(pd.to_datetime(texts.to_pandas(), utc=True, errors="coerce", format="ISO8601"))


def _flow_times(flows: pa.Table) -> tuple[Numbers, Numbers]:
    units = ("Nanoseconds", "Microseconds", "Milliseconds", "Seconds")
    starts, ends = (column(flows, *(f"flow{which}{unit}" for unit in units)) for which in ("Start", "End"))
    if starts is None or ends is None:
        raise ValueError("the flows have no flowStart… and flowEnd…")
    return np.clip(_nanoseconds(starts, "ns")[0], 0, FOREVER), np.clip(_nanoseconds(ends, "ns")[0], 0, FOREVER)


def _flow_addresses(flows: pa.Table, side: str, addresses: _Addresses) -> Numbers:
    found = np.full(flows.num_rows, -1, np.int64)
    for version in (4, 6):
        if (array := column(flows, f"{side}IPv{version}Address")) is not None:
            found = np.where(found < 0, addresses.of(array), found)
    return found


def _keys(source: Numbers, source_port: Numbers, destination: Numbers, destination_port: Numbers, protocol: Numbers) -> Numbers:
    """Rows of what is the same for both directions: the lower end point, the higher one, the protocol."""
    one, other = source << 17 | source_port & 0x1FFFF, destination << 17 | destination_port & 0x1FFFF
    return np.stack([np.minimum(one, other), np.maximum(one, other), protocol], axis=1)


def join_labels(
        flows: Any, labels: Any, *, label: str = "label", source: str = "src_ip", destination: str = "dst_ip",
        source_port: str | None = "src_port", destination_port: str | None = "dst_port", protocol: str | None = "protocol",
        begin: str | None = "first_seen", end: str | None = None, unit: str = "s", tolerance: float = 1.0, into: str = "label",
        delimiter: str = ",") -> Labelled:
    """Gives each flow the label of the row with its addresses, ports and protocol, in either direction, and its time.

    :param flows: a table of flows (Arrow, pandas, or what ``martlet.flows`` gives) with columns by their short or full names.
    :param labels: a file of CSV (fields separated by ``delimiter``), a data frame or an Arrow table.
    :param label: the column with the label; the next six name those of the flow's key. ``source_port``, ``destination_port``
        and ``protocol`` may be None, where the table knows none: then flows with any match. The protocol is a number or a name.
    :param begin: when the labelled flow began, and ``end`` (where the table has it) ended: timestamps, text in ISO 8601, or
        numbers of ``unit`` ("s", "ms", "us", "ns") since 1970. None: at any time.
    :param tolerance: seconds by which a flow and its label may miss each other.
    :param into: the new column.

    A flow whose rows have different labels gets none, and counts as ambiguous; several rows with the same label are one.
    """
    if unit not in UNITS:
        raise ValueError(f"unit is one of {', '.join(UNITS)}")
    if not 0 <= tolerance <= 10**9:
        raise ValueError("tolerance is 0 to 1e9 seconds")
    table, truth = read_table(flows), read_table(labels, delimiter)
    addresses, rows = _Addresses(), truth.num_rows

    def optional(name: str | None) -> pa.Array | None:
        return None if name is None else _need(truth, name)
    # Ports and protocols that are not said are 0 on both sides.
    label_parts = (
        addresses.of(_need(truth, source)), _integers(optional(source_port), rows),
        addresses.of(_need(truth, destination)), _integers(optional(destination_port), rows),
        _integers(optional(protocol), rows, PROTOCOLS))
    flow_parts = (
        _flow_addresses(table, "source", addresses),
        _integers(column(table, "sourceTransportPort") if source_port else None, table.num_rows),
        _flow_addresses(table, "destination", addresses),
        _integers(column(table, "destinationTransportPort") if destination_port else None, table.num_rows),
        _integers(column(table, "protocolIdentifier") if protocol else None, table.num_rows))
    words = _need(truth, label).dictionary_encode()
    codes = _numpy(words.indices, -1)

    fine = (codes >= 0) & np.all([part >= 0 for part in label_parts], axis=0)
    fine &= (label_parts[1] <= MOST_PORT) & (label_parts[3] <= MOST_PORT)
    first, last = np.full(rows, -1), np.full(rows, FOREVER)
    if begin is not None:
        first, missing = _nanoseconds(_need(truth, begin), unit)
        last = first
        fine &= ~missing
        if end is not None:
            last, missing = _nanoseconds(_need(truth, end), unit)
            fine &= ~missing
            last = np.maximum(first, last)
    both = np.concatenate([_keys(*(part[fine] for part in label_parts)), _keys(*flow_parts)])
    _, keys = np.unique(both, axis=0, return_inverse=True)
    keys = keys.reshape(-1)
    count = int(fine.sum())
    starts, ends = _flow_times(table)
    slack = int(tolerance * 10**9)
    # Rows that say the same are one: a capture that was labelled packet by packet has many.
    said = np.stack([keys[:count], first[fine], last[fine], codes[fine]], axis=1)
    different, row = np.unique(said, axis=0, return_inverse=True)
    found, used = _match(keys[count:], starts - slack, ends + slack, *different.T)
    used = used[row.reshape(-1)]
    labelled = words.dictionary.take(pa.array(np.where(found >= 0, found, 0), mask=found < 0)) if len(words.dictionary) else \
        pa.nulls(table.num_rows, words.dictionary.type)
    if into in table.column_names:
        table = table.drop_columns([into])
    matched, ambiguous = int((found >= 0).sum()), int((found == -2).sum())
    return Labelled(
        table.append_column(into, labelled), matched, table.num_rows - matched - ambiguous, ambiguous,
        count - int(used.sum()), rows - count)


def _match(
        flow_keys: Numbers, starts: Numbers, ends: Numbers, label_keys: Numbers, first: Numbers, last: Numbers,
        codes: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """(for each flow the code of its label, -1 without one, -2 with several; which labels are some flow's).

    Labels are sorted by key and beginning; a flow looks at those of its key that begin before its end and, as far as the longest
    of that key goes, can reach its start.
    """
    found, used = np.full(len(flow_keys), -1), np.zeros(len(label_keys), bool)
    if len(flow_keys) == 0 or len(label_keys) == 0:
        return found, used
    order = np.lexsort((first, label_keys))
    label_keys, first, last, codes = label_keys[order], first[order], last[order], codes[order]
    times = np.unique(first)
    step = len(times) + 1
    place = label_keys * step + np.searchsorted(times, first)
    longest = np.zeros(int(max(label_keys.max(), flow_keys.max())) + 1, np.int64)
    np.maximum.at(longest, label_keys, last - first)
    low = np.searchsorted(place, flow_keys * step + np.searchsorted(times, starts - longest[flow_keys], "left"), "left")
    high = np.searchsorted(place, flow_keys * step + np.searchsorted(times, ends, "right"), "left")
    counts = np.maximum(high - low, 0)
    sums = np.concatenate([[0], np.cumsum(counts)])
    begin = 0
    marked = np.zeros(len(label_keys), bool)
    while begin < len(counts):
        until = max(begin + 1, int(np.searchsorted(sums, sums[begin] + MOST_PAIRS, "right")) - 1)
        part = counts[begin:until]
        flow = np.repeat(np.arange(begin, until), part)
        label = np.arange(len(flow)) - np.repeat(sums[begin:until] - sums[begin], part) + low[flow]
        meets = last[label] >= starts[flow]
        flow, label = flow[meets], label[meets]
        marked[label] = True
        least, most = np.full(until - begin, np.iinfo(np.int64).max), np.full(until - begin, -1)
        np.minimum.at(least, flow - begin, codes[label])
        np.maximum.at(most, flow - begin, codes[label])
        found[begin:until] = np.where(most < 0, -1, np.where(least == most, most, -2))
        begin = until
    used[order] = marked
    return found, used


def ndpi_labels(path: str | os.PathLike[str], *, master: bool = False) -> pa.Table:
    """What nDPI's ndpiReader found, as ``join_labels`` takes it: its CSV (``-C FILE``) or JSON lines (``-K json -k FILE``).

    :param master: the part before the dot alone: ``TLS`` of ``TLS.Google``.

    Columns: src_ip, src_port, dst_ip, dst_port, protocol, first_seen, last_seen (seconds; null where the file has no times, which
    is for ``begin=None`` then), label. Lines that cannot be read are left out, with a warning that says how many.
    """
    with open(path, "rb") as file:
        is_json = file.read(1) == b"{"
    rows, left_out = _ndpi_json(Path(path)) if is_json else _ndpi_csv(Path(path))
    if left_out:
        warnings.warn(f"{path}: {left_out} lines cannot be read and are left out", stacklevel=2)
    if master:
        rows = rows.set_column(
            rows.column_names.index("label"), "label", pc.list_element(pc.split_pattern(rows["label"], ".", max_splits=1), 0))
    return rows


NDPI = {"src_ip": pa.string(), "src_port": pa.int64(), "dst_ip": pa.string(), "dst_port": pa.int64(), "protocol": pa.string(),
        "first_seen": pa.float64(), "last_seen": pa.float64(), "label": pa.string()}


def _ndpi_csv(path: Path) -> tuple[pa.Table, int]:
    left_out = 0

    def skip(row: Any) -> str:
        nonlocal left_out
        left_out += 1
        return "skip"
    kinds = {**{name: kind for name, kind in NDPI.items() if name != "label"}, "ndpi_proto": pa.string()}
    try:
        # Nothing is quoted, and names from the wire may have quotation marks.
        table = pa.csv.read_csv(
            path, parse_options=pa.csv.ParseOptions(delimiter="|", quote_char=False, invalid_row_handler=skip),
            read_options=pa.csv.ReadOptions(use_threads=False, encoding="latin-1"),
            convert_options=pa.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds)))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise ValueError(f"{path}: not what ndpiReader -C writes: {error}") from error
    return table.rename_columns([*(name for name in NDPI if name != "label"), "label"]), left_out


def _ndpi_json(path: Path) -> tuple[pa.Table, int]:
    found: dict[str, list[Any]] = {name: [] for name in NDPI}
    left_out = 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                one = json.loads(line)
                detected = one["ndpi"]["proto"]
                row = (str(one["src_ip"]), int(one.get("src_port", 0)), str(one.get("dest_ip") or one["dst_ip"]),
                       int(one.get("dest_port", one.get("dst_port", 0))), str(one.get("proto", one.get("l4_proto", ""))),
                       _seen(one, "first_seen"), _seen(one, "last_seen"), str(detected))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                left_out += 1
                continue
            for values, value in zip(found.values(), row, strict=True):
                values.append(value)
    return pa.Table.from_arrays([pa.array(found[name], kind) for name, kind in NDPI.items()], names=list(NDPI)), left_out


def _seen(one: dict[str, Any], name: str) -> float | None:
    if (milliseconds := one.get(f"{name}_ms")) is not None:
        return float(milliseconds) / 1000
    return None if one.get(name) is None else float(one[name])


def sni_labels(
        table: Any, suffixes: Any, *, columns: str | tuple[str, ...] = ("TLSSNI", "quicSNI"), into: str = "label",
        unknown: str | None = None) -> pa.Table:
    """Gives each flow the label of the longest suffix of the name that its client asks for.

    :param suffixes: ``{"google.com": "google", …}``, a file of CSV or a data frame with the suffix first and the label second.
        ``google.com``, ``.google.com`` and ``*.google.com`` are the same: the name itself and those below it, never
        ``notgoogle.com``; ``*`` is every name. ASCII's upper and lower case are the same, so is a dot at the end. Names are
        compared as they stand: a name in Punycode does not match one in Unicode.
    :param columns: the first of these that is not empty has a flow's name.
    :param unknown: the label of flows with another name; those without a name have none.

    Raises ValueError where one suffix has two labels, or the table has none of the columns.
    """
    labels = _suffixes(suffixes)
    flows = read_table(table)
    names: pa.Array | None = None
    for name in (columns,) if isinstance(columns, str) else columns:
        if (values := column(flows, name)) is not None:
            array = values.cast(pa.string())
            array = pc.if_else(pc.equal(array, ""), None, array)
            names = array if names is None else pc.coalesce(names, array)
    if names is None:
        raise ValueError(f"there is none of the columns {columns}; there are: {', '.join(flows.column_names)}")
    found = names.dictionary_encode()
    words = pa.array([_longest(name, labels, unknown) for name in found.dictionary.to_pylist()], pa.string())
    if into in flows.column_names:
        flows = flows.drop_columns([into])
    return flows.append_column(into, words.take(found.indices))


def _name(text: str) -> str:
    """ASCII in lower case (bytes' own notion: what is not ASCII stays), without a dot at the end."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass").removesuffix(".")


def _suffixes(source: Any) -> dict[str, str]:
    if isinstance(source, Mapping):
        pairs = list(source.items())
    else:
        table = read_table(source)
        if table.num_columns < 2:
            raise ValueError("suffixes are a column of suffixes and one of labels")
        pairs = list(zip(table[0].to_pylist(), table[1].to_pylist(), strict=True))
    labels: dict[str, str] = {}
    for suffix, label in pairs:
        if not isinstance(suffix, str) or label is None:
            raise ValueError(f"{suffix!r}: {label!r} is no suffix with its label")
        name = _name(suffix.strip().removeprefix("*")).removeprefix(".")
        if labels.setdefault(name, str(label)) != str(label):
            raise ValueError(f"{suffix} has two labels, {labels[name]} and {label}")
    return labels


def _longest(name: str, labels: dict[str, str], unknown: str | None) -> str | None:
    rest = _name(name)
    while True:
        if rest in labels:
            return labels[rest]
        _, dot, rest = rest.partition(".")
        if not dot:
            return labels.get("", unknown)
