"""What Martlet's fields are to be, made of tshark's: for each plugin which messages make a record, and which of them it shows.

The rules are those of ../shared/reference/plugins.md and docs/elements.md: lengths at which texts are cut, the first or the last
of several, when a message begins another record. A function takes the messages of one flow (of one direction and the other, in
the order in which they begin) and yields what its records have. Only what tshark has a value for is in there.
"""

from tshark_expected import Expected, cut
from tshark_hellos import quic, tls

# dns

#: Types of records with the fields of which Martlet's text of the first answer is made.
DNS_NAMES = {2: "dns.ns", 5: "dns.cname", 12: "dns.ptr.domain_name", 39: "dns.dname"}


def dns_name(node):
    """A name as it is in the packet; where it ends in a pointer, as tshark shows it, without its sign for the root."""
    data, labels, offset = node.raw, [], 0
    while offset < len(data) and 0 < data[offset] < 64 and offset + data[offset] < len(data):
        labels.append(data[offset + 1:offset + 1 + data[offset]])
        offset += 1 + data[offset]
    if data[offset:] == b"\0":
        return b".".join(labels)
    return node.show.replace("<Root>", "").encode()


def dns_answer(record):
    """The text of a record's data; None where tshark does not take it apart."""
    kind = record.first("dns.resp.type").number

    def name(source):
        return dns_name(record.first(source))

    def values(*names):
        return b" ".join(b"%d" % record.first(source).number for source in names)

    if kind in (1, 28):
        return record.first("dns.a" if kind == 1 else "dns.aaaa").show.encode()
    if kind in DNS_NAMES:
        return name(DNS_NAMES[kind])
    if kind == 6:
        return b" ".join([name("dns.soa.mname"), name("dns.soa.rname"), values(
            "dns.soa.serial_number", "dns.soa.refresh_interval", "dns.soa.retry_interval", "dns.soa.expire_limit",
            "dns.soa.minimum_ttl")])
    if kind == 15:
        return values("dns.mx.preference") + b" " + name("dns.mx.mail_exchange")
    if kind == 16:
        return b" ".join(text.raw for text in record.all("dns.txt"))
    if kind == 33:
        # Of the owner tshark shows the parts.
        owner = b" ".join(record.first(f"dns.srv.{part}").show.removeprefix("_").encode()
                          for part in ("service", "proto", "name"))
        return b" ".join([owner, name("dns.srv.target"), values("dns.srv.priority", "dns.srv.weight", "dns.srv.port")])
    if kind == 43:
        return values("dns.ds.key_id", "dns.ds.algorithm", "dns.ds.digest_type") + b" <key>"
    if kind == 46:
        times = [int.from_bytes(record.first(f"dns.rrsig.signature_{edge}").raw) for edge in ("expiration", "inception")]
        return b"%b %d %d %b <key>" % (
            values("dns.rrsig.type_covered", "dns.rrsig.algorithm", "dns.rrsig.labels", "dns.rrsig.original_ttl"), *times,
            values("dns.rrsig.key_tag"))
    if kind == 48:
        return values("dns.dnskey.flags", "dns.dnskey.protocol", "dns.dnskey.algorithm") + b" <key>"
    return None if kind in (13, 14, 20) else b"(not_impl)"


def dns(messages):
    """Each message is a record: its first question, its first answer, its last OPT record."""
    for message in messages:
        # tshark has other ports, of DNS over QUIC for one; and a header that is there in part is none.
        if 53 in (message.sender[1], message.receiver[1]) and message.node.first("dns.count.add_rr"):
            yield dns_message(message)


