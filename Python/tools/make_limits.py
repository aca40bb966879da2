#!/usr/bin/env python3
"""Writes Python/src/martlet/_models/limits.py: the most that a model may have, as Sources/CModels/include/CModels.h declares it.

    Python/tools/make_limits.py [--check]

--check writes nothing and fails where the module would change.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "Sources/CModels/include/CModels.h"
MODULE = ROOT / "Python/src/martlet/_models/limits.py"
HEAD = '''"""The most that a model may have for the exporter. Made by Python/tools/make_limits.py; not to be edited by hand."""

'''


def module() -> str:
    found = re.findall(r"^  MARTLET_((?:FEATURE|MODEL)_\w+) = (\d+),?$", HEADER.read_text(), re.M)
    return HEAD + "".join(f"{name} = {number}\n" for name, number in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = module()
    if not parser.parse_args().check:
        MODULE.write_text(text)
    elif MODULE.read_text() != text:
        sys.exit(f"{MODULE} is not what {HEADER} says: run Python/tools/make_limits.py")


if __name__ == "__main__":
    main()
