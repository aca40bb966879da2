"""What the machine code of the packet path does: a checker of disassembled functions, for `test_packet_path.py`.

It starts at given functions, follows every direct call and jump, and reports what it cannot vouch for: a call that leaves
the binary and is not known to be harmless, a call or jump through a register or memory, an atomic instruction. It works
on the text of `objdump -d`, so that it can be tried on a few lines written by hand.
"""

import re
import subprocess
import sys

#: Functions of the runtime and of libc that count references, allocate, lock or look types up, wherever they are linked.
FORBIDDEN = re.compile(
    r"swift_(retain|release|bridgeObject|allocObject|deallocObject|beginAccess|slowAlloc|unknownObject|once|"
    r"getGenericMetadata|getWitnessTable|conformsToProtocol|initStackObject|dynamicCast|allocBox|projectBox|weak|unowned)"
    r"|^(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|mmap|munmap|pthread_(mutex|rwlock|spin|cond)_?\w*)$")

FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(\S.*)$")
#: A call, or any jump: what the compiler makes of a call in the last place.
DIRECT = re.compile(r"\b(?:call|j[a-z]+)\s+(?:0x)?([0-9a-f]+) <([^>+]+)(?:\+0x[0-9a-f]+)?>")
#: A line of `nm --print-size`: where a function begins, and its bytes.
SIZE = re.compile(r"^([0-9a-f]+) ([0-9a-f]+) [tTwW] (.+)$", re.M)
#: A function with the name of one of the project's modules in its symbol.
OWN = re.compile(r"^([0-9a-f]+) [tT] \$s(?:4Wire|5Kafka|5IPFIX|9Rendering|8FlowCore|11ExporterApp)", re.M)
INDIRECT = re.compile(r"\b(?:call|jmp)\s+\*(.+)$")
#: A function's address, taken.
ADDRESS = re.compile(r"^lea\s.*# [0-9a-f]+ <([^>+]+)>$")
ATOMIC = re.compile(r"^(?:lock|xacquire|xrelease)\b|^xchg\b.*\(|^syscall\b")


#: Where packets, time and returned records come in, and all that a worker lcore runs: ends of demangled names.
WORKER = (
    "WorkerLoop.main()", "WorkerLoop.loop()", "FlowWorker.process(_:count:now:)", "FlowWorker.process(_:count:times:)",
    "FlowWorker.idle(now:)", "FlowWorker.recycle(_:count:)", "FlowWorker.flush()")
#: What the export lcore runs. Its outputs are called through tables, so that all that they are asked for is named here,
#: but for `Outputs.counters`, which the control lcore reads.
EXPORT = (
    "ExportLoop.main()", "RecordSchema<>.append(_:count:to:)", "RecordSchema<>.render(_:isReverse:into:)",
    "Outputs.export(_:count:)",
    re.compile(r"^protocol witness for (?:Output|MessageTransport|ByteConnection)\."),
    re.compile(r"^(?:specialized )?(?:Outputs|\w+Output(?:<.*>)?|\w+Transport|\w+Connection|FileWriter|FileChannel"
               r"|ChunkWriter|ZstdStream|MessageQueue)\."
               r"(?!init|deinit|__|description|open\(|.*\.(?:modify|setter|read)$)(?<!Outputs\.(?=counters))"),
    # What is freed on the way: through tables, too.
    re.compile(r"^(?:SharedBytes|FileChunk|SocketAddresses)\.__deallocating_deinit$"))


