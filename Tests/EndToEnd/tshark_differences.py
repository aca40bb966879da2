"""Why a field of Martlet's is not tshark's: each difference that `compare_tshark.py` finds and that is no mistake."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Reason:
    """Explains differences in one plugin's fields."""
    plugin: str
    #: Capture: the frames that messages of it begin with.
    places: dict
    #: How many fields.
    count: int
    text: str

    def applies(self, difference):
        return difference.plugin == self.plugin and difference.frames[0] in self.places.get(difference.capture, ())


REASONS = [
    Reason("http", {"Captures/tcp.pcap": {184}}, 3,
           "tshark knows no method BREW and shows no request; Martlet takes any word in capitals"),
    Reason("sip", {"ndpi/fuzz-2006-06-26-2594.pcap": {20, 266, 516, 550, 640}}, 4,
           "URIs without > and a CSeq without its LF, which were overwritten: tshark shows no value, Martlet what is there"),
    Reason("quic", {"Captures/quic.pcap": {74, 76}, "ndpi/quic-forcing-vn-with-data.pcapng": {1, 3}}, 40,
           "a greased version, and what follows the negotiation that it leads to: tshark opens no Initial of either, Martlet "
           "both, with the keys of version 1"),
    Reason("quic", {"ndpi/quic_t51.pcap": {1}}, 2,
           "Google's T051 has an ACK frame of its own before the ServerHello, where Martlet stops"),
]


def explain(differences):
    """Gives each difference its reason, where there is one."""
    for reason in REASONS:
        explained = [one for one in differences if one.reason is None and reason.applies(one)]
        for one in explained[:reason.count]:
            one.reason = reason
