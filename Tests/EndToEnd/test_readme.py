"""The generated parts of README.md and docs/, and the README's picture, are what the program and its sources say now.

`Tests/EndToEnd/test_readme.py --write` brings them up to date.
"""
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/images"))

import flows  # noqa: E402

README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs/performance.md"
COUNTERS = ROOT / "docs/counters.md"
IPFIX = ROOT / "docs/ipfix.md"
TUNNELS = ROOT / "docs/tunnels.md"
WRITE = "run Tests/EndToEnd/test_readme.py --write"


def martlet():
    if path := os.environ.get("MARTLET"):
        return path
    shown = subprocess.run(
        ["swift", "build", "-c", "release", "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return shown.stdout.strip() + "/martlet"


def output(*arguments):
    # ArgumentParser wraps its help to the terminal's width.
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    return subprocess.run(
        [martlet(), *arguments], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=environment).stdout


def help_block():
    return f"```\n{output('--help').rstrip()}\n```"


def plugin_table():
    rows = ["| plugin | what it adds | bytes | options |", "|---|---|---|---|"]
    for part in output("--list-plugins").split("\n\n"):
        # The last part has the presets.
        if part.startswith(" "):
            continue
        first, *rest = part.split("\n")
        name, summary, size = re.fullmatch(r"(\S+)  (.*); (\d+) bytes per flow", first).groups()
        options = [line.removeprefix("    option ").split(": ")[0] for line in rest if line.startswith("    option ")]
        # A bar inside a cell must be escaped.
        cell = ", ".join(f"`{option}`" for option in options).replace("|", "\\|")
        rows.append(f"| {name} | {summary} | {size} | {cell} |")
    return "\n".join(rows)


def counter_table():
    rows = ["| counter | kind | unit | counted by | what it counts |", "|---|---|---|---|---|"]
    heading, *lines = output("--list-counters").splitlines()
    columns = len(re.split(r"\s{2,}", heading))
    for line in lines:
        cells = re.split(r"\s{2,}", line)
        assert len(cells) == columns == 5, line
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def tunnel_table():
    """The list of tunnels; what is typed is code."""
    heading, *lines = [re.split(r"\s{2,}", line) for line in output("--list-tunnels").splitlines()]
    assert all(len(line) == len(heading) == 4 for line in lines), lines
    rows = [f"| {' | '.join(heading)} |", "|---|---|---|---|"]
    return "\n".join(rows + [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in lines])


def export_table(number):
    """One of the two tables of --list-exports; what is written as it stands there is code."""
    heading, *lines = [re.split(r"\s{2,}", line) for line in output("--list-exports").split("\n\n")[number].splitlines()]
    assert all(len(line) == len(heading) for line in lines), lines
    rows = [heading, ["---"] * len(heading), *([f"`{line[0]}`".replace("|", "\\|"), *line[1:]] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |".replace("| --- ", "|---").replace("--- |", "---|") for row in rows)


def exports():
    return export_table(0)


def parameters():
    return export_table(1)


def speed():
    """A sentence of docs/performance.md's figures: what live.py found in one run, the median of each set."""
    def row(plugins):
        cells = re.search(rf"^\| {re.escape(plugins)} \|(.*)\|$", PERFORMANCE.read_text(), re.M)[1].split("|")
        return [cell.strip() for cell in cells]

    def added(plugins):
        return f"{round(float(row(plugins)[2]))} ns"

    return textwrap.fill(
        f"On one core of a virtual machine it adds {added('no plugin')} per packet to the {row('receive-only')[0]} that "
        f"receiving it costs, and {added('pstats,tls,ovpn,idpcontent')} with the plugins pstats, tls, ovpn and "
        "idpcontent, over a mix of real traffic; ipfixprobe 5.7 adds about 300 and 640 ns over the same mix where "
        "receiving costs 89. [docs/performance.md](docs/performance.md) says how that is measured.",
        120, break_long_words=False, break_on_hyphens=False)


PARTS = [
    (README, "speed", speed), (README, "help", help_block), (README, "plugins", plugin_table),
    (COUNTERS, "counters", counter_table), (TUNNELS, "tunnels", tunnel_table),
    (IPFIX, "exports", exports), (IPFIX, "parameters", parameters)]


def picture():
    """docs/images/flows.svg as this build's output makes it."""
    return flows.svg(martlet())


def between(text, name):
    """Where the part's text begins and ends."""
    marker = re.search(rf"<!-- {name}: [^\n]*-->\n", text)
    return marker.end(), text.index("<!-- end -->", marker.end())


def check(part):
    path, name, make = part
    text = path.read_text()
    start, end = between(text, name)
    assert text[start:end].strip() == make(), f"{path.name}: {name} is out of date: {WRITE}"


@pytest.mark.parametrize("part", PARTS, ids=[name for _, name, _ in PARTS])
def test_part_is_up_to_date(part):
    check(part)


def test_the_picture_shows_what_is_printed():
    assert flows.PICTURE.read_text() == picture(), f"{flows.PICTURE.name} is out of date: {WRITE}"


def test_links_lead_somewhere():
    for page in [README, *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


if __name__ == "__main__":
    assert sys.argv[1:] == ["--write"], __doc__
    for path, name, make in PARTS:
        text = path.read_text()
        start, end = between(text, name)
        path.write_text(text[:start] + make() + "\n" + text[end:])
    flows.PICTURE.write_text(picture())