class Binary:
    """Functions by symbol: the instructions of each as (address, text), and its name for people."""

    def __init__(self, disassembly, demangle, sizes="", symbols=""):
        self.code, function = {}, None
        #: Where the code of a symbol begins and ends, for those whose size is known. Modules may have functions of one name.
        self.spans = {}
        for start, size, symbol in SIZE.findall(sizes):
            self.spans.setdefault(symbol, []).append((int(start, 16), int(start, 16) + int(size, 16)))
        # Behind the last of the project's functions come those of Swift's static libraries: calls of them leave the binary
        # as calls of shared ones do. Wherever there are none of the project's all code counts.
        end = max((int(address, 16) for address in OWN.findall(symbols)), default=None)
        for line in disassembly.splitlines():
            if start := FUNCTION.match(line):
                if end is not None and int(start[1], 16) > end:
                    break
                symbol = start[2]
                function = self.code.setdefault(symbol, [])
            elif function is not None and (instruction := INSTRUCTION.match(line)):
                # Behind a function's end is another one, which has no name of its own in the symbol table.
                if self._is_behind(symbol, instruction[1]):
                    function = self.code.setdefault(nameless(symbol), [])
                function.append((instruction[1], instruction[2].strip()))
        self.names = demangle(list(self.code))

    @classmethod
    def read(cls, path):
        return cls(
            output("objdump", "-d", "--no-show-raw-insn", str(path)), demangle,
            output("nm", "--print-size", "--defined-only", str(path)), output("nm", "--defined-only", str(path)))

    def target(self, call):
        """The symbol that a match of `DIRECT` goes to."""
        symbol = call[2]
        return nameless(symbol) if self._is_behind(symbol, call[1]) else symbol

    def _is_behind(self, symbol, address):
        """Whether an address for which `objdump` names a symbol is not in its code, but in that of a function without name."""
        spans = self.spans.get(symbol)
        return bool(spans) and not any(start <= int(address, 16) < end for start, end in spans)


def nameless(symbol):
    """What stands for the code between a function's end and the next function with a name."""
    return f"code behind {symbol}"


