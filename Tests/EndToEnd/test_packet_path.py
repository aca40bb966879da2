"""The packet path of the release binary counts no references, allocates nothing and takes no lock.

The binary is disassembled, and every function that can be reached from where packets come in is searched for what would
break that promise: calls of the runtime, calls out of the binary that are not known here, calls through pointers, atomic
instructions. `packet_path.py` is the checker; the last tests show that it finds what it looks for.
"""

import platform
import re
import shutil
import subprocess

import pytest

from harness import MARTLET, ROOT
from packet_path import Binary, PacketPath, Rules, declared_hooks, inlined_functions, missing_hooks

#: Where packets, time and returned records come in, and all that a worker lcore runs: ends of demangled names.
ENTRIES = (
    "WorkerLoop.main()", "WorkerLoop.loop()", "FlowWorker.process(_:count:now:)", "FlowWorker.process(_:count:times:)",
    "FlowWorker.idle(now:)", "FlowWorker.recycle(_:count:)", "FlowWorker.flush()")
#: What must be among the functions reached, or the test looks at nothing.
PARTS = (
    "Engine.process", "Engine.makeFlow", "Engine.countWithPlugins", "Engine.end(", "Engine.sweepGroups",
    "Dissector.dissectLayers", "Dissector.dissectIPv6", "Dissector.dissectTransport", "Slab.take", "ClientHello")

RULES = Rules(
    calls={
        **dict.fromkeys(("memcpy", "memmove", "memset"), "bytes to places that are there"),
        **dict.fromkeys(("MD5_Init", "MD5_Update", "MD5_Final"), "libcrypto's digest, its state on the stack"),
        **dict.fromkeys(("SHA256_Init", "SHA256_Update", "SHA256_Final"), "the same"),
        **dict.fromkeys(("EVP_CipherInit_ex", "EVP_CipherUpdate", "EVP_CipherFinal_ex", "EVP_CIPHER_CTX_ctrl"),
                        "libcrypto's ciphers, in contexts that have theirs already: test_quic.py counts no allocation"),
        "$ss17_assertionFailure__4file4line5flagss5NeverOs12StaticStringV_SSAHSus6UInt32VtF": "stops the program",
        "__stack_chk_fail": "stops the program",
        **dict.fromkeys(("log1p", "sqrt"), "libm: numbers in, a number out; only for models and for what they take"),
        "clock_gettime": "the clock's comparison, once a second; no system call",
        "sched_yield": "an idle lcore that shares its CPU",
        "nanosleep": "the same, after it yielded for a while",
        "rte_pktmbuf_free_bulk": "DPDK: mbufs go back to the pool, through the lcore's own cache",
        "rte_eth_call_rx_callbacks": "DPDK: only where somebody installed such callbacks, which Martlet does not",
    },
    calls_in={
        ("specialized static Truncated.fail()", "swift_willThrowTypedImpl"): "calls a debugger's hook, if there is one",
        ("lazy protocol witness table accessor for type Truncated and conformance Truncated", "swift_getWitnessTable"):
            "once in a process, in `Truncated.prepare()`, before there are packets",
        ("WorkerLoop.select(_:)", "bpf_filter"): "libpcap's interpreter, only with --filter",
        ("martlet_bpf_run", "rte_bpf_exec_burst"): "DPDK's interpreter, only with --filter",
    },
    indirect_in={
        "WorkerLoop.select(_:)": "machine code that DPDK made of a filter, only with --filter",
        "martlet_model_call": "a model's object, only with --plugin model",
        **dict.fromkeys(("specialized NTPPlugin.identifier(_:)", "specialized NTPPlugin.text(_:)"),
                        "closures that append digits; only with a model that takes fields of NTP"),
    },
    atomics_in={
        "WorkerLoop.main()": "tells the others at the end that this worker is done",
        "martlet_model_enter": "says which model it uses, once for a flow, so that a reload waits; only with --plugin model",
    },
    drivers=("rte_eth_fp_ops", "WorkerLoop."),
)

needs_tools = pytest.mark.skipif(
    not shutil.which("objdump") or not shutil.which("addr2line") or platform.machine() != "x86_64",
    reason="needs objdump and addr2line (binutils) for x86-64")


@pytest.fixture(scope="module")
def martlet():
    binary = Binary.read(MARTLET)
    return binary, PacketPath(binary, ENTRIES, RULES)


@needs_tools
def test_packet_path_counts_no_references_and_allocates_nothing(martlet):
    _, path = martlet
    assert path.findings == []
    print(f"{len(path.reached)} functions reached")
    for part in PARTS:
        assert any(part in name for name in path.names), f"{part} was not reached"


