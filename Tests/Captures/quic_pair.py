#!/usr/bin/env python3
"""An HTTP/3 server and client of aioquic, with what the quic plugin can be asked about.

    quic_pair.py server --port N --cert F --key F [--retry]
    quic_pair.py client HOST PORT --sni NAME [--version 1|2] [--user-agent TEXT]
                 [--large-hello] [--early-data] [--unknown-version]

--large-hello offers so many ALPN names that the ClientHello needs two Initial packets.
--early-data connects twice and sends the second request as 0-RTT.
--unknown-version starts with a greased version, so that the server negotiates.
"""
import argparse
import asyncio
import ssl

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import connection as quic_connection
from aioquic.quic import packet as quic_packet
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

BODY = b"The bird that never sits down.\n" * 60
tickets = {}


def send_user_agent(text):
    """Adds transport parameter 0x3129 (user_agent, as Google's client sends it)."""
    quic_packet.PARAMS[0x3129] = ("user_agent", bytes)
    original = quic_connection.push_quic_transport_parameters

    def push(buffer, parameters):
        parameters.user_agent = text.encode()
        original(buffer, parameters)
    quic_connection.push_quic_transport_parameters = push


class Server(QuicConnectionProtocol):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.http = None

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, HeadersReceived) and http_event.stream_ended:
                self.http.send_headers(http_event.stream_id, [
                    (b":status", b"200"), (b"server", b"aioquic"), (b"content-type", b"text/plain")])
                self.http.send_data(http_event.stream_id, BODY, end_stream=True)
                self.transmit()


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.http = H3Connection(self._quic)
        self.done = asyncio.get_running_loop().create_future()
        self.body = b""

    def get(self, authority, path):
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, [
            (b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority.encode()),
            (b":path", path.encode())], end_stream=True)
        self.transmit()

    def quic_event_received(self, event):
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, DataReceived):
                self.body += http_event.data
                if http_event.stream_ended and not self.done.done():
                    self.done.set_result(self.body)


async def run_server(args):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, supported_versions=[
        QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2])
    configuration.load_cert_chain(args.cert, args.key)
    # "::" takes IPv4 as well, as mapped addresses.
    await serve("::", args.port, configuration=configuration, create_protocol=Server, retry=args.retry,
                session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket),
                session_ticket_fetcher=tickets.get)
    await asyncio.Future()


async def one_request(args, ticket, keep):
    alpn = list(H3_ALPN)
    if args.large_hello:
        alpn += [f"martlet-alpn-{n:03d}" for n in range(70)]
    configuration = QuicConfiguration(is_client=True, alpn_protocols=alpn, server_name=args.sni,
                                      verify_mode=ssl.CERT_NONE, session_ticket=ticket)
    version = QuicProtocolVersion.VERSION_2 if args.version == 2 else QuicProtocolVersion.VERSION_1
    configuration.supported_versions = [version]
    if args.unknown_version:
        configuration.original_version = 0x1A2A3A4A
        configuration.supported_versions = [version, 0x1A2A3A4A]
    async with connect(args.host, args.port, configuration=configuration, create_protocol=Client,
                       session_ticket_handler=keep, wait_connected=ticket is None) as client:
        client.get(args.sni, "/early" if ticket else "/")
        body = await asyncio.wait_for(client.done, 10)
        await asyncio.sleep(0.1)
        if body != BODY:
            raise SystemExit("quic_pair.py: the answer is not what the server sent")


async def run_client(args):
    if args.user_agent:
        send_user_agent(args.user_agent)
    kept = []
    await one_request(args, None, kept.append)
    if args.early_data:
        if not kept:
            raise SystemExit("quic_pair.py: the server gave no session ticket, so there is no 0-RTT")
        await one_request(args, kept[-1], kept.append)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides = parser.add_subparsers(dest="side", required=True)
    server = sides.add_parser("server")
    server.add_argument("--port", type=int, required=True)
    server.add_argument("--cert", required=True)
    server.add_argument("--key", required=True)
    server.add_argument("--retry", action="store_true")
    client = sides.add_parser("client")
    client.add_argument("host")
    client.add_argument("port", type=int)
    client.add_argument("--sni", required=True)
    client.add_argument("--version", type=int, default=1, choices=(1, 2))
    client.add_argument("--user-agent")
    client.add_argument("--large-hello", action="store_true")
    client.add_argument("--early-data", action="store_true")
    client.add_argument("--unknown-version", action="store_true")
    args = parser.parse_args()
    asyncio.run(run_server(args) if args.side == "server" else run_client(args))


if __name__ == "__main__":
    main()
