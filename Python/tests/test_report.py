"""The report: sums by hand, what a capture may try to do to its reader, and a look with Chromium where it is there."""

import html.parser
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")

from martlet import _svg  # noqa: E402
from martlet.report import report  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BASE = 1_700_000_000
TIME = pa.timestamp("ns", "UTC")


def full_name(name):
    if name in ("TLSSNI", "packetLength", "packetDirection", "packetTime"):
        return f"cesnet:{name}"
    return "iana@reverse:octetDeltaCount" if name == "reverseOctetDeltaCount" else f"iana:{name}"


def table(*rows, full=False):
    """Flows of (source, its port, destination, its port, protocol, start, end, sent, received, packets, name, lengths)."""
    names = [
        "sourceIPv4Address", "sourceTransportPort", "destinationIPv4Address", "destinationTransportPort", "protocolIdentifier",
        "flowStartMicroseconds", "flowEndMicroseconds", "octetDeltaCount", "reverseOctetDeltaCount", "packetDeltaCount", "TLSSNI"]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    for name in ("flowStartMicroseconds", "flowEndMicroseconds"):
        columns[name] = pa.array([int((BASE + value) * 10**9) for value in columns[name]], TIME)
    columns["TLSSNI"] = pa.array(columns["TLSSNI"], pa.string())
    columns["packetLength"] = pa.array([[abs(one) for one in row[11]] for row in rows], pa.list_(pa.uint16()))
    columns["packetDirection"] = pa.array([[1 if one > 0 else -1 for one in row[11]] for row in rows], pa.list_(pa.int8()))
    columns["packetTime"] = pa.array(
        [[(BASE + row[5]) * 10**9 + place * 10**7 for place in range(len(row[11]))] for row in rows], pa.list_(TIME))
    if full:
        columns = {full_name(name): value for name, value in columns.items()}
    return pa.table(columns)


ROWS = [
    ("10.0.0.1", 40000, "192.0.2.1", 443, 6, 0, 4, 1000, 9000, 20, "www.example.org", [517, -1400, -1400, 80]),
    ("10.0.0.1", 40001, "192.0.2.2", 53, 17, 1, 1, 60, 120, 2, None, [40, -100]),
    ("10.0.0.2", 40002, "192.0.2.1", 443, 6, 2, 3, 500, 500, 5, "WWW.example.com", []),
]


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text in them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("full", [False, True])
def test_sums(full):
    page = Page(report(table(*ROWS, full=full), title="three flows"))
    assert not page.open
    shown = page.text
    # 1000 + 9000 + 60 + 120 + 500 + 500 octets of 27 packets between 4 addresses; from 0 to 4 s.
    assert "3 flows 27 packets 11.2 kB of IP packets 4 addresses 2 names 4 s from first to last" in shown
    assert "From Tuesday, 14 November 2023, 22:13:20 UTC" in shown
    talkers = shown[shown.index("Top talkers"):shown.index("Protocols")]
    assert re.findall(r"(\S+) ([\d.]+ k?B) in (\d) flow", talkers) == [
        ("192.0.2.1", "11 kB", "2"), ("10.0.0.1", "10.2 kB", "2"), ("10.0.0.2", "1 kB", "1"), ("192.0.2.2", "180 B", "1")]
    protocols = shown[shown.index("Protocols"):shown.index("Names")]
    assert re.findall(r"(\S+) ([\d.]+ k?B) in (\d) flow", protocols) == [("HTTPS", "11 kB", "2"), ("DNS", "180 B", "1")]
    names = shown[shown.index("Names"):shown.index("Packets of some")]
    assert re.findall(r"(\S+) ([\d.]+ k?B) in (\d) flow", names) == [
        ("www.example.org", "10 kB", "1"), ("WWW.example.com", "1 kB", "1")]


def test_stems():
    """A stem for each packet: up from the source, down to it, the longest to the end of the scale."""
    page = report(table(*ROWS))
    stem = page[page.index('<div class="stem">'):]
    stem = stem[:stem.index("</div>")]
    assert "www.example.org" in stem and "up to 1400 octets" in stem
    tips = [(kind, float(y)) for kind, y in re.findall(r'<g class="(\w+)"><line [^>]*y2="([\d.]+)"', stem)]
    middle = 55.0
    assert [kind for kind, _ in tips] == ["sent", "received", "received", "sent"]
    assert [middle - y for _, y in tips] == pytest.approx([46 * 517 / 1400, -46, -46, 46 * 80 / 1400], abs=0.06)
    assert "packet 3: 1400 octets received, 20 ms after the first" in stem


