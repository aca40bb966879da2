#!/usr/bin/env python3
"""Writes Python/src/martlet/_ipfix/registry.py: numbers, names and types of information elements.

    Python/tools/make_registry.py                                          # the project's own elements, from docs/elements
    Python/tools/make_registry.py --iana ipfix-information-elements.csv    # IANA's too, from its registry

IANA's table is https://www.iana.org/assignments/ipfix/ipfix-information-elements.csv, or the same elements in the XML that
docs/elements has; given several times, a later file adds to those before. Without --iana the module keeps what it has of
IANA. --check writes nothing and fails where the module would change.
"""

import argparse
import csv
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "Python/src/martlet/_ipfix/registry.py"
OWN = ("libfds-cesnet.xml", "libfds-flowmon.xml", "libfds-martlet.xml")
HEAD = '''"""Numbers, names and types of information elements. Made by Python/tools/make_registry.py; not to be edited by hand.

A line is an element: its number, its name and its abstract data type (RFC 7012 section 3.1).
"""
'''
Rows = dict[int, tuple[str, str]]


def from_csv(path: Path) -> Rows:
    """The elements of IANA's CSV; lines for ranges that are not assigned are passed over."""
    with open(path, newline="", encoding="utf-8") as file:
        return {
            int(row["ElementID"]): (row["Name"].strip(), kind)
            for row in csv.DictReader(file)
            if row["ElementID"].isdigit() and (kind := (row.get("Abstract Data Type") or row.get("Data Type") or "").strip())}


def from_xml(path: Path) -> tuple[int, str, Rows]:
    """(enterprise number, scope, elements) of a file in the form of docs/elements/libfds-*.xml."""
    root = ElementTree.parse(path).getroot()
    rows = {
        int(element.findtext("id", "0")): (element.findtext("name", ""), element.findtext("dataType", "octetArray"))
        for element in root.iter("element")}
    return int(root.findtext("scope/pen", "0")), root.findtext("scope/name", ""), rows


def table(name: str, rows: Rows) -> str:
    lines = "".join(f"{number} {element} {kind}\n" for number, (element, kind) in sorted(rows.items()))
    return f'\n{name} = """\\\n{lines}"""\n'


def rows_of(text: str) -> Rows:
    return {int(number): (name, kind) for number, name, kind in (line.split() for line in text.splitlines())}


def module(iana: list[Path]) -> str:
    rows: Rows = {}
    if not iana:
        known: dict[str, str] = {}
        exec(MODULE.read_text(encoding="utf-8"), known)
        rows = rows_of(known["IANA"])
    for path in iana:
        rows |= from_xml(path)[2] if path.suffix == ".xml" else from_csv(path)
    text = HEAD + table("IANA", rows)
    scopes = []
    for file in OWN:
        number, scope, elements = from_xml(ROOT / "docs/elements" / file)
        text += table(scope.upper(), elements)
        scopes.append(f"    {number}: (\"{scope}\", {scope.upper()}),\n")
    text += "\n#: Elements of enterprises, with the word for each that stands before their names.\nENTERPRISES = {\n"
    return text + "".join(scopes) + "}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iana", type=Path, action="append", default=[])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = module(options.iana)
    if not options.check:
        MODULE.write_text(text, encoding="utf-8")
    elif text != MODULE.read_text(encoding="utf-8"):
        print(f"{MODULE} is not what docs/elements says: run {Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
