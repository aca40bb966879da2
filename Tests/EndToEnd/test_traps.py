"""Nothing that packets can reach stops the program.

Every trap (`ud2`, a failed check that says something, `abort`) that can be reached from the entries of a worker lcore or of
the export lcore in the release binary is either gone or named here with what makes it unreachable. `packet_path.py` is the
checker, also a command; the last tests show that it finds what it looks for.
"""

import itertools
import platform
import re
import shutil
import subprocess

import pytest

from harness import MARTLET, ROOT
from packet_path import (
    EXPORT, LIBRARY, WORKER, Binary, Locations, PacketPath, Rules, Trap, inlined_functions, reachable_traps, report,
    traps)

#: Traps that cannot be reached: by the function (its name without `specialized`; the standard library's as `Array.append<A>(…)
#: called by Exports.all.getter`) the invariant that makes it so, and the name of the test that holds the invariant.
EXPLAINED = {
    "static OutputBuffer.bytes(of:)": (
        "a literal lies in the program's own memory, so that its address is not null", "literals"),
}

#: The parts of the program, by the beginning of the file's name.
AREAS = (
    "Sources/Arrow", "Sources/CDPDK", "Sources/CIntrinsics", "Sources/ExporterApp", "Sources/FlowCore/Engine",
    "Sources/FlowCore/Packet",
    "Sources/FlowCore/Plugin/", "Sources/FlowCore/Plugins/[A-Z]\\w+\\.swift", "Sources/FlowCore/Plugins/TLS",
    "Sources/FlowCore/Table", "Sources/IPFIX", "Sources/Rendering", "Sources/Wire", re.escape(LIBRARY))

needs_tools = pytest.mark.skipif(
    not shutil.which("objdump") or not shutil.which("addr2line") or platform.machine() != "x86_64",
    reason="needs objdump and addr2line (binutils) for x86-64")
needs_compiler = pytest.mark.skipif(not shutil.which("swiftc"), reason="needs swiftc")


@pytest.fixture(scope="module")
def martlet():
    return reachable_traps(MARTLET, roots=WORKER + EXPORT)


def unexplained(found):
    return [trap for trap in found if not EXPLAINED.keys() >= set(trap.keys)]


@needs_tools
@pytest.mark.parametrize("area", AREAS)
def test_no_trap_is_reachable(martlet, area):
    left = [trap for trap in unexplained(martlet) if re.match(area, trap.place)]
    assert not left, "\n" + report(left)


@needs_tools
def test_every_trap_is_in_an_area(martlet):
    assert not [trap for trap in martlet if not any(re.match(area, trap.place) for area in AREAS)]


@needs_tools
def test_explanations_are_needed_and_held_by_tests(martlet):
    there = {key for trap in martlet for key in trap.keys}
    assert set(EXPLAINED) <= there, "explained, but not there"
    tests = "".join(file.read_text() for file in [*(ROOT / "Tests").rglob("*.swift"), *(ROOT / "Tests").rglob("*.py")])
    for function, (invariant, test) in EXPLAINED.items():
        assert invariant and f" {test}(" in tests, f"{function}: no test {test}"


@needs_tools
def test_entries_reach_the_whole_way():
    binary = Binary.read(MARTLET)
    names = PacketPath(binary, WORKER + EXPORT, Rules(), follows_addresses=True).names
    for part in (
            "Engine.process", "Engine.sweepGroups", "Dissector.dissectLayers", "ClientHello", "Slab.take", "MessageStream.",
            "UDPTransport.", "TCPTransport.", "LineOutput", "FileTransport", "JSONRecordWriter.", "CSVRecordWriter.",
            "TextRecordWriter."):
        assert any(part in name for name in names), f"{part} was not reached"


# The example of docs/writing-a-plugin.md: FlowCore with two more plugins, the example and a careless copy of it.

