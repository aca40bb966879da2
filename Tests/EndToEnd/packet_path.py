"""What the machine code of the packet path does: a checker of disassembled functions, for `test_packet_path.py`.

It starts at given functions, follows every direct call and jump, and reports what it cannot vouch for: a call that leaves
the binary and is not known to be harmless, a call or jump through a register or memory, an atomic instruction. It works
on the text of `objdump -d`, so that it can be tried on a few lines written by hand.
"""

import re
import subprocess

#: Functions of the runtime and of libc that count references, allocate, lock or look types up, wherever they are linked.
FORBIDDEN = re.compile(
    r"swift_(retain|release|bridgeObject|allocObject|deallocObject|beginAccess|slowAlloc|unknownObject|once|"
    r"getGenericMetadata|getWitnessTable|conformsToProtocol|initStackObject|dynamicCast|allocBox|projectBox|weak|unowned)"
    r"|^(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|mmap|munmap|pthread_(mutex|rwlock|spin|cond)_?\w*)$")

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(\S.*)$")
#: A call, or any jump: what the compiler makes of a call in the last place.
DIRECT = re.compile(r"\b(?:call|j[a-z]+)\s+(?:[0-9a-f]+|0x[0-9a-f]+) <([^>+]+)(?:\+0x[0-9a-f]+)?>")
INDIRECT = re.compile(r"\b(?:call|jmp)\s+\*(.+)$")
ATOMIC = re.compile(r"^(?:lock|xacquire|xrelease)\b|^xchg\b.*\(|^syscall\b")


class Binary:
    """Functions by symbol: the instructions of each as (address, text), and its name for people."""

    def __init__(self, disassembly, demangle):
        self.code, function = {}, None
        for line in disassembly.splitlines():
            if start := FUNCTION.match(line):
                function = self.code.setdefault(start[1], [])
            elif function is not None and (instruction := INSTRUCTION.match(line)):
                function.append((instruction[1], instruction[2].strip()))
        self.names = demangle(list(self.code))

    @classmethod
    def read(cls, path):
        return cls(output("objdump", "-d", "--no-show-raw-insn", str(path)), demangle)


