"""--settings, --check and --print-settings: a file says what the command line says, and each mistake in it has its line."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import (
    CAPTURES, MARTLET, NO_HUGE, ONE_QUEUE, Live, UDPCollector, is_root, offline, read_pcap, run,
    unaccounted, wait_until)
from mmdb import database

DEMO = CAPTURES / "demo.pcap"
MANY = CAPTURES / "many-flows.pcap"
live = pytest.mark.skipif(not is_root(), reason="EAL needs root")


def settings(folder, text):
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(folder, text):
    """What --check says against a file: (line, text) for each."""
    path = settings(folder, text)
    result = run("--check", path, timeout=20)
    assert result.status == 64 and result.out == b"", result.err
    found = []
    for line in result.err.decode().splitlines():
        place, _, rest = line.removeprefix("martlet: ").partition(": ")
        assert place.startswith(str(path)), line
        found.append((int(place[len(str(path)) + 1:] or 0), rest))
    return found


def test_a_file_does_what_the_command_line_does(tmp_path):
    options = ["--plugins", "pstats:packets=5,tls", "--inactive-timeout", "0.5", "--uniflow", "--csv-escape", "none"]
    path = settings(tmp_path, f"""
        # A capture.
        pcap: {DEMO}
        plugins: [pstats:packets=5, tls]
        inactive-timeout: 0.5
        uniflow: true
        csv-escape: "none"
        export: json:-
        """)
    assert run("--settings", path).out == run("--pcap", DEMO, "--export", "json:-", *options).out != b""


def test_the_command_line_wins(tmp_path):
    path = settings(tmp_path, f"pcap: {DEMO}\nplugins: all\nactive-timeout: 1\nexport:\n  - csv:{tmp_path}/flows.csv\n")
    typed = run("--settings", path, "--plugins", "pstats", "--export", "json:-", CAPTURES / "http.pcap")
    assert typed.out == run("--active-timeout", "1", "--plugins", "pstats", "--export", "json:-",
                            "--pcap", CAPTURES / "http.pcap").out != b""
    assert not (tmp_path / "flows.csv").exists()


def test_eal_options_of_a_file_mean_nothing_to_a_capture(tmp_path):
    path = settings(tmp_path, "eal:\n  lcores: 0@0,1@0,2@1\n  no-huge: true\nqueues: 2\nexport: json:-\n")
    assert run("--settings", path, DEMO).out == run("--pcap", DEMO, "--export", "json:-").out


@pytest.mark.parametrize("text,line,words", [
    ("flows: 1000\nexprot: json:-\n", 2, ["'exprot'", "'export'"]),
    ("odid: 1\n\nflows: many\n", 3, ["'many'", "whole number from 64"]),
    ("uniflow: 1\n", 1, ["true or false"]),
    ("flows: [1000, 2000]\n", 1, ["one value"]),
    ("flows:\n", 1, ["no value"]),
    ("export: []\n", 1, ["empty"]),
    ("flows: 1000\nodid: 3\nflows: 2000\n", 3, ["twice", "line 1"]),
    ("plugin: tls\nplugins: pstats\n", 2, ["twice"]),
    ("plugins: [pstats, nonsense]\n", 1, ["nonsense"]),
    ("plugins:\n  - pstats\n  - pstats:packets=x\n", 3, ["'x'"]),
    ("export:\n  - json:-\n  - gopher://x\n", 3, ["gopher"]),
    ("timestamps: days\n", 1, ["days"]),
    ("eal:\n  lcore: 0-3\n", 2, ["'lcore'", "'lcores'"]),
    ("eal:\n  no-huge: true\n  vdev: true\n", 3, ["'vdev' needs a value"]),
    ("eal: -l 0-3\n", 1, ["names with values"]),
    ("flows: {a: 1}\n", 1, ["names with values"]),
    ("export: [[json:-]]\n", 1, ["no plain value"]),
    ("- flows\n", 1, ["NAME: VALUE"]),
    ("just words\n", 1, ["NAME: VALUE"]),
    ("flows: 1000\n  odid: 2\n", 2, ["no YAML"]),
    ("flows: 'x\n", 2, ["no YAML"]),
    ("list-plugins: true\n", 1, ["command line"]),
    ("settings: other.yaml\n", 1, ["command line"]),
    ("a: &a [x, x]\nb: *a\n", 1, ["anchors"]),
    ("flows: !!int 1000\n", 1, ["tags"]),
    ("flows: 1000\n---\nodid: 1\n", 2, ["second document"]),
    ("export: |\n  json:a\n", 1, ["line end", "double quotes"]),
    ('export: "json:a\\0b"\n', 1, ["control character"]),
    ('eal: ["-l", "0-3\\0"]\n', 1, ["control character"]),
    ("eal:\n  - -l\n  - 0-3\n  - a\n", 4, ["'a' is no option"]),
    ("eal: [--no-huge, 512]\n", 1, ["'512' is no option"]),
    (b"flows: 1000\nodid: \xff\n", 0, ["UTF-8"]),
    ("flows: 1000\n".encode("utf-16"), 0, ["UTF-8"]),
    (b"flows: 10\x0000\n", 0, ["NUL"]),
    (b"#" * (1 << 20) + b"\n", 0, ["bytes"]),
    ("[" * 100000, 1, []),
    ("flows: " + "[" * 100000, 1, []),
    ("{a: " * 50000, 1, []),
    ("a: &a [1]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(1000)), 1, ["anchors"]),
], ids=lambda value: repr(value)[:40] if not isinstance(value, (int, list)) else "")
def test_each_mistake_has_its_line(tmp_path, text, line, words):
    found = problems(tmp_path, text)
    assert found[0][0] == line, found
    assert all(word in found[0][1] for word in words), found
    # A run says the first of them.
    result = run("--settings", tmp_path / "settings.yaml", "--pcap", DEMO, "--export", "json:/dev/null")
    assert result.status == 64 and len(result.messages) == 1 and found[0][1] in result.messages[0]


def test_a_name_in_a_file_is_no_command_to_a_terminal(tmp_path):
    (_, text), = problems(tmp_path, '"\\e[31mred\\a": 1\n')
    assert text.startswith("there is no setting '\ufffd[31mred\ufffd'"), text
    assert len(problems(tmp_path, "eal: [a, b]\n")) == 2


def test_all_mistakes_are_said_at_once(tmp_path):
    found = problems(tmp_path, "flwos: 1\nodid: -3\nmtu: 1\n\nuniflow: maybe\nstats: 1\n")
    assert [line for line, _ in found] == [1, 2, 3, 5]
    assert "do you mean 'flows'" in found[0][1]


def test_what_is_no_file(tmp_path):
    for path, words in [(tmp_path, "directory"), (tmp_path / "nowhere", "No such file")]:
        for arguments in (["--check", path], ["--settings", path, DEMO]):
            result = run(*arguments)
            assert result.status == 64 and len(result.messages) == 1 and words in result.messages[0], result.err
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert run("--check", fifo, timeout=20).status == 0
    result = run("--check", "/dev/zero", timeout=20)
    assert result.status == 64 and "bytes" in result.messages[0]


def test_a_good_file_and_an_empty_one(tmp_path):
    path = settings(tmp_path, "# flows: 3\neal: {lcores: '0@0,1@0,2@1', allow: [0000:03:00.0, 0000:03:00.1]}\nodid: 7\n")
    assert run("--check", path).out.decode() == f"{path}: 2 settings, nothing wrong\n"
    for text in ("", "# nothing\n", "---\n...\n"):
        assert run("--check", settings(tmp_path, text)).status == 0


def test_printed_settings_are_read_again(tmp_path):
    path = settings(tmp_path, "eal:\n  l: 0-3\n  vdev: ['net_pcap0,rx_pcap=a b.pcap', net_null0]\nodid: 7\nuniflow: true\n"
                              "export: ['json:x: y', 'udp://h:1?dscp=ef&options=off']\nconfig: (0,0,2),(1,0,2)\n")
    first = run("--settings", path, "--print-settings", "--odid", "9", "--stats", "1")
    assert first.status == 0, first.err
    text = first.out.decode()
    assert "odid: 9" in text and "uniflow: true" in text and "# flows:" in text
    again = settings(tmp_path, text)
    assert run("--settings", again, "--print-settings").out == first.out
    assert run("--check", again).status == 0
    # EAL's options of the command line replace those that say the same.
    live = run("-l", "0-2", "--", "--settings", path, "--print-settings").out.decode()
    words = re.findall(r"^  - (.*)$", live[:live.index("export:")], re.M)
    assert words == ['"--vdev=net_pcap0,rx_pcap=a b.pcap"', '"--vdev=net_null0"', '"-l"', "0-2"]
    # Another reader of YAML sees the same.
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text) == {
        "eal": ["-l", "0-3", "--vdev=net_pcap0,rx_pcap=a b.pcap", "--vdev=net_null0"], "odid": 9, "uniflow": True, "stats": 1,
        "export": ["json:x: y", "udp://h:1?dscp=ef&options=off"], "config": "(0,0,2),(1,0,2)"}


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\r\n\x01\x7f", "\u0080\u0085\u2028\u2029\ufeff", " a ", "it's \"a\" \\x09"])
def test_whatever_is_printed_is_read_again(tmp_path, name):
    first = run("--pcap", f"/nowhere/{name}", "--export", f"json:/nowhere/{name}", "--print-settings")
    assert first.status == 0, first.err
    again = settings(tmp_path, first.out)
    second = run("--settings", again, "--print-settings")
    assert (second.status, second.out) == (0, first.out), second.err
    # Another reader of YAML sees the names.
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(first.out.decode()) == {"pcap": f"/nowhere/{name}", "export": f"json:/nowhere/{name}"}


def test_the_schema_knows_every_option_and_refuses_others(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema (Tests/requirements.txt)")
    schema = json.loads(run("--print-schema", "settings").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    names = {word.strip(",") for line in run("--help").out.decode().splitlines() for word in line.split()[:2]
             if re.fullmatch(r"--[a-z-]+,?", word)}
    questions = {name for name in names if name.startswith(("--list-", "--print-"))} | {
        "--help", "--version", "--settings", "--check"}
    assert {name[2:] for name in names - questions} | {"eal"} <= schema["properties"].keys()
    for good in ({"odid": 1, "export": ["json:-"], "uniflow": True, "stats": 0.5, "eal": {"l": "0-3", "no-huge": True}},
                 {"eal": ["-l", "0-3"], "preset": ["all"], "clock": "tsc"}):
        assert validator.is_valid(good), list(validator.iter_errors(good))
    for bad in ({"nonsense": 1}, {"odid": "x"}, {"uniflow": 1}, {"clock": "sundial"}, {"eal": {"lcore": 1}}):
        assert not validator.is_valid(bad), bad


def probe_text(*exports, more="", active="0.2"):
    """Settings of a probe whose device always has packets of flows that do not end, and where flows are cut: so records come all
    the time, not too many."""
    return f"""
