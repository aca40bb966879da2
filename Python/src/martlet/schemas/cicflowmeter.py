"""CICFlowMeter's columns, as far as records have what they need.

Definitions: CICFlowMeter's ReadMe.txt; names as in the heads of its CSV files. Lengths are those of payloads, times are
microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .._columns import Booleans, Floats, Integers, Lists, statistics
from ..arrays import packet_lists
from ._building import Columns, batch, numbers, whole_numbers

if TYPE_CHECKING:
    from .._plugins import Chosen

#: Packets that plugin pstats notes, the most it can: a flow with more has no columns about payloads.
PACKETS = 255
#: Microseconds without a packet after which a flow was idle, and after which a subflow begins.
IDLE = 5_000_000
SUBFLOW = 1_000_000
FLAGS = {"FIN": "Fin", "SYN": "Syn", "RST": "Rst", "PSH": "Psh", "ACK": "Ack", "URG": "Urg", "CWR": "Cwr", "ECE": "Ece"}


class CICFlowMeter:
    """CICFlowMeter's columns without those of headers, of bulks, and the label."""

    name = "cicflowmeter"
    plugins: ClassVar[Chosen] = {
        "flowstats": {}, "basicplus": {}, "pstats": {"includezeroes": None, "packets": str(PACKETS), "time": "us"},
    }

    def convert(self, records: pa.RecordBatch) -> pa.RecordBatch:
        from_ = Columns(records)
        forward, backward = from_.whole("packetDeltaCount"), from_.whole("reversePacketDeltaCount")
        start, end = from_.whole("flowStartMicroseconds") // 1000, from_.whole("flowEndMicroseconds") // 1000
        duration = end - start
        columns = _who(from_)
        columns["Flow Duration"] = whole_numbers(duration)
        columns["Total Fwd Packet"] = whole_numbers(forward)
        columns["Total Bwd packets"] = whole_numbers(backward)
        size, time, _, direction = packet_lists(records)
        whole = size.counts == forward + backward
        count = from_.rows
        ways = {
            "Fwd": statistics(size.rows[direction.values > 0], size.values[direction.values > 0], count),
            "Bwd": statistics(size.rows[direction.values < 0], size.values[direction.values < 0], count),
        }
        for way, found in ways.items():
            columns[f"Total Length of {way} Packet"] = numbers(found.total, whole)
        for way, found in ways.items():
            _four(columns, f"{way} Packet Length", (found.maximum, found.minimum, found.mean, found.deviation), whole)
        both = statistics(size.rows, size.values, count)
        some = duration > 0
        columns["Flow Bytes/s"] = numbers(_per_second(both.total, duration), whole & some)
        columns["Flow Packets/s"] = numbers(_per_second(forward + backward, duration), some)
        _gap_columns(columns, from_, forward, backward)
        for flag in ("Psh", "Urg"):
            for way, column in (("Fwd", f"tcp{flag}TotalCount"), ("Bwd", f"reverseTcp{flag}TotalCount")):
                columns[f"{way} {flag.upper()} Flags"] = whole_numbers(from_.whole(column))
        columns["Fwd Packets/s"] = numbers(_per_second(forward, duration))
        columns["Bwd Packets/s"] = numbers(_per_second(backward, duration))
        columns["Packet Length Min"] = numbers(both.minimum, whole)
        columns["Packet Length Max"] = numbers(both.maximum, whole)
        columns["Packet Length Mean"] = numbers(both.mean, whole)
        columns["Packet Length Std"] = numbers(both.deviation, whole)
        columns["Packet Length Variance"] = numbers(both.deviation**2, whole)
        for name, flag in FLAGS.items():
            columns[f"{name} Flag Count"] = whole_numbers(from_.whole(f"biflowTcp{flag}TotalCount"))
        columns["Down/Up Ratio"] = numbers(_ratio(backward, forward))
        columns["Average Packet Size"] = numbers(both.mean, whole)
        columns["Fwd Segment Size Avg"] = numbers(ways["Fwd"].mean, whole)
        columns["Bwd Segment Size Avg"] = numbers(ways["Bwd"].mean, whole)
        microseconds = time.values // 1000
        gap = np.where(time.places > 0, np.diff(microseconds, prepend=microseconds[:1]), 0)
        subflows = 1 + np.bincount(time.rows[gap > SUBFLOW], minlength=count)
        for way, packets in (("Fwd", forward), ("Bwd", backward)):
            columns[f"Subflow {way} Packets"] = numbers(packets / subflows, whole)
            columns[f"Subflow {way} Bytes"] = numbers(ways[way].total / subflows, whole)
        for way, column in (("FWD", "tcpWindowSize"), ("Bwd", "reverseTcpWindowSize")):
            columns[f"{way} Init Win Bytes"] = whole_numbers(from_.whole(column))
        data = (direction.values > 0) & (size.values > 0)
        columns["Fwd Act Data Pkts"] = whole_numbers(np.bincount(size.rows[data], minlength=count), there=whole)
        _activity(columns, time, microseconds, gap, whole)
        return batch(columns)


