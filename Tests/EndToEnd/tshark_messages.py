"""What tshark finds in a capture: the messages of application protocols, each with its flow's key, read from its PDML.

tshark puts TCP's segments together, as Martlet's streams do; fragments of IP it is told to leave alone, as Martlet does. What is
inside of a tunnel that Martlet does not open (`GRE_PAYLOADS` are those it opens) belongs to no flow of Martlet's and is left out.
"""

import functools
import ipaddress
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

#: The protocols that are compared, by their names in tshark.
PROTOCOLS = {"tls", "dtls", "quic", "dns", "http", "http2", "sip", "smtp", "mqtt", "rtsp", "ntp", "ssh"}
#: The packets of interest; of TLS those with hellos, of which a flow has few.
FILTER = ("tls.handshake.type==1||tls.handshake.type==2||dtls.handshake.type==1||dtls.handshake.type==2||quic||dns"
          "||http.request||http.response||http2.magic||sip||smtp||mqtt||rtsp||ntp||ssh")
#: Martlet opens GRE inside of IPv4 around these; a flow is that of the IP header behind them.
GRE_PAYLOADS = {"ip", "ipv6", "mpls", "pppoes"}
#: Protocols with packets or messages of others in them, which are not a flow's own: what an ICMP error quotes, what a tunnel has.
CLOSED = {"icmp", "icmpv6", "openvpn"}
#: Where tshark's guesses and shortcuts have a switch:
SETTINGS = [
    # Martlet puts no datagrams together: the first fragment is all that it reads of one.
    "ip.defragment:FALSE", "ipv6.defragment:FALSE",
    # As Martlet does, wait for a segment that comes late.
    "tcp.reassemble_out_of_order:TRUE",
]

PORTS = re.compile(r"Src Port: (\d+), Dst Port: (\d+)")
ADDRESSES = re.compile(r"Src: ([0-9a-fA-F.:]+), Dst: ([0-9a-fA-F.:]+)")


def flow_key(protocol, *ends):
    """A flow's key without direction: protocol number and two pairs of address and port."""
    return protocol, *sorted((int(ipaddress.ip_address(address)), int(port)) for address, port in ends)


class Node:
    """A protocol or field of tshark's tree."""

    def __init__(self, element):
        self.element = element

    @property
    def name(self):
        return self.element.get("name")

    @functools.cached_property
    def show(self):
        return self.element.get("show", "")

    @property
    def raw(self):
        """The bytes of the packet that it stands for; of bits their value."""
        value = self.element.get("value", "")
        return bytes.fromhex(value if len(value) % 2 == 0 else "0" + value)

    @property
    def first_byte(self):
        """Of a field of bits, the first byte in which they are."""
        return bytes.fromhex(self.element.get("unmaskedvalue", "00"))[0]

    @property
    def text(self):
        """The bytes as Martlet's JSON writes them."""
        return self.raw.decode("utf-8", errors="replace")

    @property
    def number(self):
        return int(self.show, 0)

    @functools.cached_property
    def children(self):
        return [Node(child) for child in self.element]

    @functools.cached_property
    def _by_name(self):
        found = {}
        for element in self.element.iter():
            if element is not self.element:
                found.setdefault(element.get("name"), []).append(Node(element))
        return found

    def all(self, name):
        """Those below it with this name, in the packet's order."""
        return self._by_name.get(name, [])

    def first(self, name):
        found = self.all(name)
        return found[0] if found else None

    def child(self, name):
        return next((child for child in self.children if child.name == name), None)

    def titled(self, start):
        """Those below it without a name whose text begins so."""
        return [node for node in self.all("") if node.show.startswith(start)]


@dataclass
class Message:
    """One message, or for TLS and QUIC one packet, of an application protocol."""
    protocol: str
    frame: int
    #: The frame in which it begins, which is an earlier one where segments were put together; its place among those of a frame.
    begin: tuple
    #: Nanoseconds.
    time: int
    key: tuple
    #: Address and port.
    sender: tuple
    receiver: tuple
    node: Node = field(repr=False)
    #: tshark calls something in the packet malformed, or cut short by the capture.
    is_broken: bool = False


def messages(path):
    """The messages of a capture in the order in which they begin."""
    command = ["tshark", "-n", "-r", str(path), "-Y", FILTER, "-T", "pdml", "-J", " ".join([*PROTOCOLS, "tcp.segments"])]
    for setting in SETTINGS:
        command += ["-o", setting]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            for _, element in ElementTree.iterparse(process.stdout, ["end"]):
                if element.tag == "packet":
                    found += _of_packet(element)
        except ElementTree.ParseError:
            # Nothing was written for what is no capture.
            pass
    return sorted(found, key=lambda message: message.begin)


def _of_packet(packet):
    info = packet[0]
    about = {child.get("name"): child.get("value") for child in info}
    frame, (seconds, fraction) = int(about["num"], 16), about["timestamp"].split(".")
    time = int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
    is_broken = any(proto.get("name") in ("_ws.malformed", "_ws.short") for proto in packet.iter("proto"))
    ip = transport = before = None
    may_be_inner = True
    segments = []
    count = 0
    for proto in packet[2:]:
        name = proto.get("name")
        if name in ("ip", "ipv6"):
            if not may_be_inner:
                return
            ip, transport, may_be_inner = ADDRESSES.search(proto.get("showname")), None, False
            is_version_6 = name == "ipv6"
        elif name == "gre":
            may_be_inner = ip is None or not is_version_6
        elif (before == "gre" and name not in GRE_PAYLOADS) or name in CLOSED:
            return
        elif name in ("tcp", "udp") and ip and transport is None:
            transport, number = PORTS.search(proto.get("showname")), 6 if name == "tcp" else 17
            segments, may_be_inner = [], False
        elif name == "fake-field-wrapper":
            # The reassembled bytes that the next protocol is made of.
            segments = [int(part.get("show")) for part in proto.iter("field") if part.get("name") == "tcp.segment"]
        elif name in PROTOCOLS and transport:
            ends = (ip[1], transport[1]), (ip[2], transport[2])
            count += 1
            yield Message(name, frame, (min([*segments, frame]), frame, count), time, flow_key(number, *ends),
                          *((str(ipaddress.ip_address(address)), int(port)) for address, port in ends), Node(proto), is_broken)
            segments = []
        before = name
