#!/usr/bin/env python3
"""A throw-away SMTP server (aiosmtpd) on port 25, IPv4 and IPv6, offering STARTTLS.

    smtp_server.py CERT KEY

Mail to nobody@… is refused with 550, everything else is accepted and thrown away.
"""
import asyncio
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient fine"

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 queued as 77"


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    for address in ("0.0.0.0", "::"):
        await loop.create_server(lambda: SMTP(Handler(), hostname="mail.martlet.test", ident="Martlet test mail",
                                              tls_context=context, loop=loop), address, 25)
    await asyncio.Future()


asyncio.run(main())
