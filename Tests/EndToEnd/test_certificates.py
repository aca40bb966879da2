"""The certificates that `tls:certificates` tells of are those that tshark finds, and say what openssl says of them."""

import hashlib
import re
import shutil
import subprocess
from datetime import datetime

import pytest

from harness import captures, offline

needs_tools = pytest.mark.skipif(
    not shutil.which("tshark") or not shutil.which("openssl"), reason="needs tshark and openssl")

#: TLS inside of something that Martlet leaves closed: 6in4, OpenVPN.
INSIDE = {"6in4tunnel.pcap", "openvpn.pcap", "openvpn_nohmac_tcp.pcapng"}


def chains(path):
    """By both ports the certificates of the first Certificate message of a TCP connection, from tshark."""
    fields = ["tcp.srcport", "tcp.dstport", "tls.handshake.certificate"]
    columns = [word for field in fields for word in ("-e", field)]
    lines = subprocess.run(
        ["tshark", "-r", path, "-Y", "tls.handshake.certificate && tcp", "-T", "fields", *columns],
        capture_output=True, text=True, timeout=120).stdout.splitlines()
    found = {}
    for source, destination, certificates in (line.split("\t") for line in lines):
        found.setdefault(frozenset((int(source), int(destination))), [bytes.fromhex(c) for c in certificates.split(",")])
    return found


def facts(certificate):
    """What openssl says: subject and issuer, serial number, validity, key."""
    text = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-issuer", "-serial", "-dates", "-text",
         "-nameopt", "multiline,utf8"], input=certificate, capture_output=True, timeout=20).stdout.decode()

    def name(part):
        names = re.findall(r"^ +commonName += (.*)$", re.search(rf"^{part}=\n((?: .*\n)*)", text, re.M)[1], re.M)
        return names[-1] if names else ""

    def date(part):
        when = re.search(rf"^{part}=(.*) GMT$", text, re.M)[1]
        return datetime.strptime(when, "%b %d %H:%M:%S %Y").strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    kind = re.search(r"Public Key Algorithm: (\S+)", text)[1]
    bits = re.search(r"Public-Key: \((\d+) bit\)", text)
    return {
        "Subject": name("subject"), "Issuer": name("issuer"),
        "SerialNumber": int(re.search(r"^serial=(\w+)$", text, re.M)[1], 16),
        "NotBefore": date("notBefore"), "NotAfter": date("notAfter"),
        "KeyType": {"rsaEncryption": "RSA", "id-ecPublicKey": "EC", "ED25519": "Ed25519"}[kind],
        "KeyBits": int(bits[1]) if bits else 256,
    }


@needs_tools
def test_certificates_are_those_that_tshark_and_openssl_see():
    compared = 0
    for path in captures():
        # A record of TLS's handshake begins so (RFC 5246 section 6.2.1); tshark is asked about captures that may have one.
        if path.name in INSIDE or b"\x16\x03" not in path.read_bytes():
            continue
        expected = chains(path)
        if not expected:
            continue
        result = offline(path, options=["--plugins", "tls:certificates"])
        records = {
            frozenset((r["iana:sourceTransportPort"], r["iana:destinationTransportPort"])): r
            for r in result.records if r.get("martlet:tlsCertificateChainLength")}
        # A leaf is known even if the chain behind it was not captured; tshark wants the whole message.
        assert set(expected) <= set(records), path
        for ports, chain in expected.items():
            field = {key.removeprefix("martlet:tlsCertificate"): value for key, value in records[ports].items()}
            assert field["Sha256"] == "0x" + hashlib.sha256(chain[0]).hexdigest(), (path, ports)
            assert field["ChainLength"] == len(chain), (path, ports)
            field["SerialNumber"] = int(field["SerialNumber"], 16)
            wanted = facts(chain[0])
            assert {key: field[key] for key in wanted} == wanted, (path, ports)
            compared += 1
    assert compared >= 6
