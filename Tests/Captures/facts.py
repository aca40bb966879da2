#!/usr/bin/env python3
"""What tshark finds in each capture, as facts.json beside them: a second opinion for tests.

    facts.py DIRECTORY              writes facts.json, then checks it against EXPECTED

Sets are sorted; *_count tells how many packets had it. tshark reassembles TCP and QUIC CRYPTO, so it
sees ClientHellos that lie in several segments or Initials.
"""
import collections
import json
import os
import subprocess
import sys

FIELDS = {      # fact: (tshark field, only in packets where this field …, has this value)
    "tls_sni": ("tls.handshake.extensions_server_name", None, None),
    "tls_ja3": ("tls.handshake.ja3", None, None),
    "tls_alpn_client": ("tls.handshake.extensions_alpn_str", "tls.handshake.type", "1"),
    "tls_alpn_server": ("tls.handshake.extensions_alpn_str", "tls.handshake.type", "2"),
    "dtls_sni": ("dtls.handshake.extensions_server_name", None, None),
    "quic_version": ("quic.version", None, None),
    "dns_query": ("dns.qry.name", "dns.flags.response", "0"),
    "dns_type": ("dns.qry.type", "dns.flags.response", "0"),
    "dns_rcode": ("dns.flags.rcode", None, None),
    "http_host": ("http.host", None, None),
    "http_method": ("http.request.method", None, None),
    "http_uri": ("http.request.uri", None, None),
    "http_status": ("http.response.code", None, None),
    "http_user_agent": ("http.user_agent", None, None),
    "http_content_type": ("http.content_type", None, None),
    "smtp_command": ("smtp.req.command", None, None),
    "smtp_response": ("smtp.response.code", None, None),
    "mqtt_type": ("mqtt.msgtype", None, None),
    "mqtt_topic": ("mqtt.topic", None, None),
    "mqtt_version": ("mqtt.ver", None, None),
    "vlan_id": ("vlan.id", None, None),
    "vlan_outer_id": ("ieee8021ad.id", None, None),
    "mpls_label": ("mpls.label", None, None),
    "ip_protocol": ("ip.proto", None, None),
    "ipv6_next_header": ("ipv6.nxt", None, None),
    "openvpn_opcode": ("openvpn.opcode", None, None),
    "wireguard_type": ("wg.type", None, None),
    "icmp_type": ("icmp.type", None, None),
    "icmpv6_type": ("icmpv6.type", None, None),
    "tcp_stream": ("tcp.stream", None, None),
    "udp_stream": ("udp.stream", None, None),
}
# What must be there, whatever the ports, times and retransmissions of a run were.
NAMES = ".martlet.test"
EXPECTED = {
    "tls12.pcap": {"tls_sni": ["tls12-h2", "tls12-h1", "tls12-v6", "tls12-openssl", "tls12-full", "tls12-resumed"],
                   "tls_alpn_server": ["h2", "http/1.1"]},
    "tls13.pcap": {"tls_sni": ["tls13-h2", "tls13-h1", "tls13-v6", "tls13-openssl", "tls13-retry", "tls13-full",
                               "tls13-resumed"]},
    "tls-legacy.pcap": {"tls_sni": ["tls10", "tls11", "tls10-alpn"]},
    "tls-segmented.pcap": {"tls_sni": ["split-100", "split-header", "split-byte", "split-name", "split-records",
                                       "split-mss", "split-large"]},
    "tls-reordered.pcap": {"tls_sni": ["split-100", "split-mss", "split-large"]},
    "dtls.pcap": {"dtls_sni": ["dtls"]},
    "starttls.pcap": {"tls_sni": ["starttls", "starttls-v6"]},
    # Not quic-negotiated: tshark does not take up the new version behind a version negotiation.
    "quic.pcap": {"tls_sni": ["quic-v1", "quic-v2", "quic-v6", "quic-retry", "quic-large", "quic-early"],
                  "quic_version": ["0x00000000", "0x00000001", "0x1a2a3a4a", "0x6b3343cf"]},
    "dns.pcap": {"dns_query": ["www", "alias", "info", "big", "nowhere"], "dns_rcode": ["0", "3", "5"],
                 "dns_type": ["1", "12", "15", "16", "28", "33", "257"]},
    "http.pcap": {"http_method": ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT"],
                  "http_status": ["100", "200", "201", "302", "404"]},
    "smtp.pcap": {"smtp_response": ["220", "221", "250", "252", "354", "500", "550"]},
    "mqtt.pcap": {"mqtt_version": ["3", "4", "5"], "mqtt_topic": ["birds/martlet/height", "weather/wind"]},
    "openvpn.pcap": {"openvpn_opcode": ["0x04", "0x05", "0x07", "0x08", "0x09"]},
    "openvpn-tcp.pcap": {"openvpn_opcode": ["0x04", "0x05", "0x07", "0x08", "0x09"]},
    "openvpn-tlsauth.pcap": {"openvpn_opcode": ["0x04", "0x05", "0x07", "0x08", "0x09"]},
    "wireguard.pcap": {"wireguard_type": ["1", "2", "4"]},
    "vlan.pcap": {"vlan_id": ["0", "100", "300"], "vlan_outer_id": ["200"], "tls_sni": ["tls13-h2"]},
    "mpls.pcap": {"mpls_label": ["1001", "16001", "24002"], "tls_sni": ["tls13-h2"]},
    "pppoe.pcap": {"tls_sni": ["tls13-h2"]}, "gre.pcap": {"tls_sni": ["tls13-h2"]},
    "ipip.pcap": {"tls_sni": ["tls13-h2"]}, "trill.pcap": {"tls_sni": ["tls13-h2"]},
    "vxlan.pcap": {"tls_sni": ["tls13-h2"]}, "sll.pcap": {"tls_sni": ["tls13-h2"]},
    "sll2.pcap": {"tls_sni": ["tls13-h2"]}, "raw.pcap": {"tls_sni": ["tls13-h2"]},
    "nano.pcap": {"tls_sni": ["tls13-h2"]}, "two-interfaces.pcapng": {"tls_sni": ["tls13-h2"]},
    "demo.pcap": {"tls_sni": ["tls12-h2", "tls13-h2", "quic-v1", "starttls"], "dns_query": ["www"],
                  "openvpn_opcode": ["0x09"], "wireguard_type": ["4"], "vlan_id": ["120"]},
}
MANY = ("tls_alpn_client", "tls_ja3", "dns_type")       # long lists, no counts wanted
SEPARATOR = "\x1f"


