"""Lower floors know nothing of upper ones: modules by their imports, folders by the names that their files use.

Run as a script it prints every arrow between folders.
"""
import re
import sys
from collections import defaultdict
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "Sources"

#: Folders from the lowest to the highest; those on one line know nothing of each other. What is below a folder and not
#: named here belongs to it.
FLOORS = [
    ["Wire"],
    ["IPFIX/Elements"],
    ["IPFIX/Messages"],
    ["Rendering"],
    ["FlowCore/Packet"],
    ["FlowCore/Table"],
    ["FlowCore/Stream"],
    ["FlowCore/Plugin"],
    ["FlowCore/Plugins"],
    ["FlowCore/Engine"],
    ["ExporterApp/Process"],
    ["ExporterApp/Counters", "ExporterApp/Configuration", "ExporterApp/EAL"],
    ["ExporterApp/Export/Transport", "ExporterApp/Ports"],
    ["ExporterApp/Export"],
    ["ExporterApp/Lcores"],
    ["ExporterApp/Offline", "ExporterApp/Live", "ExporterApp/CommandLine"],
    ["ExporterApp"],
]

#: Modules of ours that each module may import.
IMPORTS = {
    "Wire": set(),
    "IPFIX": {"Wire"},
    "Rendering": {"Wire", "IPFIX"},
    "FlowCore": {"Wire", "IPFIX", "Rendering"},
    "ExporterApp": {"Wire", "IPFIX", "Rendering", "FlowCore"},
}

#: What only some folders may import.
RESERVED = {
    "ArgumentParser": ["ExporterApp/CommandLine"],
    "CDPDK": ["ExporterApp"],
    "CPcap": ["ExporterApp"],
    "CSockets": ["ExporterApp"],
    "CCrash": ["ExporterApp/Process"],
}

DECLARATION = re.compile(r"^(?P<indent> *)(?:@\w+(?:\([^)]*\))? +|(?:public|package|private|fileprivate|final|nonisolated) +)*"
                         r"(?:struct|class|enum|protocol|actor|typealias|func) +(?P<name>\w+)", re.M)
NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)")


def code(text):
    """Swift without comments and without the text of strings; what they interpolate stays."""
    out, position, depths = [], 0, []
    # Each entry of `depths` is a string that is interpolated: its delimiter and the open brackets since.
    while position < len(text):
        if text.startswith("//", position):
            position = text.find("\n", position)
            if position < 0:
                break
        elif text.startswith("/*", position):
            position = text.index("*/", position) + 2
        elif text[position] == '"':
            delimiter = '"""' if text.startswith('"""', position) else '"'
            position = string(text, position + len(delimiter), delimiter, depths)
        else:
            if depths and text[position] == "(":
                depths[-1][1] += 1
            elif depths and text[position] == ")":
                depths[-1][1] -= 1
                if depths[-1][1] == 0:
                    delimiter = depths.pop()[0]
                    out.append(" ")
                    position = string(text, position + 1, delimiter, depths)
                    continue
            out.append(text[position])
            position += 1
    return "".join(out)


def string(text, position, delimiter, depths):
    """Passes over a string up to its end or to an interpolation, which goes into `depths`."""
    while not text.startswith(delimiter, position):
        if text.startswith("\\(", position):
            depths.append([delimiter, 1])
            return position + 2
        position += 2 if text[position] == "\\" else 1
    return position + len(delimiter)


def folder_of(path):
    parts = path.relative_to(SOURCES).parent.parts
    known = {folder for floor in FLOORS for folder in floor}
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in known:
            return "/".join(parts[:length])
    return None


def files():
    """Every Swift file: its folder and its code."""
    return {path: (folder_of(path), code(path.read_text())) for path in sorted(SOURCES.rglob("*.swift"))}


def arrows(files):
    """(folder, folder) -> the names by which the first knows the second."""
    homes = defaultdict(set)
    for folder, text in files.values():
        for found in DECLARATION.finditer(text):
            if not found["indent"] and "private" not in found[0]:
                homes[found["name"]].add(folder)
    known = defaultdict(set)
    for folder, text in files.values():
        nested = {found["name"] for found in DECLARATION.finditer(text) if found["indent"]}
        for name in set(NAME.findall(text)) - nested:
            # A name that several folders have says nothing.
            if len(homes.get(name, ())) == 1 and folder not in homes[name]:
                known[folder, *homes[name]].add(name)
    return known


def floor(folder):
    return next(number for number, floor in enumerate(FLOORS) if folder in floor)


def test_every_folder_has_its_floor():
    strays = {str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.swift") if folder_of(path) is None}
    assert not strays, f"name the folders of these in {Path(__file__).name}: {sorted(strays)}"


def test_no_arrow_leads_up():
    wrong = [f"{here} knows {there}: {', '.join(sorted(names))}" for (here, there), names in arrows(files()).items()
             if floor(there) >= floor(here)]
    assert not wrong, "\n".join(sorted(wrong))


def test_modules_import_only_what_is_below():
    wrong = []
    for path, (_folder, text) in files().items():
        module = path.relative_to(SOURCES).parts[0]
        for name in re.findall(r"^(?:@\w+ +)*(?:public +|package +)?import +(?:\w+ +)?(\w+)", text, re.M):
            ours = name in IMPORTS and name not in IMPORTS[module]
            home = path.relative_to(SOURCES).parent.as_posix() + "/"
            elsewhere = name in RESERVED and not any(home.startswith(place + "/") for place in RESERVED[name])
            if ours or elsewhere:
                wrong.append(f"{path.relative_to(SOURCES)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_an_upward_arrow_is_seen():
    """The check itself: a name in code and one in an interpolation count, those in comments and texts do not."""
    lower, upper = SOURCES / "Wire/A.swift", SOURCES / "Rendering/B.swift"
    declared = ("Rendering", code("struct Upper {}\n"))
    for use, seen in [("let a: Upper", True), ('let a = "\\(Upper.self)"', True), ('let a = "Upper"', False),
                      ("let a = 1  // Upper", False), ("let a: Other.Upper", False)]:
        known = arrows({lower: ("Wire", code(use + "\n")), upper: declared})
        assert (("Wire", "Rendering") in known) == seen, use


if __name__ == "__main__":
    for (here, there), names in sorted(arrows(files()).items()):
        print(f"{here} -> {there}: {', '.join(sorted(names))}")
    sys.exit()
