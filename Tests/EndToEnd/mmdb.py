"""Writes databases in MaxMind's format (maxmind.github.io/MaxMind-DB), so that tests know what is in them."""

import ipaddress
import struct


def encoded(value):
    """A value of the data section."""
    if isinstance(value, dict):
        return control(7, len(value)) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(map(encoded, value))
    if isinstance(value, bytes):
        return control(2, len(value)) + value
    if isinstance(value, str):
        return encoded(value.encode())
    kind, number = value if isinstance(value, tuple) else (6, value)
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return control(kind, len(octets)) + octets


def control(kind, size):
    """The octets before a value: its type and how long it is."""
    extended = b"" if kind < 8 else bytes([kind - 7])
    first = 0 if kind >= 8 else kind << 5
    if size < 29:
        return bytes([first | size]) + extended
    if size < 29 + 256:
        return bytes([first | 29]) + extended + bytes([size - 29])
    return bytes([first | 30]) + extended + struct.pack("!H", size - 285)


def database(networks, kind="Test", version=6):
    """A database that says these values of these networks; a longer prefix stands before a shorter one."""
    nodes, data = [[None, None]], b""
    for network, value in sorted(networks.items(), key=lambda item: ipaddress.ip_network(item[0]).prefixlen):
        network = ipaddress.ip_network(network)
        bits = format(int(network.network_address), f"0{network.max_prefixlen}b")[:network.prefixlen]
        if network.version == 4 and version == 6:
            bits = "0" * 96 + bits
        place = 0
        for bit in bits[:-1]:
            child = nodes[place][int(bit)]
            if not isinstance(child, int):
                # What was said of the whole stays true of the rest.
                nodes.append([child, child])
                nodes[place][int(bit)] = child = len(nodes) - 1
            place = child
        nodes[place][int(bits[-1])] = ("data", len(data))
        data += encoded(value)
    count = len(nodes)

    def record(child):
        if child is None:
            return count
        return child if isinstance(child, int) else count + 16 + child[1]
    tree = b"".join(struct.pack("!II", record(left), record(right)) for left, right in nodes)
    metadata = encoded({
        "node_count": count, "record_size": (5, 32), "ip_version": (5, version), "database_type": kind, "languages": ["en"],
        "binary_format_major_version": (5, 2), "binary_format_minor_version": (5, 0), "build_epoch": (9, 1700000000),
        "description": {"en": "made by a test"}})
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + metadata
