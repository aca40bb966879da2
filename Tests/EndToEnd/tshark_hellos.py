"""The hellos of TLS, DTLS and QUIC as tshark shows them, and what the plugins tls and quic make of them (docs/elements.md)."""

from tshark_expected import Expected, cut


def is_grease(number):
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


class Hello:
    """A ClientHello or ServerHello, of TLS or DTLS."""

    def __init__(self, node):
        self.node = node
        self.prefix = node.name.partition(".")[0]

    def all(self, name):
        return self.node.all(f"{self.prefix}.handshake.{name}")

    @property
    def is_client(self):
        return self.all("type")[0].number == 1

    def numbers(self, name):
        return [found.number for found in self.all(name)]

    @property
    def version(self):
        """The chosen one, or the newest that is offered; those of DTLS count down."""
        versions = [number for number in self.numbers("extensions.supported_version") if not is_grease(number)]
        if not versions:
            return self.all("version")[0].number
        return min(versions) if self.prefix == "dtls" else max(versions)

    @property
    def protocols(self):
        return [found.raw for found in self.all("extensions_alpn_str")]

    @property
    def server_name(self):
        names = self.all("extensions_server_name")
        return names[0].raw if names else None

    @property
    def is_fingerprinted(self):
        """Whether it is short enough (docs/elements.md): otherwise it has no fingerprint."""
        costs = {"ciphersuite": 4, "extension.type": 5, "extensions_supported_group": 2, "extensions_ec_point_format": 2,
                 "sig_hash_alg": 1}
        return sum(cost * len(self.all(name)) for name, cost in costs.items()) <= 432


def hellos(node):
    """The hellos below a protocol, those that tshark read to their end."""
    for handshake in node.all("tls.handshake") + node.all("dtls.handshake"):
        kind = handshake.child("tls.handshake.type") or handshake.child("dtls.handshake.type")
        if kind and kind.number in (1, 2) and Hello(handshake).all("version") and Hello(handshake).all("comp_method"):
            yield Hello(handshake)


def tls(messages):
    """One record: the last ClientHello before the ServerHello, two at the most of each, and the ServerHello."""
    record, clients, servers = None, 0, 0
    for message in messages:
        for hello in hellos(message.node):
            if (clients and servers) or (clients if hello.is_client else servers) == 2:
                continue
            record = record or Expected(message.time)
            record.add(message)
            fields = record.fields
            types = hello.numbers("extension.type")[:30]
            if hello.is_client:
                clients += 1
                for name in ("cesnet:TLSSNI", "martlet:tlsClientAlpn", "flowmon:tlsJa3Fingerprint"):
                    fields.pop(name, None)
                if hello.server_name is not None and len(hello.server_name) <= 253:
                    fields["cesnet:TLSSNI"] = cut(hello.server_name, 253)
                if hello.protocols:
                    offer = hello.protocols[0]
                    for name in hello.protocols[1:]:
                        if len(offer) + 1 + len(name) > 255:
                            break
                        offer += b"," + name
                    fields["martlet:tlsClientAlpn"] = cut(offer, 255)
                fields["martlet:tlsClientVersion"] = hello.version
                fields["cesnet:tlsExtTypeField"] = types
                fields["cesnet:tlsExtLenField"] = hello.numbers("extension.len")[:30]
                fields["martlet:tlsEncryptedClientHello"] = int(0xFE0D in hello.numbers("extension.type"))
                if (ja3 := hello.all("ja3")) and hello.is_fingerprinted:
                    fields["flowmon:tlsJa3Fingerprint"] = "0x" + ja3[0].show
                if not servers:
                    fields["flowmon:tlsServerVersion"] = hello.all("version")[0].number
            else:
                servers += 1
                fields["flowmon:tlsServerVersion"] = hello.version
                fields["martlet:tlsCipherSuite"] = hello.numbers("ciphersuite")[0]
                fields["martlet:tlsServerExtType"] = types
                if hello.protocols:
                    fields["flowmon:tlsAlpn"] = cut(hello.protocols[0], 255)
                if ja3s := hello.all("ja3s"):
                    fields["martlet:tlsJa3sFingerprint"] = "0x" + ja3s[0].show
    if record is not None:
        yield record


def quic(messages):
    """One record for what the flow's long headers and its first ClientHello say."""
    record, client = None, None
    for message in messages:
        node = message.node
        version, kind = node.first("quic.version"), node.first("quic.long.packet_type") or node.first("quic.long.packet_type_v2")
        if not version or not node.first("quic.header_form") or node.first("quic.header_form").number != 1:
            continue
        record = record or Expected(message.time)
        record.add(message)
        fields = record.fields
        # Version 2 has its own numbers of packet types.
        is_v2 = bool(node.first("quic.long.packet_type_v2"))
        kind = None if kind is None or version.number == 0 else (kind.number - 1) % 4 if is_v2 else kind.number
        if kind == 1:
            fields["cesnet:quicZeroRTT"] = min(255, fields.get("cesnet:quicZeroRTT", 0) + 1)
        else:
            fields["cesnet:quicVersion"] = version.number
        found = [hello for hello in hellos(node) if hello.is_client]
        if found and client is None:
            hello, client = found[0], message.sender
            fields["cesnet:quicClientVersion"] = version.number
            fields["cesnet:quicServerPort"] = message.receiver[1]
            fields["cesnet:quicCHParsed"] = 1
            fields["cesnet:quicOSCID"] = "0x" + node.first("quic.dcid").raw.hex() if node.first("quic.dcid") else ""
            fields["cesnet:quicOCCID"] = "0x" + node.first("quic.scid").raw.hex() if node.first("quic.scid") else ""
            if token := node.first("quic.token_length"):
                fields["cesnet:quicTokenLength"] = token.number
            if hello.server_name:
                fields["cesnet:quicSNI"] = cut(hello.server_name, 253)
            if agent := node.first("tls.quic.parameter.google.user_agent"):
                fields["cesnet:quicUserAgent"] = agent.text
            fields["cesnet:quicTlsExtType"] = hello.numbers("extension.type")[:30]
            fields["cesnet:quicTlsExtLen"] = hello.numbers("extension.len")[:30]
        elif client and message.sender != client and kind in (0, 2) and node.first("quic.scid"):
            fields.setdefault("cesnet:quicSCID", "0x" + node.first("quic.scid").raw.hex())
        if kind == 3 and node.first("quic.scid"):
            fields.setdefault("cesnet:quicRetrySCID", "0x" + node.first("quic.scid").raw.hex())
    if record is not None:
        yield record
