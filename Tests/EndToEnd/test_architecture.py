"""Lower floors know nothing of upper ones: modules by their imports, folders by the names that their files use. And what the
compiler does not check in memory has its reason beside it.

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
    ["Kafka", "IPFIX/Elements"],
    ["IPFIX/Options"],
    ["IPFIX/Messages"],
    ["Rendering"],
    ["Arrow"],
    ["FlowCore/Packet"],
    ["FlowCore/Table"],
    ["FlowCore/Stream"],
    ["FlowCore/Plugin"],
    ["FlowCore/Plugins"],
    ["FlowCore/Engine"],
    ["Captures"],
    ["Captures/Settings"],
    ["ExporterApp/Process", "MartletC"],
    ["ExporterApp/Counters", "ExporterApp/Configuration", "ExporterApp/EAL"],
    ["ExporterApp/Export/Transport", "ExporterApp/Ports", "ExporterApp/HostQuery", "ExporterApp/Privileges",
     "ExporterApp/Filter", "ExporterApp/Enrichment"],
    ["ExporterApp/Export/Spool"],
    ["ExporterApp/Export"],
    ["ExporterApp/Lcores"],
    ["ExporterApp/Watch"],
    ["ExporterApp/Offline", "ExporterApp/Live", "ExporterApp/Top", "ExporterApp/CommandLine"],
    ["ExporterApp"],
]

#: Modules of ours that each module may import.
IMPORTS = {
    "Wire": set(),
    "Kafka": {"Wire"},
    "IPFIX": {"Wire"},
    "Rendering": {"Wire", "IPFIX"},
    "Arrow": {"Wire", "IPFIX", "Rendering"},
    "FlowCore": {"Wire", "IPFIX", "Rendering", "Arrow"},
    "Captures": {"Wire", "IPFIX", "FlowCore"},
    "MartletC": {"IPFIX", "Rendering", "Arrow", "FlowCore", "Captures"},
    "ExporterApp": {"Wire", "Kafka", "IPFIX", "Rendering", "FlowCore", "Captures"},
}

#: What only some folders may import.
RESERVED = {
    "ArgumentParser": ["ExporterApp/CommandLine"],
    "CDPDK": ["ExporterApp"],
    "CKafka": ["Kafka"],
    "CPcap": ["Captures", "ExporterApp"],
    "CArrow": ["Arrow", "MartletC"],
    "CPipes": ["Captures", "MartletC"],
    "CMartlet": ["MartletC"],
    "CSeccomp": ["ExporterApp/Privileges"],
    "CSockets": ["ExporterApp"],
    "CTLS": ["ExporterApp/Export/Transport"],
    "CLZ4": ["ExporterApp/Export/Transport"],
    "CZstd": ["ExporterApp/Export/Transport"],
    "CHTTP": ["ExporterApp/Watch"],
    "CYAML": ["ExporterApp/CommandLine"],
    "CMaxMind": ["ExporterApp/Enrichment"],
    "CCrash": ["ExporterApp/Process"],
}

DECLARATION = re.compile(r"^(?P<indent> *)(?:@\w+(?:\([^)]*\))? +|(?:public|package|private|fileprivate|final|nonisolated) +)*"
                         r"(?:struct|class|enum|protocol|actor|typealias|func) +(?P<name>\w+)", re.M)
NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)")

#: What takes memory for what the compiler cannot know it is.
UNCHECKED = re.compile(r"assumingMemoryBound|withMemoryRebound|bindMemory|initializeMemory|copyMemory|storeBytes|loadUnaligned"
                       r"|fromByteOffset|unsafelyUnwrapped|unsafeBitCast|Unmanaged|_withUnsafe|unsafeLoad")
#: What lets several threads at one value.
SHARED = re.compile(r"@unchecked Sendable|nonisolated\(unsafe\)")
#: How many lines above such a line its reason may stand.
REACH = 12
MODIFIERS = r"^\s*(?:@\w+(?:\([^)]*\))? +|[a-z]+(?:\(\w+\))? +)*"
FUNCTION = re.compile(MODIFIERS + r"(?:func +\S|init\b|deinit\b|subscript\b|var +\w+ *:[^=]*\{)")
TYPE = re.compile(MODIFIERS + r"(?:struct|class|enum|protocol|actor|extension) +\w")



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


def enclosing(lines, number):
    """The numbers of the heads of all that line `number` stands in, from the inside out; itself first."""
    limit, is_tail = len(lines[number]), True
    for above in range(number, -1, -1):
        text = lines[above].lstrip()
        if not text or (above < number and text.startswith(("//", "#"))):
            continue
        indent = len(lines[above]) - len(text)
        # A head may have several lines, of which the last begins as far left as the first.
        if indent < limit or (indent == limit and is_tail):
            limit, is_tail = indent, text.startswith((")", "->", "{"))
            yield above


def remark(lines, number):
    """The first line of the comment and the attributes right above line `number`."""
    while number > 0 and lines[number - 1].lstrip().startswith(("//", "@")):
        number -= 1
    return number


def has_reason(lines, number, word):
    """Whether a comment says `word` at most `REACH` lines above line `number` and in its function, or at its type's head."""
    reason = re.compile(rf"//.*\b{word}:")
    heads = list(enclosing(lines, number))
    kind = next((head for head in heads if TYPE.match(lines[head])), None)
    function = next((head for head in heads if FUNCTION.match(lines[head])), number)
    if kind is not None and function < kind:
        function = number
    first = max(remark(lines, function), number - REACH)
    return (any(reason.search(line) for line in lines[first:number])
            or (kind is not None and any(reason.search(line) for line in lines[remark(lines, kind):kind])))


