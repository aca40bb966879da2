"""A progress bar for work that takes long, where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ._library import Progress
from ._require import available

#: None: a bar where standard error is a terminal; True, False: a bar or none; a function is called with each Progress.
ProgressChoice: TypeAlias = "bool | Callable[[Progress], object] | None"

#: Seconds that work takes before a bar appears.
DELAY = 1.0


class Display(Protocol):
    def show(self, progress: Progress) -> None: ...
    def close(self) -> None: ...


class _Nothing:
    def show(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass


class _Function(_Nothing):
    def __init__(self, function: Callable[[Progress], object]) -> None:
        self._function = function

    def show(self, progress: Progress) -> None:
        self._function(progress)


class _Bar:
    """Octets of captures that were read, with packets, flows and captures behind it."""

    def __init__(self, delay: float) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(
            unit="B", unit_scale=True, unit_divisor=1024, desc="martlet", delay=delay, leave=False, dynamic_ncols=True)

    def show(self, progress: Progress) -> None:
        bar = self._bar
        bar.total = progress.octets_in_all or None
        bar.set_postfix(
            packets=progress.packets, flows=progress.flows, refresh=False,
            captures=f"{progress.captures_done}/{progress.captures_in_all}")
        bar.update(progress.octets_read - bar.n)

    def close(self) -> None:
        self._bar.close()


def display(choice: ProgressChoice) -> Display:
    """What shows a run's progress, by the caller's choice."""
    if callable(choice):
        return _Function(choice)
    if choice is False or (choice is None and not sys.stderr.isatty()) or not available("tqdm"):
        return _Nothing()
    return _Bar(0.0 if choice else DELAY)
