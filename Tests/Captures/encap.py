#!/usr/bin/env python3
"""A tunnel end in user space, for encapsulations that this kernel may not have.

Makes a TUN or TAP device and carries what real clients send through it over an Ethernet
device (or a raw IP socket), wrapped as asked. One process on each side makes a tunnel:

    encap.py DEVICE --over ETHDEV --peer-mac MAC  tags 88a8:200,8100:300
    encap.py DEVICE --over ETHDEV --peer-mac MAC  mpls 16001,24002
    encap.py DEVICE --over ETHDEV --peer-mac MAC  mpls-pw 1001   (Ethernet over MPLS, control word)
    encap.py DEVICE --over ETHDEV --peer-mac MAC  pppoe 4660     (session stage only)
    encap.py DEVICE --over ETHDEV --peer-mac MAC  trill 17
    encap.py DEVICE --local IP --peer IP          gre csum,key,seq   (any of them, or plain)
    encap.py DEVICE --local IP --peer IP          gre-eth
    encap.py DEVICE --local IP --peer IP          ipip
    encap.py DEVICE --over ETHDEV --peer-mac MAC  tags           (none: plain Ethernet)

--lose-every N throws every Nth packet away that comes from the peer (a capture on the wire still
has it, and later its retransmission); --swap-every N sends every Nth packet after the one behind it.

It knows only what the captures need: no PPP negotiation, no keepalives, no fragmentation.
"""
import argparse
import errno
import fcntl
import os
import select
import socket
import struct

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454CA, 1, 2, 0x1000
TP_STATUS_VLAN_VALID = 0x10