eal:
  lcores: {ONE_QUEUE[1]}
  no-huge: true
  m: {NO_HUGE[2]}
  no-pci: true
  vdev: net_pcap0,rx_pcap={MANY},infinite_rx=1
active-timeout: {active}
export: [{', '.join(f'"{export}"' for export in exports)}]
{more}"""


class FromFile(Live):
    """A probe with all its settings in a file."""

    def __init__(self, path):
        self.path = path
        super().__init__([], ["--settings", path, "--stats", "0.1"], lcores=[], mem=[])

    def reload(self, text, answer):
        """Has it read other settings, and waits for one more line with `answer`."""
        before = self.text().count(answer)
        self.path.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.text().count(answer) > before)

    def shares(self, *names, seconds=0.6):
        """Of the packets that come from here on, the shares that counters count."""
        seen = len(self.text())
        self.wait_for(lambda: self.text()[seen:].count("martlet: received=") >= 2)
        first, end = self.latest, time.monotonic() + seconds
        self.wait_for(lambda: time.monotonic() > end and self.latest["received"] > first["received"] + 100_000)
        last = self.latest
        return [(last[name] - first[name]) / (last["received"] - first["received"]) for name in names]


@live
def test_a_probe_runs_from_a_file_and_takes_other_exports_with_sighup(tmp_path):
    """The device always has packets of flows that do not end, and flows are cut: so records come all the time, not too many."""
    first, second, third = (tmp_path / f"{name}.json" for name in ("first", "second", "third"))

    def text(*exports, more=""):
        return probe_text(*(f"json:{path}" for path in exports), more=more)
    with FromFile(settings(tmp_path, text(first, second))) as probe:
        probe.wait_for(lambda: first.exists() and first.stat().st_size and second.stat().st_size)
        settings(tmp_path, text(second, third, more="flows: 2000\n"))
        probe.process.send_signal(signal.SIGHUP)
        probe.wait_for("changed export")
        assert "flows changed, which takes effect at the next start" in probe.text()
        probe.wait_for(lambda: third.exists() and third.stat().st_size)
        # The first one is written to its end and closed: what it has are whole records.
        wait_until(lambda: first.read_bytes().endswith(b"\n"), "the end of the first file")
        size = first.stat().st_size
        before = second.stat().st_size
        probe.wait_for(lambda: second.stat().st_size > before)
        assert first.stat().st_size == size
        # What is wrong, or cannot be opened, changes nothing.
        settings(tmp_path, "exprot: json:-\n")
        probe.process.send_signal(signal.SIGHUP)
        probe.wait_for("the settings stay as they were")
        settings(tmp_path, text("/nowhere/flows"))
        probe.process.send_signal(signal.SIGHUP)
        probe.wait_for("export stays as it was")
        # As where an editor has begun to write it.
        settings(tmp_path, "")
        probe.process.send_signal(signal.SIGHUP)
        probe.wait_for("no export is left")
        assert probe.stop() == 0
        counters = probe.counters
    lines = [len(file.read_bytes().splitlines()) for file in (first, second, third)]
    assert all(json.loads(line) for line in first.read_bytes().splitlines())
    assert counters["exported"] == lines[1] > lines[0] > 0 and lines[2] > 0


#: A filter that 30 % of the capture's packets pass, and one that the others do.
FEW, MANY_MORE = "src portrange 20000-20299", "src portrange 20300-20999"


def test_the_filters_pass_what_is_expected_of_them():
    _, packets = read_pcap(MANY)
    ports = [int.from_bytes(data[34:36], "big") for _, _, data in packets]
    assert sum(20000 <= port <= 20299 for port in ports) / len(ports) == 0.3
    assert sum(20300 <= port <= 20999 for port in ports) / len(ports) == 0.7


def selectors(session):
    """What the session's options records say of the packets that are looked at, in order: sampling and filter."""
    told = []
    for scope, record in session.options:
        if scope == ((0, 302),):
            values = {element: int.from_bytes(octets, "big") for (owner, element), octets in record.items() if owner == 0}
            if values.get(304) == 5:
                told.append((values[302], record[32473, 21].rstrip(b"\0").decode()))
            else:
                told.append(tuple(sorted(values.items())))
    return told


