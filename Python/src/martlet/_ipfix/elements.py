"""What a field of an IPFIX template means: its name, its type, and the Arrow type of its column.

IANA's elements and those of the enterprises that Martlet exports are in a table; others are learned from the stream (RFC 5610),
for the session that says so only, because an exporter must not rename what another one sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import pyarrow as pa

from . import registry

#: RFC 5103: IANA's elements for the reverse direction are sent under this enterprise number.
REVERSE = 29305

#: The abstract data types by their numbers (RFC 5610 section 3.1, RFC 6313 section 9).
TYPES = (
    "octetArray", "unsigned8", "unsigned16", "unsigned32", "unsigned64", "signed8", "signed16", "signed32", "signed64",
    "float32", "float64", "boolean", "macAddress", "string", "dateTimeSeconds", "dateTimeMilliseconds",
    "dateTimeMicroseconds", "dateTimeNanoseconds", "ipv4Address", "ipv6Address", "basicList", "subTemplateList",
    "subTemplateMultiList")

#: What a name may be that a stream brings: it becomes a column's name, so nothing that a reader of tables stumbles over.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")

ARROW: dict[str, pa.DataType] = {
    "unsigned8": pa.uint8(), "unsigned16": pa.uint16(), "unsigned32": pa.uint32(), "unsigned64": pa.uint64(),
    "signed8": pa.int8(), "signed16": pa.int16(), "signed32": pa.int32(), "signed64": pa.int64(),
    "float32": pa.float32(), "float64": pa.float64(), "boolean": pa.bool_(), "string": pa.string(),
    **{f"dateTime{unit}": pa.timestamp("ns", "UTC") for unit in ("Seconds", "Milliseconds", "Microseconds", "Nanoseconds")},
}

#: Elements whose values have another type than they are registered with: CESNET's DNSRData is octets, of addresses too, and its
#: packetLength is never negative.
REALLY = {(8057, 7): "octetArray", (8057, 1013): "unsigned16"}

#: Digests that others write as hexadecimal text: JA3's and JA3S's MD5. With short names they are that here, too, as in the
#: columns of captures.
DIGESTS = {(39499, 357), (32473, 13)}

#: Octets on the wire of types that have one length only.
EXACT = {
    "boolean": 1, "macAddress": 6, "dateTimeSeconds": 4, "dateTimeMilliseconds": 8, "dateTimeMicroseconds": 8,
    "dateTimeNanoseconds": 8, "ipv4Address": 4, "ipv6Address": 16}

#: Octets of numbers, which may be sent in fewer (RFC 7011 section 6.2).
LARGEST = {
    "unsigned8": 1, "unsigned16": 2, "unsigned32": 4, "unsigned64": 8,
    "signed8": 1, "signed16": 2, "signed32": 4, "signed64": 8, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class Element:
    """An information element: who registered it, its number, its name there, its abstract data type."""

    enterprise: int
    number: int
    name: str
    type: str
    scope: str

    def column(self, names: str, which: int = 1) -> str:
        """The column's name: `short`, as Martlet's `--csv-names short`, or `full`, as the keys of its JSON; `which` is 1 for the
        first field of this element in a template, and so on.

        RFC 5103 has reverse elements for IANA's only: Martlet sends its own a second time for the reverse direction.
        """
        is_reverse, scope = self.enterprise == REVERSE, self.scope
        if scope == "martlet" and which > 1:
            is_reverse, which, scope = True, which - 1, "martlet@reverse"
        short = f"reverse{self.name[:1].upper()}{self.name[1:]}" if is_reverse else self.name
        name = f"{scope}:{self.name}" if names == "full" else short
        return name if which == 1 else f"{name}_{which}"


@cache
def _table() -> dict[tuple[int, int], Element]:
    found: dict[tuple[int, int], Element] = {}

    def add(enterprise: int, scope: str, text: str) -> None:
        for line in text.splitlines():
            number, name, kind = line.split()
            # A type that came to the registry later, as unsigned256.
            kind = kind if kind in TYPES else "octetArray"
            found[enterprise, int(number)] = Element(enterprise, int(number), name, kind, scope)

    add(0, "iana", registry.IANA)
    add(REVERSE, "iana@reverse", registry.IANA)
    for enterprise, (scope, text) in registry.ENTERPRISES.items():
        add(enterprise, scope, text)
    return found


class Model:
    """The elements that one session knows: those of the table, and what it has learned.

    `learned` holds at most `limit` elements, so that a stream cannot make it grow without end.
    """

    def __init__(self, limit: int = 8192) -> None:
        self.learned: dict[tuple[int, int], Element] = {}
        self.limit = limit
        #: Grows with each element that is learned or changes: what was compiled before is compiled again.
        self.version = 0

    def element(self, enterprise: int, number: int) -> Element:
        """The element of a field specifier; one that nobody names is called by its numbers, and is octets."""
        key = enterprise, number
        if found := self.learned.get(key) or _table().get(key):
            return replace(found, type=REALLY[key]) if key in REALLY else found
        scope = {0: "iana", REVERSE: "iana@reverse"}.get(enterprise, f"en{enterprise}")
        name = f"id{number}" if enterprise in (0, REVERSE) else f"en{enterprise}id{number}"
        return Element(enterprise, number, name, "octetArray", scope)

    def learn(self, enterprise: object, number: object, kind: object, name: object) -> bool:
        """Takes over what an options record says of an enterprise's element (RFC 5610); false where it is refused.

        IANA's elements are known and stay as they are.
        """
        if not (isinstance(enterprise, int) and isinstance(number, int) and isinstance(kind, int) and isinstance(name, str)):
            return False
        if enterprise in (0, REVERSE) or number & 0x7FFF == 0 or not 0 <= kind < len(TYPES) or not NAME.fullmatch(name):
            return False
        key = enterprise, number & 0x7FFF
        scope = registry.ENTERPRISES.get(enterprise, (f"en{enterprise}", ""))[0]
        element = Element(*key, name, TYPES[kind], scope)
        if self.learned.get(key, _table().get(key)) == element:
            return True
        if key not in self.learned and len(self.learned) >= self.limit:
            return False
        self.learned[key] = element
        self.version += 1
        return True
