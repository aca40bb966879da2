"""What a record of Martlet's is to have, made of tshark's messages by `tshark_models.py`."""

from dataclasses import dataclass, field


@dataclass
class Expected:
    """A record's fields as tshark's values make them."""
    time: int
    fields: dict = field(default_factory=dict)
    #: The frames that it is made of.
    frames: list = field(default_factory=list)
    #: The record has the packet at `time`: true where each message is a record of its own.
    is_timed: bool = False
    #: A message of it is no whole one.
    is_broken: bool = False

    def add(self, message):
        self.frames.append(message.frame)
        self.is_broken |= message.is_broken


def cut(text, limit):
    """The first `limit` bytes, as JSON shows them."""
    data = text.encode("utf-8", errors="replace") if isinstance(text, str) else text
    return data[:limit].decode("utf-8", errors="replace")
