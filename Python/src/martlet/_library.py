"""libmartlet by ctypes: finds the library, checks that it is one for this machine, and makes its runs objects.

The interface is Sources/MartletC/include/martlet.h. Nothing else of the package knows of C.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ._errors import InvalidOption, MartletError, Problem

#: The version of the C interface that this package is written for.
API_VERSION = 1

#: ELF's e_machine by the name that platform.machine() has for it.
_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class _Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


_PROGRESS = ("octets_read", "octets_in_all", "packets", "flows", "captures_done", "captures_in_all", "captures_failed")


class _Progress(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in _PROGRESS]


class _ArrowArrayStream(ctypes.Structure):
    """The Arrow C stream interface's structure: four functions and a pointer that is the producer's."""

    _fields_ = [
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.c_void_p),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    ]


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    #: Octets of captures that were read, and those of all captures.
    octets_read: int
    octets_in_all: int
    #: Packets that were read, records that were made.
    packets: int
    flows: int
    #: Captures that were read to their end, all of them, and those that could not be.
    captures_done: int
    captures_in_all: int
    captures_failed: int


def library_path() -> Path:
    """The library: MARTLET_LIBRARY where that is set, else the one inside the package."""
    if named := os.environ.get("MARTLET_LIBRARY"):
        return Path(named)
    return Path(__file__).with_name("libmartlet.so")


def _check_machine(path: Path) -> None:
    """Raises ImportError where the file is no whole shared library for this machine, and says what it is."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = os.fstat(file.fileno()).st_size
            if len(head) < 64 or head[:4] != b"\x7fELF":
                raise ImportError(
                    f"martlet: {path} is no shared library of Linux: the wheel is damaged, or for another system")
            bits = {1: 32, 2: 64}.get(head[4], 0)
            order: Literal["<", ">"] = ">" if head[5] == 2 else "<"
            (machine,) = struct.unpack(f"{order}H", head[18:20])
            name = _MACHINES.get(machine, f"ELF machine {machine}")
            here, here_bits = platform.machine(), struct.calcsize("P") * 8
            if name != here or bits != here_bits:
                raise ImportError(
                    f"martlet: this wheel is for {name} ({bits} bits), and this Python runs on {here} ({here_bits} bits): "
                    "install the wheel for this machine"
                )
            if bits == 64 and size < _end_of_segments(file, head, order):
                raise ImportError(f"martlet: {path} is cut: install the wheel again")
    except OSError as error:
        raise ImportError(
            f"martlet: no library at {path} ({error.strerror}): install a wheel of martlet, or make one with "
            "Python/build-wheel.sh; MARTLET_LIBRARY names another library"
        ) from error


