"""Records of one template in a group of messages: where their values lie, which are malformed, and their columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .columns import Decoder, basic_lists, fixed
from .counters import Counters
from .elements import Element, Model
from .walk import VARIABLE, Octets, Places, Walk, walk

#: paddingOctets (210) says nothing, so it is no column.
PADDING = (0, 210)


@dataclass
class Template:
    """A template; `scope` is the number of fields of an options template's scope, 0 for any other."""

    fields: tuple[tuple[int, int, int], ...]
    scope: int
    received: float
    plan: Plan | None = None
    plan_version: int = -1


@dataclass
class Plan:
    """Where a template's values lie: the widths of its runs, and for each column (element, which one of that element, run or
    number of the field of variable length, offset in the run, width; VARIABLE)."""

    widths: list[int]
    columns: list[tuple[Element, int, int, int, int]]


@dataclass
class Table:
    """Decoded records of one template: columns of as many rows, by element and by which one of that element it is."""

    rows: int
    columns: list[tuple[Element, int, pa.Array]]
    domain: npt.NDArray[np.uint32]
    exported: npt.NDArray[np.int64]


@dataclass
class Pending:
    """Data sets of one template that wait: where each begins and ends in the group's octets, and its message's number."""

    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)


def plan_of(template: Template, model: Model) -> Plan:
    """Where the template's values lie, with the elements as they are known now."""
    if template.plan is not None and template.plan_version == model.version:
        return template.plan
    widths, columns, seen = [0], [], dict[Element, int]()
    for enterprise, number, size in template.fields:
        element = model.element(enterprise, number)
        if size and (enterprise, number) != PADDING:
            which = seen[element] = seen.get(element, 0) + 1
            columns.append((element, which, len(widths) - 1, widths[-1], size))
        if size == VARIABLE:
            widths.append(0)
        else:
            widths[-1] += size
    template.plan, template.plan_version = Plan(widths, columns), model.version
    return template.plan


class Records:
    """The records of one template in a group: where they lie, and which are malformed."""

    def __init__(self, octets: Octets, template: Template, pending: Pending, model: Model) -> None:
        self.octets, self.template, self.model = octets, template, model
        self.plan = plan_of(template, model)
        numbers = np.array(pending.messages, np.int64)
        self.walk: Walk = walk(
            octets, np.array(pending.begins, np.int64), np.array(pending.ends, np.int64), self.plan.widths)
        #: The message of each record.
        self.messages = numbers[self.walk.sets]
        bad = np.zeros(len(self.messages), bool)
        for element, _, place, offset, size in self.plan.columns:
            if element.type == "basicList":
                bad |= basic_lists(octets, *self._spans(place, offset, size))[1]
        self.bad_messages = np.concatenate([numbers[self.walk.bad], self.messages[bad]])
        #: Records of sets that have nothing malformed.
        self.good = ~np.isin(self.messages, self.bad_messages)

    def _spans(self, place: int, offset: int, size: int) -> tuple[Places, Places]:
        if size == VARIABLE:
            return self.walk.begins[place], self.walk.lengths[place]
        begins = self.walk.runs[place] + offset
        return begins, np.full(len(begins), size, np.int64)

    def table(self, heads: Places, keep: npt.NDArray[np.bool_], decoder: Decoder, counters: Counters) -> Table:
        """The records of `keep` by columns; `heads` has the export time and the observation domain of each message."""
        rows = int(keep.sum())
        columns: list[tuple[Element, int, pa.Array]] = []
        lists: dict[Element, int] = {}
        for element, which, place, offset, size in self.plan.columns:
            if element.type == "basicList":
                begins, lengths = self._spans(place, offset, size)
                found, _, left_out = basic_lists(self.octets, begins[keep], lengths[keep])
                counters.lists_left_out += left_out
                for one in found:
                    inner = self.model.element(one.enterprise, one.number)
                    # Lists of lists stay octets, so that no message decides how deep a column is.
                    inner = Element(inner.enterprise, inner.number, inner.name, "octetArray", inner.scope) \
                        if inner.type == "basicList" else inner
                    lists[inner] = lists.get(inner, 0) + 1
                    columns.append((inner, lists[inner], decoder.lists(self.octets, one, inner, rows)))
            elif size == VARIABLE:
                begins, lengths = self._spans(place, offset, size)
                columns.append((element, which, decoder.of_spans(self.octets, begins[keep], lengths[keep], element)))
            else:
                values = fixed(self.octets, self.walk.runs[place][keep] + offset, size)
                columns.append((element, which, decoder.of_width(values, element)))
        kept = heads[self.messages[keep]]
        return Table(rows, columns, kept[:, 1].astype(np.uint32), kept[:, 0])
