"""docs/python.md: every block of Python runs, in order, and prints what the page shows behind it."""

import contextlib
import io
import re
import shutil

import pytest

from conftest import CAPTURES, ROOT

PAGE = ROOT / "docs/python.md"
#: A block of Python, and what it prints where that is shown.
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```\n(.*?)```\n)?", re.DOTALL)


def test_the_page(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    (tmp_path / "captures").mkdir()
    for path in CAPTURES.glob("*.pcap"):
        # Those of link types that nothing reads are for the tests of that.
        if not path.name.startswith("link-"):
            shutil.copy(path, tmp_path / "captures")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 8
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        # The difference is shown line by line.
        assert printed.getvalue().splitlines() == shown.splitlines(), code
