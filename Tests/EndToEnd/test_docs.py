"""Every shell line of README.md and docs/ that can run here runs, so that a wrong option in a page fails.

A shell line is a line of an indented block, or of one fenced as `sh`, whose first word, behind variables and `sudo`, is a
command of COMMANDS; a line that ends in a backslash goes on in the next. Every other line of an indented block must be in
NOT_SHELL, so that no line goes unlooked at. Lines run in a folder with captures under the names that the pages use. What
needs a NIC, root, a network or half an hour is in NOT_RUN with the reason; of martlet's own lines among them the options
behind `--` are run on a capture instead.
"""
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from harness import CAPTURES, MARTLET, ROOT
from mmdb import database

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    "martlet", "swift", "python3", "tcpdump", "modprobe", "apt-get", "strip", "valgrind", "callgrind_annotate", "cat",
    "dpdk-devbind.py", "dpdk-dumpcap", "echo", "head",
    "kill", "nfcapd", "nfdump", "ipfixDump", "tshark", "logrotate", "systemctl", "git", "pip",
    "curl", "journalctl", "gdb", "clang", "printf", "ip", "ethtool", "export", "install", "cd", "ls",
}
#: Lines of indented blocks that are no shell.
NOT_SHELL = [
    r"exported = ack", r"received \+ outer packets = ", r"\+ IP header", r"\+ packets in flows",
    r"flows made = ", r"idle \+ active",
    r"exported \+ spool", r"stored twice", r"export dropped = ",  # sums of counters
    r"table = pd\.", r"lengths = table",  # Python
]
#: What does not run here, and why.
NOT_RUN = [
    (r"^\./demo\.sh|^\./test\.sh|^\./bench\.sh", "builds and takes minutes; --help is run instead"),
    (r"apt-get (install|update)", "installs packages"),
    (r"^packaging/build-deb\.sh", "test_packaging.py makes the package"),
    (r"^packaging/build-libmartlet\.sh", "test_libmartlet.py builds the library"),
    (r"swift build", "takes minutes; it made the binary under test"),
    (r"\bpip\b|-m venv", "downloads packages; test_dataset.py has what they are for"),
    (r"docs/examples/train\.py", "test_dataset.py runs it"),
    (r"service\.model|flows\.pcap", "test_models.py runs the lines of docs/models.md, with the model that they make"),
    (r"^(sudo )?(modprobe|dpdk-devbind\.py)", "changes drivers, or looks for NICs"),
    (r"^sudo .*martlet", "needs a NIC, or makes an interface"),
    (r"^sudo (install|systemctl) |^journalctl ", "installs a service, or asks for one"),
    (r"^martlet top|127\.0\.0\.1:9477/|^sudo dpdk-dumpcap ", "watches a live run; test_watching.py has some"),
    (r"martlet-fuzz", "is made by Tests/Fuzz/fuzz.sh, which test.sh runs"),
    (r"^strip |^valgrind |^callgrind_annotate |make-mix\.py", "measures, with a build of its own"),
]
#: Substitutions in a line that is run.
REPLACED = [
    (r"tcpdump -w - …", "cat capture.pcap"),
    (r"sudo \./hugepages-setup\.sh --pages \d+", "./hugepages-setup.sh --pages 1 --dry-run"),
]
#: Captures under the names that the pages use.
FIXTURES = {"capture.pcap": "demo.pcap", "a.pcap": "tls13.pcap", "b.pcap": "dns.pcap", "b.pcapng": "dns.pcapng"}


