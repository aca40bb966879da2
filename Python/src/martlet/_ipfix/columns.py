"""Values of fields as Arrow arrays: from octets and the places where they lie to a column, without a loop over records."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .elements import ARROW, EXACT, LARGEST, Element
from .walk import VARIABLE, Octets, Places, walk

#: Seconds from NTP's epoch (1900) to 1970, and one era of its 32 bits.
NTP_EPOCH, NTP_ERA = 2_208_988_800, 1 << 32
#: The latest time that nanoseconds in 64 bits have, in seconds.
LATEST = (1 << 63) // 10**9 - 1
#: Different elements that the lists of one field may hold in a batch; more are left out.
MOST_LISTS = 16


class Malformed(Exception):
    """Octets that break RFC 7011 or 6313; the text says how."""


def gathered(octets: Octets, begins: Places, lengths: Places) -> tuple[Octets, Places]:
    """(the values one behind the other, where each begins in them and at last where they end)."""
    offsets = np.zeros(len(begins) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if len(begins) == 0:
        return np.zeros(0, np.uint8), offsets
    index = np.repeat(begins - offsets[:-1], lengths) + np.arange(offsets[-1])
    return octets[index], offsets


def fixed(octets: Octets, begins: Places, width: int) -> Octets:
    """The values of one width as rows of a matrix."""
    if len(begins) == 0 or width == 0:
        return np.zeros((len(begins), width), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(octets, width)[begins]


def numbers(values: Octets, kind: str) -> pa.Array:
    """Integers in as many octets as the matrix `values` has columns, big-endian, at most 8.

    Where a stream sends more octets than the type has, as CESNET's exporters do in lists, the column is as wide as they are.
    """
    width = values.shape[1]
    size = max(LARGEST[kind], 1 << (width - 1).bit_length())
    if width == size:
        whole = np.ascontiguousarray(values)
    else:
        whole = np.zeros((len(values), size), np.uint8)
        whole[:, size - width:] = values
        if kind.startswith("signed"):
            whole[:, :size - width] = np.where(values[:, :1] & 0x80, 0xFF, 0)
    code = f">{'i' if kind.startswith('signed') else 'u'}{size}"
    return pa.array(whole.view(code)[:, 0].astype(code[1:]))


def times(values: Octets, kind: str) -> pa.Array:
    """Times in nanoseconds since 1970; null for what 64 bits of nanoseconds do not hold."""
    if kind == "dateTimeSeconds":
        seconds = np.ascontiguousarray(values).view(">u4")[:, 0].astype(np.int64)
        rest, valid = np.zeros(len(seconds), np.int64), np.ones(len(seconds), bool)
    elif kind == "dateTimeMilliseconds":
        milliseconds = np.ascontiguousarray(values).view(">u8")[:, 0].astype(np.uint64)
        valid = milliseconds < LATEST * 1000
        kept = np.where(valid, milliseconds, 0).astype(np.int64)
        seconds, rest = kept // 1000, kept % 1000 * 1_000_000
    else:
        halves = np.ascontiguousarray(values).view(">u4").astype(np.uint64)
        seconds = halves[:, 0].astype(np.int64)
        # What would be before 1970 is in NTP's next era.
        seconds += np.where(seconds < NTP_EPOCH, NTP_ERA, 0) - NTP_EPOCH
        if kind == "dateTimeMicroseconds":
            # The eleven lowest bits say nothing (RFC 7011 section 6.1.9); microseconds are truncated.
            rest = ((halves[:, 1] * 1_000_000 >> 32) * 1000).astype(np.int64)
        else:
            rest = (halves[:, 1] * 1_000_000_000 >> 32).astype(np.int64)
        valid = np.ones(len(seconds), bool)
    return pa.array(seconds * 10**9 + rest, pa.int64(), mask=~valid).cast(pa.timestamp("ns", "UTC"))


def named(values: Octets, text: Callable[[bytes], str]) -> pa.Array:
    """Fixed octets as text, where each different value is brought into words once."""
    width = values.shape[1]
    array = pa.Array.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
    found = array.dictionary_encode()
    words = pa.array([text(value) for value in found.dictionary.to_pylist()], pa.string())
    return words.take(found.indices)


def ipv4(value: bytes) -> str:
    return socket.inet_ntoa(value)


def ipv6(value: bytes) -> str:
    return str(ipaddress.IPv6Address(value))


def mac(value: bytes) -> str:
    return value.hex(":")


def binary(octets: Octets, begins: Places, lengths: Places) -> pa.Array:
    data, offsets = gathered(octets, begins, lengths)
    return pa.Array.from_buffers(
        pa.binary(), len(begins), [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)])


def text(array: pa.Array, padded: bool) -> pa.Array:
    """Octets as text, what is no UTF-8 replaced; the NULs that fill a `padded` one are cut off."""
    try:
        found = array.cast(pa.string())
    except pa.ArrowInvalid:
        found = pa.array([value.decode(errors="replace") for value in array.to_pylist()], pa.string())
    return pc.utf8_rtrim(found, characters="\0") if padded else found


def hexadecimal(array: pa.Array) -> pa.Array:
    """Octets as text; each different value is brought into words once."""
    found = array.dictionary_encode()
    return pa.array([None if one is None else one.hex() for one in found.dictionary.to_pylist()], pa.string()).take(found.indices)


class Decoder:
    """Makes columns of elements; `addresses` is `text` or `binary`."""

    def __init__(self, addresses: str = "text") -> None:
        self.binary_addresses = addresses == "binary"

    def of_width(self, values: Octets, element: Element) -> pa.Array:
        """A column of values that all have as many octets as `values` has columns."""
        kind, width = element.type, values.shape[1]
        if kind.startswith(("unsigned", "signed")) and 0 < width <= 8:
            return numbers(values, kind)
        if kind in ("float32", "float64") and width in (4, 8) and width <= LARGEST[kind]:
            whole = np.ascontiguousarray(values).view(f">f{width}")[:, 0]
            # A signalling NaN is no reason for a warning.
            with np.errstate(invalid="ignore"):
                return pa.array(whole.astype(f"f{LARGEST[kind]}"), ARROW[kind])
        if EXACT.get(kind) == width:
            if kind == "boolean":
                # 1 is true and 2 is false (RFC 7011 section 6.1.5).
                return pa.array(values[:, 0] == 1, mask=(values[:, 0] != 1) & (values[:, 0] != 2))
            if kind.startswith("dateTime"):
                return times(values, kind)
            if not self.binary_addresses:
                return named(values, {4: ipv4, 6: mac, 16: ipv6}[width])
            return pa.Array.from_buffers(
                pa.binary(width), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
        begins = np.arange(len(values), dtype=np.int64) * width
        lengths = np.full(len(values), width, np.int64)
        found = binary(np.ascontiguousarray(values).reshape(-1), begins, lengths)
        return text(found, True) if kind == "string" else found

    def of_spans(self, octets: Octets, begins: Places, lengths: Places, element: Element) -> pa.Array:
        """A column of values of different lengths; a number in fields of variable length may be any of its lengths."""
        kind = element.type
        if kind in LARGEST or kind in EXACT:
            widths = np.unique(lengths)
            if len(widths) == 0:
                return pa.nulls(0, self.type(element))
            if len(widths) == 1:
                return self.of_width(fixed(octets, begins, int(widths[0])), element)
            parts, order = [], []
            for width in widths.tolist():
                rows = np.flatnonzero(lengths == width)
                values = self.of_width(fixed(octets, begins[rows], width), element)
                parts.append(values if values.type == self.type(element) else pa.nulls(len(rows), self.type(element)))
                order.append(rows)
            back = np.argsort(np.concatenate(order), kind="stable")
            return pa.concat_arrays(parts).take(pa.array(back))
        found = binary(octets, begins, lengths)
        return text(found, False) if kind == "string" else found

    def type(self, element: Element) -> pa.DataType:
        """The Arrow type of the element's column where its values have the lengths that its type allows."""
        if element.type in ARROW:
            return ARROW[element.type]
        if element.type in ("ipv4Address", "ipv6Address", "macAddress"):
            return pa.binary(EXACT[element.type]) if self.binary_addresses else pa.string()
        return pa.binary()

    def lists(self, octets: Octets, lists: Lists, element: Element, rows: int) -> pa.Array:
        """A column of `rows` rows: `lists` are in those of `lists.rows`, the others are null."""
        if lists.width == VARIABLE:
            entries = self.of_spans(octets, lists.begins, lists.lengths, element)
        else:
            entries = self.of_width(fixed(octets, lists.begins, lists.width), element)
        counts = np.zeros(rows, np.int64)
        counts[lists.rows] = lists.counts
        offsets = np.zeros(rows + 1, np.int32)
        np.cumsum(counts, out=offsets[1:])
        absent = np.ones(rows, bool)
        absent[lists.rows] = False
        validity = pa.py_buffer(np.packbits(~absent, bitorder="little")) if absent.any() else None
        return pa.Array.from_buffers(
            pa.list_(entries.type), rows, [validity, pa.py_buffer(offsets)], children=[entries])


