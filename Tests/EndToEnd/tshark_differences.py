"""Why a field of Martlet's is not tshark's: each difference that `compare_tshark.py` finds and that is no mistake."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Explains the differences of one capture, one plugin and some of its fields."""
    capture: str
    plugin: str
    #: How many fields at the most.
    count: int
    text: str
    frames: frozenset = frozenset()

    def applies(self, difference):
        return (difference.capture == self.capture and difference.plugin == self.plugin
                and (not self.frames or self.frames >= set(difference.frames)))


REASONS = [
    Reason("Captures/tcp.pcap", "http", 3, "tshark knows no method BREW and shows no request; Martlet takes any word in capitals",
           frozenset({184})),
    Reason("ndpi/fuzz-2006-06-26-2594.pcap", "sip", 4, "URIs without their >, and a CSeq with more behind an overwritten LF: "
           "tshark shows none of them, Martlet what is there", frozenset({20, 266, 516, 550, 640})),
]


def explain(differences):
    """Gives each difference its reason, where there is one."""
    for reason in REASONS:
        explained = [one for one in differences if one.reason is None and reason.applies(one)]
        for one in explained[:reason.count]:
            one.reason = reason
