"""libmartlet.so through ctypes, and its streams through pyarrow: for the tests and the benchmark of the C interface."""
import ctypes
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

STATUS = {"ok": 0, "invalid argument": 1, "cannot read": 2, "damaged": 3, "stopped": 4, "internal": 5}


class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Progress(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "octets_read", "octets_in_all", "packets", "flows", "captures_done", "captures_in_all", "captures_failed")]


class Stream(ctypes.Structure):
    """ArrowArrayStream."""
    _fields_ = [(name, ctypes.c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


class Refused(Exception):
    """What martlet_open or martlet_stream did not take."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def build(*arguments):
    """Builds the library, which takes seconds where nothing has changed, and gives its path."""
    if "MARTLET_LIBRARY" in os.environ and not arguments:
        return Path(os.environ["MARTLET_LIBRARY"])
    done = subprocess.run([ROOT / "packaging/build-libmartlet.sh", *arguments], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return ROOT / done.stdout.splitlines()[-1]


class Library:
    """The functions of martlet.h."""

    def __init__(self, path):
        self.path = path
        self.c = ctypes.CDLL(str(path))
        text, pointer, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
        for name, result, *arguments in [
            ("api_version", ctypes.c_uint32), ("version", ctypes.c_char_p), ("plugins", text), ("free", None, text),
            ("open", ctypes.c_int, pointer, size, pointer, size, pointer, pointer),
            ("open_bytes", ctypes.c_int, ctypes.c_char_p, size, ctypes.c_char_p, pointer, size, pointer, pointer),
            ("stream", ctypes.c_int, pointer, pointer, pointer), ("get_progress", None, pointer, pointer),
            ("problems", text, pointer), ("counters", text, pointer), ("stop", None, pointer), ("close", None, pointer),
        ]:
            function = getattr(self.c, "martlet_" + name)
            function.restype, function.argtypes = result, arguments

    def take(self, text):
        """The value of a text that the library made, as JSON."""
        try:
            return json.loads(ctypes.string_at(text))
        finally:
            self.c.martlet_free(text)

    def plugins(self):
        return self.take(self.c.martlet_plugins())


class Run:
    """A run over captures, or over the octets of one."""

    def __init__(self, library, captures, options=(), name="octets"):
        self.c, self.library = library.c, library
        self.handle = ctypes.c_void_p()
        error = ctypes.c_void_p()
        options = options.items() if isinstance(options, dict) else options
        pairs = [(key.replace("_", "-").encode(), str(value).encode()) for key, value in options]
        given = (Option * max(len(pairs), 1))(*(Option(key, value) for key, value in pairs))
        end = given, len(pairs), ctypes.byref(self.handle), ctypes.byref(error)
        if isinstance(captures, bytes):
            status = self.c.martlet_open_bytes(captures, len(captures), name.encode(), *end)
        else:
            names = (ctypes.c_char_p * max(len(captures), 1))(*(os.fsencode(path) for path in captures))
            status = self.c.martlet_open(names, len(captures), *end)
        self.check(status, error)

    def check(self, status, error):
        if status:
            text = ctypes.string_at(error.value).decode() if error.value else ""
            self.c.martlet_free(error)
            raise Refused(status, text)

    def stream(self):
        """An ArrowArrayStream, which its consumer releases."""
        stream, error = Stream(), ctypes.c_void_p()
        self.check(self.c.martlet_stream(self.handle, ctypes.byref(stream), ctypes.byref(error)), error)
        return stream

    def reader(self):
        """A pyarrow.RecordBatchReader."""
        import pyarrow
        stream = self.stream()
        return pyarrow.RecordBatchReader._import_from_c(ctypes.addressof(stream))

    def progress(self):
        progress = Progress()
        self.c.martlet_get_progress(self.handle, ctypes.byref(progress))
        return {name: getattr(progress, name) for name, _ in Progress._fields_}

    def problems(self):
        return self.library.take(self.c.martlet_problems(self.handle))

    def counters(self):
        return self.library.take(self.c.martlet_counters(self.handle))

    def stop(self):
        self.c.martlet_stop(self.handle)

    def close(self):
        handle, self.handle = self.handle, ctypes.c_void_p()
        self.c.martlet_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def table(library, captures, **options):
    """All records of captures, and the run's problems."""
    with Run(library, captures, options) as run:
        rows = run.reader().read_all()
        return rows, run.problems()