def test_captures_of_different_years_are_on_one_axis():
    """Two flows 30 years apart: the first and the last of the columns, of 730 days or less each."""
    rows = [list(ROWS[1]), list(ROWS[1])]
    rows[1][5] = rows[1][6] = 30 * 365.25 * 86400
    page = report(table(*rows))
    assert "30 years" in page and "a column is 365 d" in page
    assert [int(value) for value in re.findall(r"UDP (\d+) B", page)] == [180, 180]
    # Columns begin at multiples of 365 days: 53 of them are 19 December 2022, 83 are 11 December 2052.
    assert re.findall(r"<title>(\w+ \d{4}): UDP 1<", page) == ["Dec 2022", "Dec 2052"]


def test_octets_over_time_are_those_of_the_flows():
    """What the titles of the columns say adds up: each flow's octets are spread over its time."""
    page = report(table(*ROWS))
    part = page[page.index("Octets, each"):page.index("Top talkers")]
    # 4 s in columns of 50 ms: 81 columns of 123.46 octets of the first flow, 21 of 47.6 of the third one.
    values = re.findall(r"TCP (\d+) B", part)
    assert len(values) == 81 and sorted(set(values)) == ["123", "171"] and values.count("171") == 21
    assert re.findall(r"UDP (\d+) B", part) == ["180"]


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'onmouseover='alert(1)", "</title></style><script>1</script>",
    "]]><svg onload=alert(1)>", "&lt;b&gt;", "a\u202etxt.exe", "nul\0byte", "line\nbreak", "\ud7ff\ue000", "é" * 5000, "{{7*7}}",
    "--><!--",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_do_anything(name):
    row = list(ROWS[0])
    row[10] = name
    row[0] = name  # nor may an address that is none
    page = report(table(row), title=name)
    assert re.search(r"default-src 'none'; style-src 'unsafe-inline'", page)
    parsed = Page(page)
    assert not parsed.open
    tags = {tag for tag, _ in parsed.elements}
    assert not tags & {"script", "img", "iframe", "object", "link", "a", "form", "base"}
    for _, attributes in parsed.elements:
        assert not any(attribute.startswith("on") or attribute in ("href", "src", "style") for attribute in attributes)
    assert "\u202e" not in page and "\0" not in page
    assert len(page) < 100_000
    if name == "a\u202etxt.exe":
        assert "a⟨202E⟩txt.exe" in parsed.text
    elif name == "&lt;b&gt;":
        assert "&amp;lt;b&amp;gt;" in page and "&lt;b&gt;" in parsed.text


def test_the_page_asks_nobody():
    page = report(table(*ROWS))
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)


@pytest.mark.parametrize("rows", [
    [], ROWS[:1], [("10.0.0.1", 0, "10.0.0.2", 0, 1, 5, 5, 0, 0, 0, None, [])],
    [("10.0.0.1", 1, "10.0.0.2", 2, 250, 0, 10**9, 2**40, 2**41, 1, "x", [1])],
    [("10.0.0.1", 1, "10.0.0.2", 2, 6, 0, 4e-6, 1, 1, 1, "x", [65535] * 300)],
])
def test_tables_at_the_edges(rows):
    page = Page(report(table(*rows)))
    assert not page.open and "nan" not in page.text and not re.search(r"\binf\b", page.text)


def test_tables_without_plugins():
    page = Page(report(table(*ROWS).drop_columns(["packetLength", "packetDirection", "packetTime", "TLSSNI"])))
    assert "plugin pstats gives them" in page.text and "No flow says to whom" in page.text
    with pytest.raises(ValueError, match="no flowStart"):
        report(pa.table({"octetDeltaCount": [1]}))


@pytest.mark.parametrize("value, shown", [
    (0, "0"), (999, "999"), (1000, "1 k"), (999_600, "1 M"), (1536, "1.5 k"), (123_456, "123 k"), (2.5, "2.5"), (10**13, "10 T")])
def test_numbers(value, shown):
    assert _svg.number(value) == shown


@pytest.mark.parametrize("value, shown", [
    (0, "0 s"), (1e-6, "1 µs"), (0.05, "50 ms"), (4, "4 s"), (90, "1.5 min"), (86400, "1 d"), (1e9, "31.7 years")])
def test_spans(value, shown):
    assert _svg.seconds(value) == shown


@pytest.mark.parametrize("most, ticks", [
    (0, [0, 1]), (1, [0, 0.25, 0.5, 0.75, 1]), (15, [0, 5, 10, 15]), (97, [0, 25, 50, 75, 100]), (3, [0, 1, 2, 3])])
def test_the_scale_has_round_numbers(most, ticks):
    assert _svg.steps(most) == pytest.approx(ticks)


def test_many_flows_stay_a_small_page():
    rows = [
        (f"10.{place % 200}.{place % 7}.1", place % 60000, "192.0.2.1", 443, 6, place / 10, place / 10 + 5, place, 2 * place, 4,
         f"host{place}.example", [100, -200]) for place in range(20_000)]
    page = report(table(*rows))
    assert len(page) < 150_000


def chromium(path, *arguments):
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
         f"--user-data-dir={path.parent / 'profile'}", *arguments, path.as_uri()], capture_output=True, text=True, timeout=120)


