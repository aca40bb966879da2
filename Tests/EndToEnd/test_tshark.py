"""Martlet's fields of application protocols are tshark's, over every capture at hand; `compare_tshark.py` says how."""

import struct

import pytest
from compare_tshark import available, compare_all, name_of, table
from harness import CAPTURES, CORPUS, captures, have, read_pcap, write_pcap
from tshark_differences import REASONS
from tshark_models import MODELS

pytestmark = [pytest.mark.skipif(not have("tshark"), reason="needs tshark"),
              pytest.mark.skipif(CORPUS is None, reason="needs ../shared/corpus")]

#: Fields that tshark finds in the corpus and in Tests/Captures, a little rounded down: so many are compared at least.
LEAST = {"tls": 1400, "quic": 440, "dns": 5300, "http": 1000, "sip": 1800, "smtp": 100, "mqtt": 130, "rtsp": 180, "ntp": 720,
         "ssh": 24}


#: Lists of algorithms of OpenSSH 9.2 and of Dropbear, and lists beyond every limit.
ALGORITHMS = [
    ("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", [
        "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
        "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,ext-info-c",
        "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256",
        "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
        "aes256-ctr",
        "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com", "hmac-sha1", "none,zlib@openssh.com,zlib", "none"]),
    ("SSH-2.0-dropbear_2022.83", [
        "curve25519-sha256,kexguess2@matt.ucc.asn.au", "ssh-ed25519,ecdsa-sha2-nistp256", "aes128-ctr",
        "chacha20-poly1305@openssh.com",
        "hmac-sha1", "hmac-sha2-256", "zlib@openssh.com,none", "none"]),
    ("SSH-2.0-x y z", [",".join(f"name-{number:03}" for number in range(50))] * 8),
]


def ssh_capture(path):
    """Connections of SSH: each side says what it is in a segment, and what it can do in segments of 100 bytes."""
    frames = []

    def send(port, is_client, sequence, flags, payload=b""):
        ends = [(b"\x0a\0\0\x01", port), (b"\x0a\0\0\x02", 22)]
        (source, from_port), (destination, to_port) = ends if is_client else reversed(ends)
        numbers = sequence[is_client], sequence[not is_client]
        tcp = struct.pack("!HHIIBBHHH", from_port, to_port, *numbers, 0x50, flags, 65535, 0, 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, source, destination)
        data = bytes(12) + b"\x08\0" + ip + tcp + payload
        frames.append(((1700000000, 1000 * len(frames)), len(data), data))
        sequence[is_client] += len(payload) + (flags & 2 != 0)

    for number, (client, server) in enumerate(zip(ALGORITHMS, ALGORITHMS[1:] + ALGORITHMS[:1])):
        sequence, port = {True: 1000, False: 5000}, 40000 + number
        for is_client, flags in ((True, 2), (False, 0x12), (True, 0x10)):
            send(port, is_client, sequence, flags)
        for is_client, text in ((False, server[0]), (True, client[0])):
            send(port, is_client, sequence, 0x18, text.encode() + b"\r\n")
        for is_client, (_, lists) in ((True, client), (False, server)):
            message = b"\x14" + bytes(range(16)) + b"".join(struct.pack("!I", len(names)) + names.encode() for names in lists)
            message += bytes(13)
            padding = 4 + -(len(message) + 9) % 8
            packet = struct.pack("!IB", len(message) + padding + 1, padding) + message + bytes(padding)
            for start in range(0, len(packet), 100):
                send(port, is_client, sequence, 0x18, packet[start:start + 100])
    write_pcap(path, 1, frames)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    own = tmp_path_factory.mktemp("own") / "ssh.pcap"
    ssh_capture(own)
    result = compare_all([*captures(), own], available())
    print("\n".join(table(result)))
    return result


@pytest.mark.parametrize("plugin", MODELS)
def test_fields_are_those_of_tshark(comparison, plugin):
    if plugin not in available():
        pytest.skip(f"there is no plugin {plugin} yet")
    unexplained = [str(one) for one in comparison.differences if one.plugin == plugin and one.reason is None]
    assert not unexplained, "\n".join(unexplained)
    matched = sum(count for (owner, _), count in comparison.matched.items() if owner == plugin)
    # Of what is surplus tshark has no value.
    differing = sum(one.plugin == plugin and one.kind != "surplus" for one in comparison.differences)
    assert matched >= LEAST[plugin]
    assert matched >= 0.995 * (matched + differing)


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.plugin} {min(reason.places)}")
def test_reasons_are_needed(comparison, reason):
    """A difference that is gone needs no reason any more."""
    if not {*reason.places} <= {*map(name_of, captures())} or reason.plugin not in available():
        pytest.skip("its capture or plugin is not there")
    assert sum(one.reason is reason for one in comparison.differences) == reason.count


def in_disorder(path, target, size=300):
    """Writes a capture of Ethernet whose segments of TCP are cut into pieces of `size` bytes, each two of which change places.
    Returns how many were cut."""
    link, packets = read_pcap(path)
    assert link == 1
    cut, result = 0, []
    for time, length, data in packets:
        is_version_4, start = data[12:14] == b"\x08\0", 34 if data[12:14] == b"\x08\0" else 54
        end = 14 + int.from_bytes(data[16:18]) if is_version_4 else 54 + int.from_bytes(data[18:20])
        is_whole = data[12:14] in (b"\x08\0", b"\x86\xdd") and len(data) == length
        if not is_whole or (data[23] if is_version_4 else data[20]) != 6 or (is_version_4 and data[14] != 0x45):
            result.append((time, length, data))
            continue
        payload = start + (data[start + 12] >> 4) * 4
        pieces = []
        for offset in range(0, max(1, end - payload), size):
            header, part = bytearray(data[:payload]), data[payload + offset:min(end, payload + offset + size)]
            sequence = int.from_bytes(header[start + 4:start + 8]) + offset
            header[start + 4:start + 8] = (sequence & 0xFFFFFFFF).to_bytes(4)
            total = len(header) + len(part) - (14 if is_version_4 else 54)
            header[16 if is_version_4 else 18:18 if is_version_4 else 20] = total.to_bytes(2)
            pieces.append((time, len(header) + len(part), bytes(header) + part))
        for first in range(0, len(pieces) - 1, 2):
            pieces[first], pieces[first + 1] = pieces[first + 1], pieces[first]
        cut += len(pieces) > 1
        result += pieces
    write_pcap(target, 1, result)
    return cut


def test_segments_in_disorder_change_nothing(tmp_path):
    """All connections begin with their handshake: else nobody knows where the first byte is."""
    variants, cut = [], 0
    for path in [*(CAPTURES / f"{name}.pcap" for name in ("dns", "http", "mqtt", "smtp", "starttls", "tls12", "tls13")),
                 CORPUS / "ndpi/dns_fragmented.pcap", CORPUS / "ndpi/http_auth.pcap"]:
        variants.append(tmp_path / f"disorder-{path.parent.name}-{path.name}")
        cut += in_disorder(path, variants[-1])
    result = compare_all(variants, available())
    assert not result.differences, "\n".join(map(str, result.differences))
    assert cut > 100
    assert sum(result.matched.values()) > 1000