SYSTEMATIC = {1: ((302, 1), (304, 1), (305, 1), (306, 0)), 10: ((302, 1), (304, 1), (305, 1), (306, 9))}
#: The double 0.5 of IEEE 754.
FLOW = ((302, 1), (311, 0x3FE0 << 48), (390, 4))
RANDOM = ((302, 1), (304, 3), (309, 1), (310, 4))


@live
def test_filter_and_samples_change_with_sighup(tmp_path):
    """While packets come as fast as they can: what is counted, what is recorded and what collectors are told change together."""
    out, wrong = tmp_path / "out.json", "filter: udp prot\nsample: 1/2"
    with UDPCollector() as collector:
        exports = [f"json:{out}", f"udp://127.0.0.1:{collector.port}"]

        def is_told(*expected):
            """Waits until the collector has heard that, and nothing else, besides what it had heard before."""
            told.extend(expected)
            collector.receive_until(lambda session: len(selectors(session)) >= len(told), probe.process)
            assert selectors(collector.session) == told and collector.session.lost == 0

        def change(more, answer):
            probe.reload(probe_text(*exports, more=more, active="1"), answer)
        told = []
        with FromFile(settings(tmp_path, probe_text(*exports, active="1"))) as probe:
            probe.wait_for(lambda: out.exists() and out.stat().st_size)
            assert probe.shares("filtered", "not_sampled") == [0, 0]
            is_told(SYSTEMATIC[1])
            change(f"filter: {FEW}\nsample: 1/10", "changed filter, sample")
            assert f"filter '{FEW}': native code" in probe.text()
            is_told(SYSTEMATIC[10], (2, FEW))
            assert probe.shares("filtered", "not_sampled") == pytest.approx([0.7, 0.3 * 0.9], rel=0.02)
            # When the flows of before have ended all are of packets that pass.

            def passes(line):
                return 20000 <= json.loads(line)["iana:sourceTransportPort"] <= 20299
            probe.wait_for(lambda: all(map(passes, out.read_bytes().splitlines()[-100:-1])))

            # What is wrong changes nothing, not the half of it that is right either.
            change(wrong, "filter, sample stays as it was")
            assert "syntax error" in probe.text()
            assert probe.shares("filtered", "not_sampled") == pytest.approx([0.7, 0.27], rel=0.02)

            change("sample: random:1/4", "changed filter, sample")
            is_told(RANDOM, (2, ""))
            assert probe.shares("filtered", "not_sampled") == pytest.approx([0, 0.75], rel=0.02)
            change("sample: flow:1/2", "changed sample")
            is_told(FLOW, (2, ""))
            filtered, not_sampled = probe.shares("filtered", "not_sampled")
            assert filtered == 0 and 0.3 < not_sampled < 0.7
            change("", "changed sample")
            is_told(SYSTEMATIC[1], (2, ""))
            assert probe.shares("filtered", "not_sampled") == [0, 0]

            # One after the other, and the last one holds.
            for expression in [MANY_MORE, FEW] * 5:
                change(f"filter: {expression}", "changed filter")
                is_told(SYSTEMATIC[1], (2, expression))
            assert probe.shares("filtered") == pytest.approx([0.7], rel=0.02)
            assert probe.stop() in (0, 2), "the collector may be too slow"
            counters = probe.counters
    assert unaccounted(counters) == 0