def output(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def demangle(symbols):
    lines = output("swift", "demangle", "--simplified", "--compact", text="\n".join(symbols)).splitlines()
    return dict(zip(symbols, lines, strict=True))


class Rules:
    """What is allowed, each with its reason."""

    def __init__(self, calls=(), calls_in=(), atomics_in=(), drivers=None):
        #: Functions outside the binary that any function may call.
        self.calls = dict(calls)
        #: Forbidden or unknown functions that one function may call: (name of the caller, symbol).
        self.calls_in = dict(calls_in)
        #: Functions that may have atomic instructions, by name.
        self.atomics_in = dict(atomics_in)
        #: A table of drivers' functions, and what begins the names of those that may call through it.
        self.drivers = drivers


class PacketPath:
    """All that can be reached from `roots`, which are ends of demangled names, and what is wrong there."""

    def __init__(self, binary, roots, rules):
        self.binary, self.rules, self.reached, self.findings = binary, rules, set(), []
        waiting = []
        for root in roots:
            found = [symbol for symbol in binary.code if binary.names[symbol].endswith(root)]
            if not found:
                self.findings.append(f"{root} is not in the binary")
            waiting += found
        while waiting:
            symbol = waiting.pop()
            # Behind `@plt` is the stub that goes to another library: the call was judged by its name.
            if symbol in binary.code and symbol not in self.reached and "@" not in symbol:
                self.reached.add(symbol)
                waiting += self._look(symbol)
        self.findings.sort()

    @property
    def names(self):
        return sorted(self.binary.names[symbol] for symbol in self.reached)

    def _look(self, symbol):
        """Looks at one function; returns what it calls."""
        name, code, called = self.binary.names[symbol], self.binary.code[symbol], set()
        for index, (address, text) in enumerate(code):
            if direct := DIRECT.search(text):
                called.add(direct[1])
            elif indirect := INDIRECT.search(text):
                if not self._is_jump_table(code, index) and not self._is_driver(name, code, index):
                    self.findings.append(f"{name} goes where {indirect[1]} points ({address}: {text})")
            if ATOMIC.match(text) and name not in self.rules.atomics_in:
                self.findings.append(f"{name} has an atomic instruction ({address}: {text})")
        called.discard(symbol)
        for target in called:
            self._judge(name, target)
        return called

    def _judge(self, name, target):
        # Version suffixes: `f@plt`, `f@VERSION`.
        symbol = target.split("@")[0]
        if (name, symbol) in self.rules.calls_in or symbol in self.rules.calls:
            return
        if FORBIDDEN.search(symbol) or target not in self.binary.code or "@" in target:
            self.findings.append(f"{name} calls {symbol}")

    @staticmethod
    def _is_jump_table(code, index):
        """Whether a jump is the one of a `switch`: to the table's address plus an offset that was read from the table.

            movslq (%rdx,%rax,4),%rax
            add    %rdx,%rax
            jmp    *%rax
        """
        jump = re.search(r"\bjmp\s+\*(%r\w+)$", code[index][1])
        if not jump:
            return False
        register, base = jump[1], None
        for writer in _writers(code, index, register):
            if base is None:
                added = re.match(rf"add\s+(%r\w+),{register}$", writer)
                if not added:
                    return False
                base = added[1]
            else:
                return bool(re.match(rf"movslq \({base},%r\w+,4\),{register}$", writer))
        return False

    def _is_driver(self, name, code, index):
        """Whether a call goes to a driver, through DPDK's table of them, where that is allowed."""
        if not self.rules.drivers or not name.startswith(self.rules.drivers[1]):
            return False
        call = re.search(r"\bcall\s+\*(?:0x[0-9a-f]+)?\((%r\w+)(?:,%r\w+,\d)?\)$", code[index][1])
        writer = next(_writers(code, index, call[1]), "") if call else ""
        return bool(re.search(rf"^mov\s.*<{self.rules.drivers[0]}(?:@[^>]*)?>", writer))


#: Names of parts of the sixteen registers: writing one of them writes the register.
PARTS = {f"%r{n}": (f"%r{n}d", f"%r{n}w", f"%r{n}b") for n in range(8, 16)} | {
    f"%r{x}x": (f"%e{x}x", f"%{x}x", f"%{x}l", f"%{x}h") for x in "abcd"} | {
    f"%r{x}": (f"%e{x}", f"%{x}", f"%{x}l") for x in ("si", "di", "bp", "sp")}


def _writers(code, index, register):
    """The instructions in front of one that write `register`, the nearest first, without looking at jumps."""
    names = (register, *PARTS.get(register, ()))
    for _, text in reversed(code[max(0, index - 40):index]):
        operands = text.split("#")[0].rstrip()
        if operands.endswith(names) and not re.match(r"(?:cmp|test|push|bt)\w*\s", operands):
            yield text


def inlined_functions(path, binary, symbols):
    """The names of all functions of which code stands in `symbols`, inlined ones included, from the debug information."""
    addresses = [f"0x{address}" for symbol in symbols for address, _ in binary.code[symbol]]
    lines = output("addr2line", "-e", str(path), "-i", "-f", "-s", text="\n".join(addresses)).splitlines()
    return set(demangle(sorted({line for line in lines if line.startswith("$s")})).values())


def declared_hooks(registry, sources):
    """(plugin, hook, body) for the hooks that the sources of the registered plugins declare; no body of several lines."""
    hooks = []
    for plugin in re.findall(r"visitor\.visit\((\w+)\.self\)", registry):
        source = next((text for text in sources if re.search(rf"\bstruct {plugin}: FlowPlugin\b", text)), "")
        found = re.findall(
            r"^  (?:public )?func (create|beforeUpdate|update|finish)\(_ state: inout State,[^{]*\{(.*)$", source, re.M)
        assert {"create", "update"} <= {hook for hook, _ in found}, f"no hooks of {plugin} found in the sources"
        hooks += [(plugin, hook, body.strip().removesuffix("}").strip()) for hook, body in found]
    return hooks


def missing_hooks(hooks, functions):
    """Hooks of which nothing is among `functions`; those that only return a constant or a member may leave no code."""
    return [
        f"{plugin}.{hook}" for plugin, hook, body in hooks
        if not any(name.endswith(f"{plugin}.{hook}({parameters})") for name in functions for parameters in ("_:_:_:", "_:_:"))
        and not re.fullmatch(r"\.\w+|true|false|state\.\w+", body)]