@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    core = folder / "FlowCore"
    shutil.copytree(ROOT / "Sources/FlowCore", core)
    source = (ROOT / "Tests/FlowCoreTests/ExamplePlugin.swift").read_text().replace("@testable import FlowCore\n", "")
    (core / "Plugins/PushCounter.swift").write_text(source)
    careless = source.replace("PushCounter", "CarelessCounter").replace('"pushes"', '"careless"').replace("&+=", "+=")
    assert careless.count(" += 1") == 2
    (core / "Plugins/CarelessCounter.swift").write_text(careless)
    registry = core / "Plugins/BuiltInPlugins.swift"
    text = registry.read_text()
    # In the place of the others, so that these need not be compiled into the engine; but for the one that the lcores know.
    text, cases = re.subn(r"(?:  case \w+\n)+", "  case pushes, careless, osquery\n", text, count=1)
    text, visits = re.subn(
        r"(?:    case \.\w+: visitor\.visit\(\w+\.self\)\n)+", "    case .pushes: visitor.visit(PushCounter.self)\n"
        "    case .careless: visitor.visit(CarelessCounter.self)\n"
        "    case .osquery: visitor.visit(OSQueryPlugin.self)\n", text, count=1)
    assert (cases, visits, text.count("careless")) == (1, 1, 2)
    registry.write_text(text)
    build = ROOT / ".build/release"
    library = folder / "libFlowCore.so"
    subprocess.run(
        ["swiftc", "-emit-library", "-O", "-wmo", "-g", "-parse-as-library", "-module-name", "FlowCore",
         # As SwiftPM names the package: after its folder.
         "-package-name", re.sub(r"\W", "_", ROOT.name.lower()),
         "-swift-version", "6", "-enable-upcoming-feature", "ExistentialAny", "-enable-experimental-feature", "Lifetimes",
         "-I", build / "Modules", "-I", ROOT / "Sources/CDigest", "-Xcc", "-march=corei7",
         *itertools.chain.from_iterable(
             ("-Xcc", f"-fmodule-map-file={build / f'{module}.build/module.modulemap'}",
              "-Xcc", f"-I{ROOT / f'Sources/{module}/include'}") for module in ("CIntrinsics", "CArrow")),
         *sorted(core.rglob("*.swift")), "-o", library, "-lcrypto"],
        check=True, timeout=600, cwd=folder)
    return library


@needs_tools
@needs_compiler
@pytest.mark.skipif(not (ROOT / ".build/release/Modules").is_dir(), reason="needs a release build")
def test_example_plugin_has_no_trap(example):
    roots = tuple(
        root for root in WORKER + EXPORT if isinstance(root, str) and root.startswith(("FlowWorker.", "RecordSchema<>.")))
    binary = Binary.read(example)
    path = PacketPath(binary, roots, Rules(), follows_addresses=True)
    assert path.findings and not any("is not in the binary" in line for line in path.findings)
    functions = inlined_functions(example, binary, path.reached)
    # `finish` and `export` are the same in both copies: one piece of code, under either's name or none.
    for hook in ("PushCounter.create(_:_:_:)", "PushCounter.count(_:_:)", "CarelessCounter.count(_:_:)"):
        assert any(hook in name for name in functions), f"{hook} was not reached"
    found = traps(binary, path.reached, Locations(example))
    assert "PushCounter" not in str(found)
    # A plugin with a sum that may overflow is found.
    assert any(trap.function == "CarelessCounter.count(_:_:)" for trap in found)


# The checker itself: it must be able to fail.

CLEAN = """
0000000000001000 <entry>:
    1000:\tpush   %rbp
    1001:\tcall   2000 <part>
    1006:\tlea    0x2ff3(%rip),%rsi        # 3000 <closure>
    1008:\tret
0000000000002000 <part>:
    2000:\tadd    %rsi,%rdi
    2003:\tnop
    2004:\tnop
    2006:\tret
    2008:\txor    %eax,%eax
    200a:\tret
0000000000003000 <closure>:
    3000:\tret
0000000000004000 <other>:
    4000:\tud2
"""
#: Frames by address: line 0 is the compiler's own.
FRAMES = {
    "2000": [("sum", "Sources/A.swift:3")], "2003": [("inner", "Sources/A.swift:5"), ("part", "Sources/A.swift:9")],
    "2004": [("<compiler-generated>", "<compiler-generated>:0"), ("part", "Sources/A.swift:7")],
    "2008": [("Swift runtime failure: arithmetic overflow", "<compiler-generated>:0"), ("part", "Sources/A.swift:0")],
    "3000": [("Swift runtime failure: Index out of range", "??:0"), ("closure", "Sources/B.swift:1")],
}


