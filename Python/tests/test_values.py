"""Every column of every plugin equals the value that the binary writes as JSON, over every capture that ships."""

import datetime
import ipaddress
import warnings

import pyarrow as pa
import pytest

import martlet
from conftest import CAPTURES, capture_files, json_records

#: Those of plugins without what asks the host, which is none of a capture's, and what wants a model.
ALL = [name for name in martlet.plugins() if name not in ("", "osquery", "model")]
#: pstats' other unit of time, certificates, and tunnels are options of their own.
VARIANTS = {
    "every plugin": ([("--plugins", ",".join(ALL))], {"plugins": ALL}),
    "options": (
        [("--plugin", "pstats:includezeroes,packets=255,time=us"), ("--plugin", "tls:certificates"),
         ("--plugin", "mqtt:topiccount=5"), ("--plugin", "idpcontent:length=300"), ("--plugin", "dns:anyport"),
         ("--tunnels", "all")],
        {"plugins": {"pstats": {"includezeroes": True, "packets": 255, "time": "us"}, "tls": {"certificates": True},
                     "mqtt": {"topiccount": 5}, "idpcontent": {"length": 300}, "dns": {"anyport": True}}, "tunnels": "all"}),
    "one direction, short timeouts": (
        [("--uniflow",), ("--active-timeout", "2"), ("--inactive-timeout", "0.5"), ("--preset", "ml")],
        {"uniflow": True, "active_timeout": 2, "inactive_timeout": 0.5, "preset": "ml"}),
}


def nanoseconds(text):
    """The JSON time as nanoseconds since 1970, digit by digit: no float can hold them."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(seconds=1) * 10**9 + int(
        fraction.ljust(9, "0"))


def expected(value, kind):
    """A JSON value as the column's type has it."""
    if value is None:
        return None
    if pa.types.is_dictionary(kind):
        return expected(value, kind.value_type)
    if pa.types.is_list(kind):
        return [expected(one, kind.value_type) for one in value]
    if pa.types.is_timestamp(kind):
        return nanoseconds(value)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return bytes.fromhex(value.removeprefix("0x"))
    if pa.types.is_float32(kind):
        # JSON has the shortest digits that give the same single-precision number.
        return pa.scalar(value, pa.float32()).as_py()
    return value


def shown(array):
    """A column's values; times as nanoseconds, cut to the microseconds that JSON has."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return [None if value is None else value // 1000 * 1000 for value in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        lists = array.cast(pa.list_(pa.int64())).to_pylist()
        return [None if values is None else [value // 1000 * 1000 for value in values] for values in lists]
    return array.to_pylist()


#: Octet arrays that CSV has as plain hexadecimal, so that they are text here, too.
HEXADECIMAL = {"flowmon:tlsJa3Fingerprint", "martlet:tlsJa3sFingerprint", "martlet:sshHassh", "martlet:sshHasshServer"}


#: The captures with which the other variants are always tried; with --long they are tried with all.
CHOSEN = ("demo.pcap", "tls12.pcap", "mqtt.pcap", "vxlan.pcap", "nano.pcap", "truncated-in-packet.pcap")


def cases():
    for path in capture_files():
        for number, variant in enumerate(VARIANTS):
            marks = [pytest.mark.long] if number and path.name not in CHOSEN else []
            yield pytest.param(path, variant, id=f"{path.name}, {variant}", marks=marks)


@pytest.mark.parametrize(("capture", "variant"), list(cases()))
def test_columns_are_the_json_values(capture, variant):
    options, named = VARIANTS[variant]
    records = json_records(capture, *[word for option in options for word in option])
    with warnings.catch_warnings():
        # The malformed ones are warned of; test_flows.py looks at that.
        warnings.simplefilter("ignore", martlet.MartletWarning)
        try:
            table = martlet.flows(capture, **named).to_arrow()
        except martlet.MartletError as error:
            # What cannot be read at all is an error where it is alone; the binary has no record of it either.
            assert error.status == 2 and records == []
            return
    assert table.num_rows == len(records)
    assert set(table.column("source_file").to_pylist()) <= {str(capture)}
    compared = {}
    for field in table.schema:
        if field.name in ("source_file", "duration"):
            continue
        # Two plugins may have the same element: JSON has the value of the one that has any.
        compared.setdefault(field.metadata[b"element"].decode(), []).append(field)
    assert {key for record in records for key in record} <= set(compared), "every key is a column"
    for element, fields in compared.items():
        kind = fields[0].type
        columns = [shown(table.column(table.schema.get_field_index(field.name)).combine_chunks()) for field in fields]
        for row, record in enumerate(records):
            wanted = record.get(element)
            if element in HEXADECIMAL and isinstance(wanted, str):
                wanted = wanted.removeprefix("0x")
            found = [column[row] for column in columns if column[row] is not None]
            assert found in ([expected(wanted, kind)], [] if wanted is None else None), f"{element} of record {row}"
    for record, duration in zip(records, table.column("duration").to_pylist()):
        span = nanoseconds(record["iana:flowEndMicroseconds"]) - nanoseconds(record["iana:flowStartMicroseconds"])
        assert duration == pytest.approx(span / 1e9, abs=1e-6)


def test_full_names_are_those_of_json():
    table = martlet.flows(CAPTURES / "tls13.pcap", plugins="pstats,tls", names="full").to_arrow()
    (first, *_) = json_records(CAPTURES / "tls13.pcap", "--plugins", "pstats,tls")
    assert set(first) <= set(table.schema.names)


def test_binary_addresses():
    table = martlet.flows([CAPTURES / "ipv6.pcap", CAPTURES / "dns.pcap"], addresses="binary", threads=1).to_arrow()
    text = martlet.flows([CAPTURES / "ipv6.pcap", CAPTURES / "dns.pcap"], threads=1).to_arrow()
    for name in ("sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address"):
        packed = [None if value is None else str(ipaddress.ip_address(value)) for value in table.column(name).to_pylist()]
        assert packed == text.column(name).to_pylist()


def test_plugins_have_the_types_of_the_columns():
    """What plugins() says is what flows() gives, for every field."""
    table = martlet.flows(CAPTURES / "dns.pcap", plugins=[*ALL, "pstats:time=us", "tls:certificates"]).to_arrow()
    declared = {}
    # Two plugins may have the same element.
    for plugin in martlet.plugins().values():
        for field in plugin.fields:
            declared.setdefault(field.element, set()).add(field.type)
    for field in table.schema:
        if field.name in ("source_file", "duration"):
            continue
        words = str(field.type).replace("item: ", "").replace(" not null", "")
        assert words in declared[field.metadata[b"element"].decode()], field.name