@needs_tools
def test_every_hook_of_every_plugin_is_on_the_path_that_was_searched(martlet):
    registry = (ROOT / "Sources/FlowCore/Plugins/BuiltInPlugins.swift").read_text()
    sources = [file.read_text() for file in (ROOT / "Sources/FlowCore/Plugins").rglob("*.swift")]
    hooks = declared_hooks(registry, sources)
    plugins = {plugin for plugin, _, _ in hooks}
    assert len(plugins) == len(re.findall(r"^  case \w+$", registry, re.M))
    binary, path = martlet
    functions = inlined_functions(MARTLET, binary, path.reached)
    # `finish` is a comparison or two: inlined into `Engine.end`, which is among PARTS, it leaves no name of its own.
    assert [hook for hook in missing_hooks(hooks, functions) if not hook.endswith(".finish")] == []
    # And the same question of a path without its third pass has another answer.
    some = inlined_functions(MARTLET, binary, [s for s in path.reached if "Dissector" in binary.names[s]])
    with_code = missing_hooks(hooks, set())
    assert missing_hooks(hooks, some) == with_code
    assert len(with_code) > len(plugins)


@needs_tools
def test_witness_table_of_truncated_is_made_before_there_are_packets(martlet):
    binary, _ = martlet
    path = PacketPath(binary, ["RecordSchema.init(plugins:timestamps:isUniflow:enriches:origin:tunnels:)"], RULES)
    assert "specialized static Truncated.fail()" in path.names


# The checker itself: it must be able to fail.

CLEAN = """
0000000000001000 <entry>:
    1000:\tpush   %rbp
    1001:\tlea    0xba6df(%rip),%rdx        # 1b3e34 <table+0x40>
    1008:\tmovslq (%rdx,%rax,4),%rax
    100c:\tadd    %rdx,%rax
    100f:\tmov    %r12,%r8
    1012:\tjmp    *%rax
    1014:\tcall   2000 <part>
    1019:\tje     1000 <entry>
    101b:\tcall   900 <memcpy@plt>
    1020:\tret
0000000000002000 <part>:
    2000:\tmov    %rdi,%rax
    2003:\tret
"""
INNOCENT = "2000:\tmov    %rdi,%rax"


def findings(text, roots=("entry",)):
    return PacketPath(Binary(text, lambda symbols: {s: s for s in symbols}), roots, RULES).findings


def test_checker_is_content_with_calls_tables_and_known_functions():
    assert findings(CLEAN) == []


@pytest.mark.parametrize("line, what", [
    ("call   900 <swift_retain@plt>", "part calls swift_retain"),
    ("jmp    900 <swift_release@plt>", "part calls swift_release"),
    ("jne    900 <swift_release_x2@plt>", "part calls swift_release_x2"),
    ("call   900 <malloc@plt>", "part calls malloc"),
    ("call   900 <free@GLIBC_2.2.5>", "part calls free"),
    ("call   900 <pthread_mutex_lock@plt>", "part calls pthread_mutex_lock"),
    ("call   900 <swift_getWitnessTable@plt>", "part calls swift_getWitnessTable"),
    ("call   900 <swift_willThrowTypedImpl@plt>", "part calls swift_willThrowTypedImpl"),
    ("call   900 <somebody_elses_function@plt>", "part calls somebody_elses_function"),
    ("call   900 <not_disassembled>", "part calls not_disassembled"),
    ("call   *%rax", "part goes where %rax points"),
    ("call   *0x10(%rcx)", "part goes where 0x10(%rcx) points"),
    ("call   *0xc4894(%rip)        # 1a0f90 <malloc@GLIBC>", "part goes where"),
    ("call   *(%rbx,%r15,1)", "part goes where (%rbx,%r15,1) points"),
    ("jmp    *%rax", "part goes where %rax points"),
    ("notrack jmp *%rax", "part goes where %rax points"),
    ("lock xadd %rcx,0x8(%r15)", "part has an atomic instruction"),
    ("xchg   %rax,(%rdi)", "part has an atomic instruction"),
])
def test_checker_finds_what_it_looks_for(line, what):
    found = findings(CLEAN.replace(INNOCENT, f"2000:\t{line}"))
    assert len(found) == 1 and found[0].startswith(what)


