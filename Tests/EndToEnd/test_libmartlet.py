"""The C interface: its record batches have what CSV and JSON of the program have, and it owns up to what goes wrong.

pyarrow reads the batches, which is another implementation of the Arrow C data interface.
"""
import ctypes
import datetime
import ipaddress
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import libmartlet
import pytest
from harness import CAPTURES, ROOT, run
from model_files import handmade

pa = pytest.importorskip("pyarrow")

#: The captures that can be read to their end, where their link type is supported: libpcap takes one for all interfaces.
WHOLE = sorted(path for path in CAPTURES.glob("*.pcap*") if path.name not in ("merged.pcapng", "two-interfaces.pcapng"))
#: All plugins but the one that asks the host, which the library has not, and the one that wants a model.
EVERYTHING = ",".join(
    name for name in re.findall(r"(?m)^(\w+)  ", run("--list-plugins").out.decode()) if name not in ("osquery", "model"))
HEADER = ROOT / "Sources/MartletC/include/martlet.h"


@pytest.fixture(scope="module")
def library():
    return libmartlet.Library(libmartlet.build())


@pytest.fixture(scope="module")
def plugins(library):
    return library.plugins()


def readable(library, paths):
    """Those of the captures that the library can open."""
    found = []
    for path in paths:
        try:
            libmartlet.Run(library, [path]).close()
        except libmartlet.Refused:
            continue
        found.append(path)
    return found


# What a cell of CSV stands for, given the column's type: written down here from the documentation of CSV alone.


def cell(text, kind):
    """A cell of CSV as pyarrow gives such a value; None for an empty one."""
    if text == "":
        return None
    if pa.types.is_list(kind):
        return [member(entry, kind.value_type) for entry in json.loads(text)]
    return member(text, kind)