def found_in(text, roots=("entry",), frames=FRAMES):
    binary = Binary(text, lambda symbols: {s: s for s in symbols})
    path = PacketPath(binary, roots, Rules(), follows_addresses=True)
    return [(trap.function, trap.place, trap.kind) for trap in traps(
        binary, path.reached, lambda addresses: {at: frames.get(at, [("??", "??:?")]) for at in addresses}, path.callers)]


def test_code_without_traps_has_none():
    assert found_in(CLEAN) == []


def test_trap_has_the_place_of_the_instruction():
    assert found_in(CLEAN.replace("3000:\tret", "3000:\tud2")) == [("closure", "Sources/B.swift:1", "Index out of range")]


def test_trap_in_what_is_not_reached_is_not_listed():
    assert found_in(CLEAN, ["entry", "other"]) == [("other", LIBRARY, "trap")]


@pytest.mark.parametrize("jumps, places", [
    # The jump's own line, the innermost function that has one; else the line of what is compared in front of it.
    (["2003:\tjo     2008 <part+0x8>"], [("inner", "Sources/A.swift:5")]),
    (["2004:\tjae    2008 <part+0x8>"], [("part", "Sources/A.swift:7")]),
    (["2003:\tjo     2008 <part+0x8>", "2004:\tjb     2008 <part+0x8>"],
     [("inner", "Sources/A.swift:5"), ("part", "Sources/A.swift:7")]),
])
def test_merged_trap_is_one_for_each_jump(jumps, places):
    text = CLEAN.replace("2008:\txor    %eax,%eax", "2008:\tud2")
    for jump in jumps:
        text = text.replace(jump[:5] + "\tnop", jump)
    assert found_in(text) == [(*place, "arithmetic overflow") for place in places]


def test_jump_without_a_line_has_that_of_the_comparison():
    text = CLEAN.replace("2008:\txor    %eax,%eax", "2008:\tud2").replace("2003:\tnop", "2003:\tjo     2008 <part+0x8>")
    frames = FRAMES | {"2003": [("part", "Sources/A.swift:0")]}
    assert found_in(text, frames=frames) == [("sum", "Sources/A.swift:3", "arithmetic overflow")]


def test_block_to_which_nothing_leads_is_no_trap():
    dead = CLEAN.replace("200a:\tret", "200a:\tud2").replace("2008:\txor    %eax,%eax", "2008:\tpush   %rbp")
    assert found_in(dead) == []
    # But where a switch may lead there, or a jump from elsewhere, it is one.
    assert len(found_in(dead.replace("2004:\tnop", "2004:\tjmp    *%rax"))) == 1
    assert len(found_in(dead.replace("1000:\tpush   %rbp", "1000:\tjne    2008 <part+0x8>"))) == 1


@pytest.mark.parametrize("call", [
    "call   900 <$ss17_assertionFailure__4file4line5flagss5NeverOs12StaticStringV_SSAHSus6UInt32VtF@plt>",
    "jmp    900 <$ss17_assertionFailure__4file4line5flagss5NeverOs12StaticStringV_SSAHSus6UInt32VtF@plt>",
    "call   900 <swift_unexpectedError@plt>", "call   900 <abort@plt>", "call   900 <abort@GLIBC_2.2.5>",
    "call   900 <__assert_fail@plt>", "call   900 <__rte_panic@plt>", "call   900 <exit@plt>"])
def test_calls_that_end_the_process_are_found_once(call):
    text = CLEAN.replace("2003:\tnop", f"2003:\t{call}").replace("2004:\tnop", "2004:\tud2")
    assert [place for _, place, _ in found_in(text)] == ["Sources/A.swift:5"]


def test_other_calls_are_no_traps():
    for call in ("memcpy@plt", "rte_eth_rx_burst", "__stack_chk_fail@plt"):
        assert found_in(CLEAN.replace("2003:\tnop", f"2003:\tcall   900 <{call}>")) == []


