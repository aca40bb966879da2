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
    def offer(self):
        """The protocols joined, as many as fit whole."""
        offer = self.protocols[0]
        for name in self.protocols[1:]:
            if len(offer) + 1 + len(name) > 255:
                break
            offer += b"," + name
        return cut(offer, 255)

    @property
    def server_name(self):
        names = self.all("extensions_server_name")
        return names[0].raw if names else None

    @property
    def is_fingerprinted(self):
        """Whether it is short enough (docs/elements.md): otherwise it has no fingerprint."""
        costs = {"ciphersuite": 4, "extension.type": 5, "extensions_supported_group": 2, "extensions_ec_point_format": 2,
                 "sig_hash_alg": 1}
        return sum(cost * len(self.all(name)) for name, cost in costs.items()) <= 468


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
                    fields["martlet:tlsClientAlpn"] = hello.offer
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


#: Bits of `quicPackets`: a packet's types by their numbers in version 1, and the QUIC bit.
QUIC_TYPES = [0x01, 0x02, 0x04, 0x08]
QUIC_NEGOTIATION, QUIC_BIT = 0x10, 0x80
INITIAL, ZERO_RTT, HANDSHAKE, RETRY = range(4)


def quic_type(node):
    """The number of a long header's type as in version 1; None for version negotiation and short headers."""
    if kind := node.first("quic.long.packet_type_v2"):
        return (kind.number - 1) % 4
    kind = node.first("quic.long.packet_type")
    return kind.number if kind else None


def quic(messages):
    """A record for a flow's packets, up to and with a version negotiation; further ones make the next record."""
    record = None
    for message in messages:
        record = record or QUICRecord(message)
        if record.note(message):
            yield from record.expected
            record = None
    if record:
        yield from record.expected


class QUICRecord:
    """What the packets of a flow say: the last version, the ids in the first packets, the client's first hello."""

    def __init__(self, message):
        self._record = Expected(message.time)
        self._fields = self._record.fields
        self._client = None
        self._has_long_header = False
        self._last_frame = None
        self._packets = []

    @property
    def expected(self):
        """Nothing where tshark saw no long header: it knows the connection then, if at all, from before."""
        if self._has_long_header:
            self._fields["cesnet:quicPackets"] = self._packets[:30]
            yield self._record

    def note(self, message):
        """Takes a packet in; true where it ends the record."""
        node, version = message.node, message.node.first("quic.version")
        self._record.add(message)
        if message.frame != self._last_frame:
            form = node.first("quic.header_form")
            self._packets.append(QUIC_BIT if form and form.first_byte & 0x40 else 0)
            self._last_frame = message.frame
        if not version:
            return False
        self._has_long_header = True
        kind = quic_type(node) if version.number else None
        self._packets[-1] |= QUIC_NEGOTIATION if kind is None else QUIC_TYPES[kind]
        if kind == ZERO_RTT:
            self._fields["cesnet:quicZeroRTT"] = min(255, self._fields.get("cesnet:quicZeroRTT", 0) + 1)
        else:
            self._fields["cesnet:quicVersion"] = version.number
        for hello in hellos(node):
            if not hello.is_client:
                self._fields.setdefault("martlet:quicTlsCipherSuite", hello.numbers("ciphersuite")[0])
                self._fields.setdefault("martlet:quicTlsServerVersion", hello.version)
            elif self._client is None:
                self._client = message.sender
                self._note_hello(message, hello, version.number)
        if self._client and message.sender != self._client and kind in (INITIAL, HANDSHAKE):
            self._note_id("quicSCID", node.first("quic.scid"))
        if kind == RETRY:
            self._note_id("quicRetrySCID", node.first("quic.scid"))
            self._fields["cesnet:quicTokenLength"] = len(node.first("quic.retry_token").raw)
        return kind is None

    def _note_id(self, name, found):
        if found and found.raw:
            self._fields.setdefault(f"cesnet:{name}", "0x" + found.raw.hex())

    def _note_hello(self, message, hello, version):
        node, fields = message.node, self._fields
        fields["cesnet:quicClientVersion"] = version
        fields["cesnet:quicServerPort"] = message.receiver[1]
        fields["cesnet:quicCHParsed"] = 1
        self._note_id("quicOSCID", node.first("quic.dcid"))
        self._note_id("quicOCCID", node.first("quic.scid"))
        if token := node.first("quic.token_length"):
            fields["cesnet:quicTokenLength"] = token.number
        if hello.server_name:
            fields["cesnet:quicSNI"] = cut(hello.server_name, 253)
        if agent := node.first("tls.quic.parameter.google.user_agent"):
            fields["cesnet:quicUserAgent"] = agent.text
        if hello.protocols:
            fields["martlet:quicClientAlpn"] = hello.offer
        types = hello.numbers("extension.type")
        fields["cesnet:quicTlsExtType"] = types[:30]
        fields["cesnet:quicTlsExtLen"] = hello.numbers("extension.len")[:30]
        fields["martlet:quicTlsEncryptedClientHello"] = int(0xFE0D in types)
        # ALPN and the transport parameters, by the numbers that the versions have for them.
        whole = [found.raw[4:] for found in hello.node.titled("Extension: ")
                 if int.from_bytes(found.raw[:2]) in (16, 57, 0xFFA5, 26)]
        fields["cesnet:quicTlsExt"] = "0x" + b"".join(whole)[:1499].hex()