def dns_message(message):
    node, expected = message.node, Expected(message.time, is_timed=message.key[0] == 17)
    expected.add(message)
    fields = expected.fields

    def take(name, node, *sources, convert=lambda found: found.number):
        found = next((found for source in sources if (found := node.first(source))), None)
        if found is not None:
            fields[f"cesnet:{name}"] = convert(found)

    # What tshark shows of a label with other bits than those of a length or a pointer, which no message has.
    names = ["dns.qry.name", "dns.resp.name", *DNS_NAMES.values()]
    expected.is_broken |= any("<Unknown extended label>" in found.show for name in names for found in node.all(name))
    take("DNSTransactionID", node, "dns.id")
    take("DNSAnswers", node, "dns.count.answers", "dns.count.prerequisites")
    # tshark shows it in responses only.
    take("DNSRCode", node, "dns.flags", convert=lambda found: found.number & 15)
    for question in (node.titled("Queries") or node.titled("Zone"))[:1]:
        take("DNSQType", question, "dns.qry.type")
        take("DNSClass", question, "dns.qry.class")
        take("DNSName", question, "dns.qry.name", convert=lambda found: cut(dns_name(found), 127))
    for answers in (node.titled("Answers") or node.titled("Prerequisites"))[:1]:
        for record in answers.children[:1]:
            take("DNSRRTTL", record, "dns.resp.ttl")
            try:
                text = dns_answer(record) if record.first("dns.resp.ttl") else None
            except AttributeError:  # a message that ends in the midst of the answer
                text = None
            if text is not None:
                fields["cesnet:DNSRData"] = cut(text, 159)
                fields["cesnet:DNSRDataLength"] = min(159, len(text))
    for records in node.titled("Additional records"):
        for record in records.children:
            if (kind := record.first("dns.resp.type")) and kind.number == 41:
                take("DNSPSize", record, "dns.rr.udp_payload_size")
                take("DNSRDO", record, "dns.resp.z.do")
    return expected


# ntp

#: Kisses of death that are exported as text.
KISSES = {b"INIT", b"STEP", b"DENY", b"RATE"}
NTP_NUMBERS = {"NTPLeap": "ntp.flags.li", "NTPVersion": "ntp.flags.vn", "NTPMode": "ntp.flags.mode", "NTPStratum": "ntp.stratum"}


def ntp(messages):
    """Each packet of version 4 between client and server is a record."""
    for message in messages:
        node, expected = message.node, Expected(message.time, is_timed=True)
        expected.add(message)
        values = {name: found.number for name, source in NTP_NUMBERS.items() if (found := node.first(source))}
        poll = node.first("ntp.ppoll")
        if not poll or values.get("NTPVersion") != 4 or values.get("NTPMode") not in (3, 4) or values.get("NTPStratum", 99) > 16 \
                or poll.raw[0] > 17:
            continue
        values["NTPPoll"] = poll.raw[0]
        # Numbers and times as they are in the packet; tshark shows them as text.
        for name, source in (("NTPPrecision", "precision"), ("NTPDelay", "rootdelay"), ("NTPDispersion", "rootdispersion")):
            values[name] = int.from_bytes(node.first(f"ntp.{source}").raw)
        reference = node.first("ntp.refid").raw
        is_kiss = values["NTPStratum"] == 0 and reference in KISSES
        values["NTPRefID"] = reference.decode() if is_kiss else ".".join(map(str, reference))
        for name, source in (("NTPRef", "reftime"), ("NTPOrig", "org"), ("NTPRecv", "rec"), ("NTPSent", "xmt")):
            time = int.from_bytes(node.first(f"ntp.{source}").raw)
            microseconds = ((time & 0xFFFFFFFF) * 10**6 + 2**31) >> 32
            seconds = (time >> 32) + microseconds // 10**6
            values[name] = f"{seconds}.{microseconds % 10**6:06}"
        expected.fields = {f"cesnet:{name}": value for name, value in values.items()}
        yield expected


# http and rtsp

def pairs(messages, is_request, status, note, is_end):
    """Records of a request and a response: a second one of either begins another record; an interim response gives way."""
    record = has_request = last_status = None
    for message in messages:
        request = is_request(message)
        begins = has_request if request else last_status and not (100 <= last_status < 200 and last_status != 101)
        if record is None or begins:
            if record is not None:
                yield record
            record, has_request, last_status = Expected(message.time), False, None
        record.add(message)
        note(message, record.fields, has_request)
        if request:
            has_request = True
        else:
            last_status = status(message)
        if is_end(record.fields, last_status):
            break
    if record is not None:
        yield record


def lines(node, name):
    """The values of a header field, without the blanks around them; of lines that a packet cuts short there is none."""
    return [found.raw.partition(b":")[2].strip() for found in node.all(name) if found.raw.endswith(b"\n")]


