"""Arrays for models: the sequences of first packets and the histograms of flows, each flow a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ._columns import Lists, as_table, column, lists
from ._errors import InvalidOption

#: What the second axis of Sequences.values is.
CHANNELS = ("size", "gap", "direction", "flags")
#: What the second axis of histograms is, by DataZoo's names, and the columns it comes from.
HISTOGRAMS = {
    "PHIST_SRC_SIZES": "phistSrcSizes",
    "PHIST_DST_SIZES": "phistDstSizes",
    "PHIST_SRC_IPT": "phistSrcInterPacketTime",
    "PHIST_DST_IPT": "phistDstInterPacketTime",
}
BINS = 8

Histograms: TypeAlias = "npt.NDArray[np.uint32]"


class Sequences(NamedTuple):
    """First packets of flows, padded with zeros."""

    #: (flows, 4, length): payload size in octets, milliseconds since the packet before (0 for the first), direction
    #: (1 from who sent the flow's first packet, -1 from the other), TCP flags.
    values: npt.NDArray[np.float32]
    #: (flows, length): which packets there are.
    mask: npt.NDArray[np.bool_]


def packet_lists(table: Any) -> tuple[Lists, Lists, Lists, Lists]:
    """Sizes, times in nanoseconds, flags and directions of the packets that plugin pstats noted."""
    found = []
    for names in (("packetLength",), ("packetTimeMicroseconds", "packetTime"), ("packetFlag",), ("packetDirection",)):
        there = [array for name in names if (array := column(table, name)) is not None]
        if not there:
            raise InvalidOption(f"there is no column {names[-1]}: choose plugin pstats")
        found.append(lists(there[0]))
    size, time, flags, direction = found
    return size, time, flags, direction


def gaps(time: Lists) -> npt.NDArray[np.int64]:
    """Nanoseconds between each packet and the one before in its list; 0 for the first."""
    return np.where(time.places > 0, np.diff(time.values, prepend=time.values[:1]), 0)


def sequences(data: Any, length: int = 30) -> Sequences:
    """The sequences of a table's flows, in its order.

    :param data: a table of pyarrow, pandas or polars with the columns of plugin pstats, or flows
    :param length: packets of a flow; those behind are left out
    """
    if length < 1:
        raise InvalidOption(f"a sequence has 1 packet or more, not {length}")
    table = as_table(data)
    size, time, flags, direction = packet_lists(table)
    kept = size.places < length
    rows, places = size.rows[kept], size.places[kept]
    values = np.zeros((table.num_rows, len(CHANNELS), length), np.float32)
    mask = np.zeros((table.num_rows, length), np.bool_)
    values[rows, 0, places] = size.values[kept]
    values[rows, 1, places] = gaps(time)[kept] / 1e6
    values[rows, 2, places] = direction.values[kept]
    values[rows, 3, places] = flags.values[kept]
    mask[rows, places] = True
    return Sequences(values, mask)


def concatenate_sequences(parts: Iterable[Sequences], length: int) -> Sequences:
    """Parts one behind the other; of none, arrays without a row."""
    listed = list(parts)
    if not listed:
        return Sequences(np.zeros((0, len(CHANNELS), length), np.float32), np.zeros((0, length), np.bool_))
    return Sequences(np.concatenate([one.values for one in listed]), np.concatenate([one.mask for one in listed]))


def histograms(data: Any) -> Histograms:
    """The histograms of a table's flows, in its order: (flows, 4, 8); zeros where a flow has none.

    The second axis: sizes of payloads from the flow's source, from its destination, gaps of the source's packets, of the
    destination's. Bins end at 15, 31, 63, 127, 255, 511 and 1023 octets or milliseconds; the last has what is larger.
    """
    table = as_table(data)
    values = np.zeros((table.num_rows, len(HISTOGRAMS), BINS), np.uint32)
    for place, name in enumerate(HISTOGRAMS.values()):
        array = column(table, name)
        if array is None:
            raise InvalidOption(f"there is no column {name}: choose plugin phists")
        bins = lists(array)
        kept = bins.places < BINS
        values[bins.rows[kept], place, bins.places[kept]] = bins.values[kept]
    return values


def concatenate_histograms(parts: Iterable[Histograms]) -> Histograms:
    """Parts one behind the other; of none, an array without a row."""
    listed = list(parts)
    return np.concatenate(listed) if listed else np.zeros((0, len(HISTOGRAMS), BINS), np.uint32)
