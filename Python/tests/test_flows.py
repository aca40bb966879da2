"""What captures may be, what comes of damaged and missing ones, and the ways in which records are handed on."""

import os
import pickle
import re
import select
import shutil
import subprocess
import sys
import termios
import time
import warnings

import pandas
import polars
import pyarrow as pa
import pytest

import martlet
from conftest import CAPTURES, json_records

DNS, TLS = CAPTURES / "dns.pcap", CAPTURES / "tls13.pcap"


def rows_of(*paths):
    return sum(len(json_records(path)) for path in paths)


# Captures


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    shutil.copy(DNS, tmp_path / "a.pcap")
    shutil.copy(TLS, tmp_path / "deep/b.pcap12")
    shutil.copy(CAPTURES / "dns.pcapng", tmp_path / "deep/c.PCAPNG")
    (tmp_path / "notes.txt").write_text("no capture")
    return tmp_path


def test_a_folder(folder):
    flows = martlet.flows(folder)
    assert [path.removeprefix(f"{folder}/") for path in flows.captures] == ["a.pcap", "deep/b.pcap12", "deep/c.PCAPNG"]
    table = flows.to_arrow()
    assert table.num_rows == rows_of(DNS, TLS, CAPTURES / "dns.pcapng")
    assert set(table.column("source_file").to_pylist()) == set(flows.captures)
    assert flows.problems == []


def test_patterns_and_lists(folder):
    assert martlet.flows(f"{folder}/**/*.pcap*").captures == [f"{folder}/a.pcap", f"{folder}/deep/b.pcap12"]
    assert martlet.flows([folder / "deep", str(DNS)]).captures == [f"{folder}/deep/b.pcap12", f"{folder}/deep/c.PCAPNG", str(DNS)]
    odd = folder / "[odd].pcap"
    shutil.copy(DNS, odd)
    assert martlet.flows(odd).captures == [str(odd)], "a name that exists is no pattern"


def test_octets():
    table = martlet.flows(DNS.read_bytes()).to_arrow()
    assert table.drop_columns("source_file").equals(martlet.flows(DNS).to_arrow().drop_columns("source_file"))


@pytest.mark.parametrize("captures", ["nowhere.pcap", ["nowhere.pcap", "nor here.pcap"], "nowhere/*.pcap"])
def test_nothing_is_there(captures):
    with pytest.raises(FileNotFoundError):
        martlet.flows(captures)


def test_no_name_is_no_folder(tmp_path, monkeypatch):
    """A path that is empty by mistake is not the folder that the process is in."""
    monkeypatch.chdir(CAPTURES)
    for captures in ("", [""], ["dns.pcap", ""]):
        with pytest.raises(ValueError, match="no name"):
            martlet.flows(captures)
    assert len(martlet.flows(".").captures) > 40


def test_what_has_a_nul_in_it_is_not_cut_there(tmp_path):
    """C's texts end at NUL: this filter would be "tcp", and this capture DNS's."""
    with pytest.raises(martlet.InvalidOption, match="NUL"):
        martlet.flows(DNS, filter="tcp\0 port 1")
    with pytest.raises(martlet.InvalidOption, match="NUL"):
        martlet.flows([DNS, f"{DNS}\0.pcap"])
    with pytest.raises(martlet.InvalidOption, match="NUL"):
        martlet.flows(DNS, **{"filter\0": "tcp"})


def test_a_fifo_is_not_waited_for_when_the_run_ends(tmp_path):
    """Nobody writes into the one, and nothing more into the other: Ctrl-C ends both."""
    for start in (None, DNS.read_bytes()[:5000]):
        fifo = tmp_path / f"fifo{start is None}"
        os.mkfifo(fifo)
        code = ("import martlet, sys, threading, _thread\nthreading.Timer(1, _thread.interrupt_main).start()\n"
                "martlet.flows(sys.argv[1]).to_arrow()")
        process = subprocess.Popen([sys.executable, "-c", code, fifo], stderr=subprocess.PIPE, text=True)
        writer = os.open(fifo, os.O_RDWR) if start else None
        try:
            if writer is not None:
                os.write(writer, start)
            _, error = process.communicate(timeout=20)
        finally:
            process.kill()
            if writer is not None:
                os.close(writer)
        assert error.strip().endswith("KeyboardInterrupt"), error


