"""QUIC: the plugin's fields against tshark's, hellos of a live stack, and that libcrypto's ciphers allocate nothing."""

import hashlib
import shutil
import struct
import subprocess

import pytest

from harness import CAPTURES, CORPUS, have, offline, read_pcap, run, tshark, write_pcap

NAMES = ["quic-29.pcap", "quic-mvfst-27.pcapng", "quic-v2.pcapng", "quic_0RTT.pcap", "quic_frags_ch_in_multiple_packets.pcapng",
         "quic-forcing-vn-with-data.pcapng", "quic_t51.pcap"]
#: Hellos that tshark does not open: it opens no greased version, and nothing of the client's that follows its negotiation.
NOT_OPENED = {"quic.pcap": 2, "quic-forcing-vn-with-data.pcapng": 2}
#: The ServerHello of T051 stands behind an acknowledgement of Google's former protocol, which Martlet does not read.
NO_ANSWER = {"quic_t51.pcap"}
FILES = [CAPTURES / "quic.pcap"] + ([CORPUS / "ndpi" / name for name in NAMES] if CORPUS else [])

FIELDS = ["udp.srcport", "quic.version", "quic.dcid", "quic.scid", "tls.handshake.extensions_server_name",
          "tls.handshake.extensions_alpn_str", "tls.handshake.ciphersuite", "tls.handshake.extension.type",
          "tls.handshake.extension.len", "tls.handshake.sig_hash_alg", "tls.handshake.extensions.supported_version"]


def shark(path, kind, fields):
    """A dictionary for each hello of a kind (1 the client's, 2 the server's), with lists as values."""
    lines = tshark(path, "-Y", f"quic && tls.handshake.type == {kind}", "-T", "fields", "-E", "occurrence=a",
                   "-E", "aggregator=|", *(word for field in fields for word in ("-e", field)))
    cells = ([cell.split("|") if cell else [] for cell in line.split("\t")] for line in lines)
    return [dict(zip(fields, values, strict=True)) for values in cells]


def numbers(texts):
    return [int(text, 0) for text in texts]


def is_grease(number):
    return number in range(0x0A0A, 0x10000, 0x1010)


def ja4(suites, extensions, algorithms, versions, names):
    """FoxIO's technical description, from lists of numbers."""
    def digits(*lists):
        text = "_".join(",".join(f"{number:04x}" for number in numbers) for numbers in lists if numbers)
        return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12

    suites, extensions, algorithms, versions = (
        [number for number in numbers if not is_grease(number)] for numbers in (suites, extensions, algorithms, versions))
    label = {0x0304: "13", 0x0303: "12"}.get(max(versions), "00")
    name = names[0] if names else "00"
    return (f"q{label}{'d' if 0 in extensions else 'i'}{min(len(suites), 99):02}{min(len(extensions), 99):02}{name[0]}{name[-1]}_"
            f"{digits(sorted(suites))}_{digits(sorted(set(extensions) - {0, 16}), algorithms)}")


@pytest.mark.skipif(not have("tshark"), reason="needs tshark")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hellos_are_those_of_tshark(path):
    records = [r for r in offline(path, options=["--plugins", "quic"]).records if r.get("cesnet:quicCHParsed")]
    clients, servers = shark(path, 1, FIELDS), shark(path, 2, ["udp.dstport", "tls.handshake.ciphersuite"])
    assert records
    compared, ports = set(), set()
    for hello in clients:
        port = int(hello["udp.srcport"][0])
        # The second hello of a flow answers a HelloRetryRequest: other key shares.
        if port in ports:
            continue
        ports.add(port)
        for record in records:
            version = int(hello["quic.version"][0], 0)
            if record["iana:sourceTransportPort"] != port or record["cesnet:quicClientVersion"] != version:
                continue
            # A hello after a Retry goes to the Retry's id, one that takes several packets perhaps to the server's.
            assert "0x" + hello["quic.dcid"][0] in (
                record["cesnet:quicOSCID"], record["cesnet:quicRetrySCID"], record["cesnet:quicSCID"])
            assert record["cesnet:quicOCCID"] == "0x" + "".join(hello["quic.scid"][:1])
            assert [record["cesnet:quicSNI"]] == (hello["tls.handshake.extensions_server_name"] or [""])
            types, lengths = numbers(hello["tls.handshake.extension.type"]), numbers(hello["tls.handshake.extension.len"])
            assert record["cesnet:quicTlsExtType"] == types[:30]
            if len(lengths) == len(types):
                assert record["cesnet:quicTlsExtLen"] == lengths[:30]
            names = hello["tls.handshake.extensions_alpn_str"]
            offered = record["martlet:quicClientAlpn"].split(",")
            assert offered == names[:len(offered)] and (len(offered) == len(names) or len(record["martlet:quicClientAlpn"]) > 200)
            assert record["martlet:quicJa4"] == ja4(
                numbers(hello["tls.handshake.ciphersuite"]), types, numbers(hello["tls.handshake.sig_hash_alg"]),
                numbers(hello["tls.handshake.extensions.supported_version"]), names)
            compared.add(id(record))
    assert len(compared) == len(records) - NOT_OPENED.get(path.name, 0)
    assert ports == {record["iana:sourceTransportPort"] for record in records if id(record) in compared}
    if path.name in NO_ANSWER:
        return
    for hello in servers:
        suite = int(hello["tls.handshake.ciphersuite"][0], 0)
        port = int(hello["udp.dstport"][0])
        assert suite in [r["martlet:quicTlsCipherSuite"] for r in records if r["iana:sourceTransportPort"] == port]


