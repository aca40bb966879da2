"""CESNET's published data sets (CESNET-TLS22, CESNET-QUIC22, CESNET-TLS-Year22), as their columns are called in DataZoo.

Definitions: https://cesnet.github.io/cesnet-datazoo/features/ and .../dataset_metadata/. Their flows were made by ipfixprobe
with pstats (30 packets, skipdup) and phists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from .._columns import Integers, Lists
from ..arrays import HISTOGRAMS, packet_lists
from ._building import Columns, batch, numbers, whole_numbers

if TYPE_CHECKING:
    from .._plugins import Chosen

#: TCP's flags by DataZoo's names, with their bit.
FLAGS = {"CWR": 128, "ECE": 64, "URG": 32, "ACK": 16, "PSH": 8, "RST": 4, "SYN": 2, "FIN": 1}
#: End reasons by DataZoo's names; what is none of them is other.
END_REASONS = {"IDLE": 1, "ACTIVE": 2, "END": 3}


class DataZoo:
    """DataZoo's columns for TLS and QUIC in one table."""

    name = "datazoo"
    plugins: ClassVar[Chosen] = {"pstats": {"skipdup": None}, "phists": {}, "tls": {}, "quic": {}}

    def convert(self, records: pa.RecordBatch) -> pa.RecordBatch:
        from_ = Columns(records)
        start, end = from_.whole("flowStartMicroseconds"), from_.whole("flowEndMicroseconds")
        size, time, flags, direction = packet_lists(records)
        gap = _gaps(time)
        reason = from_.whole("flowEndReason")
        columns: dict[str, pa.Array] = {
            "TIME_FIRST": from_.array("flowStartMicroseconds"),
            "TIME_LAST": from_.array("flowEndMicroseconds"),
            "SRC_IP": from_.address("source"),
            "DST_IP": from_.address("destination"),
            "SRC_PORT": from_.array("sourceTransportPort"),
            "DST_PORT": from_.array("destinationTransportPort"),
            "PROTOCOL": from_.array("protocolIdentifier"),
            "TLS_SNI": from_.text("TLSSNI"),
            "TLS_JA3": from_.text("tlsJa3Fingerprint"),
            "QUIC_VERSION": from_.array("quicVersion"),
            "QUIC_SNI": from_.text("quicSNI"),
            "QUIC_USER_AGENT": from_.text("quicUserAgent"),
            "DURATION": numbers((end - start) / 1e9),
            "BYTES": from_.array("octetDeltaCount"),
            "BYTES_REV": from_.array("reverseOctetDeltaCount"),
            "PACKETS": from_.array("packetDeltaCount"),
            "PACKETS_REV": from_.array("reversePacketDeltaCount"),
            "PPI": _matrices([gap, direction.values, size.values, (flags.values & FLAGS["PSH"]) // FLAGS["PSH"]], size),
            "PPI_LEN": whole_numbers(size.counts, pa.int32()),
            "PPI_DURATION": numbers(np.bincount(time.rows, gap, minlength=from_.rows) / 1000),
            "PPI_ROUNDTRIPS": whole_numbers(_roundtrips(direction), pa.int32()),
        }
        for name, column in HISTOGRAMS.items():
            columns[name] = from_.array(column)
        for name, number in END_REASONS.items():
            columns[f"FLOW_ENDREASON_{name}"] = pa.array(reason == number)
        columns["FLOW_ENDREASON_OTHER"] = pa.array(~np.isin(reason, list(END_REASONS.values())))
        for suffix, column in (("", "tcpControlBits"), ("_REV", "reverseTcpControlBits")):
            bits = from_.whole(column)
            for flag, bit in FLAGS.items():
                columns[f"FLAG_{flag}{suffix}"] = pa.array((bits & bit) != 0)
        return batch(columns)


def _gaps(time: Lists) -> Integers:
    """Whole milliseconds between times that are whole milliseconds, as ipfixprobe exports them; 0 for the first packet."""
    milliseconds = time.values // 1_000_000
    return np.where(time.places > 0, np.diff(milliseconds, prepend=milliseconds[:1]), 0)


def _roundtrips(direction: Lists) -> Integers:
    """Pairs of a request and its response: each second change of direction ends one, and one that was begun counts."""
    changed = (direction.places > 0) & (np.diff(direction.values, prepend=direction.values[:1]) != 0)
    changes = np.bincount(direction.rows[changed], minlength=len(direction.counts))
    return (changes + 1) // 2


def _matrices(rows: list[Integers], shape: Lists) -> pa.Array:
    """For each flow a list of lists: one of ``rows`` each, as long as the flow's list."""
    height = len(rows)
    count = len(shape.counts)
    # Element j of row k of flow i lies behind all of the flows before, and the k rows before.
    places = shape.starts[shape.rows] * height + shape.places if count else shape.places
    values = np.empty(len(shape.rows) * height, np.int32)
    for number, row in enumerate(rows):
        values[places + number * shape.counts[shape.rows]] = row
    inner = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.repeat(shape.counts, height))]).astype(np.int32)
    outer = np.arange(0, height * count + 1, height, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(outer), pa.ListArray.from_arrays(pa.array(inner), pa.array(values)))