def _end_of_segments(file: BinaryIO, head: bytes, order: Literal["<", ">"]) -> int:
    """How long an ELF file must be at least: the loader of a shorter one ends the process by SIGBUS."""
    (table,) = struct.unpack(f"{order}Q", head[32:40])
    width, count = struct.unpack(f"{order}HH", head[54:58])
    file.seek(table)
    headers = file.read(width * count)
    if width < 56 or len(headers) < width * count:
        return sys.maxsize
    ends = [table + width * count]
    for place in range(0, width * count, width):
        (offset,) = struct.unpack_from(f"{order}Q", headers, place + 8)
        (length,) = struct.unpack_from(f"{order}Q", headers, place + 32)
        ends.append(offset + length)
    return int(max(ends))


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The loaded library with its functions' types; ImportError says why there is none."""
    path = library_path()
    _check_machine(path)
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(f"martlet: cannot load {path}: {error}") from error
    text_out = ctypes.POINTER(ctypes.c_void_p)
    run_out = ctypes.POINTER(ctypes.c_void_p)
    options = [ctypes.POINTER(_Option), ctypes.c_size_t]
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "martlet_api_version": (ctypes.c_uint32, []),
        "martlet_version": (ctypes.c_char_p, []),
        "martlet_open": (ctypes.c_int, [ctypes.POINTER(ctypes.c_char_p), ctypes.c_size_t, *options, run_out, text_out]),
        "martlet_open_bytes": (
            ctypes.c_int, [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, *options, run_out, text_out]),
        "martlet_stream": (ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(_ArrowArrayStream), text_out]),
        "martlet_get_progress": (None, [ctypes.c_void_p, ctypes.POINTER(_Progress)]),
        "martlet_problems": (ctypes.c_void_p, [ctypes.c_void_p]),
        "martlet_counters": (ctypes.c_void_p, [ctypes.c_void_p]),
        "martlet_stop": (None, [ctypes.c_void_p]),
        "martlet_close": (None, [ctypes.c_void_p]),
        "martlet_plugins": (ctypes.c_void_p, []),
        "martlet_free": (None, [ctypes.c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(loaded, name)
        except AttributeError as error:
            raise ImportError(f"martlet: {path} has no {name}: it is not libmartlet, or an older one") from error
        function.restype, function.argtypes = result, arguments
    version = loaded.martlet_api_version()
    if version != API_VERSION:
        raise ImportError(
            f"martlet: {path} has version {version} of the C interface, and this package wants {API_VERSION}: "
            "install package and library from the same build"
        )
    return loaded


def version() -> str:
    """The engine's version."""
    found: bytes = library().martlet_version()
    return found.decode()


def _take(address: int | None) -> str:
    """The text at an address that the library gave away, which is freed."""
    if not address:
        return ""
    try:
        return ctypes.string_at(address).decode("utf-8", "replace")
    finally:
        library().martlet_free(address)


def _check(status: int, error: ctypes.c_void_p) -> None:
    message = _take(error.value)
    if status == 0:
        return
    if status == 1:
        raise InvalidOption(message or "an option that martlet does not know")
    raise MartletError(message or f"libmartlet gave status {status}", status)


@functools.lru_cache(maxsize=1)
def plugin_declarations() -> list[dict[str, Any]]:
    """Plugins with options and fields, as the library has them."""
    found: list[dict[str, Any]] = json.loads(_take(library().martlet_plugins()))
    return found


def _text(value: str | bytes) -> bytes:
    """A text as C has it, which ends at the first NUL."""
    octets = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
    if b"\0" in octets:
        raise InvalidOption(f"{value!r} has a NUL in it")
    return octets


class Run:
    """One pass over captures. Its stream can be taken once; ``stop`` may be called by any thread."""

    def __init__(self, source: Sequence[str] | tuple[bytes, str], options: Iterable[tuple[str, str]]) -> None:
        """Opens a run over paths, or over a capture's octets with a name for them; raises InvalidOption, MartletError."""
        functions = library()
        pairs = [(_text(name), _text(value)) for name, value in options]
        listed = (_Option * len(pairs))(*(_Option(name, value) for name, value in pairs))
        handle, error = ctypes.c_void_p(), ctypes.c_void_p()
        if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], bytes):
            octets, shown = source
            status = functions.martlet_open_bytes(
                octets, len(octets), os.fsencode(shown), listed, len(pairs), ctypes.byref(handle), ctypes.byref(error))
        else:
            paths = [_text(os.fsencode(path)) for path in source]
            names = (ctypes.c_char_p * len(paths))(*paths)
            status = functions.martlet_open(
                names, len(paths), listed, len(pairs), ctypes.byref(handle), ctypes.byref(error))
        _check(status, error)
        self._functions = functions
        self._handle: ctypes.c_void_p | None = handle

    def stream(self) -> object:
        """The records as a capsule of an Arrow C stream; once."""
        stream = _ArrowArrayStream()
        error = ctypes.c_void_p()
        _check(self._functions.martlet_stream(self._open(), ctypes.byref(stream), ctypes.byref(error)), error)
        return _capsule(stream)

    def progress(self) -> Progress:
        """How far the run is."""
        found = _Progress()
        self._functions.martlet_get_progress(self._open(), ctypes.byref(found))
        return Progress(*(getattr(found, name) for name in _PROGRESS))

    def problems(self) -> list[Problem]:
        """What was wrong with captures so far."""
        listed = json.loads(_take(self._functions.martlet_problems(self._open())) or "[]")
        return [
            Problem(str(one["capture"]), int(one["status"]), str(one["message"]), int(one.get("packets", 0)))
            for one in listed
        ]

    def counters(self) -> dict[str, Any]:
        """The engine's counters."""
        found: dict[str, Any] = json.loads(_take(self._functions.martlet_counters(self._open())) or "{}")
        return found

    def stop(self) -> None:
        """Ends the work early."""
        if self._handle is not None:
            self._functions.martlet_stop(self._handle)

    def close(self) -> None:
        """Gives the run back; a stream that was taken stays valid. May be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._functions.martlet_close(handle)

    def _open(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise MartletError("this run is closed")
        return self._handle

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


_CAPSULE_NAME = b"arrow_array_stream"
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Destructor]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
# As a number: an object would be referred to again while it goes.
_capsule_pointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

#: Streams that capsules point to, by address: they must not move nor go before their capsule.
_streams: dict[int, _ArrowArrayStream] = {}


def _release_capsule(capsule: int) -> None:
    """A capsule goes: releases its stream where nobody took it."""
    address = _capsule_pointer(capsule, _CAPSULE_NAME)
    stream = _streams.pop(address, None)
    if stream is not None and stream.release:
        _Release(stream.release)(address)


_destructor = _Destructor(_release_capsule)


def _capsule(stream: _ArrowArrayStream) -> object:
    address = ctypes.addressof(stream)
    _streams[address] = stream
    made: object = _new_capsule(address, _CAPSULE_NAME, _destructor)
    return made