def facts_of(path):
    info = subprocess.run(["capinfos", "-M", "-T", "-r", "-N", "-c", "-E", "-s", "-u", "-l", path],
                          capture_output=True, text=True).stdout.rstrip("\n").split("\t")
    columns = sorted({field for entry in FIELDS.values() for field in entry[:2] if field})
    # Heuristic dissectors that would claim traffic of ours on purpose-chosen ports stay as they are.
    command = ["tshark", "-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-r", path, "-T", "fields",
               "-E", "occurrence=a", "-E", "separator=/t", "-E", "aggregator=" + SEPARATOR,
               "-d", "tcp.port==1194,openvpn", "-d", "udp.port==1195,openvpn",
               "-d", "tcp.port==7002,data", "-d", "udp.port==4434,quic", "-d", "udp.port==4436,dtls"]
    for column in columns:
        command += ["-e", column]
    done = subprocess.run(command, capture_output=True, text=True)
    found = {fact: collections.Counter() for fact in FIELDS}
    packets = 0
    for line in done.stdout.split("\n")[:-1]:
        packets += 1
        values = dict(zip(columns, ([v for v in cell.split(SEPARATOR) if v] for cell in line.split("\t"))))
        for fact, (field, condition, wanted) in FIELDS.items():
            if condition and wanted not in values[condition]:
                continue
            for value in set(values[field]):
                found[fact][value] += 1
    result = {"packets": packets, "bytes": os.path.getsize(path), "info": info[1:]}
    for fact, values in found.items():
        if fact.endswith("_stream"):
            if values:
                result[fact + "s"] = len(values)
        elif fact in MANY:
            if values:
                result[fact] = sorted(values)[:12]
        elif values:
            result[fact] = dict(sorted(values.items()))
    errors = [line for line in done.stderr.split("\n") if line and "Running as user" not in line]
    if errors:
        result["tshark_says"] = errors[0].replace(path, os.path.basename(path))
    return result


def main():
    top = sys.argv[1]
    everything = {}
    for directory in (top, os.path.join(top, "malformed")):
        for name in sorted(os.listdir(directory)):
            if name.endswith((".pcap", ".pcapng")):
                path = os.path.join(directory, name)
                everything[os.path.relpath(path, top)] = facts_of(path)
    with open(os.path.join(top, "facts.json"), "w") as out:
        json.dump(everything, out, indent=1, ensure_ascii=False)
        out.write("\n")
    print(f"{len(everything)} captures, {sum(f['bytes'] for f in everything.values())} bytes:")
    for name, facts in everything.items():
        print(f"  {name:38} {facts['packets']:6} packets {facts['bytes']:8} bytes  {facts.get('tshark_says', '')}")
    missing = []
    for name, facts in EXPECTED.items():
        if name not in everything:
            continue            # skipped on this machine, or not made yet
        for fact, values in facts.items():
            found = everything[name].get(fact, {})
            missing += [f"{name} has no {fact} {value}" for value in values
                        if value not in found and value + NAMES not in found]
    if missing:
        raise SystemExit("facts.py: " + "; ".join(missing))


if __name__ == "__main__":
    main()