class Lists:
    """The basicLists of a field that have the same element: in which rows, how many entries, and where each entry lies."""

    def __init__(self, enterprise: int, number: int, width: int, rows: Places) -> None:
        self.enterprise, self.number, self.width, self.rows = enterprise, number, width, rows
        none = np.zeros(0, np.int64)
        self.counts, self.begins, self.lengths = none, none, none


def basic_lists(
        octets: Octets, begins: Places, lengths: Places) -> tuple[list[Lists], npt.NDArray[np.bool_], int]:
    """The basicLists (RFC 6313 section 4.5.1) at these places, by their elements; which are malformed: these are in none; and
    how many are left out because a field has lists of more than MOST_LISTS elements.

    A list is: semantic (1 octet), element (2), length of an entry (2), for an enterprise's element its number (4), entries.
    """
    bad = lengths < 5
    last = len(octets) - 1
    header = [octets[np.minimum(begins + place, last)].astype(np.int64) for place in range(1, 9)]
    number = header[0] << 8 | header[1]
    width = header[2] << 8 | header[3]
    is_enterprise = number & 0x8000 != 0
    enterprise = np.where(is_enterprise, header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7], 0)
    size = np.where(is_enterprise, 9, 5)
    bad |= (lengths < size) | (width == 0)
    content = np.maximum(lengths - size, 0)
    whole = (width == VARIABLE) | (content % np.maximum(width, 1) == 0)
    bad |= ~whole
    found: list[Lists] = []
    kinds = enterprise << 32 | (number & 0x7FFF) << 16 | width
    different, counts = np.unique(kinds[~bad], return_counts=True)
    for kind in different.tolist()[:MOST_LISTS]:
        rows = np.flatnonzero((kinds == kind) & ~bad)
        one = Lists(kind >> 32, kind >> 16 & 0x7FFF, kind & 0xFFFF, rows)
        starts = begins[rows] + size[rows]
        if one.width != VARIABLE:
            one.counts = content[rows] // one.width
            first = np.cumsum(one.counts) - one.counts
            each = np.repeat(np.arange(len(rows)), one.counts)
            one.begins = starts[each] + (np.arange(len(each)) - first[each]) * one.width
        else:
            entries = walk(octets, starts, starts + content[rows], [0, 0])
            bad[rows[entries.bad]] = True
            kept = ~entries.bad[entries.sets]
            one.rows = rows[~entries.bad]
            one.counts = np.bincount(entries.sets[kept], minlength=len(rows))[~entries.bad]
            one.begins, one.lengths = entries.begins[0][kept], entries.lengths[0][kept]
        found.append(one)
    return found, bad, int(counts[MOST_LISTS:].sum())