# What the packet path is promised (test_packet_path.py).

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stddef.h>
static _Thread_local int inside;
static long calls, allocations;
extern void *__libc_malloc(size_t); extern void __libc_free(void *); extern void *__libc_realloc(void *, size_t);
void *malloc(size_t n) { allocations += inside; return __libc_malloc(n); }
void free(void *p) { allocations += inside && p; __libc_free(p); }
void *realloc(void *p, size_t n) { allocations += inside; return __libc_realloc(p, n); }
typedef int anything(void *, void *, void *, void *, void *, void *);
#define WRAP(name) \
int name(void *a, void *b, void *c, void *d, void *e, void *f) { \
  static anything *real; if (!real) real = (anything *)dlsym(RTLD_NEXT, #name); \
  /* Not while it is made: then it has a cipher. */ \
  int counts = EXCEPT; inside += counts; calls += counts; int result = real(a, b, c, d, e, f); inside -= counts; return result; }
#define EXCEPT (b == NULL)
WRAP(EVP_CipherInit_ex)
#undef EXCEPT
#define EXCEPT 1
WRAP(EVP_CipherUpdate) WRAP(EVP_CipherFinal_ex) WRAP(EVP_CIPHER_CTX_ctrl)
__attribute__((destructor)) static void say(void) { fprintf(stderr, "calls %ld allocations %ld\n", calls, allocations); }
"""


@pytest.mark.skipif(not shutil.which("cc") and not shutil.which("clang"), reason="needs a C compiler")
def test_ciphers_allocate_nothing_for_a_packet(tmp_path):
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    subprocess.run([shutil.which("cc") or shutil.which("clang"), "-w", "-shared", "-fPIC", "-o", library, source, "-ldl"],
                   check=True, timeout=60)
    done = run("--plugins", "quic", "--pcap", damaged(tmp_path), CAPTURES / "quic.pcap", "--export", "json:/dev/null",
               env={"LD_PRELOAD": str(library)})
    line = next(line for line in done.err.decode().splitlines() if line.startswith("calls"))
    _, calls, _, allocations = line.split()
    assert int(calls) > 100 and int(allocations) == 0


def damaged(folder):
    """A capture whose packets have a wrong bit each, which their tags tell."""
    link, packets = read_pcap(CAPTURES / "quic.pcap")
    path = folder / "damaged.pcap"
    write_pcap(path, link, [(time, length, data[:68] + bytes([data[68] ^ 1]) + data[69:]) for time, length, data in packets])
    return path


# A live stack, in memory: hellos of a browser's size with post-quantum keys, Retry, and what a migration looks like.

HYBRID, HYBRID_KEY = 0x11EC, bytes(range(256)) * 4 + bytes(192)


class Exchange:
    """A client and a server of aioquic, whose datagrams become the frames of a capture."""

    def __init__(self, folder, monkeypatch, retry=False):
        aioquic = pytest.importorskip("aioquic.quic.connection", reason="needs aioquic")
        from aioquic import tls
        from aioquic.quic import packet
        from aioquic.quic.configuration import QuicConfiguration
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=pq.martlet.test", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                       check=True, capture_output=True, timeout=60)
        push = tls.push_client_hello

        def push_hybrid(buffer, hello):
            # As Chrome: the hybrid key first, of 1216 bytes, so that the hello takes two datagrams.
            hello.key_share.insert(0, (HYBRID, HYBRID_KEY))
            push(buffer, hello)
        monkeypatch.setattr(tls, "push_client_hello", push_hybrid)
        self.frames, self.time, self.port = [], 0.0, 50000
        self.client = aioquic.QuicConnection(configuration=QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="pq.martlet.test", verify_mode=0))
        settings = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
        settings.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.client.connect(("10.0.0.2", 443), now=0.0)
        first = self.client.datagrams_to_send(now=0.0)
        for data, _ in first:
            self.record(data, True)
        original = self.client.original_destination_connection_id
        if retry:
            from aioquic.buffer import Buffer
            header = packet.pull_quic_header(Buffer(data=first[0][0]), host_cid_length=8)
            answer = packet.encode_quic_retry(header.version, b"retried!", header.source_cid, original, b"t" * 33)
            self.record(answer, False)
            self.client.receive_datagram(answer, ("10.0.0.2", 443), now=0.0)
            first = []
        self.server = aioquic.QuicConnection(
            configuration=settings, original_destination_connection_id=original,
            retry_source_connection_id=b"retried!" if retry else None)
        self.deliver(first, self.server)
        for _ in range(8):
            self.send()

    def record(self, data, is_client):
        addresses = (b"\x0a\0\0\1\x0a\0\0\2", self.port, 443) if is_client else (b"\x0a\0\0\2\x0a\0\0\1", 443, self.port)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(data), 0, 0, 64, 17, 0) + addresses[0]
        frame = bytes(12) + b"\x08\0" + header + struct.pack("!HHHH", *addresses[1:], 8 + len(data), 0) + data
        self.frames.append(((1700000000, len(self.frames)), len(frame), frame))

    def deliver(self, datagrams, to):
        address = ("10.0.0.1", self.port) if to is self.server else ("10.0.0.2", 443)
        for data, _ in datagrams:
            to.receive_datagram(data, address, now=self.time)

    def send(self):
        """What each side has to say goes to the other one."""
        self.time += 0.01
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            datagrams = sender.datagrams_to_send(now=self.time)
            for data, _ in datagrams:
                self.record(data, sender is self.client)
            self.deliver(datagrams, receiver)

    def records(self, folder):
        write_pcap(folder / "exchange.pcap", 1, self.frames)
        return offline(folder / "exchange.pcap", options=["--plugins", "quic"]).records


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize("retry", [False, True])
def test_hybrid_hellos_and_migration(tmp_path, monkeypatch, retry):
    exchange = Exchange(tmp_path, monkeypatch, retry)
    hello = exchange.records(tmp_path)[0]
    assert hello["cesnet:quicSNI"] == "pq.martlet.test" and hello["martlet:quicClientAlpn"] == "h3"
    assert hello["cesnet:quicOSCID"] == "0x" + exchange.client.original_destination_connection_id.hex()
    assert hello["cesnet:quicOCCID"] == "0x" + exchange.client.host_cid.hex()
    assert hello["cesnet:quicSCID"] == "0x" + exchange.server.host_cid.hex()
    assert hello["cesnet:quicRetrySCID"] == ("0x" + b"retried!".hex() if retry else "0x")
    assert hello["cesnet:quicTokenLength"] == (33 if retry else 0)
    assert hello["martlet:quicTlsCipherSuite"] in (0x1301, 0x1302, 0x1303) and hello["martlet:quicTlsServerVersion"] == 0x0304
    lengths = dict(zip(hello["cesnet:quicTlsExtType"], hello["cesnet:quicTlsExtLen"], strict=True))
    assert lengths[51] > 1216 and hello["cesnet:quicMultiplexed"] == 0
    # A NAT gives the client another port: the ids tell that it is the same connection.
    exchange.port = 50001
    for _ in range(3):
        exchange.client.send_ping(1)
        exchange.send()
    first, second = exchange.records(tmp_path)
    assert second["iana:sourceTransportPort"] == 50001 and second["cesnet:quicCHParsed"] == 0
    assert second["martlet:quicShortHeaderID"].startswith(first["cesnet:quicSCID"])
    assert len(second["martlet:quicShortHeaderID"]) == 2 + 2 * 20
    # It moves on purpose: with an id that was sent encrypted.
    exchange.client.change_connection_id()
    exchange.port = 50002
    exchange.client.send_ping(2)
    exchange.send()
    moved = exchange.records(tmp_path)[2]
    assert not moved["martlet:quicShortHeaderID"].startswith(first["cesnet:quicSCID"])