def test_checker_finds_it_in_what_is_reached_only():
    unreached = CLEAN + "0000000000003000 <other>:\n    3000:\tcall   900 <malloc@plt>\n"
    assert findings(unreached) == []
    assert findings(unreached, ["entry", "other"]) == ["other calls malloc"]
    assert findings(CLEAN, ["entry", "gone"]) == ["gone is not in the binary"]


@pytest.mark.parametrize("before", [
    # The offset comes from somewhere else, the base is another register, or the register is written again.
    "mov    0x8(%rcx),%rax", "movslq (%rcx,%rdx,4),%rax\n2001:\tadd    %rsi,%rax",
    "movslq (%rsi,%rdx,4),%rax\n2001:\tadd    %rsi,%rax\n2002:\tmov    %ecx,%eax",
    "movslq (%rsi,%rdx,4),%rax\n2001:\tmov    (%rdi),%rax\n2001:\tadd    %rsi,%rax",
])
def test_jump_that_is_no_switch_is_found(before):
    text = CLEAN.replace(INNOCENT, f"2000:\t{before}\n    2003:\tjmp    *%rax").replace("\n2", "\n    2")
    assert len(findings(text)) == 1


def test_driver_is_called_from_the_worker_loop_only():
    call = "2000:\tmov    0xc4(%rip),%rbx        # 1a0f90 <rte_eth_fp_ops@DPDK_23>\n    2001:\tcall   *(%rbx,%r15,1)"
    text = CLEAN.replace(INNOCENT, call)
    assert len(findings(text)) == 1
    inside = text.replace("part", "WorkerLoop.loop()")
    assert findings(inside) == []
    assert len(findings(inside.replace("rte_eth_fp_ops", "somebody_elses_table"))) == 1
    assert len(findings(inside.replace("    2001:", "    2001:\tmov    (%rax),%rbx\n    2002:"))) == 1


def test_hook_that_was_not_reached_is_found():
    registry = "case 0: visitor.visit(First.self)\ncase 1: visitor.visit(Second.self)"
    sources = [
        "struct First: FlowPlugin {\n"
        "  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict { .more }\n"
        "  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict {\n    look()\n  }\n}",
        "struct Second: FlowPlugin {\n"
        "  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict { look() }\n"
        "  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict { .done }\n"
        "  func finish(_ state: inout State, _ flow: inout FlowContext) -> Bool { state.isKnown && check() }\n}",
    ]
    hooks = declared_hooks(registry, sources)
    assert len(hooks) == 5
    reached = {"First.update(_:_:_:)", "Second.create(_:_:_:)", "specialized Second.finish(_:_:)"}
    assert missing_hooks(hooks, reached) == []
    for name in reached:
        assert missing_hooks(hooks, reached - {name}) == [name.removeprefix("specialized ").split("(")[0]]
    with pytest.raises(AssertionError, match="no hooks of Third"):
        declared_hooks(registry + "visitor.visit(Third.self)", sources)


SAMPLE = """
public final class Counter { public var value = 0 }
public protocol Step { func next(_ value: Int) -> Int }
public struct Holder { public var counter: Counter; public var step: any Step }

@inline(never) public func plain(_ value: Int) -> Int { value &* 3 &+ 1 }
@inline(never) public func retains(_ holder: Holder) -> Counter { holder.counter }
@inline(never) public func allocates(_ count: Int) -> [Int] { Array(repeating: 1, count: count) }
@inline(never) public func dispatches(_ holder: Holder) -> Int { holder.step.next(1) }
"""


@needs_tools
@pytest.mark.skipif(not shutil.which("swiftc"), reason="needs swiftc")
def test_checker_fails_on_swift_that_retains_allocates_and_dispatches(tmp_path):
    source, object_file = tmp_path / "Sample.swift", tmp_path / "Sample.o"
    source.write_text(SAMPLE)
    subprocess.run(["swiftc", "-O", "-parse-as-library", "-c", source, "-o", object_file], check=True, timeout=60)
    # Linked, because calls in an object file have no names yet.
    library = tmp_path / "libSample.so"
    subprocess.run(["swiftc", "-emit-library", object_file, "-o", library], check=True, timeout=60)
    binary = Binary.read(library)
    found = {name: PacketPath(binary, [name], RULES).findings for name in (
        "plain(_:)", "retains(_:)", "allocates(_:)", "dispatches(_:)")}
    assert found["plain(_:)"] == []
    assert any("swift_retain" in line for line in found["retains(_:)"])
    assert any("swift_allocObject" in line or "calls $s" in line for line in found["allocates(_:)"])
    assert any("points" in line or "swift_" in line for line in found["dispatches(_:)"])