def http(messages):
    def is_request(message):
        return bool(message.node.all("http.request.method") or message.protocol == "http2")

    def note(message, fields, has_request):
        node = message.node
        if message.protocol == "http2":
            fields.update({"cesnet:httpMethod": "PRI", "flowmon:httpUrl": "*", "martlet:httpVersion": "2.0"})
            return

        def take(name, source, limit):
            # The last of several.
            for found in lines(node, source):
                fields[name] = cut(found, limit)

        if is_request(message):
            fields["cesnet:httpMethod"] = cut(node.first("http.request.method").raw, 15)
            fields["flowmon:httpUrl"] = cut(node.first("http.request.uri").raw, 127)
            take("flowmon:httpHost", "http.host", 63)
            take("flowmon:httpUserAgent", "http.user_agent", 127)
            take("flowmon:httpReferer", "http.referer", 127)
            version = node.first("http.request.version")
        else:
            fields["flowmon:httpStatusCode"] = node.first("http.response.code").number
            take("flowmon:httpContentType", "http.content_type", 31)
            take("cesnet:httpServer", "http.server", 127)
            cookies = [cookie.partition(b"=")[0].strip() for cookie in lines(node, "http.set_cookie") if b"=" in cookie]
            if cookies:
                fields["cesnet:httpCookieNames"] = cut(b";".join(cookies), 511)
            version = None if has_request else node.first("http.response.version")
        if version:
            fields["martlet:httpVersion"] = version.show.removeprefix("HTTP/").strip()

    def is_end(fields, status):
        # What follows is another protocol's.
        method = fields.get("cesnet:httpMethod")
        return method == "PRI" or status == 101 or (method == "CONNECT" and status and 200 <= status < 300)

    def begins(message):
        if message.protocol == "http2":
            return bool(message.node.all("http2.magic"))
        # A start line that a packet cuts short is none.
        return bool(message.node.all("http.request.method") or message.node.all("http.response.code")) and any(
            title.raw.endswith(b"\n") for title in message.node.children if title.name == "" and title.all("_ws.expert"))

    yield from pairs(filter(begins, messages), is_request, lambda message: message.node.first("http.response.code").number, note,
                     is_end)


def header_value(node, name):
    """The value of a field that tshark shows as a line."""
    for line in node.all(""):
        title, colon, value = line.text.partition(":")
        if colon and title.strip().lower() == name:
            return value.strip()
    return None


def rtsp(messages):
    def note(message, fields, has_request):
        node = message.node
        if node.all("rtsp.request"):
            fields["cesnet:rtspMethod"] = cut(node.first("rtsp.method").text, 9)
            fields["cesnet:rtspUri"] = cut(node.first("rtsp.url").text, 127)
            taken = [("rtspUserAgent", "user-agent", 127)]
        else:
            fields["cesnet:rtspStatusCode"] = node.first("rtsp.status").number
            taken = [("rtspServer", "server", 127), ("rtspContentType", "content-type", 31)]
        for name, title, limit in taken:
            if value := header_value(node, title):
                fields[f"cesnet:{name}"] = cut(value, limit)
        if not node.all("rtsp.request") and (kind := node.first("rtsp.content-type")):
            fields["cesnet:rtspContentType"] = cut(kind.show, 31)

    messages = [message for message in messages if message.node.all("rtsp.method") or message.node.all("rtsp.status")]
    yield from pairs(messages, lambda message: bool(message.node.all("rtsp.request")),
                     lambda message: message.node.first("rtsp.status").number, note, lambda *_: False)


# sip

SIP_METHODS = {"INVITE": 1, "ACK": 2, "CANCEL": 3, "BYE": 4, "REGISTER": 5, "OPTIONS": 6, "PUBLISH": 7, "NOTIFY": 8, "INFO": 9,
               "SUBSCRIBE": 10}


