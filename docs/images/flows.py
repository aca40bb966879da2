#!/usr/bin/env python3
"""Draws docs/images/flows.svg, what martlet prints for a bundled capture, as a terminal shows it.

    docs/images/flows.py [MARTLET]      (.build/release/martlet)

The text is the program's own; `Tests/EndToEnd/test_readme.py` fails where the picture shows another.
"""
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PICTURE = HERE / "flows.svg"
#: Columns of the terminal, and how large a character is in it, in pixels.
COLUMNS, WIDTH, HEIGHT = 120, 6.63, 16
#: What is run, behind `martlet`, how many lines of its output are shown, and into how many lines each goes.
RUNS = [
    ("Tests/Captures/demo.pcap", 13, 1),
    ("Tests/Captures/tls13.pcap --plugins tls,pstats --export json:-", 1, 11),
]
STYLE = "font: 11px 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre"


def lines(martlet):
    """The terminal's lines, with whether each is a command."""
    shown = []
    for arguments, count, most in RUNS:
        shown.append((f"$ martlet {arguments}", True))
        done = subprocess.run([martlet, *arguments.split()], check=True, cwd=ROOT, capture_output=True, text=True)
        for line in done.stdout.splitlines()[:count]:
            line = line.rstrip()
            shown += [(line[COLUMNS * part : COLUMNS * (part + 1)], False) for part in range(most)]
        shown.append(("…", False))
    return shown


def svg(martlet):
    rows = lines(martlet)
    width, height = round(COLUMNS * WIDTH) + 24, len(rows) * HEIGHT + 24
    text = "\n".join(
        f'<text x="12" y="{12 + HEIGHT * number + 12}" fill="{"#8fd18f" if is_command else "#d8d8d8"}" xml:space="preserve">'
        f"{escape(row)}</text>"
        for number, (row, is_command) in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="{STYLE}">\n<rect width="100%" height="100%" rx="6" fill="#1b1d23"/>\n{text}\n</svg>\n')


if __name__ == "__main__":
    PICTURE.write_text(svg(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".build/release/martlet"))