def indented(text):
    """The lines of blocks that are code because of their indentation, and of those fenced as sh, by block."""
    blocks, block, fence, before, inside_list = [], [], None, "", 0
    for line in text.splitlines():
        if fence is not None:
            if line.strip() == "```":
                fence = None
                blocks.append(block)
                block = []
            elif fence in ("sh", "bash", "shell"):
                block.append(line)
            continue
        if line.strip().startswith("```"):
            fence = line.strip().strip("`")
            continue
        # In an item of a list code is indented by four more than the item's text.
        if match := re.match(r"(\d+\. |[*-] )", line):
            inside_list = len(match[0])
        elif line and not line.startswith(" "):
            inside_list = 0
        indentation = len(line) - len(line.lstrip())
        if line.strip() and indentation >= 4 + inside_list and (block or not before.strip()):
            block.append(line)
        elif line.strip() and block:
            blocks.append(block)
            block = []
        before = line
    return [[line.strip() for line in block] for block in [*blocks, block] if block]


def joined(block):
    """Lines that end in a backslash with the one behind them."""
    lines = []
    for line in block:
        if lines and lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1] + line
        else:
            lines.append(line)
    return lines


def command(line):
    """The first word behind variables and sudo; the empty string for a line of variables only."""
    rest = re.sub(r'^(\s*[A-Za-z_]+=("[^"]*"|\S*)\s*)+', "", line)
    words = rest.removeprefix("sudo ").split()
    return words[0] if words else ""


def is_shell(line):
    word = command(line)
    return word == "" or word in COMMANDS or word.startswith((".", "/", "Benchmarks/", "packaging/"))


def shell_lines():
    """(page, the variables set before it in its block, the line)"""
    found = []
    for page in PAGES:
        for block in indented(page.read_text()):
            variables = []
            for line in joined(block):
                if any(re.match(pattern, line) for pattern in NOT_SHELL):
                    continue
                if command(line) == "":
                    variables.append(line)
                else:
                    found.append((page, list(variables), line))
    return found


LINES = shell_lines()


def why_not(line):
    replaced = any(re.search(pattern, line) for pattern, _ in REPLACED)
    return None if replaced else next((reason for pattern, reason in NOT_RUN if re.search(pattern, line)), None)


