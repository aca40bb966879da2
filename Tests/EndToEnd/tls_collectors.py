"""Certificates for the tests of tls://, and a collector that has them: Python's ssl, which shares no code with martlet."""

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time

from harness import Session, wait_until


class Authority:
    """A root, an authority below it, and certificates of servers and clients, made by openssl in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self._request("root")
        self._sign("root", None, "basicConstraints=critical,CA:TRUE")
        self._request("middle")
        self._sign("middle", "root", "basicConstraints=critical,CA:TRUE")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
        self.root = folder / "root.pem"
        self.server = self.make("server", names)
        self.other = self.make("other", "subjectAltName=DNS:collector.example,IP:192.0.2.1")
        self.stale = self.make("stale", names, days=0)
        self.client = self.make("client", "extendedKeyUsage=clientAuth")
        self.stale_client = self.make("stale-client", "extendedKeyUsage=clientAuth", days=0)
        self._request("alone")
        self._sign("alone", None, names)
        self.alone = folder / "alone.chain"
        self._chain("alone")

    def make(self, name, extensions, days=2):
        """A chain file (certificate, the authority's, the key) of a certificate that the lower authority signed."""
        self._request(name)
        self._sign(name, "middle", extensions, days)
        return self._chain(name, "middle")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, cwd=self.folder, capture_output=True)

    def _request(self, name):
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN=Martlet {name}")

    def _sign(self, name, issuer, extensions, days=2):
        (self.folder / f"{name}.ext").write_text(extensions + "\n")
        signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"] if issuer else ["-signkey", f"{name}.key"]
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signer, "-days", days, "-extfile", f"{name}.ext", "-out",
                      f"{name}.pem")

    def _chain(self, name, issuer=None):
        parts = [f"{name}.pem", *([f"{issuer}.pem"] if issuer else []), f"{name}.key"]
        chain = self.folder / f"{name}.chain"
        chain.write_text("".join((self.folder / part).read_text() for part in parts))
        return chain


def server_context(chain, versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), clients=None):
    """What a collector shows, speaks, and with `clients` (a file of authorities) demands."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.minimum_version, context.maximum_version = versions
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


class Connection:
    """One connection as the collector saw it."""

    def __init__(self):
        self.session, self.rest = Session(), b""
        self.name = self.version = self.peer = self.error = None
        self.ended = False

    def take(self, data):
        self.rest += data
        while len(self.rest) >= 4 and len(self.rest) >= (length := struct.unpack_from("!H", self.rest, 2)[0]):
            assert length >= 16, "a message shorter than its header"
            self.session.message(self.rest[:length])
            self.rest = self.rest[length:]


class TLSCollector:
    """Takes connections, one thread each. `serve` may be replaced by what a collector does that means no good."""

    def __init__(self, context, host="127.0.0.1", port=0, serve=None, receive_buffer=None):
        self.context, self.connections = context, []
        self.serve = serve or self.read_all
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((host, port))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        if context:
            context.sni_callback = self._named
        self._names = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def _named(self, stream, name, _context):
        self._names[id(stream)] = name

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        seen = Connection()
        self.connections.append(seen)
        try:
            if self.context:
                stream = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                stream.settimeout(60)
                stream.do_handshake()
                seen.name, seen.version = self._names.get(id(stream)), stream.version()
                seen.peer = stream.getpeercert()
                connection = stream
            self.serve(connection, seen)
        except (OSError, AssertionError, ValueError) as error:
            seen.error = error
        finally:
            seen.ended = True
            with contextlib.suppress(OSError):
                connection.close()

    def read_all(self, stream, seen):
        while data := stream.recv(65536):
            seen.take(data)
        # Answers the end as RFC 8446 section 6.1 wants it.
        with contextlib.suppress(OSError):
            if isinstance(stream, ssl.SSLSocket):
                stream.unwrap()

    @property
    def records(self):
        return sum(len(seen.session.records) for seen in self.connections)

    def wait(self):
        """Waits until what came has been read."""
        wait_until(lambda: self.connections and all(seen.ended for seen in self.connections), "connections that have ended")

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wait_until_stale():
    """A certificate for no days is over a second after it was made."""
    time.sleep(1.1)
