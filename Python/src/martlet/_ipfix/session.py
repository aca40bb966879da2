"""One transport session of IPFIX: its templates, the messages that wait, and what becomes of them.

Messages are looked at when they come, as far as their sets and templates go; their records are decoded many messages at a time,
by columns. A message one of whose records is malformed is dropped whole even so.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import Decoder, Malformed
from .counters import Counters
from .elements import Model
from .records import Pending, Records, Table, Template
from .templates import Budget, Changes, Templates
from .walk import Places

HEADER = struct.Struct("!HHIII")
PAIR = struct.Struct("!HH")
#: How far behind the expected sequence number a message is late; farther away the exporter has begun anew.
LATE = 1 << 16
#: The elements that a record of RFC 5610 has at least: of which element it speaks, its type and its name.
TYPE_INFORMATION = {(0, 346), (0, 303), (0, 339), (0, 341)}


@dataclass(frozen=True)
class Limits:
    """What a session may make a collector keep."""

    templates: int = 4096
    #: Fields of one template: more of them would be more columns than a table has.
    template_fields: int = 1024
    #: Fields of all templates.
    fields: int = 65536
    #: Elements whose types are learned (RFC 5610).
    types: int = 8192
    #: Observation domains whose sequences are followed; the longest unheard of is forgotten.
    domains: int = 1024
    #: Octets of messages that wait to be decoded.
    octets: int = 4 << 20


class Session:
    """`is_stream` is true for TCP, TLS and files, where messages come in order, once, or not at all; `lifetime` is in seconds how
    long a template lives otherwise; `is_file` allows templates to change."""

    def __init__(
            self, name: str, decoder: Decoder, counters: Counters, limits: Limits, options: deque[dict[str, Any]],
            budget: Budget, *, is_stream: bool, is_file: bool = False, lifetime: float = 1800) -> None:
        self.name, self.decoder, self.counters, self.limits = name, decoder, counters, limits
        self.is_stream, self.is_file, self.lifetime = is_stream, is_file, lifetime
        self.model = Model(limits.types)
        #: Gets the options records; of a bounded length.
        self.options = options
        self.templates = Templates(budget)
        #: The next sequence number by observation domain; None where a message hid how many records it has.
        self.expected: dict[int, int | None] = {}
        #: Set when the session cannot go on.
        self.ended = False
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self.waiting = 0
        self._messages: list[tuple[int, int, int, bool]] = []
        self._sets: dict[int, tuple[Template, Pending]] = {}

    # Messages

    def take(self, data: bytes, now: float) -> None:
        """Takes a message that is whole; raises Malformed, and has taken nothing of it then."""
        if len(data) < 16:
            raise Malformed("shorter than a message's header")
        version, length, exported, sequence, domain = HEADER.unpack_from(data)
        if version != 10 or length != len(data):
            raise Malformed(f"version {version}, length {length} of {len(data)} octets")
        changes = Changes(self.templates)
        sets: list[tuple[Template, int, int]] = []
        hidden = False
        defined = reserved = missing = 0
        offset = 16
        while offset < length:
            if offset + 4 > length:
                raise Malformed("a set's header does not fit")
            kind, size = PAIR.unpack_from(data, offset)
            if size < 4 or offset + size > length:
                raise Malformed(f"set {kind} of {size} octets does not fit")
            if kind >= 256:
                key = domain, kind
                template = changes.get(key) if key in changes else self._template(key, now)
                if template is None:
                    missing += 1
                    hidden = True
                elif size > 4:
                    sets.append((template, offset + 4, offset + size))
            elif kind in (2, 3):
                defined += self._define(data, offset + 4, offset + size, kind, domain, changes, now)
            else:
                reserved += 1
            offset += size
        self.templates.commit(changes)
        base = self.waiting
        number = len(self._messages)
        for template, begin, end in sets:
            pending = self._sets.setdefault(id(template), (template, Pending()))[1]
            pending.begins.append(base + begin)
            pending.ends.append(base + end)
            pending.messages.append(number)
        self._messages.append((sequence, exported, domain, hidden))
        self._parts.append(data)
        self.waiting += length
        self.counters.templates += defined
        self.counters.sets_reserved += reserved
        self.counters.sets_without_template += missing

    def _template(self, key: tuple[int, int], now: float) -> Template | None:
        template = self.templates.get(key)
        if template and not self.is_stream and now - template.received > self.lifetime:
            self.templates.remove(key)
            self.counters.templates_expired += 1
            return None
        return template

    def _define(
            self, data: bytes, offset: int, end: int, kind: int, domain: int, changes: Changes, now: float) -> int:
        """Reads the template records of a set into `changes`; how many there were."""
        head = 4 if kind == 2 else 6
        defined = 0
        while end - offset >= 4:
            number, count = PAIR.unpack_from(data, offset)
            if number == 0:
                break
            if count == 0:
                self._withdraw(number, kind, domain, changes)
                offset += 4
                defined += 1
                continue
            if number < 256 or end - offset < head:
                raise Malformed(f"template {number} with {count} fields")
            scope = int.from_bytes(data[offset + 4:offset + 6], "big") if kind == 3 else 0
            if scope > count or (kind == 3 and scope == 0):
                raise Malformed(f"options template {number} with {scope} of {count} fields as scope")
            offset += head
            fields = []
            for _ in range(count):
                if end - offset < 4:
                    raise Malformed(f"template {number} does not fit its set")
                element, size = PAIR.unpack_from(data, offset)
                offset += 4
                enterprise = 0
                if element & 0x8000:
                    if end - offset < 4:
                        raise Malformed(f"template {number} does not fit its set")
                    enterprise = int.from_bytes(data[offset:offset + 4], "big")
                    offset += 4
                fields.append((enterprise, element & 0x7FFF, size))
            if all(size == 0 for _, _, size in fields):
                raise Malformed(f"records of template {number} have no octets")
            self._keep((domain, number), Template(tuple(fields), scope, now), changes)
            defined += 1
        return defined

    def _keep(self, key: tuple[int, int], template: Template, changes: Changes) -> None:
        known = changes.get(key)
        if known and known.fields == template.fields and known.scope == template.scope:
            known.received = template.received
            return
        if known and self.is_stream and not self.is_file:
            raise Malformed(f"template {key[1]} changed without being withdrawn")
        fields = self.templates.fields + changes.fields + len(template.fields)
        if len(self.templates) + changes.count >= self.limits.templates or fields > self.limits.fields \
                or len(template.fields) > self.limits.template_fields \
                or (self.is_stream and self.templates.budget.weight + changes.weight >= Budget.MOST):
            self.counters.templates_refused += 1
            # What the number meant before it does not mean any more.
            changes.set(key, None)
            return
        changes.set(key, template)

    def _withdraw(self, number: int, kind: int, domain: int, changes: Changes) -> None:
        if not self.is_stream:
            self.counters.withdrawals_ignored += 1
        elif number == kind:
            changes.withdraw_all((domain, kind == 3))
        elif number < 256:
            raise Malformed(f"withdrawal of template {number}")
        else:
            changes.set((domain, number), None)

    # Records

    def flush(self) -> list[Table]:
        """Decodes what waits."""
        if not self._messages:
            return []
        octets = np.frombuffer(b"".join(self._parts), np.uint8)
        messages, sets = self._messages, list(self._sets.values())
        lengths = [len(part) for part in self._parts]
        self._clear()
        heads = np.array([(exported, domain) for _, exported, domain, _ in messages], np.int64)
        counts = np.zeros(len(messages), np.int64)
        bad = np.zeros(len(messages), bool)
        walks: list[Records] = []
        # Options first: what they say of elements holds for the records next to them.
        for template, pending in sorted(sets, key=lambda one: one[0].scope == 0):
            walked = Records(octets, template, pending, self.model)
            counts += np.bincount(walked.messages, minlength=len(messages))
            bad[walked.bad_messages] = True
            if template.scope and TYPE_INFORMATION.issubset(one[:2] for one in template.fields):
                self._learn(self._table(walked, heads, walked.good))
            walks.append(walked)
        first = self._end_at(bad)
        tables = []
        for walked in walks:
            keep = ~bad[walked.messages] & (walked.messages < first)
            if walked.template.scope:
                self.counters.options_records += int(keep.sum())
                rows = self._rows(self._table(walked, heads, keep), self.options.maxlen)
                self.options.extend({"exporter": self.name, **row} for row in rows)
            elif keep.any():
                tables.append(self._table(walked, heads, keep))
                self.counters.records += tables[-1].rows
        for number, (sequence, _, domain, hidden) in enumerate(messages[:first]):
            self._follow(domain, sequence, int(counts[number]), hidden or bool(bad[number]))
        taken = ~bad[:first]
        self.counters.messages += int(taken.sum())
        self.counters.octets += sum(length for length, fine in zip(lengths, taken) if fine)
        return tables

    def _table(self, records: Records, heads: Places, keep: npt.NDArray[np.bool_]) -> Table:
        return records.table(heads, keep, self.decoder, self.counters)

    def _end_at(self, bad: npt.NDArray[np.bool_]) -> int:
        """The number of messages that count; a session that has an order ends at its first malformed one."""
        self.counters.malformed_messages += 1 if self.is_stream and bad.any() else int(bad.sum())
        if not (self.is_stream and bad.any()):
            return len(bad)
        self.ended = True
        first = int(np.argmax(bad))
        self.counters.messages_behind_malformed += len(bad) - first - 1
        return first

    def _follow(self, domain: int, sequence: int, records: int, hidden: bool) -> None:
        """Compares a message's sequence number, which counts the records before it, with what was expected."""
        expected = self.expected.pop(domain, None)
        following: int | None = (sequence + records) & 0xFFFFFFFF
        if expected is not None and sequence != expected:
            ahead = (sequence - expected) & 0xFFFFFFFF
            if ahead < 1 << 31:
                self.counters.lost_records += ahead
            elif (1 << 32) - ahead <= LATE and not self.is_stream:
                self.counters.out_of_order += 1
                self.counters.lost_records = max(self.counters.lost_records - records, 0)
                following = expected
            else:
                self.counters.sequence_resets += 1
        self.expected[domain] = None if hidden else following
        if len(self.expected) > self.limits.domains:
            del self.expected[next(iter(self.expected))]

    def _learn(self, table: Table) -> None:
        for row in self._rows(table):
            number, enterprise = row.get("iana:informationElementId"), row.get("iana:privateEnterpriseNumber")
            kind, name = row.get("iana:informationElementDataType"), row.get("iana:informationElementName")
            if None in (number, enterprise, kind, name) or enterprise == 0:
                continue
            if not self.model.learn(enterprise, number, kind, name):
                self.counters.types_refused += 1

    @staticmethod
    def _rows(table: Table, latest: int | None = None) -> list[dict[str, Any]]:
        """Records, or the latest ones, as dictionaries, by full names."""
        first = max(0, table.rows - latest) if latest is not None else 0
        names = [element.column("full") for element, _, _ in table.columns]
        columns = [array.slice(first).to_pylist() for _, _, array in table.columns]
        return [
            {"observationDomainId": domain, **dict(zip(names, values, strict=True))}
            for domain, values in zip(table.domain[first:].tolist(), zip(*columns, strict=True), strict=False)]
