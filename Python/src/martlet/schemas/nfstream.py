"""nfstream's columns and units (NFStreamer with statistical_analysis, splt_analysis and accounting_mode=1: IP octets).

Definitions: https://www.nfstream.org/docs/api#nflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._columns import Booleans, Integers
from ..arrays import gaps, packet_lists
from ._building import Columns, batch, fixed_lists, numbers, whole_numbers

if TYPE_CHECKING:
    from .._plugins import Chosen

#: Packets in the splt columns.
SPLT_LENGTH = 30
#: nfstream's names of flags, with those of plugin flowstats.
FLAGS = {"syn": "Syn", "cwr": "Cwr", "ece": "Ece", "urg": "Urg", "ack": "Ack", "psh": "Psh", "rst": "Rst", "fin": "Fin"}
#: nfstream's names of directions, with what stands before flowstats' names, and whether the rest begins with a capital.
DIRECTIONS = {"bidirectional": "biflow", "src2dst": "", "dst2src": "reverse"}
MILLISECOND = 1_000_000


def _name(prefix: str, rest: str) -> str:
    return prefix + rest[0].upper() + rest[1:] if prefix else rest


class NFStream:
    """nfstream's columns, but those that only nDPI or the system can fill."""

    name = "nfstream"
    plugins: ClassVar[Chosen] = {
        "flowstats": {}, "pstats": {"includezeroes": None, "packets": str(SPLT_LENGTH), "time": "us"},
        "vlan": {}, "tls": {}, "quic": {},
    }

    def convert(self, records: pa.RecordBatch) -> pa.RecordBatch:
        from_ = Columns(records)
        forward, reverse = from_.whole("packetDeltaCount"), from_.whole("reversePacketDeltaCount")
        octets, reverse_octets = from_.whole("octetDeltaCount"), from_.whole("reverseOctetDeltaCount")
        columns: dict[str, pa.Array] = {
            "expiration_id": whole_numbers((from_.whole("flowEndReason") == 2).astype(np.int64)),
            "src_ip": from_.address("source"),
            "src_mac": from_.text("sourceMacAddress"),
            "src_oui": pc.utf8_slice_codeunits(from_.text("sourceMacAddress"), 0, 8),
            "src_port": whole_numbers(from_.whole("sourceTransportPort")),
            "dst_ip": from_.address("destination"),
            "dst_mac": from_.text("destinationMacAddress"),
            "dst_oui": pc.utf8_slice_codeunits(from_.text("destinationMacAddress"), 0, 8),
            "dst_port": whole_numbers(from_.whole("destinationTransportPort")),
            "protocol": whole_numbers(from_.whole("protocolIdentifier")),
            "ip_version": whole_numbers(from_.whole("ipVersion")),
            "vlan_id": whole_numbers(from_.whole("vlanId")),
        }
        start, end = from_.whole("flowStartMicroseconds"), from_.whole("flowEndMicroseconds")
        size, time, _, direction = packet_lists(records)
        _seen(columns, "bidirectional", start, end, None)
        columns["bidirectional_packets"] = whole_numbers(forward + reverse)
        columns["bidirectional_bytes"] = whole_numbers(octets + reverse_octets)
        ends = start + _span(from_, "", forward)
        _seen(columns, "src2dst", start, ends, forward > 0)
        columns["src2dst_packets"] = whole_numbers(forward)
        columns["src2dst_bytes"] = whole_numbers(octets)
        first, known = _first(time.rows, time.values, direction.values < 0, from_.rows)
        # Where the destination's first packet is not among those that were noted only how long it sent is known.
        span = _span(from_, "reverse", reverse)
        _seen(columns, "dst2src", first, first + span, known & (reverse > 0))
        columns["dst2src_duration_ms"] = whole_numbers(span // MILLISECOND)
        columns["dst2src_packets"] = whole_numbers(reverse)
        columns["dst2src_bytes"] = whole_numbers(reverse_octets)
        self._statistics(columns, from_)
        kept = direction.places < SPLT_LENGTH
        for name, values in (
            ("splt_direction", (direction.values < 0).astype(np.int64)), ("splt_ps", size.values),
            ("splt_piat_ms", gaps(time) / MILLISECOND),
        ):
            padded = np.full((from_.rows, SPLT_LENGTH), -1, values.dtype)
            padded[direction.rows[kept], direction.places[kept]] = values[kept]
            columns[name] = fixed_lists(padded)
        columns["requested_server_name"] = from_.text("TLSSNI", "quicSNI", "httpHost")
        columns["client_fingerprint"] = from_.text("tlsJa4", "quicJa4")
        columns["server_fingerprint"] = from_.text("tlsJa3sFingerprint")
        columns["user_agent"] = from_.text("httpUserAgent", "quicUserAgent")
        columns["content_type"] = from_.text("httpContentType")
        return batch(columns)

    def _statistics(self, columns: dict[str, pa.Array], from_: Columns) -> None:
        for name, prefix in DIRECTIONS.items():
            for part, word in (("min", "minimum"), ("mean", "mean"), ("stddev", "deviation"), ("max", "maximum")):
                column = _name(prefix, f"{word}IpTotalLength")
                exact = part in ("min", "max")
                columns[f"{name}_{part}_ps"] = (
                    whole_numbers(from_.whole(column)) if exact else numbers(from_.number(column)))
        for name, prefix in DIRECTIONS.items():
            for part, word in (("min", "minimum"), ("mean", "mean"), ("stddev", "deviation"), ("max", "maximum")):
                columns[f"{name}_{part}_piat_ms"] = numbers(from_.number(_name(prefix, f"{word}PacketGap")) / 1000)
        for name, prefix in DIRECTIONS.items():
            for flag, word in FLAGS.items():
                columns[f"{name}_{flag}_packets"] = whole_numbers(from_.whole(_name(prefix, f"tcp{word}TotalCount")))


def _span(from_: Columns, prefix: str, packets: Integers) -> Integers:
    """Nanoseconds between a direction's first packet and its last: all gaps together."""
    microseconds = np.rint(from_.number(_name(prefix, "meanPacketGap")) * np.maximum(packets - 1, 0))
    return microseconds.astype(np.int64) * 1000


def _first(rows: Integers, times: Integers, chosen: Booleans, count: int) -> tuple[Integers, Booleans]:
    """For each row the time of its first chosen element, and whether there is one."""
    first, known = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    # The last assignment stands: from the end, so that the first element is it.
    first[rows[chosen][::-1]] = times[chosen][::-1]
    known[rows[chosen]] = True
    return first, known


def _seen(columns: dict[str, pa.Array], name: str, first: Integers, last: Integers, there: Booleans | None) -> None:
    """The three columns of a direction's times; first and last are missing where ``there`` is false."""
    begin, end = first // MILLISECOND, last // MILLISECOND
    columns[f"{name}_first_seen_ms"] = whole_numbers(begin, there=there)
    columns[f"{name}_last_seen_ms"] = whole_numbers(end, there=there)
    columns[f"{name}_duration_ms"] = whole_numbers(end - begin)
