"""Which captures a name stands for: a file, several, all of a folder, or a pattern."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

#: A path, several, a folder, a pattern, or a capture's octets.
Captures: TypeAlias = "str | os.PathLike[str] | bytes | Iterable[str | os.PathLike[str]]"

#: What a capture in a folder is called; with tcpdump's numbers of rotated files behind it.
_NAME = re.compile(r"\.(pcap|pcapng|cap)\d*$", re.IGNORECASE)


def _missing(name: str, why: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, why, name)


def _expand_one(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*") if _NAME.search(file.name) and file.is_file())
        if not found:
            raise _missing(name, "no capture (*.pcap, *.pcapng, *.cap) in this folder or below it")
        return found
    # A name that exists is itself, whatever characters it has.
    if not path.exists() and glob.has_magic(name):
        found = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())
        if not found:
            raise _missing(name, "no capture fits this pattern")
        return found
    return [name]


def expand(captures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """The paths of captures, sorted within a folder and a pattern, in the given order otherwise.

    Raises FileNotFoundError where a folder or a pattern has none, or none of the named ones is there. One that is missing
    among others is a problem of the run.
    """
    names = [os.fspath(captures)] if isinstance(captures, (str, os.PathLike)) else [os.fspath(one) for one in captures]
    if not names:
        raise ValueError("no captures: give a path, a list of paths, a folder or a pattern")
    if "" in names:
        raise ValueError("a capture has no name: \".\" is the folder that this process is in")
    found = [path for name in names for path in _expand_one(name)]
    if not any(path == "-" or os.path.exists(path) for path in found):
        raise _missing(found[0], "no such capture")
    return found
