"""The files in docs/elements: they are what the program prints, and the programs that they are for can read them."""

import re
import subprocess
import xml.etree.ElementTree as XML

import pytest
from harness import CAPTURES, MARTLET, ROOT, Session, file_messages, free_port, have, nfacctd, number, offline, run
from test_options import TYPES, of_kind, text, write_datagrams

FOLDER = ROOT / "docs/elements"
FILES = {
    "libfds-martlet": "libfds-martlet.xml", "libfds-cesnet": "libfds-cesnet.xml", "libfds-flowmon": "libfds-flowmon.xml",
    "pmacct": "pmacct.lst", "wireshark": "wireshark.lua",
}
OWNERS = {"martlet": 32473, "cesnet": 8057, "flowmon": 39499}
#: The words that libfds knows (src/iemgr/iemgr.cpp).
SEMANTICS = {
    "default", "quantity", "totalCounter", "deltaCounter", "identifier", "flags", "list", "snmpCounter", "snmpGauge"}
UNITS = {
    "none", "bits", "octets", "packets", "flows", "seconds", "milliseconds", "microseconds", "nanoseconds",
    "4-octet words", "messages", "hops", "entries", "frames", "ports", "inferred"}


def printed(name, *options):
    done = subprocess.run([MARTLET, "--print-elements", name, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_the_output(name):
    """martlet --print-elements NAME > docs/elements/FILE brings it up to date."""
    assert (FOLDER / FILES[name]).read_text() == printed(name)


def described(tmp_path):
    """The elements of all plugins, as a stream describes them: (enterprise, number) -> (name, type)."""
    session = Session()
    offline(CAPTURES / "demo.pcap", export=f"ipfix:{tmp_path}/out", options=["--preset", "all"])
    for message in file_messages(tmp_path / "out"):
        session.message(message)
    return {
        (number(record, 346), number(record, 303)): (text(record, 341), TYPES[number(record, 339)])
        for record in of_kind(session, 339)}


def test_libfds_has_what_streams_have(tmp_path):
    """One scope to a file, and words that libfds knows: its parser (src/iemgr) refuses a file with anything else."""
    found = {}
    for owner, enterprise in OWNERS.items():
        root = XML.parse(FOLDER / FILES[f"libfds-{owner}"]).getroot()
        scope, = root.findall("scope")
        assert root.tag == "ipfix-elements" and scope.find("biflow").get("mode") == "none"
        assert (scope.findtext("pen"), scope.findtext("name")) == (str(enterprise), owner)
        names = [element.findtext("name") for element in root.findall("element")]
        assert len(set(names)) == len(names)
        for element in root.findall("element"):
            assert {child.tag for child in element} == {"id", "name", "dataType", "dataSemantics", "units", "status"}
            assert element.findtext("dataSemantics") in SEMANTICS and element.findtext("units") in UNITS
            identifier = int(element.findtext("id"))
            assert 0 < identifier < 32768 and (enterprise, identifier) not in found
            found[enterprise, identifier] = element.findtext("name"), element.findtext("dataType")
    missing = {key: value for key, value in described(tmp_path).items() if found.get(key) != value}
    assert not missing


def test_plugins_and_the_enterprise_number_are_heeded():
    lines = printed("pmacct", "--plugins", "rtt", "--private-enterprise-number", "4711").splitlines()
    names = [line.split("\t")[0] for line in lines if "4711:" in line]
    assert "name=martlet_handshakeserverroundtrip" in names and not any("tls" in line for line in lines)
    assert "<pen>4711</pen>" in printed("libfds-martlet", "--private-enterprise-number", "4711")
    assert run("--print-elements", "netflow").status == 64


@pytest.mark.skipif(not have("nfacctd"), reason="needs pmacct")
def test_nfacctd_reads_all_lines(tmp_path):
    """60 at a time, because it takes no more than 63."""
    lines = [line for line in (FOLDER / "pmacct.lst").read_text().splitlines() if line.startswith("name=")]
    assert len(lines) > 100
    names = [re.match(r"name=(\S+)\t", line)[1] for line in lines]
    assert len(set(names)) == len(names)
    for start in range(0, len(lines), 60):
        file, settings = tmp_path / f"{start}.lst", tmp_path / f"{start}.conf"
        file.write_text("! a comment, as in the file\n" + "\n".join(lines[start:start + 60]) + "\n")
        settings.write_text(
            f"daemonize: false\nplugins: print[a]\nprint_output[a]: csv\nprint_output_file[a]: {tmp_path}/{start}.csv\n"
            f"aggregate_primitives: {file}\n"
            f"aggregate[a]: src_host, {', '.join(names[start:start + 60])}\n"
            f"nfacctd_ip: 127.0.0.1\nnfacctd_port: {free_port()}\n")
        done = subprocess.run(
            ["timeout", "-s", "INT", "3", "nfacctd", "-f", settings], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60)
        said = done.stdout + done.stderr
        assert not re.search(r"WARN|ERROR|nvalid", said), said


@pytest.mark.skipif(not have("nfacctd"), reason="needs pmacct")
def test_nfacctd_shows_values(tmp_path):
    """Names of servers and octets of the reverse direction, which it does not know without the file."""
    lines = (FOLDER / "pmacct.lst").read_text().splitlines()
    wanted = ("cesnet_tlssni", "reverse_octetdeltacount", "martlet_tlsciphersuite")
    file = tmp_path / "some.lst"
    file.write_text("".join(f"{line}\n" for line in lines if line.startswith(tuple(f"name={name}\t" for name in wanted))))
    capture, options = CAPTURES / "demo.pcap", ["--plugins", "tls"]
    records = offline(capture, options=options).records
    rows = nfacctd(
        tmp_path, lambda port: offline(capture, export=f"udp://127.0.0.1:{port}", options=options), ", ".join(wanted),
        sum(record["iana:packetDeltaCount"] for record in records), f"aggregate_primitives: {file}\n")

    def values(key):
        return {str(record[key]) for record in records if record.get(key)}
    assert values("cesnet:TLSSNI") == {row["cesnet_tlssni"] for row in rows} - {"", "0"}
    assert values("martlet:tlsCipherSuite") == {row["martlet_tlsciphersuite"] for row in rows} - {"", "0"}
    reverse = {str(record["iana@reverse:octetDeltaCount"]) for record in records}
    assert {row["reverse_octetdeltacount"] for row in rows} == reverse


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
def test_tshark_shows_values(tmp_path):
    capture, options = CAPTURES / "demo.pcap", ["--plugins", "tls,pstats:time=us,flowstats,rtt,idpcontent"]
    records = offline(capture, options=options).records
    offline(capture, export=f"ipfix:{tmp_path}/out", options=options)
    datagrams = tmp_path / "out.pcap"
    write_datagrams(datagrams, tmp_path / "out")

    def shown(field):
        done = subprocess.run(
            ["tshark", "-n", "-r", datagrams, "-d", "udp.port==4739,cflow", "-X", f"lua_script:{FOLDER / 'wireshark.lua'}",
             "-T", "fields", "-E", "aggregator=;", "-e", field], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "rror" not in done.stderr, done.stderr
        return sorted(value for line in done.stdout.splitlines() for value in line.split(";") if value)

    def values(key, form=str):
        return sorted(form(record[key]) for record in records if record.get(key) not in (None, "", []))
    assert shown("martlet.cesnet.TLSSNI") == values("cesnet:TLSSNI") != []
    assert shown("martlet.martlet.tlsCipherSuite") == sorted(
        str(record["martlet:tlsCipherSuite"]) for record in records if "martlet:tlsCipherSuite" in record)
    assert shown("martlet.cesnet.packetLength") == values(
        "cesnet:packetLength", lambda entries: ",".join(map(str, entries)))
    assert shown("martlet.martlet.handshakeServerRoundTrip") == sorted(
        str(record["martlet:handshakeServerRoundTrip"]) for record in records if "martlet:handshakeServerRoundTrip" in record)
    assert shown("martlet.martlet.packetTimeMicroseconds") == values(
        "martlet:packetTimeMicroseconds", ",".join)
