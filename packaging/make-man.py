#!/usr/bin/env python3
"""Prints the manual page of a martlet binary: its options as the binary itself declares them, exit status and signals from the
README's tables, so that nothing is said twice.

    packaging/make-man.py BINARY >martlet.1
"""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def roff(text):
    """Plain text for troff: no line begins with a control character, a hyphen is one that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("’", "\\(cq").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.splitlines())


def from_markdown(text):
    """A table's cell: code in bold, links by their words."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"`([^`]*)`", text)
    return "".join(f"\\fB{roff(part)}\\fR" if index % 2 else roff(part) for index, part in enumerate(parts))


def table(heading):
    """The rows of the README's table whose first row is `heading`, cells as they are written."""
    lines = README.read_text().splitlines()
    rows = []
    for line in lines[lines.index(heading) + 2:]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def usage(binary):
    """The lines of `USAGE:` in the help text."""
    block = re.search(r"USAGE: (.*?)\n\n", output(binary, "--help"), re.S)[1]
    return [line.strip() for line in block.splitlines()]


def option(argument):
    """An option's entry: its names, its value, what it does."""
    dashes = {"short": "-", "long": "--", "longWithSingleDash": "-"}
    value = f" \\fI{roff(argument['valueName'])}\\fR" if argument["kind"] == "option" else ""
    names = ", ".join(f"\\fB{roff(dashes[name['kind']] + name['name'])}\\fR{value}" for name in argument["names"])
    text = argument.get("abstract", "")
    if default := argument.get("defaultValue"):
        text += f" (default: {default})"
    return f".TP\n{names}\n{roff(text)}"


def page(binary):
    command = json.loads(output(binary, "--experimental-dump-help"))["command"]
    version = output(binary, "--version").strip()
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    abstract = command["abstract"].rstrip(".")
    yield f'.TH MARTLET 1 "{date}" "{version}" "User Commands"'
    # Ragged: long words leave lines that cannot be filled.
    yield ".ad l"
    yield f".SH NAME\nmartlet \\- {roff(abstract[0].lower() + abstract[1:])}"
    yield ".SH SYNOPSIS\n.nf\n" + "\n".join(roff(line) for line in usage(binary)) + "\n.fi"
    yield f".SH DESCRIPTION\n{roff(command['discussion'])}"
    yield ".SH OPTIONS"
    section = None
    for argument in sorted(command["arguments"], key=lambda argument: argument.get("sectionTitle") or ""):
        if argument.get("sectionTitle") != section and argument.get("sectionTitle"):
            yield f".SS {argument['sectionTitle']}"
        section = argument.get("sectionTitle")
        # FILE has no name: the synopsis shows it.
        if argument["kind"] != "positional":
            yield option(argument)
    for title, heading in (("EXIT STATUS", "| exit status | meaning |"), ("SIGNALS", "| signal | effect |")):
        yield f".SH {title}"
        for name, meaning in table(heading):
            yield f".TP\n{from_markdown(name)}\n{from_markdown(meaning)}"
    yield ".SH FILES\n.TP\n.I /usr/share/doc/martlet\nThe manual: README.md first."


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    print("\n".join(page(sys.argv[1])))
