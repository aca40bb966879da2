"""The packet path of the release binary counts no references, allocates nothing and takes no lock.

The binary is disassembled, and every function that can be reached by direct calls from the worker's burst (receive loop,
`FlowWorker.process`, `idle`, `recycle`) is searched for calls of the runtime that would break that promise.
"""

import re
import shutil
import subprocess

import pytest

from harness import MARTLET

FORBIDDEN = re.compile(
    r"swift_(retain|release|bridgeObject|allocObject|deallocObject|beginAccess|slowAlloc|unknownObject|once|"
    r"getGenericMetadata|getWitnessTable|conformsToProtocol|initStackObject)|^(malloc|calloc|realloc|free|posix_memalign|"
    r"pthread_mutex_lock|pthread_rwlock\w+)$"
)
# Where the packet path begins, by what the demangled name contains.
ROOTS = ("WorkerLoop.loop()", "FlowWorker.process(_:count:now:)", "FlowWorker.idle(now:)", "FlowWorker.recycle(_:count:)")
# Calls that are allowed, with the reason.
ALLOWED = {
    "swift_getWitnessTable": "building the error that a truncated GRE header throws inside one function; no count, no memory",
    "swift_willThrowTypedImpl": "a debugger's hook of typed throws, an empty function",
}


def functions():
    """Every function of the binary: its calls by name, and its demangled name."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(MARTLET)], capture_output=True, text=True, check=True
    ).stdout
    calls, name = {}, None
    for line in text.splitlines():
        if start := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            name = start[1]
            calls[name] = set()
        elif name and (call := re.search(r"\s(?:call|jmp)\s+[0-9a-f]+ <([^>+]+)>", line)):
            calls[name].add(call[1].removesuffix("@plt"))
    demangled = subprocess.run(
        ["swift", "demangle", "--simplified", "--compact"], input="\n".join(calls), capture_output=True, text=True
    ).stdout.splitlines()
    return calls, dict(zip(calls, demangled))


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump (binutils)")
def test_packet_path_counts_no_references_and_allocates_nothing():
    calls, names = functions()
    roots = [f for f in calls if names[f].endswith(ROOTS)]
    assert len(roots) >= len(ROOTS), f"the roots {ROOTS} are not in {MARTLET}: was it stripped?"
    reached, waiting, found = set(), list(roots), []
    while waiting:
        function = waiting.pop()
        if function in reached or function not in calls:
            continue
        reached.add(function)
        for call in sorted(calls[function]):
            if FORBIDDEN.match(call) and call not in ALLOWED:
                found.append(f"{names[function]} calls {call}")
            waiting.append(call)
    ours = sorted(names[f] for f in reached if "8FlowCore" in f)
    print(f"{len(reached)} functions reached, {len(ours)} of FlowCore")
    # The burst itself and the plugins' hooks must be among them, or this test looks at nothing.
    for part in ("Engine.process", "Engine.makeFlow", "Engine.sweepGroups", "Dissector.dissectLayers", "OpenVPN", "ClientHello"):
        assert any(part in name for name in ours), f"{part} was not reached"
    assert found == []