def pixels(path):
    """(width, height, the different colours) of a PNG with 8 bits a channel."""
    data = path.read_bytes()
    width, height, depth, kind = struct.unpack("!IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6)
    size, offset, packed = 3 if kind == 2 else 4, 8, b""
    while offset < len(data):
        length, name = struct.unpack_from("!I4s", data, offset)
        if name == b"IDAT":
            packed += data[offset + 8:offset + 8 + length]
        offset += length + 12
    raw, row, colours, before = zlib.decompress(packed), width * size, set(), bytearray(width * size)
    for line in range(height):
        filtered, now = raw[line * (row + 1)], bytearray(raw[line * (row + 1) + 1:(line + 1) * (row + 1)])
        for place in range(row):
            left = now[place - size] if place >= size else 0
            up, corner = before[place], before[place - size] if place >= size else 0
            if filtered == 1:
                now[place] = now[place] + left & 255
            elif filtered == 2:
                now[place] = now[place] + up & 255
            elif filtered == 3:
                now[place] = now[place] + (left + up >> 1) & 255
            elif filtered == 4:
                guess = left + up - corner
                _, _, nearest = min((abs(guess - value), order, value) for order, value in enumerate((left, up, corner)))
                now[place] = now[place] + nearest & 255
        colours.update(bytes(now[place:place + 3]) for place in range(0, row, size))
        before = now
    return width, height, colours


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_chromium_shows_it(tmp_path):
    """The page is drawn in both schemes, runs nothing, and is not wider than a small laptop's window."""
    rows = [list(row) for row in ROWS]
    rows[0][10] = "<script>document.title = 'run'</script>" + "w" * 500
    path = tmp_path / "report.html"
    path.write_text(report(table(*rows), title="<script>document.title = 'run'</script>"), encoding="utf-8")
    shown = chromium(path, "--dump-dom").stdout
    assert "<title>&lt;script&gt;" in shown and shown.count("<svg") > 8
    # The browser's own parser finds no element that the page was not to have.
    assert not re.search(r"<(script|img|iframe)\b", shown)

    for scheme, arguments in (("f6f7f9", []), ("12161d", ["--blink-settings=preferredColorScheme=0"])):
        picture = tmp_path / f"{scheme}.png"
        chromium(path, f"--screenshot={picture}", "--window-size=640,500", *arguments)
        width, height, colours = pixels(picture)
        assert (width, height) == (640, 500) and bytes.fromhex(scheme) in colours

    # Its width, as the page itself would be asked: a second page, which may run a script, holds it in a frame without one.
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<!DOCTYPE html><body style='margin:0'><iframe src='report.html' width='1100' height='600'></iframe><script>"
        "onload = () => { const inner = document.querySelector('iframe').contentDocument.documentElement;"
        "document.title = inner.scrollWidth + ' ' + inner.clientWidth; }</script>")
    wide, window = map(int, re.search(
        r"<title>(\d+) (\d+)</title>", chromium(outer, "--dump-dom", "--allow-file-access-from-files").stdout).groups())
    assert wide <= window


def test_the_command(tmp_path):
    martlet = pytest.importorskip("martlet")
    try:
        martlet.flows  # noqa: B018 (is it there?)
    except AttributeError:
        pytest.skip("the package is not whole")
    captures = [str(ROOT / "Tests/Captures/tls13.pcap"), str(ROOT / "Tests/Captures/dns.pcap")]

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "martlet", *arguments], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": str(Path(martlet.__file__).absolute().parents[1])}, cwd=tmp_path)
    done = run("report", *captures, "-o", "report.html")
    assert done.returncode == 0, done.stderr
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "tls13.pcap, dns.pcap" in page.text and "HTTPS" in page.text and "DNS" in page.text

    done = run("flows", *captures, "-o", "flows.parquet", "--plugins", "pstats")
    assert done.returncode == 0, done.stderr
    import pyarrow.parquet as pq
    assert "packetLength" in pq.read_table(tmp_path / "flows.parquet").column_names

    assert "packetLength" in run("plugins").stdout
    listed = json.loads(run("plugins", "--json").stdout)
    assert {"pstats", "tls"} <= {plugin["name"] for plugin in listed}

    done = run("flows", "absent.pcap", "-o", "absent.parquet")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "absent.pcap" in done.stderr
    assert not list(tmp_path.glob("*absent*"))

    # A capture that is cut: what is before the cut is there, and the status says so.
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((ROOT / "Tests/Captures/dns.pcap").read_bytes()[:-5])
    done = run("report", "cut.pcap", "-o", "cut.html")
    assert done.returncode == 2 and "martlet: warning: " in done.stderr and (tmp_path / "cut.html").exists()
    assert run("flows", *captures, "-o", "x.parquet", "--plugins", "nonsense").returncode == 64
    assert run("nonsense").returncode == 64
