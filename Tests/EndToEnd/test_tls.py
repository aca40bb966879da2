"""IPFIX over TLS (RFC 7011 section 11): certificates good and bad, collectors that mean no good, and what is lost with them."""

import array
import contextlib
import fcntl
import os
import re
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time

import pytest
from harness import CAPTURES, MARTLET, PATIENCE, Live, Session, free_port, have, is_root, run, stats_lines, wait_until
from tls_collectors import Authority, TLSCollector, server_context, wait_until_stale

MANY = CAPTURES / "many-flows.pcap"  # 1000 flows
FLOWS = 1000
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")
pytestmark = pytest.mark.skipif(not have("openssl"), reason="no openssl")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


def export(port, host="localhost", **parameters):
    text = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"tls://{host}:{port}?{text}" if text else f"tls://{host}:{port}"


def offline(url, *more):
    return run("--pcap", MANY, "--stats", "60", "--export", url, *more)


def refused(url, reason, timeout=PATIENCE):
    """A run that cannot get rid of its records, ended when it has said why. What it said, and its counters."""
    process = subprocess.Popen([MARTLET, "--pcap", MANY, "--stats", "60", "--drain-timeout", "1", "--export", url],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    begin, said = time.monotonic(), b""
    while not re.search(reason, said.decode(errors="replace")):
        line = process.stderr.readline()
        assert line and time.monotonic() - begin < timeout, f"no '{reason}' in {said.decode()}"
        said += line
    process.send_signal(signal.SIGTERM)
    said += process.communicate(timeout=PATIENCE)[1]
    text = said.decode()
    # It may not have read the whole capture yet.
    lost = counter(text, "flows made")
    assert process.returncode == 2 and f"{lost} records were lost" in text and counter(text, "export dropped") == lost > 0, text
    return text


def counter(text, name):
    """The total of a counter in the table at a run's end."""
    return int(re.search(rf"^ *{name} +(\d+)", text, re.M)[1])


def arrived(collector):
    """What the only connection brought: all records once, templates first, numbered from 0."""
    collector.wait()
    whole = [seen for seen in collector.connections if seen.session.messages]
    assert not any(seen.error for seen in collector.connections), [seen.error for seen in collector.connections]
    assert len(whole) == 1
    session = whole[0].session
    assert len(session.records) == FLOWS and session.first_sequence == 0 and session.lost == 0 and session.templates
    return whole[0]


@VERSIONS
@pytest.mark.parametrize("host,address,name", [
    ("localhost", "127.0.0.1", "localhost"), ("127.0.0.1", "127.0.0.1", None), ("[::1]", "::1", None)])
def test_every_record_arrives(pki, version, host, address, name):
    with TLSCollector(server_context(pki.server, (version, version)), address) as collector:
        result = offline(export(collector.port, host, ca=pki.root))
        assert result.status == 0, result.err.decode()
        seen = arrived(collector)
        # RFC 6066 section 3: a name is sent, an address is not.
        assert seen.name == name and seen.version == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        assert result.counters["TLS_refused"] == result.counters["export_dropped"] == 0


@VERSIONS
def test_both_sides_show_certificates(pki, version):
    """The collector knows the root alone: what is between it and the certificate must come along."""
    with TLSCollector(server_context(pki.server, (version, version), clients=pki.root)) as collector:
        result = offline(export(collector.port, ca=pki.root, certificate=pki.client))
        assert result.status == 0, result.err.decode()
        assert dict(part[0] for part in arrived(collector).peer["subject"])["commonName"] == "Martlet client"


def test_a_key_in_a_file_of_its_own_and_authorities_in_a_folder(pki, tmp_path):
    (tmp_path / "root.pem").write_bytes(pki.root.read_bytes())
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    with TLSCollector(server_context(pki.server, clients=pki.folder / "middle.pem")) as collector:
        collector.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # Who is between the root and the collector may be the one to trust, too.
        assert offline(export(collector.port, ca=pki.folder / "middle.pem", certificate=pki.client)).status == 0
        wait_until(lambda: collector.records == FLOWS, "all records")
        collector.connections.clear()
        result = offline(export(
            collector.port, ca=tmp_path, certificate=pki.folder / "client.pem", key=pki.folder / "client.key"))
        assert result.status == 0, result.err.decode()
        arrived(collector)


@VERSIONS
@pytest.mark.parametrize("chain,more,reason", [
    ("other", {"ca": "root"}, "[Hh]ostname mismatch; use a name that is in it"),
    ("stale", {"ca": "root"}, "certificate has expired"),
    ("alone", {}, "self-signed certificate; ca=FILE names whom to trust"),
    ("server", {}, "(unable to get|self-signed certificate in certificate chain).*; ca=FILE"),
    ("server", {"ca": "alone"}, "(unable to get|self-signed certificate in certificate chain).*; ca=FILE"),
])
def test_a_collector_that_is_not_who_it_should_be(pki, version, chain, more, reason):
    wait_until_stale()
    files = {"root": pki.root, "alone": pki.folder / "alone.pem"}
    with TLSCollector(server_context(getattr(pki, chain), (version, version))) as collector:
        parameters = {name: files[value] for name, value in more.items()}
        text = refused(export(collector.port, **parameters), f"the collector's certificate is refused: {reason}")
        assert counter(text, "TLS refused") >= 1 and collector.records == 0
        # Somebody who says that he need not know gets them to it.
        assert offline(export(collector.port, verify="off", **parameters)).status == 0
        wait_until(lambda: collector.records == FLOWS, "all records")


def test_an_address_that_is_not_in_the_certificate(pki):
    with TLSCollector(server_context(pki.other)) as collector:
        refused(export(collector.port, "127.0.0.1", ca=pki.root), "IP address mismatch; use a name that is in it")


@VERSIONS
@pytest.mark.parametrize("own,reason", [
    (None, {TLS12: "handshake failure; it may want certificate=FILE",
            TLS13: "certificate required; it may want certificate=FILE"}),
    ("alone", {TLS12: "refuses Martlet's certificate: unknown CA", TLS13: "refuses Martlet's certificate: unknown CA"}),
])
def test_a_certificate_that_the_collector_refuses(pki, version, own, reason):
    """In TLS 1.3 the handshake has ended for Martlet when the collector looks at its certificate: nothing is sent before."""
    with TLSCollector(server_context(pki.server, (version, version), clients=pki.root)) as collector:
        more = {"certificate": getattr(pki, own)} if own else {}
        text = refused(export(collector.port, ca=pki.root, **more), reason[version])
        assert counter(text, "TLS refused") >= 1 and counter(text, "messages") == 0
        assert collector.records == 0


def test_versions_before_1_2_are_not_spoken(pki):
    context = server_context(pki.server, (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with TLSCollector(context) as collector:
        refused(export(collector.port, ca=pki.root), "(unsupported protocol|protocol version|internal error)")


def bad_files(pki, folder):
    """Parameters that cannot be used, and what must be said of them."""
    missing, text, fifo, empty = folder / "missing", folder / "text", folder / "fifo", folder / "empty"
    text.write_text("no certificate\n")
    os.mkfifo(fifo)
    empty.mkdir()
    sealed = folder / "sealed.key"
    subprocess.run(["openssl", "pkey", "-in", pki.folder / "client.key", "-aes128", "-passout", "pass:secret", "-out", sealed],
                   check=True)
    certificate = pki.folder / "client.pem"
    return [
        ({"certificate": missing}, "certificate .*No such file"), ({"certificate": text}, "no PEM certificate"),
        ({"certificate": fifo}, "it is no file"), ({"certificate": empty}, "it is no file"),
        ({"certificate": pki.stale_client}, "expired on 20.*get a new one"),
        ({"certificate": certificate}, "no private key"), ({"certificate": certificate, "key": missing}, "key .*No such file"),
        ({"certificate": certificate, "key": pki.folder / "server.key"}, "not the key of"),
        ({"certificate": certificate, "key": sealed}, "has a passphrase"),
        ({"certificate": certificate, "key": certificate}, "no private key"), ({"key": certificate}, "give certificate=FILE"),
        ({"certificate": ""}, "name a file"), ({"ca": missing}, "ca .*No such file"), ({"ca": text}, "no PEM certificate"),
        ({"ca": fifo}, "it is no file"), ({"ca": empty}, "openssl rehash"), ({"verify": "no"}, "neither on nor off"),
    ]


def test_files_that_cannot_be_used_are_said_before_anything_is_opened(pki, tmp_path):
    wait_until_stale()
    out = tmp_path / "out.json"
    out.write_text("precious\n")
    for parameters, reason in bad_files(pki, tmp_path):
        result = run("--pcap", MANY, "--export", f"json:{out}", "--export", export(4740, **parameters))
        text = result.err.decode()
        assert result.status == 64 and text.count("\n") == 1 and re.search(reason, text), (parameters, text)
        assert out.read_text() == "precious\n"


def test_a_collector_that_does_not_speak_tls(pki):
    def shout(connection, _seen):
        connection.sendall(b"220 mail.example ESMTP ready\r\n" * 10)
        connection.recv(1000)
    with TLSCollector(None, serve=shout) as collector:
        refused(export(collector.port, ca=pki.root), "wrong version number; it may not speak TLS at this port")


def test_a_collector_that_hangs_up_in_the_handshake(pki):
    def leave(connection, _seen):
        connection.recv(100)
        connection.close()
    with TLSCollector(None, serve=leave) as collector:
        refused(export(collector.port, ca=pki.root), "during the TLS handshake")


@live
def test_the_other_address_of_a_name_is_tried(pki, tmp_path):
    """Something else than a collector is at the first one, which is nearer (RFC 6724 section 6, rule 9)."""
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n127.0.0.2 localhost\n")
    private = ["unshare", "--mount", "sh", "-c", f'mount --bind {tmp_path}/hosts /etc/hosts && exec "$@"', "sh"]
    with TLSCollector(server_context(pki.server), "127.0.0.2") as collector, socket.socket() as other:
        other.bind(("127.0.0.1", collector.port))
        other.listen()
        visits = []

        def serve():
            with other.accept()[0] as visitor:
                visits.append(visitor.recv(5))
                visitor.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = run("--pcap", MANY, "--stats", "60", "--export", export(collector.port, ca=pki.root), prefix=private)
        assert result.status == 0, result.err.decode()
        assert arrived(collector) and result.counters["TLS_refused"] == 1
        # A record of a handshake (RFC 8446 section 5.1).
        assert visits[0][:2] == b"\x16\x03"


def test_a_handshake_that_goes_on_for_ever_is_ended(pki):
    """A hello of the collector in single octets: each is progress, and none is enough."""
    def drip(connection, _seen):
        connection.recv(100)
        with contextlib.suppress(OSError):
            for octet in b"\x16\x03\x03\x40\x00" + bytes(1000):
                connection.send(bytes([octet]))
                time.sleep(0.2)
    with TLSCollector(None, serve=drip) as collector:
        begin = time.monotonic()
        text = refused(export(collector.port, ca=pki.root), "no answer to the TLS handshake yet")
        assert time.monotonic() - begin < 30 and "no answer" in text
        # What is said comes at most every half minute, so the end shows in the connections.
        process = subprocess.Popen(
            [MARTLET, "--pcap", MANY, "--drain-timeout", "1", "--export", export(collector.port, ca=pki.root)],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first = len(collector.connections)
        wait_until(lambda: len(collector.connections) >= first + 2, "another attempt", process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 2


def test_a_collector_that_talks_all_the_time(pki):
    """What it says is read and thrown away, so that its end is heard."""
    said = 0

    def talk(stream, seen):
        nonlocal said
        stream.setblocking(False)
        while True:
            # Martlet does not wait for the end of such talk, so at its own end the socket is reset.
            with contextlib.suppress(OSError):
                said += stream.send(bytes(16384))
            with contextlib.suppress(ssl.SSLWantReadError):
                if not (data := stream.recv(65536)):
                    return
                seen.take(data)
    with TLSCollector(server_context(pki.server), serve=talk) as collector:
        result = offline(export(collector.port, ca=pki.root), "--plugins", "all")
        assert result.status == 0, result.err.decode()
        wait_until(lambda: collector.records == FLOWS, "all records")
        assert said > 16384


@live
def test_a_silent_collector_holds_up_nobody(pki, tmp_path):
    """Half a handshake, live: the other output gets its records meanwhile."""
    def keep(connection, _seen):
        connection.recv(100)
        time.sleep(PATIENCE)
    with TLSCollector(None, serve=keep) as collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY}"],
            ["--export", export(collector.port, ca=pki.root), "--export", f"json:{tmp_path}/out", "--stats", "0.1",
             "--inactive-timeout", "0.5", "--drain-timeout", "1"]) as martlet:
        out = tmp_path / "out"
        martlet.wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") == FLOWS)
        assert martlet.stop() == 2
        assert martlet.counters["export_dropped"] == FLOWS and "no answer to the TLS handshake yet" in martlet.text()


@VERSIONS
def test_a_slow_collector_gets_everything_offline(pki, version):
    def slow(stream, seen):
        while data := stream.recv(4096):
            seen.take(data)
            time.sleep(0.005)
    with TLSCollector(server_context(pki.server, (version, version)), serve=slow, receive_buffer=4096) as collector:
        result = offline(export(collector.port, ca=pki.root))
        assert result.status == 0, result.err.decode()
        arrived(collector)


@live
@VERSIONS
def test_a_collector_that_leaves_in_the_middle_and_comes_back(pki, version):
    """It resets the connection after some messages. Records that arrived and those that were lost are all there were, but for
    what the collector had acknowledged and not read."""
    unread = 0

    def leave_once(stream, seen):
        nonlocal unread
        if len(collector.connections) > 1:
            return collector.read_all(stream, seen)
        while seen.session.messages < 20:
            seen.take(stream.recv(3000))
        waiting = array.array("i", [0])
        fcntl.ioctl(stream, termios.FIONREAD, waiting)
        unread = waiting[0] + stream.pending() + len(seen.rest)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return stream.close()
    collector = TLSCollector(server_context(pki.server, (version, version)), serve=leave_once)
    with collector, Live(
            [f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
            ["--export", export(collector.port, ca=pki.root), "--active-timeout", "0.5", "--inactive-timeout", "0.5",
             "--flows", "65536"]) as martlet:
        martlet.wait_for(lambda: len(collector.connections) >= 2 and collector.connections[1].session.messages > 20)
        martlet.stop()
        collector.wait()
        first, second = (seen.session for seen in collector.connections[:2])
        assert first.first_sequence == second.first_sequence == 0 and first.templates and second.templates
        assert second.lost == 0 and not collector.connections[1].error
        counters = martlet.counters
        # A record of TLS, of which a part was read, has 16 KiB; a record of IPFIX here has more than 80 octets.
        assert counters["exported"] <= collector.records + counters["export_dropped"] + (unread + 16384) // 80


class Server:
    """openssl s_server, with its commands on standard input."""

    def __init__(self, pki, port, *options, chain=None):
        self.port = port
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", str(port), "-cert_chain", chain or pki.server, "-cert", chain or pki.server,
             "-key", chain or pki.server, *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(lambda: b"ACCEPT" in self.said, "s_server", self.process)

    def _read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.said += data

    def command(self, letter):
        self.process.stdin.write(letter + b"\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def flowing(url):
    return Live([f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"],
                ["--export", url, "--active-timeout", "0.5", "--inactive-timeout", "0.5", "--flows", "65536", "--stats", "0.1"])


def records_sent(martlet):
    return (stats_lines(martlet.text()) or [{"message_bytes": 0}])[-1]["message_bytes"]


@live
@pytest.mark.parametrize("options,commands", [(["-tls1_3"], b"kKkK"), (["-tls1_2", "-legacy_renegotiation"], b"rR")],
                         ids=["new keys", "renegotiation"])
def test_s_server_asks_for_new_keys_or_another_handshake(pki, options, commands):
    """New keys (RFC 8446 section 4.6.3) are made; another handshake (TLS 1.2) is refused. Either way records go on to come."""
    port = free_port()
    with Server(pki, port, *options) as server, flowing(export(port, ca=pki.root)) as martlet:
        martlet.wait_for(lambda: records_sent(martlet) > 100_000)
        for letter in commands:
            server.command(bytes([letter]))
            before = records_sent(martlet)
            martlet.wait_for(lambda before=before: records_sent(martlet) > before + 100_000)
        # OpenSSL's server does not go on with a client that wants no other handshake: another connection follows.
        if "-tls1_3" in options:
            assert "warning: tls" not in martlet.text(), martlet.text()
        martlet.stop()


@live
def test_s_server_is_killed_and_started_again(pki):
    """Another session each time: templates first, sequence from 0; a client certificate is demanded."""
    port = free_port()
    options = ["-Verify", 3, "-verify_return_error", "-CAfile", pki.root, "-quiet"]
    with flowing(export(port, ca=pki.root, certificate=pki.client)) as martlet:
        martlet.wait_for("refused")
        for _ in range(2):
            command = ["openssl", "s_server", "-accept", port, "-cert", pki.server, "-key", pki.server, "-cert_chain", pki.server]
            with subprocess.Popen([*map(str, command), *map(str, options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as server:
                data = b""
                while len(data) < 100_000:
                    data += os.read(server.stdout.fileno(), 65536)
                server.kill()
            session = Session()
            while len(data) >= 16 and len(data) >= (length := int.from_bytes(data[2:4], "big")):
                session.message(data[:length])
                data = data[length:]
            assert session.first_sequence == 0 and session.lost == 0 and session.templates and len(session.records) > 100
        martlet.stop()


@live
def test_files_are_read_again_on_sighup(pki, tmp_path):
    """A certificate that is renewed while Martlet runs is shown in the next connection; one that cannot be used is said."""
    shown = tmp_path / "shown.pem"
    shown.write_bytes(pki.make("early", "extendedKeyUsage=clientAuth").read_bytes())
    def leave(stream, seen):
        while seen.session.messages < 3 or len(collector.connections) == 3:
            seen.take(stream.recv(3000) or b"")
    collector = TLSCollector(server_context(pki.server, clients=pki.root), serve=leave)

    def name(seen):
        return dict(part[0] for part in seen.peer["subject"])["commonName"]
    with collector, flowing(export(collector.port, ca=pki.root, certificate=shown)) as martlet:
        martlet.wait_for(lambda: collector.connections and collector.connections[0].ended)
        shown.write_text("nothing\n")
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(lambda: len(collector.connections) >= 2 and collector.connections[1].ended)
        shown.write_bytes(pki.make("late", "extendedKeyUsage=clientAuth").read_bytes())
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(lambda: any(seen.peer and name(seen) == "Martlet late" for seen in collector.connections))
        assert name(collector.connections[0]) == name(collector.connections[1]) == "Martlet early"
        martlet.stop()


@pytest.mark.skipif(not (have("tshark") and have("tcpdump") and is_root()), reason="needs root, tcpdump and tshark")
@VERSIONS
def test_tshark_reads_it_with_the_session_keys(pki, tmp_path, version):
    """What is on the wire, taken apart by somebody else: TLS with RFC 7011's messages inside."""
    context = server_context(pki.server, (version, version))
    context.keylog_filename = str(tmp_path / "keys")
    with TLSCollector(context) as collector:
        sniffer = subprocess.Popen(["tcpdump", "-i", "lo", "-U", "-s", "0", "-w", tmp_path / "lo.pcap", f"port {collector.port}"],
                                   stderr=subprocess.PIPE)
        assert b"listening" in sniffer.stderr.readline()
        assert offline(export(collector.port, ca=pki.root)).status == 0
        arrived(collector)
        time.sleep(1)
        sniffer.terminate()
        sniffer.wait()
        shown = subprocess.run(
            ["tshark", "-r", tmp_path / "lo.pcap", "-o", f"tls.keylog_file:{tmp_path}/keys", "-q", "-z", "follow,tls,raw,0"],
            capture_output=True, text=True, check=True).stdout
        data = bytes.fromhex("".join(re.findall(r"^\t?([0-9a-f]+)$", shown, re.M)))
        session = Session()
        while data:
            length = int.from_bytes(data[2:4], "big")
            session.message(data[:length])
            data = data[length:]
        assert len(session.records) == FLOWS and session.first_sequence == 0 and session.lost == 0