def without_reason(text):
    """The numbers, from 1, of the lines that should say why they are safe, and do not."""
    lines = text.splitlines()
    return [number + 1 for number, line in enumerate(lines)
            for pattern, word in [(UNCHECKED, "Safe"), (SHARED, "Safe between threads")]
            if pattern.search(line.partition("//")[0]) and not has_reason(lines, number, word)]


def test_unchecked_memory_has_its_reason_beside_it():
    bare = [f"{path.relative_to(SOURCES)}:{number}" for path in sorted(SOURCES.rglob("*.swift"))
            for number in without_reason(path.read_text())]
    assert not bare, "\n".join(["say beside these, with 'Safe: …', which check makes them safe, or use a type that does:", *bare])


def test_a_missing_reason_is_seen():
    """The check itself: the line of each text whose reason is missing, or None."""
    use = "    place.storeBytes(of: 1, as: UInt8.self)\n"
    safe = "    // Safe: checked above.\n"
    for text, line in [
        ("struct A {\n  func f() {\n" + use + "  }\n}\n", 3),
        ("struct A {\n  func f() {\n" + safe + use + "  }\n}\n", None),
        # Of another function, too far above, of another type.
        ("struct A {\n  func f() {\n" + safe + "  }\n  func g() {\n" + use + "  }\n}\n", 6),
        ("struct A {\n  func f() {\n" + safe + "    g()\n" * REACH + use + "  }\n}\n", 4 + REACH),
        ("/// Safe: it is.\nstruct B {\n}\nstruct A {\n  func f() {\n" + use + "  }\n}\n", 6),
        # At the type's head, above a function whose head has several lines, inside of what is not a function.
        ("/// Safe: it is.\nstruct A {\n  func f() {\n" + use + "  }\n}\n", None),
        ("struct A {\n  // Safe: it is.\n  func f(\n    a: B\n  )\n    -> C\n  {\n" + use + "  }\n}\n", None),
        ("func f() {\n" + safe + "    if a {\n  " + use + "    }\n}\n", None),
        # In a comment; for threads, which is another question.
        ("// storeBytes\n", None),
        ("/// Safe: it is.\nclass A: @unchecked Sendable {\n}\n", 2),
        ("/// Safe between threads: it is.\nclass A: @unchecked Sendable {\n  func f() {\n" + use + "  }\n}\n", 4),
        ("/// Safe between threads: it is.\nclass A: @unchecked Sendable {\n}\n", None),
    ]:
        assert without_reason(text) == ([line] if line else []), text


if __name__ == "__main__":
    for (here, there), names in sorted(arrows(files()).items()):
        print(f"{here} -> {there}: {', '.join(sorted(names))}")
    sys.exit()
