"""Why a field of Martlet's is not tshark's: each difference that `compare_tshark.py` finds and that is no mistake."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Reason:
    """Explains differences in one plugin's fields."""
    plugin: str
    #: "missing", "different" or "surplus".
    kind: str
    #: Capture: the first frames of the messages, or none where it is all of the capture's.
    places: dict
    #: How many fields.
    count: int
    text: str

    def applies(self, difference):
        frames = self.places.get(difference.capture)
        return (difference.plugin == self.plugin and difference.kind == self.kind and frames is not None
                and (not frames or difference.frames[0] in frames))


REASONS = [
    Reason("http", "surplus", {"Captures/tcp.pcap": {}}, 3,
           "tshark knows no method BREW and shows no request; Martlet takes any word in capitals"),
    Reason("sip", "surplus", {"ndpi/fuzz-2006-06-26-2594.pcap": {20, 266, 516, 550, 640}}, 4,
           "URIs without > and a CSeq without its LF, which were overwritten: tshark shows no value, Martlet what is there"),
    Reason("quic", "surplus", {
        "Captures/quic.pcap": {}, "Captures/demo.pcap": {}, "ndpi/quic-forcing-vn-with-data.pcapng": {}}, 61,
           "a greased version, and what follows the negotiation that it leads to: tshark opens no Initial of either, Martlet "
           "both, with the keys of version 1"),
]


def explain(differences):
    """Gives each difference its reason, where there is one."""
    for reason in REASONS:
        explained = [one for one in differences if one.reason is None and reason.applies(one)]
        for one in explained[:reason.count]:
            one.reason = reason