def sip(messages):
    """Each message is a record."""
    for message in messages:
        node, expected = message.node, Expected(message.time, is_timed=message.key[0] == 17)
        expected.add(message)
        fields = expected.fields
        method, status = node.first("sip.Method"), node.first("sip.Status-Code")
        if status:
            fields.update({"cesnet:SIPMsgType": 99, "cesnet:SIPStatusCode": status.number})
        elif method and method.show.isupper() and node.all("sip.Request-Line"):
            fields["cesnet:SIPMsgType"] = SIP_METHODS.get(method.show, 0)
        else:
            continue
        if target := node.first("sip.r-uri"):
            fields["cesnet:SIPRequestURI"] = cut(target.raw, 127)
        for name, title in (("SIPCallingParty", "from"), ("SIPCalledParty", "to")):
            for line in node.all(f"sip.{title.capitalize()}"):
                address = line.first(f"sip.{title}.addr")
                # A URI of a scheme of telephony; to `;`, where tshark takes parameters as parts of the address.
                if address and line.raw.endswith(b"\n") and address.raw.startswith((b"sip:", b"sips:", b"tel:")):
                    fields[f"cesnet:{name}"] = cut(address.raw.partition(b";")[0], 127)
        for name, source in (("SIPCseq", "sip.CSeq"), ("SIPCallID", "sip.Call-ID"), ("SIPUserAgent", "sip.User-Agent")):
            for found in lines(node, source):
                fields[f"cesnet:{name}"] = cut(found, 127)
        if vias := [via.partition(b";")[0].strip() for via in lines(node, "sip.Via")]:
            fields["cesnet:SIPVia"] = cut(b";".join(vias), 127)
        yield expected


# smtp

SMTP_VERBS = {"EHLO": 0x1, "HELO": 0x2, "MAIL": 0x4, "RCPT": 0x8, "DATA": 0x10, "RSET": 0x20, "VRFY": 0x40, "EXPN": 0x80,
              "HELP": 0x100, "NOOP": 0x200, "QUIT": 0x400}
SMTP_CODES = [211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451, 452, 455, 500, 501, 502, 503, 504, 550, 551, 552, 553, 554,
              555]


def smtp(messages):
    """One record for the dialogue, up to STARTTLS or its end."""
    record, fields, asks_for_tls, is_in_reply = None, {}, False, False

    def count(name, by=1):
        fields[f"cesnet:{name}"] = fields.get(f"cesnet:{name}", 0) + by

    def once(name, value):
        fields.setdefault(f"cesnet:{name}", cut(value, 254))

    for message in messages:
        node = message.node
        # Lines that are there whole; answers to a challenge are lines as well, of which tshark has no end.
        commands = [line for kind in ("command_line", "auth.username", "auth.password", "auth.username_password")
                    for line in node.all(f"smtp.{kind}") if kind != "command_line" or line.raw.endswith(b"\n")]
        replies = [reply for reply in node.all("smtp.response") if reply.raw.endswith(b"\n")]
        if not commands and not replies:
            continue
        if record is None:
            record = Expected(message.time, fields)
            fields.update({"cesnet:SMTPCommands": 0, "cesnet:SMTPStatusCodes": 0})
        record.add(message)
        for line in commands:
            text = line.text.rstrip("\r\n")
            if not text:
                continue
            word, _, rest = text.partition(" ")
            verb = word.upper()
            fields["cesnet:SMTPCommands"] |= SMTP_VERBS.get(verb, 0 if word.isascii() and word.isalpha() else 0x8000)
            asks_for_tls = asks_for_tls or verb == "STARTTLS"
            if verb in ("EHLO", "HELO"):
                once("SMTPDomain", rest.strip())
            elif verb in ("MAIL", "RCPT"):
                count("SMTPMailCount" if verb == "MAIL" else "SMTPRcptCount")
                once("SMTPSender" if verb == "MAIL" else "SMTPRecipient", rest.partition(":")[2])
        for reply in replies:
            if any("spam" in found.text.lower() for found in reply.all("smtp.rsp.parameter")):
                fields["cesnet:SMTPStatusCodes"] |= 0x40000000
            # A reply of several lines counts once; tshark may show its lines in packets of their own.
            is_whole = len(reply.all("smtp.rsp.parameter")) > 1 or reply.text[3:4] != "-"
            begins, is_in_reply = not is_in_reply, not is_whole
            code = reply.first("smtp.response.code")
            if not begins or not code:
                continue
            code = code.number
            fields["cesnet:SMTPStatusCodes"] |= 1 << SMTP_CODES.index(code) if code in SMTP_CODES else 0x80000000
            count(f"SMTPCode{code // 100}XXCount")
            if asks_for_tls and code == 220:
                yield record
                return
            asks_for_tls = False
    if record is not None:
        yield record


