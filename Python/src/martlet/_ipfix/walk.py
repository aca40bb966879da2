"""Where the records of data sets and their fields lie.

Fields of variable length make each record's place depend on the one before it, but a batch has many sets, whose beginnings are
known: the walk takes one record of each set at a time, in numpy, and the few sets that are much longer than the others by
themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Octets = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

#: The length in a template that says that each value brings its own (RFC 7011 section 7).
VARIABLE = 0xFFFF
#: From so few sets on plain Python is faster than numpy.
FEW = 12


@dataclass
class Walk:
    """Records in the order of their sets, then of their place in it. `runs[r]` is where run `r` of each record begins; a run is
    the fields of fixed length before the first field of variable length, between two of them, or behind the last one.
    `begins[v]` and `lengths[v]` are those of the values of the `v`th field of variable length."""

    sets: Places
    runs: list[Places]
    begins: list[Places]
    lengths: list[Places]
    #: One for each set: whether a record does not fit into it.
    bad: npt.NDArray[np.bool_]


def walk(octets: Octets, begins: Places, ends: Places, widths: list[int]) -> Walk:
    """Finds the records of sets whose contents are `octets[begins[i]:ends[i]]`.

    `widths` are the runs' octets, one more than there are fields of variable length; a record has at least one octet. What is
    left at a set's end and shorter than any record is padding. Takes time proportional to the octets; never reads outside of a
    set, provided that no set ends behind `octets`.
    """
    minimum = sum(widths) + len(widths) - 1
    bad = np.zeros(len(begins), bool)
    if len(widths) == 1:
        counts = np.maximum(ends - begins, 0) // minimum
        sets = np.repeat(np.arange(len(begins)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        return Walk(sets, [begins[sets] + (np.arange(len(sets)) - first) * minimum], [], [], bad)

    steps: list[tuple[Places, list[Places], list[Places], list[Places]]] = []
    last = len(octets) - 1
    active = np.arange(len(begins))
    position = begins.astype(np.int64)
    while True:
        fits = position[active] + minimum <= ends[active]
        active = active[fits]
        if len(active) < FEW:
            break
        at, end = position[active], ends[active]
        runs, values, lengths = [], [], []
        outside = np.zeros(len(active), bool)
        for width in widths[:-1]:
            runs.append(at)
            at = at + width
            outside |= at >= end
            length = octets[np.minimum(at, last)].astype(np.int64)
            long = length == 255
            if long.any():
                outside |= long & (at + 3 > end)
                near = octets[np.minimum(at + 1, last)].astype(np.int64) << 8 | octets[np.minimum(at + 2, last)]
                length = np.where(long, near, length)
            at = at + np.where(long, 3, 1)
            values.append(at)
            lengths.append(length)
            at = at + length
        runs.append(at)
        at = at + widths[-1]
        outside |= at > end
        if outside.any():
            bad[active[outside]] = True
            inside = ~outside
            active, at = active[inside], at[inside]
            runs, values, lengths = ([part[inside] for part in parts] for parts in (runs, values, lengths))
        position[active] = at
        steps.append((active, runs, values, lengths))

    if len(active):
        steps.append(_by_itself(octets, active, position, ends, widths, minimum, bad))
    if not steps:
        none = np.zeros(0, np.int64)
        return Walk(none, [none] * len(widths), [none] * (len(widths) - 1), [none] * (len(widths) - 1), bad)
    sets = np.concatenate([step[0] for step in steps])
    order = np.argsort(sets, kind="stable")

    def joined(part: int) -> list[Places]:
        columns = zip(*(step[part] for step in steps), strict=True)
        return [np.concatenate(column)[order] for column in columns]

    return Walk(sets[order], joined(1), joined(2), joined(3), bad)


def _by_itself(
        octets: Octets, active: Places, position: Places, ends: Places, widths: list[int], minimum: int,
        bad: npt.NDArray[np.bool_]) -> tuple[Places, list[Places], list[Places], list[Places]]:
    """The rest of a few sets, one after the other; as a step of the walk."""
    sets: list[int] = []
    rows: list[list[int]] = []
    for one in active.tolist():
        at, end = int(position[one]), int(ends[one])
        data = octets[:end].data
        while at + minimum <= end:
            row = []
            for width in widths[:-1]:
                row.append(at)
                at += width
                if at >= end:
                    break
                length = data[at]
                at += 1
                if length == 255:
                    if at + 2 > end:
                        at = end + 1
                        break
                    length = data[at] << 8 | data[at + 1]
                    at += 2
                row.append(at)
                row.append(length)
                at += length
            row.append(at)
            at += widths[-1]
            if at > end or len(row) != 3 * len(widths) - 2:
                bad[one] = True
                break
            sets.append(one)
            rows.append(row)
    table = np.array(rows, np.int64).reshape(len(rows), 3 * len(widths) - 2)
    columns = list(table.T)
    return np.array(sets, np.int64), columns[0::3], columns[1::3], columns[2::3]