@live
def test_a_filter_that_changes_under_seccomp_is_interpreted(tmp_path):
    """No code can be made any more (mmap and mprotect with PROT_EXEC are not allowed), and the filter holds all the same."""
    def text(expression):
        return probe_text(f"json:{os.devnull}", more=f'seccomp: "on"\nfilter: {expression}')
    with FromFile(settings(tmp_path, text(MANY_MORE))) as probe:
        probe.wait_for(f"filter '{MANY_MORE}': native code")
        probe.wait_received(1000)
        probe.reload(text(FEW), "changed filter")
        assert f"filter '{FEW}': DPDK's interpreter" in probe.text()
        assert probe.shares("filtered") == pytest.approx([0.7], rel=0.02)
        assert probe.stop() in (0, 2)


@live
def test_databases_change_with_sighup(tmp_path):
    """A run takes other databases, and one that was started without has no fields for them."""
    out, files = tmp_path / "out.json", [tmp_path / f"{number}.mmdb" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        file.write_bytes(database({"::/1": {"autonomous_system_number": number}}))
    with FromFile(settings(tmp_path, probe_text(f"json:{out}", more=f"mmdb: [{files[0]}]"))) as probe:
        probe.wait_for(lambda: probe.latest.get("exported", 0) > 0)
        probe.reload(probe_text(f"json:{out}", more=f"mmdb: [{tmp_path}/3.mmdb]"), "mmdb stays as it was")
        probe.reload(probe_text(f"json:{out}", more=f"mmdb: [{files[1]}, {files[0]}]"), "changed mmdb")
        seen = probe.latest["exported"]
        probe.wait_for(lambda: probe.latest["exported"] > seen + 5000)
        probe.reload(probe_text(f"json:{out}"), "changed mmdb")
        seen = probe.latest["exported"]
        probe.wait_for(lambda: probe.latest["exported"] > seen + 5000)
        assert probe.stop() in (0, 2), probe.text()
    # Link-local addresses are in the other half.
    numbers = [record.get("iana:bgpSourceAsNumber") for record in map(json.loads, open(out)) if not record.get(
        "iana:sourceIPv6Address", "").startswith("f")]
    order = [number for index, number in enumerate(numbers) if index == 0 or number != numbers[index - 1]]
    assert order == [1, 2, None]
    with FromFile(settings(tmp_path, probe_text(f"json:{out}"))) as probe:
        probe.wait_for(lambda: probe.latest.get("received", 0) > 0)
        probe.reload(probe_text(f"json:{out}", more=f"mmdb: [{files[0]}]"), "mmdb stays as it was")
        assert "take effect at the next start" in probe.text()
        assert probe.stop() in (0, 2)


@live
def test_what_is_said_changes_with_sighup(tmp_path):
    with FromFile(settings(tmp_path, probe_text("json:/dev/null"))) as probe:
        probe.wait_for(lambda: probe.latest.get("received", 0) > 0)
        # What is less urgent than an error is not said any more, that something changed neither.
        probe.path.write_text(probe_text("json:/dev/null", more="log-level: error"))
        probe.process.send_signal(signal.SIGHUP)

        def is_silent():
            before = probe.text()
            time.sleep(1)
            return probe.text() == before
        wait_until(is_silent, "silence", probe.process)
        assert "changed log-level" not in probe.text()
        probe.reload(probe_text("json:/dev/null", more="log-format: json"), '"message":"')
        probe.wait_for("changed log-format, log-level")
        line = next(line for line in probe.text().splitlines() if "changed log-format" in line)
        said = json.loads(line)
        assert said["level"] == "info" and said["message"].endswith("changed log-format, log-level")
        assert probe.stop() in (0, 2)


@pytest.mark.parametrize("text,line,words", [
    (f"pcap: {DEMO}\nodid: 1\neal:\n  lcores: 0-2\n", 3, ["'eal'", "'pcap', line 1"]),
    (f"eal: [-l, 0-2]\npcap: {DEMO}\n", 1, ["'eal'", "'pcap', line 2"]),
    (f"pcap: {DEMO}\nqueues: 2\n", 2, ["'queues'"]),
    (f"interface: lo\npcap: {DEMO}\n", 1, ["'interface'"]),
])
def test_captures_beside_ports_are_a_contradiction(tmp_path, text, line, words):
    found = problems(tmp_path, text)
    assert [place for place, _ in found] == [line] and all(word in found[0][1] for word in words), found
    # Neither is one of them alone, nor who names captures on the command line.
    result = run("--settings", tmp_path / "settings.yaml", DEMO, "--export", "json:-")
    assert result.status == 0 and result.out == offline(DEMO).out


@live
def test_exports_that_come_and_go_leave_their_sums(tmp_path):
    """Fifty changes: the totals have a column for the last ones, and one for all before them."""
    def text(number):
        return f"export: ['json:{tmp_path}/{number}.json', 'json:{tmp_path}/{number}b.json']\nactive-timeout: 0.2\n"
    path = settings(tmp_path, text(0))
    with Live([f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"], ["--settings", path, "--stats", "0.2"], mem=NO_HUGE) as probe:
        probe.wait_received(1000)
        for number in range(1, 51):
            settings(tmp_path, text(number))
            probe.process.send_signal(signal.SIGHUP)
            probe.wait_for(lambda count=number: probe.text().count("changed export") == count)
        # Those that went are closed by and by.
        folder = f"/proc/{probe.process.pid}/fd"

        def opened():
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    yield os.readlink(f"{folder}/{name}")
        wait_until(lambda: sum(str(tmp_path) in name for name in opened()) == 2, "the end of former outputs", probe.process)
        probe.wait_for(lambda seen=probe.latest["exported"]: probe.latest["exported"] > seen)
        assert probe.stop() == 0, probe.text()
        text_, counters = probe.text(), probe.counters
    heading = next(line for line in text_[text_.rindex("martlet: totals"):].splitlines() if "former outputs" in line)
    # Two that there are, eight that were, the rest.
    assert len(re.split(r"\s{2,}", heading.strip())) == 1 + 2 + 8 + 1 + 1 and f"{tmp_path}/50.json" in heading, heading
    # Each of a pair gets every record, which is handed over once.
    lines = [len(file.read_bytes().splitlines()) for file in tmp_path.glob("*.json")]
    row = next(line for line in text_[text_.rindex(heading):].splitlines() if line.startswith("  exported "))
    *taken, exported = [int(word) for word in row.split()[1:]]
    assert len(lines) == 102 and sum(taken) == sum(lines) == 2 * exported == 2 * counters["exported"] > 0


@live
def test_settings_beside_eal_options(tmp_path):
    """EAL's options of both, the command line's where they say the same."""
    path = settings(tmp_path, f"eal:\n  lcores: 0@0\n  vdev: net_pcap0,rx_pcap={DEMO}\nstats: 0.1\nexport: json:/dev/null\n")
    with Live([], ["--settings", path]) as probe:
        probe.wait_received(1)
        assert probe.stop() == 0


def test_a_file_is_read_quickly(tmp_path):
    path = settings(tmp_path, "export:\n" + "".join(f"  - json:/tmp/{n}\n" for n in range(300)))
    assert subprocess.run([MARTLET, "--check", path], timeout=20, capture_output=True, check=False).returncode == 0