def member(value, kind):
    if pa.types.is_timestamp(kind):
        return microseconds(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_binary(kind):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def microseconds(text):
    """An ISO 8601 time as microseconds since 1970."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def values(column):
    """A column's values: times as whole microseconds, text as CSV has it, and None also for what CSV cannot tell from it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind):
        return [None if value is None else value // 1000 for value in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        lists = column.cast(pa.list_(pa.int64())).to_pylist()
        return [None if value is None else [entry // 1000 for entry in value] for value in lists]
    if pa.types.is_string(kind):
        return [value.replace("\0", "\ufffd") if value else None for value in column.to_pylist()]
    if pa.types.is_floating(kind):
        return [None if value is None or math.isnan(value) else value for value in column.to_pylist()]
    return column.to_pylist()


def same(ours, expected, kind):
    if pa.types.is_float32(kind) and ours is not None and expected is not None:
        return ours == struct_float(expected)
    return ours == expected


def struct_float(value):
    return ctypes.c_float(value).value


def rows_of_csv(tmp_path, captures, *options):
    """The program's CSV with short names as rows of text."""
    import csv
    out = tmp_path / "flows.csv"
    result = run("--pcap", *captures, *options, "--csv-names", "short", "--csv-escape", "none", "--export", f"csv:{out}")
    assert result.status == 0, result.err
    csv.field_size_limit(1 << 30)
    with open(out, newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    return header, rows


def check_against_csv(table, header, rows):
    names = [*table.column_names[2:], *reversed(table.column_names[:2])]
    assert names == header
    assert table.num_rows == len(rows)
    for place, name in enumerate(header):
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        ours = values(table.column(name))
        theirs = [row[place] for row in rows]
        if name == "duration":
            # CSV has the microseconds of it.
            assert [f"{math.floor(value * 1e6 + 1e-3) / 1e6:.6f}" for value in ours] == theirs
            continue
        expected = [cell(text, kind) for text in theirs]
        differing = [(row, a, b) for row, (a, b) in enumerate(zip(ours, expected)) if not same(a, b, kind)]
        assert not differing, (name, kind, differing[:3])


def test_each_plugin_has_the_values_of_csv(library, plugins, tmp_path):
    captures = readable(library, WHOLE)
    assert len(captures) > 45
    for plugin in plugins:
        if plugin["name"] == "model":
            continue
        options = ["--plugins", plugin["name"]] if plugin["name"] else []
        chosen = {"plugins": plugin["name"]} if plugin["name"] else {}
        header, rows = rows_of_csv(tmp_path, captures, *options)
        table, problems = libmartlet.table(library, captures, joined="true", **chosen)
        assert problems == []
        table.validate(full=True)
        check_against_csv(table, header, rows)


@pytest.mark.parametrize("options", [
    {"plugins": EVERYTHING}, {"preset": "ml"}, {"preset": "security", "active-timeout": "0.5"},
    {"plugins": EVERYTHING, "uniflow": "true"}, {"tunnels": "all", "plugins": "pstats,tunnel"},
    {"filter": "tcp port 443", "plugins": "tls:certificates"}, {"sample": "1/3"}, {"sample": "flow:1/2"},
    {"anonymise": "truncate:24,64"}, {"tunnels": "all", "tunnel-records": "both"}, {"inactive-timeout": "0.01"},
    {"plugins": "pstats:skipdup,phists,idpcontent", "flows": "64"},
])
def test_options_mean_what_they_mean_to_the_program(library, tmp_path, options):
    captures = readable(library, WHOLE)
    words = []
    for name, value in options.items():
        words += [f"--{name}"] if value == "true" else [f"--{name}", value]
    header, rows = rows_of_csv(tmp_path, captures, *words)
    table, problems = libmartlet.table(library, captures, joined="true", **options)
    assert problems == []
    table.validate(full=True)
    check_against_csv(table, header, rows)


def json_value(value, kind):
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind):
        return [json_value(entry, kind.value_type) for entry in value]
    if pa.types.is_float32(kind):
        return None if value is None else struct_float(value)
    return member(value, kind)


def test_absent_fields_are_null_and_others_as_in_json(library, tmp_path):
    """JSON says what a record has: a field that it has not is null, and one that it has is not, but for text of NUL alone."""
    for capture in readable(library, WHOLE):
        out = tmp_path / "flows.json"
        run("--pcap", capture, "--plugins", EVERYTHING, "--export", f"json:{out}")
        records = [json.loads(line, object_pairs_hook=list) for line in out.read_text().splitlines()]
        table, _ = libmartlet.table(library, [capture], plugins=EVERYTHING, names="full")
        columns = [(field.name, field.type, values_of_json(table.column(index)))
                   for index, field in enumerate(table.schema) if index >= 2]
        assert len(records) == table.num_rows
        for row, record in enumerate(records):
            ours = [(name, kind, column[row]) for name, kind, column in columns if column[row] is not None]
            theirs = [(key, value) for key, value in record if not (isinstance(value, str) and value and not value.strip("\0"))]
            assert [name for name, _, _ in ours] == [key for key, _ in theirs], (capture, row)
            for (name, kind, value), (_, expected) in zip(ours, theirs):
                if value is NOT_A_NUMBER:
                    value = None
                if re.search("Ja3", name, re.I):
                    expected = expected.removeprefix("0x")
                assert value == json_value(expected, kind), (capture, row, name)


NOT_A_NUMBER = object()


def values_of_json(column):
    """As `values`, but empty text and NaN are values."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).to_pylist()
    if pa.types.is_string(kind):
        return column.to_pylist()
    if pa.types.is_floating(kind):
        return [NOT_A_NUMBER if value is not None and math.isnan(value) else value for value in column.to_pylist()]
    return values(column)


def test_all_are_all_plugins_of_the_library(library):
    all_, _ = libmartlet.table(library, [CAPTURES / "tcp.pcap"], plugins="all")
    named, _ = libmartlet.table(library, [CAPTURES / "tcp.pcap"], plugins=EVERYTHING)
    assert all_.schema == named.schema


def test_addresses_as_octets_are_those_of_the_text(library):
    captures = readable(library, WHOLE)
    text, _ = libmartlet.table(library, captures)
    octets, _ = libmartlet.table(library, captures, addresses="binary")
    seen = set()
    for field in octets.schema:
        if not pa.types.is_fixed_size_binary(field.type):
            continue
        seen.add(field.type.byte_width)
        ours = octets.column(field.name).to_pylist()
        theirs = text.column(field.name).to_pylist()
        for a, b in zip(ours, theirs):
            if b is None or field.type.byte_width == 6:
                assert a == (None if b is None else bytes.fromhex(b.replace(":", "")))
            else:
                assert ipaddress.ip_address(a) == ipaddress.ip_address(b)
    assert seen == {4, 6, 16}


def test_several_threads_give_the_same_records(library):
    captures = readable(library, WHOLE)
    one, _ = libmartlet.table(library, captures, plugins=EVERYTHING)
    several, problems = libmartlet.table(library, captures, plugins=EVERYTHING, threads=4, batch_rows=100)
    assert problems == []
    names = one.column("source_file").cast(pa.string())
    assert {str(path) for path in captures} >= set(names.to_pylist()) and len(set(names.to_pylist())) > 40
    for capture in set(names.to_pylist()):
        rows = [table.filter(pa.compute.equal(table.column("source_file").cast(pa.string()), capture))
                .drop_columns(["source_file"]) for table in (one, several)]
        plain = [[values(column) for column in table.columns] for table in rows]
        assert plain[0] == plain[1], capture


def test_batches_are_as_long_as_was_asked(library):
    with libmartlet.Run(library, [CAPTURES / "many-flows.pcap"], {"batch-rows": 7}) as run_:
        lengths = [batch.num_rows for batch in run_.reader()]
        counters = run_.counters()
    assert set(lengths[:-1]) == {7} and 0 < lengths[-1] <= 7 and len(lengths) > 10
    assert counters["exported"] == sum(lengths) and counters["batches"] == len(lengths)


def test_octets_in_memory_are_a_capture(library):
    path = CAPTURES / "tls13.pcap"
    file, _ = libmartlet.table(library, [path], plugins="tls")
    with libmartlet.Run(library, path.read_bytes(), {"plugins": "tls"}, name="memory") as run_:
        memory = run_.reader().read_all()
    assert set(memory.column("source_file").to_pylist()) == {"memory"}
    assert memory.drop_columns(["source_file"]) == file.drop_columns(["source_file"])
    with pytest.raises(libmartlet.Refused, match="not a capture") as refused:
        libmartlet.Run(library, b"nothing of the kind, and long enough to be looked at")
    assert refused.value.status == libmartlet.STATUS["cannot read"]


def test_text_that_is_no_utf8_is_repaired(library):
    """The malformed captures have names with all octets: pyarrow checks that every string is UTF-8."""
    captures = readable(library, sorted((CAPTURES / "malformed").glob("*.pcap*")))
    table, _ = libmartlet.table(library, captures, plugins=EVERYTHING)
    table.validate(full=True)


# What goes wrong.


@pytest.mark.parametrize(("options", "text"), [
    ({"plugin": "nothing"}, "nothing"), ({"color": "blue"}, "there is no option 'color'"), ({"threads": "0"}, "threads: '0'"),
    ({"active-timeout": "soon"}, "'soon' is not a number of seconds"), ({"joined": "yes"}, "'yes' is not true or false"),
    ({"addresses": "hex"}, "'hex' is not one of text, binary"), ({"filter": "tcp prot 1"}, "tcp prot 1"),
    ({"plugins": "pstats:nonsense=1"}, "nonsense"), ({"plugins": "osquery"}, "asks the host"),
    ({"anonymise": "truncate:24,64", "plugins": "tls"}, "tls export payload or names"),
])
def test_a_wrong_option_is_refused_with_its_name(library, options, text):
    with pytest.raises(libmartlet.Refused) as refused:
        libmartlet.Run(library, [CAPTURES / "tcp.pcap"], options)
    assert refused.value.status == libmartlet.STATUS["invalid argument"] and text in str(refused.value)


def test_nothing_to_read_is_refused(library, tmp_path):
    with pytest.raises(libmartlet.Refused, match="no captures") as refused:
        libmartlet.Run(library, [])
    assert refused.value.status == libmartlet.STATUS["invalid argument"]
    with pytest.raises(libmartlet.Refused, match="No such file") as refused:
        libmartlet.Run(library, [tmp_path / "absent.pcap"])
    assert refused.value.status == libmartlet.STATUS["cannot read"]


def test_a_damaged_capture_is_a_problem_and_the_others_go_on(library, tmp_path):
    """Cut in the middle of a packet: 24 octets of the file's header, 16 of each packet's."""
    whole = (CAPTURES / "tcp.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-1])
    before, place = 0, 24
    while place + 16 <= len(whole) - 1:
        place += 16 + int.from_bytes(whole[place + 8:place + 12], "little")
        before += place <= len(whole) - 1
    absent = tmp_path / "absent.pcap"
    captures = [absent, cut, CAPTURES / "udp.pcap"]
    for threads in (1, 3):
        table, problems = libmartlet.table(library, captures, threads=threads)
        assert sorted((problem["capture"], problem["status"], problem["packets"]) for problem in problems) == [
            (str(absent), libmartlet.STATUS["cannot read"], 0), (str(cut), libmartlet.STATUS["damaged"], before)]
        assert f"after packet {before}" in next(p["message"] for p in problems if p["capture"] == str(cut))
        assert set(table.column("source_file").to_pylist()) == {str(cut), str(CAPTURES / "udp.pcap")}


def test_the_stream_is_there_once_and_outlives_the_run(library):
    with libmartlet.Run(library, [CAPTURES / "many-flows.pcap"], {"batch-rows": 1, "threads": 1}) as run_:
        reader = run_.reader()
        with pytest.raises(libmartlet.Refused, match="taken already"):
            run_.stream()
        first = reader.read_next_batch()
    rest = reader.read_all()
    assert first.num_rows == 1 and rest.num_rows > 50
    del reader, rest
    assert first.to_pylist()[0]["octetDeltaCount"] > 0


def endless(tmp_path):
    """A FIFO that begins as a capture and never ends."""
    fifo = tmp_path / "endless"
    os.mkfifo(fifo)
    octets = (CAPTURES / "many-flows.pcap").read_bytes()

    def write():
        try:
            with open(fifo, "wb") as out:
                out.write(octets[:24])
                while True:
                    out.write(octets[24:])
        except BrokenPipeError:
            pass
    threading.Thread(target=write, daemon=True).start()
    return fifo


def test_stop_ends_a_run_from_another_thread(library, tmp_path):
    with libmartlet.Run(library, [endless(tmp_path)], {"batch-rows": 16, "inactive-timeout": 0.001}) as run_:
        reader = run_.reader()
        assert reader.read_next_batch().num_rows == 16
        threading.Timer(0.3, run_.stop).start()
        began = time.monotonic()
        with pytest.raises(OSError, match="stopped"):
            while True:
                reader.read_next_batch()
        assert time.monotonic() - began < 30
        progress = run_.progress()
        assert progress["packets"] > 0 and progress["captures_in_all"] == 1


def test_releasing_the_stream_ends_the_work(library, tmp_path):
    run_ = libmartlet.Run(library, [endless(tmp_path)], {"batch-rows": 16, "inactive-timeout": 0.001})
    threads = len(os.listdir("/proc/self/task"))
    reader = run_.reader()
    reader.read_next_batch()
    reader.close()
    del reader
    assert len(os.listdir("/proc/self/task")) <= threads + 1
    run_.close()


def test_progress_ends_where_the_captures_end(library):
    captures = readable(library, WHOLE)
    with libmartlet.Run(library, captures, {"threads": 2}) as run_:
        assert run_.progress()["packets"] == 0
        rows = run_.reader().read_all().num_rows
        progress, counters = run_.progress(), run_.counters()
    assert progress["octets_read"] == progress["octets_in_all"] == sum(path.stat().st_size for path in captures)
    assert progress["captures_done"] == progress["captures_in_all"] == len(captures)
    assert progress["packets"] == counters["received"] and progress["flows"] == rows == counters["exported"]
    assert counters["misplaced"] == 0


def take(reader, failures):
    try:
        reader.read_all()
    except OSError as error:
        failures.append(error)


def test_a_pipe_is_not_waited_for(library, tmp_path):
    """Nobody writes into the one, and the other one's writer is silent: `martlet_stop` ends both, and the stream is released."""
    for start in (None, (CAPTURES / "many-flows.pcap").read_bytes()[:4000]):
        fifo = tmp_path / f"fifo{start is None}"
        os.mkfifo(fifo)
        writer = os.open(fifo, os.O_RDWR) if start else None
        if start:
            os.write(writer, start)
        run_ = libmartlet.Run(library, [fifo])
        reader, failures = run_.reader(), []
        taker = threading.Thread(target=take, args=(reader, failures))
        taker.start()
        time.sleep(0.2)
        run_.stop()
        taker.join(20)
        assert not taker.is_alive() and "stopped" in str(failures[0])
        # Nothing was wrong with the capture.
        assert run_.problems() == []
        reader.close()
        run_.close()
        if writer is not None:
            os.close(writer)


def test_a_stop_behind_the_end_is_no_error(library):
    with libmartlet.Run(library, [CAPTURES / "udp.pcap"]) as run_:
        reader = run_.reader()
        assert reader.read_all().num_rows == 8
        run_.stop()
        with pytest.raises(StopIteration):
            reader.read_next_batch()


def test_a_child_of_fork_may_use_it(library):
    """As Python's processes do: what the library remembers of threads is their parent's there."""
    script = """if True:
        import os, sys
        import libmartlet
        library = libmartlet.Library(sys.argv[1])

        def rows():
            with libmartlet.Run(library, sys.argv[2:] * 40, {"threads": 40}) as run:
                return run.reader().read_all().num_rows

        assert rows() == 320
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if all(rows() == 320 for _ in range(15)) else 1)
            assert os.waitpid(child, 0)[1] == 0
        """
    done = subprocess.run(
        [sys.executable, "-c", script, library.path, CAPTURES / "udp.pcap"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "Tests/EndToEnd"), "SWIFT_BACKTRACE": "enable=no"})
    assert done.returncode == 0, done.stderr[-2000:]


# What it says of itself, and what is in it.


def test_plugins_are_those_of_the_program_with_arrow_types(library, plugins):
    listed = run("--list-plugins").out.decode()
    names = re.findall(r"(?m)^(\w+)  ", listed)
    assert [plugin["name"] for plugin in plugins] == ["", *(name for name in names if name != "osquery")]
    for plugin in plugins[1:]:
        text = next(part for part in listed.split("\n\n") if part.startswith(plugin["name"] + "  "))
        assert [option["name"] for option in plugin["options"]] == re.findall(r"option ([\w-]+)", text)
        fields = re.findall(r"field  (\S+), ", text)
        assert [field["element"] for field in plugin["fields"]] == fields, plugin["name"]
    pstats = next(plugin for plugin in plugins if plugin["name"] == "pstats")
    types = {field["name"]: field["type"] for field in pstats["fields"]}
    assert types["packetTime"].startswith("list<timestamp") and types["packetDirection"] == "list<int8>"


def test_only_the_functions_of_the_header_are_visible(library):
    declared = set(re.findall(r"\b(martlet_\w+)\(", HEADER.read_text()))
    shown = subprocess.run(["nm", "-D", "--defined-only", library.path], capture_output=True, text=True, check=True).stdout
    visible = {line.split()[-1].split("@")[0] for line in shown.splitlines() if " A " not in line}
    assert visible == declared and len(declared) == 12


def test_it_needs_the_c_library_alone(library):
    shown = subprocess.run(["readelf", "-d", library.path], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", shown))
    assert needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libpthread.so.0", "libdl.so.2"}, needed
    script = ("import sys; sys.path.insert(0, sys.argv[1]); import libmartlet; l = libmartlet.Library(sys.argv[2]); "
              "print(libmartlet.table(l, [sys.argv[3]], plugins='all')[0].num_rows)")
    words = [ROOT / "Tests/EndToEnd", library.path, CAPTURES / "tls13.pcap"]
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, env={}, cwd="/",
                          timeout=60)
    assert done.returncode == 0 and int(done.stdout) > 0, done.stderr


def test_the_header_is_c_and_cplusplus():
    for language in ("c", "c++"):
        text = f'#include "{HEADER}"\n#include "{HEADER}"\n'
        done = subprocess.run(["clang", "-x", language, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-"],
                              input=text, capture_output=True, text=True,
                              env={**os.environ, "PATH": os.environ["PATH"] + ":/opt/swift/usr/bin"})
        assert done.returncode == 0, done.stderr


def compile_c(source, out, library, *flags):
    path = os.environ["PATH"] + ":/opt/swift/usr/bin"
    folder = library.parent
    done = subprocess.run(
        ["clang", "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", *flags, f"-I{HEADER.parent}", str(source), "-o", str(out),
         f"-L{folder}", "-lmartlet", f"-Wl,-rpath,{folder}"],
        capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr


def test_the_example_of_the_documentation_runs(library, tmp_path):
    text = (ROOT / "docs/libmartlet.md").read_text()
    source = tmp_path / "example.c"
    source.write_text(re.search(r"```c\n(.*?)```", text, re.S)[1])
    compile_c(source, tmp_path / "example", library.path)
    captures = [str(CAPTURES / name) for name in ("tls13.pcap", "dns.pcap")]
    done = subprocess.run([tmp_path / "example", *captures], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    table, _ = libmartlet.table(library, captures)
    octets = sum(table.column("octetDeltaCount").to_pylist()) + sum(table.column("reverseOctetDeltaCount").to_pylist())
    assert done.stdout.split() == [str(table.num_rows), "flows,", str(octets), "octets"]


@pytest.mark.skipif("MARTLET_SOAK" not in os.environ, reason="builds the library with AddressSanitizer: ./test.sh --long")
def test_it_neither_leaks_nor_strays(tmp_path):
    """A C program under AddressSanitizer, which finds leaks at its end: whole, damaged and absent captures, moved children,
    streams that are dropped in the middle, stops."""
    path = libmartlet.build("--sanitize")
    compile_c(ROOT / "Tests/MartletC/exercise.c", tmp_path / "exercise", path, "-fsanitize=address")
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((CAPTURES / "tcp.pcap").read_bytes()[:-1])
    captures = [*WHOLE, *sorted((CAPTURES / "malformed").glob("*.pcap*")), cut, tmp_path / "absent.pcap"]
    # The list of plugins, made once, has that of the host in it, whose memory stays as long as the process.
    (tmp_path / "stays").write_text("leak:OSQueryPlugin\n")
    symbolizer = shutil.which("llvm-symbolizer", path=os.environ["PATH"] + ":/opt/swift/usr/bin")
    done = subprocess.run(
        [tmp_path / "exercise", *captures], capture_output=True, text=True, timeout=600,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1", "SWIFT_BACKTRACE": "enable=no",
             "LSAN_OPTIONS": f"suppressions={tmp_path / 'stays'}", "ASAN_SYMBOLIZER_PATH": symbolizer})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.startswith("all is well")


def test_models_judge_flows(library, tmp_path):
    path = handmade(tmp_path, "s[0] = 0.25; s[1] = f[0] > 1000 ? 0.5 : 0.125;")
    rows, problems = libmartlet.table(library, [CAPTURES / "demo.pcap"], plugin=f"model:file={path}")
    assert problems == [] and rows.num_rows == 108
    for row in rows.select(["octetDeltaCount", "modelLabel", "modelScore"]).to_pylist():
        large = row["octetDeltaCount"] > 1000
        assert (row["modelLabel"], row["modelScore"]) == (("bad", 0.5) if large else ("good", 0.25))
    with pytest.raises(libmartlet.Refused, match="No such file"):
        libmartlet.Run(library, [CAPTURES / "demo.pcap"], {"plugin": f"model:file={tmp_path}/other.model"})


def test_models_go_with_their_run(library, tmp_path):
    """Whoever opens a thousand runs with models has neither their objects nor their descriptors left."""
    path = handmade(tmp_path, "s[0] = 1; s[1] = 0;")
    def held():
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), sum("martlet-model" in line for line in maps)
    # Other tests of this process may have models of their own.
    before = held()
    for _ in range(20):
        rows, _ = libmartlet.table(library, [CAPTURES / "udp.pcap"], plugin=f"model:file={path}")
        assert rows.column("modelLabel").to_pylist() == ["good"] * 8
    del rows
    assert held() == before