def output(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def demangle(symbols):
    lines = output("swift", "demangle", "--simplified", "--compact", text="\n".join(symbols)).splitlines()
    return dict(zip(symbols, lines, strict=True))


class Rules:
    """What is allowed, each with its reason."""

    def __init__(self, calls=(), calls_in=(), atomics_in=(), drivers=None, indirect_in=()):
        #: Functions outside the binary that any function may call.
        self.calls = dict(calls)
        #: Forbidden or unknown functions that one function may call: (name of the caller, symbol).
        self.calls_in = dict(calls_in)
        #: Functions that may have atomic instructions, by name.
        self.atomics_in = dict(atomics_in)
        #: Functions that may call what a pointer says, by name.
        self.indirect_in = dict(indirect_in)
        #: A table of drivers' functions, and what begins the names of those that may call through it.
        self.drivers = drivers


class PacketPath:
    """All that can be reached from `roots`, which are ends of demangled names or patterns, and what is wrong there."""

    def __init__(self, binary, roots, rules, follows_addresses=False):
        """With `follows_addresses` also functions of which only the address is taken: closures."""
        self.binary, self.rules, self.reached, self.findings = binary, rules, set(), []
        self.follows_addresses = follows_addresses
        #: Who calls a function, by its symbol.
        self.callers = {}
        waiting = []
        for root in roots:
            matches = root.search if isinstance(root, re.Pattern) else lambda name, end=root: name.endswith(end)
            found = [symbol for symbol in binary.code if matches(binary.names[symbol])]
            if not found:
                self.findings.append(f"{getattr(root, 'pattern', root)} is not in the binary")
            waiting += found
        while waiting:
            symbol = waiting.pop()
            # Behind `@plt` is the stub that goes to another library: the call was judged by its name.
            if symbol in binary.code and symbol not in self.reached and "@" not in symbol:
                self.reached.add(symbol)
                called = self._look(symbol)
                waiting += called
                for target in called:
                    self.callers.setdefault(target, set()).add(binary.names[symbol])
        self.findings.sort()

    @property
    def names(self):
        return sorted(self.binary.names[symbol] for symbol in self.reached)

    def _look(self, symbol):
        """Looks at one function; returns what it calls."""
        name, code, called = self.binary.names[symbol], self.binary.code[symbol], set()
        for index, (address, text) in enumerate(code):
            if direct := DIRECT.search(text):
                # In a library calls of its own functions may go through a stub.
                target = self.binary.target(direct)
                own = target.removesuffix("@plt")
                called.add(own if own in self.binary.code else target)
            elif indirect := INDIRECT.search(text):
                if not (name in self.rules.indirect_in or self._is_jump_table(code, index)
                        or self._is_driver(name, code, index)):
                    self.findings.append(f"{name} goes where {indirect[1]} points ({address}: {text})")
            elif self.follows_addresses and (taken := ADDRESS.search(text)):
                called.add(taken[1])
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
                return bool(re.match(rf"movslq (?:0x0)?\({base},%r\w+,4\),{register}$", writer))
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
        source = next((text for text in sources if re.search(rf"\bstruct {plugin}: (?:Flow|Message)Plugin\b", text)), "")
        found = re.findall(
            r"^  (?:public )?func (create|beforeUpdate|update|read|finish)\(\s*_ state: inout State,[^{]*"
            r"\{(.*(?:\n    .*\n  \}$)?)", source, re.M)
        assert "update" in {hook for hook, _ in found}, f"no hooks of {plugin} found in the sources"
        hooks += [(plugin, hook, body.strip().removesuffix("}").strip()) for hook, body in found]
    return hooks


def missing_hooks(hooks, functions):
    """Hooks of which nothing is among `functions`; those that only return a constant or a member may leave no code."""
    return [
        f"{plugin}.{hook}" for plugin, hook, body in hooks
        if not any(re.search(rf"\b{plugin}\.{hook}\((?:_:)+\)$", name) for name in functions)
        and not re.fullmatch(r"\.\w+|true|false|state\.\w+", body)]


# Traps: where the program would stop.

#: Calls that end the process: Swift's failed checks that say something, and the C library's. Not `__stack_chk_fail`: it
#: follows from no check in the sources, but from a stack that was overwritten already.
ENDINGS = re.compile(
    r"assertionFailure|fatalErrorMessage|unimplementedInitializer|diagnoseUnexpected|unexpectedError|"
    r"swift_(unexpectedError|deletedMethodError|deletedAsyncMethodError|errorInMain|abort|crash)|"
    r"^(abort|exit|_exit|_Exit|quick_exit|raise|kill|__assert_fail|__rte_panic|rte_exit)$")
#: The place of what has no line: the standard library's code that was compiled into the binary, and the compiler's own.
LIBRARY = "(library)"
CALLED_BY = " called by "
#: The compiler's name for an instruction that stops the program, an inlined function in the debug information.
FAILURE = "Swift runtime failure: "
JUMP = re.compile(r"^(?:notrack )?(?:bnd )?j[a-z]+\s+(?:0x)?([0-9a-f]+)\b")
#: An address that an instruction names.
REFERENCE = re.compile(r"\b(?:0x)?([0-9a-f]+) <")
#: What does not go on to the next instruction.
ENDS = re.compile(r"^(?:(?:notrack |bnd |rep[a-z]* )*(?:jmp|ret)|ud2|int3|hlt)")


class Trap:
    """One place in the sources that can stop the program."""

    def __init__(self, function, place, kind, address, symbol):
        #: The innermost function of the project (by its demangled name) and file:line in it.
        self.function, self.place = function, place
        #: What fails, as far as the compiler tells, and where in the machine code.
        self.kind, self.address, self.symbol = kind, address, symbol

    @property
    def keys(self):
        """What is to be explained: the function, or for the standard library's code the function with each caller."""
        function = self.function.replace("specialized ", "")
        if not self.place.startswith(LIBRARY + CALLED_BY):
            return [function]
        callers = self.place.removeprefix(LIBRARY + CALLED_BY).replace("specialized ", "").split("; ")
        return [f"{function}{CALLED_BY}{caller}" for caller in callers]

    def __repr__(self):
        return f"{self.function} at {self.place}: {self.kind} ({self.address} in {self.symbol})"


def traps(binary, reached, locate, callers=()):
    """Every trap in the functions `reached`.

    `locate` gives for addresses the frames at each as (function, file:line), the innermost first: `Locations`. Where the
    compiler merged several traps into one the instruction has no line of its own; then each jump to it is one trap.
    """
    callers = dict(callers)
    named = {address for code in binary.code.values() for _, text in code for address in REFERENCE.findall(text)}
    sites = [site for symbol in sorted(reached) for site in _trap_sites(symbol, binary.code[symbol], named)]
    frames = locate(sorted({address for site in sites for address in site[2:3] + tuple(a for s in site[3] for a in s)}))
    found = []
    for symbol, kind, address, sources in sites:
        own = frames[address]
        kind = next((name.removeprefix(FAILURE) for name, _ in own if name.startswith(FAILURE)), kind)
        name = binary.names[symbol]
        if place := _place(own):
            found.append(Trap(*place, kind, address, name))
            continue
        for source in sources:
            # The jump's own line, else that of what is compared in front of it.
            place = next((place for at in source if (place := _place(frames[at]))), None)
            if not place:
                # Whose code it is: not its own, as a rule.
                who = sorted(callers.get(symbol, ()))
                place = name, LIBRARY + (CALLED_BY + "; ".join(who) if who else "")
            found.append(Trap(*place, kind, source[0], name))
    return found


def _trap_sites(symbol, code, named):
    """(symbol, kind, address, sources) of traps: each source is a jump's address, then those of what is before it.

    `named` are the addresses that any instruction of the binary names.
    """
    has_tables = any(INDIRECT.search(text) and not text.startswith("call") for _, text in code)
    index_of = {address: index for index, (address, _) in enumerate(code)}
    targets, jumps = {i for i, (_, text) in enumerate(code) if _stops(text)}, {}
    for index, (_, text) in enumerate(code):
        jump = JUMP.match(text)
        if jump and index_of.get(jump[1]) in targets:
            jumps.setdefault(index_of[jump[1]], []).append(index)
    sites = []
    for index in sorted(targets):
        address, text = code[index]
        before = code[index - 1][1] if index else ""
        sources = list(jumps.get(index, ()))
        call = DIRECT.search(before)
        # Behind a call that does not come back.
        if (text.startswith("ud2") and before.startswith("call") and not sources
                and call and ENDINGS.search(call[2].split("@")[0])):
            continue
        if not sources and not has_tables and _is_dead(code, index, named):
            continue
        if index and not ENDS.match(before):
            sources.append(index - 1)
        kind = "trap" if text.startswith("ud2") else DIRECT.search(text)[2].split("@")[0]
        ways = [tuple(code[i][0] for i in range(source, max(-1, source - 6), -1)) for source in sources]
        sites.append((symbol, kind, address, ways or [(address,)]))
    return sites


def _is_dead(code, index, named):
    """Whether nothing leads to an instruction: the compiler leaves such blocks. Not to be asked where there are tables."""
    for before in range(index, 0, -1):
        if code[before][0] in named:
            return False
        if ENDS.match(code[before - 1][1]):
            return True
    return False


def _stops(text):
    if text.startswith("ud2"):
        return True
    call = DIRECT.search(text)
    return bool(call and ENDINGS.search(call[2].split("@")[0]))


def _place(frames):
    """The innermost frame that has a line, as (function, file:line); None where none has."""
    for function, place in frames:
        if not function.startswith(FAILURE) and not re.match(r"(\?\?|<compiler-generated>|<unknown>)|.*:(0|\?)$", place):
            return function, place
    return None


class Locations:
    """Frames of addresses, from the debug information of a binary."""

    def __init__(self, path):
        self.path = path

    def __call__(self, addresses):
        if not addresses:
            return {}
        lines = output("addr2line", "-e", str(self.path), "-a", "-i", "-f", text="\n".join(addresses)).splitlines()
        frames, address = {}, None
        pending = None
        for line in lines:
            if re.fullmatch(r"0x[0-9a-f]+", line):
                address = f"{int(line, 16):x}"
                frames[address], pending = [], None
            elif pending is None:
                pending = line
            else:
                # The file in the project, wherever that lies.
                place = re.sub(r"^/.*?/(?=(?:Sources|Tests|Benchmarks)/)|(?: \(discriminator \d+\))$", "", line)
                frames[address].append((pending, place))
                pending = None
        symbols = sorted({name for chain in frames.values() for name, _ in chain if name.startswith("$s")})
        names = demangle(symbols)
        return {at: [(names.get(name, name), place) for name, place in chain] for at, chain in frames.items()}


def reachable_traps(path, binary=None, roots=None):
    """All traps that can be reached from `roots` in the binary at `path`; a root that is not there is an error."""
    binary = binary or Binary.read(path)
    reach = PacketPath(binary, roots or WORKER + EXPORT, Rules(), follows_addresses=True)
    missing = [line for line in reach.findings if line.endswith("is not in the binary")]
    if missing:
        raise LookupError("; ".join(missing))
    return traps(binary, reach.reached, Locations(path), reach.callers)


def report(found, fragment=""):
    """Traps grouped by source function, those of `fragment` (a part of file or function) only."""
    groups = {}
    for trap in found:
        if fragment in trap.function or fragment in trap.place:
            groups.setdefault((trap.place.split(":")[0], trap.function), set()).add((trap.place, trap.kind))
    lines = []
    for (_, function), places in sorted(groups.items()):
        lines.append(function)
        lines += [f"    {place}  {kind}" for place, kind in sorted(places)]
    return "\n".join(lines + [f"{sum(map(len, groups.values()))} places in {len(groups)} functions"])


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: packet_path.py BINARY [PART OF A FILE'S OR FUNCTION'S NAME]")
    print(report(reachable_traps(sys.argv[1]), *sys.argv[2:3]))