@pytest.fixture
def folder(tmp_path):
    """A folder in which the pages' lines run: with captures, the project's own folders and martlet on the path."""
    for name, capture in FIXTURES.items():
        shutil.copy(CAPTURES / capture, tmp_path / name)
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o600)
    for name in ("GeoLite2-ASN.mmdb", "GeoLite2-Country.mmdb"):
        (tmp_path / name).write_bytes(database({"::/1": {"autonomous_system_number": 64496}}))
    for name in ("Tests", "docs", "Benchmarks", "packaging", "demo.sh", "test.sh", "bench.sh", "hugepages-setup.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    # The first YAML of operations.md is a settings file.
    operations = (ROOT / "docs/operations.md").read_text()
    (tmp_path / "martlet.yaml").write_text(re.search(r"```yaml\n(.*?)```", operations, re.S)[1])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/martlet").symlink_to(Path(MARTLET).resolve())
    (tmp_path / ".build").mkdir()
    (tmp_path / ".build/release").symlink_to(tmp_path / "bin")
    return tmp_path


def execute(folder, variables, line):
    """Runs a line in the folder, with a collector where it names one."""
    for pattern, by in REPLACED:
        line = re.sub(pattern, by, line)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(udp.getsockname())
        tcp.listen()
        line = line.replace("127.0.0.1:4739", f"127.0.0.1:{udp.getsockname()[1]}")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", "\n".join([*variables, line])], cwd=folder, capture_output=True, text=True,
            timeout=60, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"})
    assert done.returncode == 0, f"{line}\nends with {done.returncode}\n{done.stderr[-2000:]}"


def test_every_line_of_a_block_is_known():
    for page in PAGES:
        for block in indented(page.read_text()):
            for line in joined(block):
                known = is_shell(line) or any(re.match(pattern, line) for pattern in NOT_SHELL)
                assert known, f"{page.name}: is this shell? Add it to COMMANDS or NOT_SHELL of {__file__}: {line}"


def test_there_are_lines():
    assert len([line for *_, line in LINES if not why_not(line)]) >= 10, LINES


@pytest.mark.parametrize("page,variables,line", LINES, ids=[f"{page.name}-{line[:60]}" for page, _, line in LINES])
def test_line_runs(page, variables, line, folder):
    reason = why_not(line)
    if reason and re.match(r"\./\w+\.sh", line):
        execute(folder, [], f"{line.split()[0]} --help")
        return
    # The options of a live run must be right, even where there is no device for it.
    if reason and re.search(r"\bmartlet .* -- ", line):
        # The service's folder is there when the service is installed.
        behind = re.search(r" -- (.*)", line)[1].replace("/var/lib/martlet", str(folder))
        execute(folder, variables, f"martlet --pcap capture.pcap {behind}")
        return
    if reason:
        pytest.skip(reason)
    # A live run ends when it is told to.
    if re.search(r"\bmartlet .* -- ", line):
        line += " --duration 1" if "#" not in line else ""
    execute(folder, variables, line)


# Options that pages mention in a sentence or table.

def options_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


#: EAL's, which `martlet` passes on, and other programs'.
OTHERS = {
    "--lcores", "--vdev", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--file-prefix", "--in-memory",
    "--huge-dir", "--huge-unlink", "--socket-mem", "--main-lcore", "--log-level",  # EAL
    "--bind", "--status", "--unbind",  # dpdk-devbind.py
    "--toggle-collect", "--tool", "--callgrind-out-file", "--inclusive", "--no-install-recommends", "--scratch-path",
    "--product", "--cflags", "--filter", "--write", "--show-bin-path", "--upgrade", "--no-cache", "--fault-rate",
    "--rfc5610",  # ipfixDump
}


def test_options_in_sentences_exist():
    known = set(OTHERS)
    for program in (
            [MARTLET], [MARTLET, "top"], [ROOT / "hugepages-setup.sh"], [ROOT / "test.sh"], [ROOT / "demo.sh"],
            [ROOT / "bench.sh"]):
        shown = subprocess.run([*program, "--help"], check=True, capture_output=True, text=True, timeout=60)
        known |= options_of(shown.stdout)
    sources = [
        *(ROOT / "Benchmarks").glob("*.py"), *(ROOT / "docs/examples").glob("*.py"), *(ROOT / "Benchmarks").rglob("*.swift"),
        ROOT / "Python/src/martlet/__main__.py"]
    for source in sources:
        known |= options_of(source.read_text())
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", page.read_text()):
            unknown = options_of(span) - known
            assert not unknown, f"{page.name}: `{span}`: no program here has {unknown}"


def test_packages_of_the_pages_are_in_the_list():
    listed = {line.split()[0] for line in (ROOT / "packaging/debian-packages.txt").read_text().splitlines() if line[:1] != "#"}
    for page in PAGES:
        for line in re.findall(r"apt-get install ([^\n]*)", page.read_text()):
            named = {word for word in line.split() if not word.startswith(("-", "./"))}
            assert named <= listed, f"{page.name}: {named - listed} not in packaging/debian-packages.txt"


def test_scripts_tell_wrong_usage():
    for script in ("demo.sh", "bench.sh", "test.sh"):
        assert subprocess.run([ROOT / script, "--help"], capture_output=True, timeout=60).returncode == 0, script
        wrong = subprocess.run([ROOT / script, "--nonsense"], capture_output=True, timeout=60)
        assert wrong.returncode == 64 and wrong.stderr, script


def test_no_script_pipes_into_what_ends_early():
    """With pipefail a command that still writes when `head` or `grep -q` ends makes the script end with 141, sometimes."""
    for script in ("demo.sh", "bench.sh", "test.sh"):
        for number, line in enumerate((ROOT / script).read_text().splitlines(), 1):
            assert not re.search(r"\|\s*(\{\s*)?head\b", line), f"{script}:{number}: {line}"