# mqtt

def mqtt(messages):
    """A record for a connection that begins with CONNECT, up to DISCONNECT."""
    record, topics = None, []
    for message in messages:
        node = message.node
        header, kind = node.first("mqtt.hdrflags"), node.first("mqtt.msgtype")
        if not header or not kind:
            continue
        kind = kind.number
        if record is None:
            if kind != 1:
                return
            record = Expected(message.time, {"cesnet:mqttTypeCumulative": 0})
        record.add(message)
        fields = record.fields
        fields["cesnet:mqttTypeCumulative"] |= 1 << kind
        if kind == 1:
            for name, source in (("mqttVersion", "ver"), ("mqttConnectionFlags", "conflags"), ("mqttKeepAlive", "kalive")):
                if found := node.first(f"mqtt.{source}"):
                    fields[f"cesnet:{name}"] = found.number
        elif kind == 2:
            code = node.first("mqtt.conack.val") or node.first("mqtt.connack.reason_code")
            fields["cesnet:mqttConnectionReturnCode"] = code.number
            # Bit 0, which is no type's, is the session's.
            flags = node.first("mqtt.conack.flags")
            fields["cesnet:mqttTypeCumulative"] = fields["cesnet:mqttTypeCumulative"] & ~1 | (flags.number & 1 if flags else 0)
        elif kind == 3:
            fields["cesnet:mqttPublishFlags"] = fields.get("cesnet:mqttPublishFlags", 0) | header.raw[0] & 15
            topic = node.first("mqtt.topic")
            topics.append(topic.raw if topic else b"")
            text = b""
            for topic in topics:
                if len(text) + len(topic) < 1000:
                    text += topic + b"#"
            fields["cesnet:mqttTopics"] = text.decode("utf-8", errors="replace")
        elif kind == 14:
            break
    if record is not None:
        yield record


# ssh

def ssh(messages):
    """One record: the identification and the algorithms of either side."""
    record = None
    for message in messages:
        node = message.node
        version, fingerprint = node.first("ssh.protocol"), node.first("ssh.kex.hassh") or node.first("ssh.kex.hasshserver")
        if not version and not fingerprint:
            continue
        record = record or Expected(message.time)
        record.add(message)
        # tshark knows the client by who sent the first packet of the connection.
        side, mine = ("Server", "server_to_client") if node.first("ssh.direction").number else ("Client", "client_to_server")
        if version:
            record.fields.setdefault(f"martlet:ssh{side}Version", cut(version.raw.rstrip(b"\r\n"), 255))
        if fingerprint:
            record.fields.setdefault("martlet:sshHassh" + side.removeprefix("Client"), "0x" + fingerprint.show)
            lists = [("kex_algorithms", 192), (f"encryption_algorithms_{mine}", 96), (f"mac_algorithms_{mine}", 96),
                     (f"compression_algorithms_{mine}", 48)]
            record.fields.setdefault(f"martlet:ssh{side}Algorithms", ";".join(
                whole_names(node.first(f"ssh.{name}").show, limit) for name, limit in lists))
            record.fields.setdefault(f"martlet:ssh{side}HostKeyAlgorithms", whole_names(
                node.first("ssh.server_host_key_algorithms").show, 128))
    if record is not None:
        yield record


def whole_names(names, limit):
    """The first names of a list joined by commas that fit whole."""
    return names if len(names) <= limit else names[:limit + 1].rpartition(",")[0]


#: Plugin: tshark's protocols and the model.
MODELS = {
    "tls": ({"tls", "dtls"}, tls), "quic": ({"quic"}, quic), "dns": ({"dns"}, dns), "http": ({"http", "http2"}, http),
    "sip": ({"sip"}, sip), "smtp": ({"smtp"}, smtp), "mqtt": ({"mqtt"}, mqtt), "rtsp": ({"rtsp"}, rtsp), "ntp": ({"ntp"}, ntp),
    "ssh": ({"ssh"}, ssh),
}