def test_a_folder_without_captures(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no capture \(\*\.pcap"):
        martlet.flows(tmp_path)
    with pytest.raises(ValueError, match="no captures"):
        martlet.flows([])


# Problems


def test_damaged_and_missing_captures_do_not_end_a_run(tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(TLS.read_bytes()[:-10])
    paths = [DNS, cut, tmp_path / "missing.pcap", CAPTURES / "malformed/foreign.pcap", CAPTURES / "http.pcap"]
    flows = martlet.flows(paths)
    with pytest.raises(martlet.MartletError, match="known when records have been read"):
        _ = flows.problems
    with pytest.warns(martlet.MartletWarning, match="and 2 more"):
        table = flows.to_arrow()
    found = {problem.capture: problem for problem in flows.problems}
    assert set(found) == {str(path) for path in paths[1:4]}
    assert [found[str(path)].status for path in paths[1:4]] == [3, 2, 2]
    assert found[str(cut)].packets > 100 and "cut.pcap" in str(found[str(cut)])
    files = table.column("source_file").to_pylist()
    # All but the last packet of the cut one: its flows are those of the whole one.
    assert [files.count(str(path)) for path in paths] == [
        rows_of(DNS), rows_of(TLS), 0, 0, rows_of(CAPTURES / "http.pcap")]


def test_a_capture_that_is_none():
    with pytest.raises(martlet.MartletError, match="is not a capture") as raised:
        martlet.flows(CAPTURES / "malformed/foreign.pcap")
    assert raised.value.status == 2


@pytest.mark.parametrize(("options", "words"), [
    ({"plugins": "nix"}, "there is no plugin nix; there are: .*pstats"),
    ({"plugins": "pstats:nix=3"}, "plugin pstats has no option nix; its options: includezeroes, packets"),
    ({"plugins": {"pstats": {"packets": 0}}}, "from 1 to 255"),
    ({"preset": "nix"}, "nix"),
    ({"active_timeout": -1}, "seconds"),
    ({"active_timeout": float("nan")}, "seconds"),
    ({"inactive_timeout": "soon"}, "seconds"),
    ({"threads": 0}, "threads"),
    ({"filter": "tcp prot 1"}, "filter"),
    ({"no_such": 1}, "no-such"),
    ({"addresses": "hex"}, "addresses"),
])
def test_options_that_mean_nothing(options, words):
    with pytest.raises(ValueError, match=words) as raised:
        martlet.flows(DNS, **options)
    assert isinstance(raised.value, martlet.MartletError)


@pytest.mark.parametrize("plugins", [
    "pstats:packets=3,time=us,tls", ["pstats:packets=3,time=us", "tls"], {"pstats": {"packets": 3, "time": "us"}, "tls": None},
])
def test_ways_to_choose_plugins(plugins):
    table = martlet.flows(TLS, plugins=plugins).to_arrow()
    assert max(map(len, table.column("packetLength").to_pylist())) == 3
    assert {"packetTimeMicroseconds", "TLSSNI"} <= set(table.schema.names)


@pytest.mark.parametrize("plugins", ["all", ["all", "pstats:packets=30"], {"all": None, "pstats": {"packets": 30}}])
def test_all_plugins(plugins):
    """All but the one that takes models, which nobody has by default; as the command line and ``preset`` have it."""
    wanted = martlet.flows(DNS, preset="all").schema
    assert set(martlet.flows(DNS, plugins=plugins).schema.names) == set(wanted.names)
    assert martlet.flows(DNS, plugins="all", schema="datazoo").to_arrow().num_rows > 0


def test_no_plugins():
    plain = martlet.flows(DNS).schema
    assert [martlet.flows(DNS, plugins=none).schema for none in ("", ",", [], {}, None)] == [plain] * 5


def test_values_with_commas_and_several_models(tmp_path):
    """A model's file may be called anything; of two models none is passed over."""
    for plugins in ('model:file="a,b.model",after=3', {"model": {"file": "a,b.model", "after": 3}}):
        with pytest.raises(martlet.InvalidOption, match=r"a,b\.model cannot be read"):
            martlet.flows(DNS, plugins=plugins)
    with pytest.raises(martlet.InvalidOption, match=r'file is given twice, .*plugin=\["model:file='):
        martlet.flows(DNS, plugins=["model:file=a.model", "model:file=b.model"])
    with pytest.raises(martlet.InvalidOption, match=r"[ab]\.model cannot be read"):
        martlet.flows(DNS, plugin=["model:file=a.model", "model:file=b.model"])


def test_timeouts_and_filters():
    path = CAPTURES / "timeouts.pcap"
    table = martlet.flows(path, active_timeout=10.5, inactive_timeout=5, filter="udp").to_arrow()
    options = ["--active-timeout", "10.5", "--inactive-timeout", "5", "--filter", "udp"]
    assert table.num_rows == len(json_records(path, *options)) != len(json_records(path, "--filter", "udp"))


# Handing on


def test_each_way_is_a_run_of_its_own():
    flows = martlet.flows([DNS, TLS], plugins="pstats,tls")
    table, frame, other = flows.to_arrow(), flows.to_pandas(), flows.to_polars()
    assert isinstance(frame, pandas.DataFrame) and isinstance(other, polars.DataFrame)
    assert len(frame) == other.height == table.num_rows == rows_of(DNS, TLS)
    assert frame.columns.tolist() == other.columns == table.schema.names == flows.schema.names
    assert table.schema == flows.schema
    for name in ("octetDeltaCount", "TLSSNI"):
        expected = sorted(map(str, table.column(name).to_pylist()))
        assert sorted(map(str, other[name].to_list())) == expected
    assert sorted(frame.octetDeltaCount) == sorted(table.column("octetDeltaCount").to_pylist())


def test_types_of_pandas():
    flows = martlet.flows([DNS, TLS], plugins="tls", threads=1)
    plain, nullable, arrow = (flows.to_pandas(kind) for kind in ("numpy", "numpy_nullable", "pyarrow"))
    assert str(plain.flowStartMicroseconds.dtype) == "datetime64[ns, UTC]"
    # Some flows have no TLS: NaN where NumPy must hold it, whole numbers where something else does.
    assert plain.tlsCipherSuite.dtype == "float64" and plain.tlsCipherSuite.isna().any()
    assert str(nullable.tlsCipherSuite.dtype) == "UInt16" and str(arrow.tlsCipherSuite.dtype) == "uint16[pyarrow]"
    assert nullable.tlsCipherSuite.dropna().tolist() == plain.tlsCipherSuite.dropna().astype(int).tolist()
    assert plain.TLSSNI.isna().sum() == plain.tlsCipherSuite.isna().sum()
    assert plain.sourceIPv6Address.isna().any()
    with pytest.raises(ValueError, match="numpy_nullable"):
        flows.to_pandas("list")


def test_the_stream_of_arrow():
    flows = martlet.flows(DNS)
    assert pa.table(flows).num_rows == rows_of(DNS)
    reader = flows.to_reader()
    assert reader.read_all().num_rows == rows_of(DNS)
    assert reader.read_all().num_rows == 0, "a stream is consumed once"
    assert pa.table(flows).num_rows == rows_of(DNS), "another one is another run"


def test_the_librarys_own_stream(monkeypatch):
    """Where pyarrow is not there, its place is the library's own capsule."""
    import martlet._flows

    monkeypatch.setattr(martlet._flows, "available", lambda module: False)
    flows = martlet.flows(DNS)
    assert polars.DataFrame(flows).height == rows_of(DNS)
    left = flows.__arrow_c_stream__()
    assert "arrow_array_stream" in repr(left)
    del left  # nobody took it: it must be released


def test_batches():
    flows = martlet.flows(CAPTURES / "many-flows.pcap", batch_rows=50)
    sizes = [batch.num_rows for batch in flows]
    assert len(sizes) > 3 and max(sizes) <= 50 and sum(sizes) == rows_of(CAPTURES / "many-flows.pcap")


def test_leaving_a_loop_ends_the_run():
    import threading

    before = threading.active_count()
    for _ in martlet.flows([CAPTURES / "many-flows.pcap"] * 50, batch_rows=10):
        break
    assert threading.active_count() == before


def test_joined_captures_are_one_time_line(tmp_path):
    """Half of a capture and its other half: flows that go on are one."""
    octets = TLS.read_bytes()
    place = 24
    for _ in range(100):
        place += 16 + int.from_bytes(octets[place + 8:place + 12], "little")
    (tmp_path / "1.pcap").write_bytes(octets[:place])
    (tmp_path / "2.pcap").write_bytes(octets[:24] + octets[place:])
    assert martlet.flows(tmp_path, joined=True).to_arrow().num_rows == rows_of(TLS)
    assert martlet.flows(tmp_path).to_arrow().num_rows > rows_of(TLS)


def test_threads_give_the_same_records():
    paths = sorted(path for path in CAPTURES.glob("*.pcap") if not path.name.startswith("link-"))
    one, four = (martlet.flows(paths, plugins="pstats", threads=threads).to_arrow() for threads in (1, 4))
    assert one.num_rows > 300

    def shown(table):
        return sorted(map(repr, table.to_pylist()))
    assert shown(one) == shown(four)
    # Within a capture the order is the same, too.
    for path in paths[:5]:
        parts = [table.filter(pa.compute.equal(table.column("source_file").cast("string"), str(path))) for table in (one, four)]
        assert parts[0].column("flowStartMicroseconds").to_pylist() == parts[1].column("flowStartMicroseconds").to_pylist()


def test_progress_is_told():
    seen = []
    flows = martlet.flows([DNS, TLS], progress=seen.append)
    table = flows.to_arrow()
    last = seen[-1]
    assert last.captures_in_all == 2 and last.flows == table.num_rows
    assert last.octets_in_all == DNS.stat().st_size + TLS.stat().st_size
    assert flows.counters["exported"] == table.num_rows


def test_a_bar_appears_where_it_is_asked_for(capfd):
    pytest.importorskip("tqdm")
    martlet.flows(DNS, progress=True).to_arrow()
    assert "martlet" in capfd.readouterr().err
    martlet.flows(DNS).to_arrow()
    assert capfd.readouterr().err == "", "no terminal, no bar"


def test_a_bar_appears_on_a_terminal_when_work_takes_long():
    pytest.importorskip("tqdm")
    script = f"import martlet; martlet.flows([{str(CAPTURES / 'many-flows.pcap')!r}] * 20000, batch_rows=1000).to_arrow()"
    terminal, other = os.openpty()
    termios.tcsetwinsize(other, (24, 120))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=other)
    os.close(other)
    shown, end = b"", time.monotonic() + 60
    try:
        while b"captures=" not in shown and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert re.search(rb"martlet: +\d+%.*captures=\d+/20000", shown), shown


def test_standard_input_is_read_once():
    script = (
        "import martlet\n"
        "flows = martlet.flows('-')\n"
        "print(flows.to_arrow().num_rows)\n"
        "try:\n    flows.to_arrow()\n"
        "except martlet.MartletError as error:\n    print(error)\n")
    done = subprocess.run([sys.executable, "-c", script], input=DNS.read_bytes(), capture_output=True, timeout=60)
    assert done.stdout.decode().splitlines() == [str(rows_of(DNS)), "standard input was read already"], done.stderr.decode()


def test_no_warning_of_what_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        martlet.flows(DNS, plugins="pstats").to_pandas()


def test_exceptions_go_through_processes():
    error = pickle.loads(pickle.dumps(martlet.InvalidOption("no such thing")))
    assert isinstance(error, martlet.InvalidOption) and str(error) == "no such thing"


def test_plugins():
    found = martlet.plugins()
    assert found["pstats"].fields[0].element == "cesnet:packetLength"
    assert next(option for option in found["pstats"].options if option.name == "packets").default == "30"
    assert {field.name for field in found[""].fields} >= {"octetDeltaCount", "reverseOctetDeltaCount"}


def test_names_of_the_package():
    assert not [name for name in martlet.__all__ if name not in dir(martlet)]
    # Those of other modules, which are bound to their functions, not to modules of the same name.
    for name in martlet._more():
        assert callable(getattr(martlet, name)), name
    with pytest.raises(AttributeError):
        _ = martlet.no_such_thing