def open_device(name, tap):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), (IFF_TAP if tap else IFF_TUN) | IFF_NO_PI))
    return fd


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethertype_of(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


# --- what goes between the outer header and the inner packet, and back ---------------------------

class Tags:
    """802.1Q and 802.1ad: any stack of tags. The inner Ethernet header is the frame's header."""
    tap = True

    def __init__(self, text):
        self.tags = b""
        for tag in filter(None, text.split(",")):
            tpid, vid = tag.split(":")
            self.tags += struct.pack("!HH", int(tpid, 16), int(vid))

    def wrap(self, frame, header):
        return frame[:12] + self.tags + frame[12:]

    def unwrap(self, frame):
        if frame[12:12 + len(self.tags)] != self.tags:
            return None
        return frame[:12] + frame[12 + len(self.tags):]


class Ether:
    """Anything with an Ethernet type of its own behind an outer Ethernet header."""
    tap = False

    def wrap(self, packet, header):
        return header + struct.pack("!H", self.ethertype) + self.inside(packet)

    def unwrap(self, frame):
        if frame[12:14] != struct.pack("!H", self.ethertype):
            return None
        return self.outside(frame[14:])


class Mpls(Ether):
    ethertype = 0x8847

    def __init__(self, text, pseudowire=False):
        labels = [int(label) for label in text.split(",")]
        self.stack = b"".join(
            struct.pack("!I", label << 12 | (0x100 if n == len(labels) - 1 else 0) | 64)
            for n, label in enumerate(labels))
        self.tap = pseudowire
        if pseudowire:
            self.stack += bytes(4)      # RFC 4448 control word, no sequencing

    def inside(self, packet):
        return self.stack + packet

    def outside(self, rest):
        return rest[len(self.stack):] if rest.startswith(self.stack) else None


class PppoE(Ether):
    ethertype = 0x8864

    def __init__(self, text):
        self.session = int(text)

    def inside(self, packet):
        protocol = 0x0057 if packet[0] >> 4 == 6 else 0x0021
        return struct.pack("!BBHHH", 0x11, 0, self.session, len(packet) + 2, protocol) + packet

    def outside(self, rest):
        _, code, session, length, protocol = struct.unpack("!BBHHH", rest[:8])
        if code or session != self.session or protocol not in (0x21, 0x57):
            return None
        return rest[8:6 + length]


class Trill(Ether):
    ethertype = 0x22F3
    tap = True

    def __init__(self, text):
        self.nickname = int(text)

    def inside(self, frame):
        # version 0, unicast, no options, hop count 20, egress and ingress nicknames
        return struct.pack("!HHH", 20, self.nickname, self.nickname + 1) + frame

    def outside(self, rest):
        return rest[6:]


class Gre:
    protocol = 47

    def __init__(self, text, ethernet=False):
        words = text.split(",")
        self.csum, self.key, self.seq = ("csum" in words), ("key" in words), ("seq" in words)
        self.tap = ethernet
        self.count = 0

    def wrap(self, packet, _):
        flags = self.csum << 15 | self.key << 13 | self.seq << 12
        kind = 0x6558 if self.tap else ethertype_of(packet)
        rest = b""
        if self.key:
            rest += struct.pack("!I", 0x4D41524C)
        if self.seq:
            rest += struct.pack("!I", self.count)
            self.count += 1
        head = struct.pack("!HH", flags, kind)
        if self.csum:
            value = checksum(head + bytes(4) + rest + packet)
            head += struct.pack("!HH", value, 0)
        return head + rest + packet

    def unwrap(self, data):
        if len(data) < 4:
            return None
        return data[4 + 4 * (self.csum + self.key + self.seq):]


class IpIp:
    """Protocol 4 or 41, whichever the inner packet needs; two raw sockets."""
    tap = False

    def wrap(self, packet, _):
        return packet

    def unwrap(self, data):
        return data


MODES = {
    "tags": Tags, "mpls": Mpls, "mpls-pw": lambda text: Mpls(text, pseudowire=True), "pppoe": PppoE,
    "trill": Trill, "gre": Gre, "gre-eth": lambda text: Gre(text, ethernet=True), "ipip": lambda text: IpIp(),
}


def over_ethernet(device, mode, args):
    """Frames through an AF_PACKET socket. The kernel takes the outer VLAN tag off a frame it
    received and reports it beside the data, so it is put back here before looking."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((args.over, ETH_P_ALL))
    own = wire.getsockname()[4]
    header = bytes.fromhex(args.peer_mac.replace(":", "")) + own

    def receive():
        frame, control, _, address = wire.recvmsg(65535, 256)
        if address[2] == PACKET_OUTGOING:
            return None
        for level, kind, data in control:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
                if status & TP_STATUS_VLAN_VALID:
                    frame = frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
        return mode.unwrap(frame) if len(frame) > 14 else None

    pump(device, [(wire, receive)], lambda packet: wire.send(mode.wrap(packet, header)), args)


def over_ip(device, mode, args):
    """The kernel makes the outer IP header. Having a raw socket for the protocol also stops it
    from answering with ICMP protocol unreachable."""
    family = socket.AF_INET6 if ":" in args.peer else socket.AF_INET
    sockets = {}
    for protocol in ((4, 41) if isinstance(mode, IpIp) else (mode.protocol,)):
        raw = socket.socket(family, socket.SOCK_RAW, protocol)
        raw.bind((args.local, 0))
        sockets[protocol] = raw

    def receiver(raw):
        def receive():
            data = raw.recv(65535)
            if family == socket.AF_INET:        # IPv4 raw sockets deliver the IP header too
                data = data[(data[0] & 15) * 4:]
            return mode.unwrap(data)
        return receive

    def send(packet):
        protocol = mode.protocol if hasattr(mode, "protocol") else (41 if packet[0] >> 4 == 6 else 4)
        sockets[protocol].sendto(mode.wrap(packet, b""), (args.peer, 0))

    pump(device, [(raw, receiver(raw)) for raw in sockets.values()], send, args)


def pump(device, sources, send, args):
    waiting = [device] + [source for source, _ in sources]
    sent = received = 0
    held = None
    while True:
        # A packet that is held back for swapping goes alone when nothing follows it soon.
        ready, _, _ = select.select(waiting, [], [], 0.02 if held else None)
        try:
            if device in ready:
                packet = os.read(device, 65535)
                sent += 1
                if args.swap_every and sent % args.swap_every == 0 and held is None:
                    held = packet
                else:
                    send(packet)
                    ready = ready + [None]
            if held and (None in ready or not ready):
                packet, held = held, None
                send(packet)
            for source, receive in sources:
                if source in ready:
                    packet = receive()
                    if not packet:
                        continue
                    received += 1
                    if not args.lose_every or received % args.lose_every:
                        os.write(device, packet)
        except OSError as error:        # the device is not up yet, or is being taken down
            if error.errno not in (errno.EIO, errno.ENETDOWN, errno.EINVAL, errno.EMSGSIZE, errno.ENOBUFS):
                raise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device")
    parser.add_argument("--over")
    parser.add_argument("--peer-mac")
    parser.add_argument("--local")
    parser.add_argument("--peer")
    parser.add_argument("--lose-every", type=int, default=0)
    parser.add_argument("--swap-every", type=int, default=0)
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("argument", nargs="?", default="")
    args = parser.parse_args()
    mode = MODES[args.mode](args.argument)
    device = open_device(args.device, mode.tap)
    (over_ethernet if args.over else over_ip)(device, mode, args)


if __name__ == "__main__":
    main()