def test_stub_of_an_own_function_leads_to_it():
    text = CLEAN.replace("2000 <part>\n    1006", "900 <part@plt>\n    1006").replace("2006:\tret", "2006:\tud2")
    assert len(found_in(text)) == 1


def test_traps_of_the_library_are_explained_by_caller():
    text = CLEAN.replace("3000:\tret", "3000:\tud2").replace("2003:\tnop", "2003:\tcall   3000 <closure>")
    binary = Binary(text, lambda symbols: {s: f"specialized {s}" for s in symbols})
    path = PacketPath(binary, ["entry"], Rules(), follows_addresses=True)
    trap, = traps(binary, path.reached, lambda addresses: {at: [("??", "??:?")] for at in addresses}, path.callers)
    assert trap.keys == ["closure called by entry", "closure called by part"]
    assert Trap("specialized part", "Sources/A.swift:1", "trap", "1", "part").keys == ["part"]


def test_missing_entry_is_an_error(tmp_path):
    binary = Binary(CLEAN, lambda symbols: {s: s for s in symbols})
    with pytest.raises(LookupError, match="gone is not in the binary"):
        reachable_traps("no file", binary, ["entry", "gone"])
    with pytest.raises(LookupError, match=r"g.ne is not in the binary"):
        reachable_traps("no file", binary, ["entry", re.compile("^g.ne")])


SAMPLE = """
@inline(never) public func total(_ a: Int, _ b: Int) -> Int { (a &+ b) &<< 3 }
@inline(never) public func adds(_ a: Int, _ b: Int) -> Int { a + b }
@inline(never) public func converts(_ a: Int) -> UInt16 { UInt16(a) }
@inline(never) public func indexes(_ a: [Int], _ b: Int) -> Int { a[b] }
@inline(never) public func unwraps(_ a: Int?) -> Int { a! }
@inline(never) public func demands(_ a: Int) -> Int { precondition(a > 3); return a }
@inline(never) public func fails(_ a: Int) -> Int { if a > 3 { fatalError("so") }; return a }
@inline(never) public func divides(_ a: Int, _ b: Int) -> Int { a / b }
@inline(never) public func ranges(_ a: Int, _ b: Int) -> Int { (a..<b).count }
@inlinable @inline(__always) func inner(_ a: Int, _ b: Int) -> Int { a * b }
@inline(never) public func inlines(_ a: Int, _ b: Int) -> Int { inner(a, b) }
@inline(never) public func merges(_ a: Int, _ b: Int) -> Int {
  let c = a + b
  let d = c * a
  return d - b
}
"""


@needs_tools
@needs_compiler
def test_checker_finds_the_traps_of_swift(tmp_path):
    source, library = tmp_path / "Sample.swift", tmp_path / "libSample.so"
    source.write_text(SAMPLE)
    subprocess.run(["swiftc", "-O", "-g", "-parse-as-library", "-emit-library", source, "-o", library], check=True, timeout=60)
    lines = {re.search(r"func (\w+)", line)[1]: number + 1 for number, line in enumerate(SAMPLE.split("\n")) if "func " in line}
    binary = Binary.read(library)
    functions = {
        "adds(_:_:)": "adds", "converts(_:)": "converts", "indexes(_:_:)": "indexes", "unwraps(_:)": "unwraps",
        "demands(_:)": "demands", "fails(_:)": "fails", "divides(_:_:)": "divides", "ranges(_:_:)": "ranges",
        "inlines(_:_:)": "inner"}
    for root, name in functions.items():
        found = reachable_traps(library, binary, [f"{root}"])
        assert found, root
        assert any(trap.place.endswith(f"Sample.swift:{lines[name]}") and name in trap.function for trap in found), found
    assert reachable_traps(library, binary, ["total(_:_:)"]) == []
    merged = reachable_traps(library, binary, ["merges(_:_:)"])
    first = lines["merges"]
    assert {int(trap.place.split(":")[1]) for trap in merged} == {first + 1, first + 2, first + 3}
    text = report(merged)
    assert "merges(_:_:)\n" in text and text.endswith(f"{len({t.place for t in merged})} places in 1 functions")
    assert report(merged, "somewhere else") == "0 places in 0 functions"