def _who(from_: Columns) -> dict[str, pa.Array]:
    source, destination = from_.address("source"), from_.address("destination")
    ports = [from_.array(f"{side}TransportPort").cast(pa.string()) for side in ("source", "destination")]
    protocol = from_.array("protocolIdentifier")
    return {
        "Flow ID": pc.binary_join_element_wise(source, destination, *ports, protocol.cast(pa.string()), "-"),
        "Src IP": source,
        "Src Port": from_.array("sourceTransportPort"),
        "Dst IP": destination,
        "Dst Port": from_.array("destinationTransportPort"),
        "Protocol": protocol,
        "Timestamp": from_.array("flowStartMicroseconds"),
    }


def _gap_columns(columns: dict[str, pa.Array], from_: Columns, forward: Integers, backward: Integers) -> None:
    """Times between packets, of plugin flowstats, so for flows of any length."""
    words = ("mean", "deviation", "maximum", "minimum")
    for word, shown in zip(words, ("Mean", "Std", "Max", "Min")):
        columns[f"Flow IAT {shown}"] = numbers(from_.number(f"biflow{word.capitalize()}PacketGap"))
    for way, prefix, packets in (("Fwd", "", forward), ("Bwd", "reverse", backward)):
        found = [
            from_.number(f"{prefix}{word.capitalize()}PacketGap" if prefix else f"{word}PacketGap") for word in words]
        columns[f"{way} IAT Total"] = numbers(np.rint(found[0] * np.maximum(packets - 1, 0)))
        for values, shown in zip(found, ("Mean", "Std", "Max", "Min")):
            columns[f"{way} IAT {shown}"] = numbers(values)


def _activity(columns: dict[str, pa.Array], time: Lists, microseconds: Integers, gap: Integers, whole: Booleans) -> None:
    """How long flows were active before they were idle, and idle before they were active."""
    count = len(time.counts)
    idle = gap > IDLE
    # Where the activity began that a packet belongs to: the latest start at or before it.
    begins = (time.places == 0) | idle
    begun = np.maximum.accumulate(np.where(begins, np.arange(len(gap)), 0)) if len(gap) else np.zeros(0, np.int64)
    last = np.flatnonzero(idle) - 1
    active = microseconds[last] - microseconds[begun[last]]
    some = active > 0
    for name, found in (
        ("Active", statistics(time.rows[last][some], active[some], count)),
        ("Idle", statistics(time.rows[idle], gap[idle], count)),
    ):
        for shown, values in zip(
            ("Mean", "Std", "Max", "Min"), (found.mean, found.deviation, found.maximum, found.minimum)
        ):
            columns[f"{name} {shown}"] = numbers(values, whole)


def _four(
    columns: dict[str, pa.Array], name: str, values: tuple[Floats, Floats, Floats, Floats], there: Booleans
) -> None:
    for shown, one in zip(("Max", "Min", "Mean", "Std"), values):
        columns[f"{name} {shown}"] = numbers(one, there)


def _ratio(above: npt.NDArray[Any], below: Integers) -> Floats:
    made: Floats = np.zeros(len(below))
    np.divide(above, below, out=made, where=below != 0)
    return made


def _per_second(amount: npt.NDArray[Any], duration: Integers) -> Floats:
    return _ratio(amount * 1e6, duration)
