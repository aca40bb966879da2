"""--print-schema: what it declares is what the records of every capture have, in each of its languages."""
import ipaddress
import json
import re
from datetime import datetime
from decimal import Decimal

import pytest

from harness import CAPTURES, offline, run

#: The options that change which fields there are.
OPTIONS = {"basic": [], "all": ["--plugins", "all"], "uniflow": ["--plugins", "all", "--uniflow"]}
FILES = sorted(CAPTURES.glob("*.pcap"))
COLUMN = re.compile(r"^  `(?P<name>[^`]+)` (?P<type>.+?)(?: COMMENT '[^']*')?,?$", re.M)


def schema(language, options, *more):
    result = run("--print-schema", language, *options, *more)
    assert result.status == 0 and result.err == b"", result.err
    return result.out.decode()


@pytest.fixture(scope="module", params=OPTIONS)
def sample(request):
    """The options, and the records of all captures with them."""
    options = OPTIONS[request.param]
    records = [record for file in FILES for record in offline(file, options=options).records]
    assert len(records) > 1000
    return options, records


def test_records_are_valid(sample):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema (Tests/requirements.txt)")
    options, records = sample
    text = json.loads(schema("json-schema", options))
    jsonschema.Draft202012Validator.check_schema(text)
    validator = jsonschema.Draft202012Validator(text, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    for record in records:
        assert not (errors := list(validator.iter_errors(record))), (errors[0].message, record)
    # The schema says no more than there is: with all plugins most keys occur in the captures.
    seen = {key for record in records for key in record}
    assert len(seen & text["properties"].keys()) > 0.7 * len(text["properties"])
    for change in ({"iana:ipVersion": 256}, {"iana:flowEndReason": "3"}, {"nonsense": 1}, {"iana:flowStartMicroseconds": "now"}):
        assert not validator.is_valid({**records[0], **change}), change
    assert not validator.is_valid({key: value for key, value in records[0].items() if key != "iana:octetDeltaCount"})


def fits(kind, value):
    """Whether ClickHouse's JSONEachRow reads a value into a column of this type, by its documentation."""
    if match := re.fullmatch(r"Nullable\((.*)\)", kind):
        return value is None or fits(match[1], value)
    if match := re.fullmatch(r"Array\((.*)\)", kind):
        return isinstance(value, list) and all(fits(match[1], entry) for entry in value)
    if match := re.fullmatch(r"(U?)Int(8|16|32|64)", kind):
        bits = int(match[2])
        least, most = (0, 2 ** bits) if match[1] else (-2 ** (bits - 1), 2 ** (bits - 1))
        return type(value) is int and least <= value < most
    if kind == "Float32":
        return type(value) in (int, float)
    if kind == "DateTime64(6, 'UTC')":
        return bool(datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ"))
    if kind in ("IPv4", "IPv6"):
        return f"IPv{ipaddress.ip_address(value).version}" == kind
    return kind == "String" and isinstance(value, str)


def test_clickhouse_has_a_column_for_each_value(sample):
    options, records = sample
    statements = [text for text in schema("clickhouse", options).split(";") if text.strip()]
    assert [re.search(r"CREATE (.*?) IF NOT EXISTS (\S+)", text).groups() for text in statements] == [
        ("TABLE", "`flows`"), ("TABLE", "`flows_queue`"), ("MATERIALIZED VIEW", "`flows_consumer`")]
    table, queue = (dict(COLUMN.findall(text)) for text in statements[:2])
    assert table == queue and len(table) == len(COLUMN.findall(statements[0])) >= 20
    assert "`flows_queue`" in statements[2] and "TO `flows`" in statements[2]
    for record in records:
        assert record.keys() <= table.keys()
        for name, kind in table.items():
            if name in record:
                assert fits(kind, record[name]), (name, kind, record[name])
            else:
                assert kind.startswith(("Nullable(", "Array(")), (name, kind)


def test_clickhouse_itself_takes_it(sample, tmp_path):
    """Without the table of the Kafka engine, which ClickHouse as a library does not have."""
    session = pytest.importorskip("chdb.session", reason="chdb, ClickHouse as a library, is not installed (half a gigabyte)")
    options, records = sample
    rows = tmp_path / "rows.json"
    rows.write_text("".join(json.dumps(record) + "\n" for record in records))
    database = session.Session(str(tmp_path / "database"))
    try:
        database.query("CREATE DATABASE test")
        database.query("USE test")
        database.query(re.sub(r"(?m)^--.*$", "", schema("clickhouse", options)).split(";")[0])
        database.query(
            f"INSERT INTO flows SELECT * FROM file('{rows}', 'JSONEachRow') "
            "SETTINGS date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 0")
        found = database.query("SELECT count(), sum(`iana:octetDeltaCount`) FROM flows", "JSONCompactEachRow")
        assert [int(number) for number in json.loads(str(found))] == [
            len(records), sum(record["iana:octetDeltaCount"] for record in records)]
    finally:
        database.close()


#: How Spark's types read JSON.
SPARK = {
    "byte": range(-2 ** 7, 2 ** 7), "short": range(-2 ** 15, 2 ** 15), "integer": range(-2 ** 31, 2 ** 31),
    "long": range(-2 ** 63, 2 ** 63)}


def spark_reads(kind, value):
    if isinstance(kind, dict):
        assert kind["type"] == "array"
        return isinstance(value, list) and all(spark_reads(kind["elementType"], entry) for entry in value)
    if kind in SPARK:
        return type(value) is int and value in SPARK[kind]
    if kind == "decimal(20,0)":
        return type(value) is int and abs(Decimal(value)) < 10 ** 20
    if kind == "float":
        return value is None or type(value) in (int, float)
    if kind == "timestamp":
        return bool(datetime.fromisoformat(value.replace("Z", "+00:00")))
    return kind == "string" and isinstance(value, str)


def test_sparks_struct_has_a_field_for_each_value(sample):
    options, records = sample
    struct = json.loads(schema("spark", options))
    fields = {field["name"]: field for field in struct["fields"]}
    assert struct["type"] == "struct" and len(fields) == len(struct["fields"]) >= 20
    assert fields["iana:octetDeltaCount"]["metadata"]["comment"].startswith("octets, ")
    for record in records:
        assert record.keys() <= fields.keys()
        for name, field in fields.items():
            assert spark_reads(field["type"], record[name]) if name in record else field["nullable"], (name, record)


def test_names_come_from_the_export():
    text = schema("clickhouse", [], "--export", "kafka://one,[2001:db8::1]:9093/edge-1?sasl.password=secret")
    assert "kafka_broker_list = 'one:9092,[2001:db8::1]:9093'" in text and "kafka_topic_list = 'edge-1'" in text
    assert "CREATE TABLE IF NOT EXISTS `edge-1`" in text and "secret" not in text


@pytest.mark.parametrize("arguments,words", [
    (["avro"], "clickhouse"), (["spark", "--plugins", "nonsense"], "nonsense"), (["spark", "--export", "kafka://a"], "topic")])
def test_a_wrong_question_is_a_usage_error(arguments, words):
    result = run("--print-schema", *arguments)
    assert result.status == 64 and len(result.err.splitlines()) == 1 and words in result.err.decode()
