"""What goes wrong, by kind, so that a caller can tell an option that is none from a capture that is damaged."""

from __future__ import annotations

from dataclasses import dataclass

#: Statuses of the C interface (martlet.h), by their number.
STATUSES = {
    0: "ok",
    1: "invalid argument",
    2: "cannot read",
    3: "damaged",
    4: "stopped",
    5: "internal",
}


class MartletError(Exception):
    """Something that the engine refused, or could not do; the text says what to do.

    ``status`` is the C interface's number for it: 1 an option or a value that is none, 2 a capture that cannot be opened,
    3 a damaged capture, 4 stopped, 5 a defect.
    """

    def __init__(self, message: str, status: int = 5) -> None:
        super().__init__(message)
        self.status = status


class InvalidOption(MartletError, ValueError):
    """An option, a plugin or a value that there is not."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 1)


class ModelError(InvalidOption):
    """An estimator, a table or a feature that a model cannot be made of, or a model that cannot be used; one line."""


class MartletWarning(UserWarning):
    """A run that went on although a capture could not be read to its end."""


@dataclass(frozen=True)
class Problem:
    """What was wrong with one capture of a run; the flows up to there are among the records."""

    #: The capture's path.
    capture: str
    #: 2 it cannot be opened, 3 its rest cannot be read.
    status: int
    #: What was wrong.
    message: str
    #: Packets that were read before.
    packets: int

    def __str__(self) -> str:
        return self.message if self.capture in self.message else f"{self.capture}: {self.message}"
