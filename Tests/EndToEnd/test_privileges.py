"""--user and --seccomp: who the process is when all is open, whose its files are, and that every kind of export goes on."""

import ctypes
import os
import pwd
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from harness import (
    CAPTURES, MARTLET, PATIENCE, Live, Session, UDPCollector, file_messages, free_port, have, is_root, run, wait_until)
from mmdb import database
from tls_collectors import Authority, TLSCollector, server_context

MANY = CAPTURES / "many-flows.pcap"  # 1000 flows
#: The number of the system call, which Python has no name for.
TGKILL = 234
NOBODY = pwd.getpwnam("nobody")
REPLAY = f"--vdev=net_pcap0,rx_pcap={MANY},infinite_rx=1"
pytestmark = pytest.mark.skipif(not is_root(), reason="only root can become somebody else")


@pytest.fixture
def folder(tmp_path):
    """A folder of nobody's, which nobody can get to."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    place = tmp_path / "out"
    place.mkdir()
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    return place


def threads(process):
    """The status of each thread."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        yield dict(re.findall(r"(?m)^(\w+):\t(.*)$", (task / "status").read_text()))


def started(*options, eal=(REPLAY,), **more):
    """A live run that has given up root."""
    martlet = Live(list(eal), ["--user", "nobody", "--stats", "1", *options], **more)
    martlet.wait_for("martlet: goes on as nobody")
    martlet.wait_received(1000)
    return martlet


def descriptors(process):
    return [os.readlink(f"/proc/{process.pid}/fd/{name}") for name in os.listdir(f"/proc/{process.pid}/fd")]


def is_owned(path):
    return path.exists() and path.stat().st_uid == NOBODY.pw_uid and path.stat().st_gid == NOBODY.pw_gid


def test_all_threads_are_the_user_without_a_way_back(folder):
    with started("--export", f"json:{folder}/flows.json") as martlet:
        seen = list(threads(martlet.process))
        assert len(seen) >= 4  # three lcores and EAL's own
        for status in seen:
            assert status["Uid"].split() == [str(NOBODY.pw_uid)] * 4, status["Name"]
            assert status["Gid"].split() == [str(NOBODY.pw_gid)] * 4
            assert status["Groups"].split() == [str(NOBODY.pw_gid)]
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
        limits = Path(f"/proc/{martlet.process.pid}/limits").read_text()
        # VFIO pins memory when a port is set up anew; a root in a container may not have more than it was given.
        soft, hard = re.search(r"Max locked memory +(\w+) +(\w+)", limits).groups()
        assert soft == hard
        assert martlet.stop() == 0, martlet.text()
        assert not re.search("warning|cannot", martlet.text()), martlet.text()
    assert is_owned(folder / "flows.json")


def test_the_filter_is_off_by_a_word_and_on_without_a_user(folder):
    with started("--seccomp", "off") as martlet:
        assert {(status["Seccomp"], status["NoNewPrivs"]) for status in threads(martlet.process)} == {("0", "1")}
    with Live([REPLAY], ["--seccomp", "on", "--stats", "1"]) as martlet:
        martlet.wait_for("martlet: system calls are filtered")
        martlet.wait_received(1000)
        for status in threads(martlet.process):
            assert (status["Seccomp"], status["NoNewPrivs"], status["Uid"].split()[0]) == ("2", "1", "0")
        assert martlet.stop() == 0, martlet.text()


def test_a_group_of_its_own(folder):
    with Live([REPLAY], ["--user", "nobody:daemon", "--stats", "1"]) as martlet:
        martlet.wait_for("martlet: goes on as nobody")
        status = next(threads(martlet.process))
        assert status["Gid"].split() == status["Groups"].split() * 4 == ["1"] * 4


def test_hugepages_are_given_back(folder):
    with started() as martlet:
        files = [Path(name) for name in descriptors(martlet.process) if "/hugepages" in name and "map_" in name]
        assert martlet.stop() == 0
        # What lies in a folder of root's stays as a name, without a page.
        assert all(file.stat().st_size == file.stat().st_blocks == 0 for file in files if file.exists())


@pytest.mark.parametrize("kind", ["ipfix", "json", "csv", "text"])
def test_files_are_reopened(folder, kind):
    out = folder / "flows"
    with started("--export", f"{kind}:{out}", "--inactive-timeout", "0.2", "--active-timeout", "0.5") as martlet:
        wait_until(lambda: out.stat().st_size > 1000, "records", martlet.process)
        out.rename(folder / "old")
        martlet.process.send_signal(signal.SIGHUP)
        wait_until(lambda: is_owned(out) and out.stat().st_size > 1000, "the file that follows", martlet.process)
        assert martlet.stop() == 0, martlet.text()
    assert is_owned(folder / "old")


@pytest.mark.parametrize("kind", ["ipfix", "json:zstd"])
def test_files_are_rotated(folder, kind):
    kind, _, compression = kind.partition(":")
    url = f"{kind}:{folder}/flows-%H%M%S?rotate=1s" + (f"&compress={compression}" if compression else "")
    with started("--export", url, "--inactive-timeout", "0.2", "--active-timeout", "0.5") as martlet:
        wait_until(lambda: len(list(folder.glob("flows-*"))) >= 3, "three files", martlet.process)
        assert martlet.stop() == 0, martlet.text()
    files = list(folder.iterdir())
    assert all(is_owned(file) and file.name.startswith("flows-") for file in files), files


def test_a_database_is_read_again_under_the_filter(tmp_path):
    """It is copied into memory that the kernel has to be asked for."""
    path = tmp_path / "asn.mmdb"
    path.write_bytes(database({"::/1": {"autonomous_system_number": (6, 1)}}))
    with Live([REPLAY], ["--seccomp", "on", "--mmdb", path, "--stats", "1"]) as martlet:
        martlet.wait_received(1000)
        martlet.process.send_signal(signal.SIGHUP)
        martlet.wait_for(lambda: "--mmdb" in martlet.text())
        assert martlet.stop() == 0, martlet.text()
        assert "martlet: --mmdb: read again\n" in martlet.text(), martlet.text()


def test_udp_goes_on(folder):
    with UDPCollector() as collector:
        url = f"udp://127.0.0.1:{collector.port}"
        with started("--export", url, "--active-timeout", "0.5") as martlet:
            collector.receive_until(lambda session: len(session.records) > 100, martlet.process)
            assert martlet.stop() == 0, martlet.text()


@pytest.mark.skipif(not have("openssl"), reason="no openssl")
@pytest.mark.parametrize("lz4", [False, True])
def test_a_collector_that_comes_later_is_found(folder, tmp_path, lz4):
    """Over TLS and over TCP: names are resolved, connections and threads are made as the user."""
    pki = Authority(folder)
    port = free_port()
    url = f"tls://localhost:{port}?ca={pki.root}"
    with started("--export", url, "--active-timeout", "0.5", "--drain-timeout", "3") as martlet:
        martlet.wait_for("tls://localhost")
        with TLSCollector(server_context(pki.server), port=port) as collector:
            wait_until(lambda: collector.connections and collector.connections[-1].session.records, "records", martlet.process)
            martlet.stop()
    port = free_port()
    url = f"tcp://localhost:{port}" + ("?compress=lz4" if lz4 else "")
    with started("--export", url, "--active-timeout", "0.5", "--drain-timeout", "1") as martlet:
        martlet.wait_for("tcp://localhost")
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(1)
        martlet.stop()


def test_a_spool_is_the_users(folder):
    """It is begun by root, and its segments are made later."""
    port = free_port()
    spool = folder / "spool"
    options = ["--export", f"tcp://127.0.0.1:{port}", "--spool", f"{spool},16M"]
    options += ["--active-timeout", "0.5", "--drain-timeout", "1"]
    # What root left in it is the user's, too; the folder itself may be for others, and is only named.
    assert run("--pcap", MANY, *options).status == 0
    assert list(spool.rglob("*.segment"))
    with started(*options) as martlet:
        martlet.wait_for(f"--spool {spool}: user nobody may not make files in {spool}")
    os.chown(spool, NOBODY.pw_uid, NOBODY.pw_gid)
    with started(*options) as martlet:
        wait_until(lambda: len(list(spool.rglob("*.segment"))) > 1, "segments", martlet.process)
        assert martlet.stop() == 0, martlet.text()
    assert all(is_owned(path) for path in spool.rglob("*"))


def test_kafka_goes_on(folder):
    pytest.importorskip("confluent_kafka", reason="needs confluent-kafka (Tests/requirements.txt)")
    from kafka_mock import Cluster
    from test_kafka import consume
    with Cluster(flows=1) as cluster:
        url = f"kafka://{cluster.brokers}/flows"
        with started("--export", url, "--active-timeout", "0.5") as martlet:
            martlet.wait_for(lambda: martlet.latest.get("exported", 0) > 100)
            assert martlet.stop() == 0, martlet.text()
        assert len(consume(cluster, "flows", 1)) > 100


def test_a_folder_that_is_not_the_users_is_named(tmp_path):
    with Live([REPLAY], ["--user", "nobody", "--export", f"json:{tmp_path}/flows.json", "--stats", "1"]) as martlet:
        martlet.wait_for("martlet: goes on as nobody")
        martlet.wait_for(f"user nobody may not make files in {tmp_path}")
        # The file itself was opened before.
        martlet.wait_received(1000)
        assert martlet.stop() == 0
        assert is_owned(tmp_path / "flows.json") and (tmp_path / "flows.json").stat().st_size > 0


def test_a_crash_is_reported(folder):
    """The handler's own calls are allowed, and Swift's backtrace, which starts a program, does not hang."""
    # A signal may find the worker between two bursts, and then there is nothing to write.
    for _ in range(10):
        with started("--crash-dir", folder) as martlet:
            tasks = Path(f"/proc/{martlet.process.pid}/task")
            # lcore 2's thread, which has the packets.
            worker, = (int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().endswith("-worker-2\n"))
            assert ctypes.CDLL(None).syscall(TGKILL, martlet.process.pid, worker, signal.SIGSEGV) == 0
            assert martlet.process.wait(PATIENCE) == -signal.SIGSEGV
            said = martlet.text()
        assert "martlet: killed by SIGSEGV" in said
        if ", no burst" not in said:
            break
    assert f"written to {folder}/martlet-crash-" in said
    files = list(folder.iterdir())
    assert files and all(is_owned(path) for path in files)


def test_captures_are_read_as_the_user(folder):
    process = subprocess.Popen([MARTLET, "--pcap", "-", "--user", "nobody", "--export", f"ipfix:{folder}/flows"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(MANY.read_bytes()[:24])
    process.stdin.flush()
    line = process.stderr.readline()
    assert line.startswith(b"martlet: goes on as nobody"), line
    assert {status["Uid"].split()[0] for status in threads(process)} == {str(NOBODY.pw_uid)}
    process.communicate(MANY.read_bytes()[24:], timeout=PATIENCE)
    assert process.returncode == 0 and is_owned(folder / "flows")
    session = Session()
    for message in file_messages(folder / "flows"):
        session.message(message)
    assert len(session.records) == 1000


#: Asks for what a filtered process must not have; each line is a call and what came of it.
INTRUDER = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <dlfcn.h>
#include <seccomp.h>
/* In the place of libseccomp's: what is asked for when the filter is there. */
int seccomp_load(const scmp_filter_ctx filter) {
    int (*real)(const scmp_filter_ctx) = dlsym(RTLD_NEXT, "seccomp_load");
    int status = real(filter);
    char *arguments[] = {"/bin/true", NULL};
    #define SAY(what, failed) fprintf(stderr, "%s: %s\n", what, (failed) ? strerrorname_np(errno) : "done")
    SAY("execve", execve("/bin/true", arguments, NULL) != 0);
    SAY("ptrace", syscall(101, 0, 0, 0, 0) < 0);
    SAY("packet socket", socket(17, SOCK_RAW, 0) < 0);
    SAY("mmap", mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SAY("mprotect", mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0);
    SAY("setuid", syscall(105, 0) != 0);
    SAY("chown", chown("/tmp", 0, 0) != 0);
    SAY("read", read(0, page, 0) < 0);
    return status;
}
"""


@pytest.mark.skipif(not have("cc"), reason="needs a C compiler")
def test_what_an_intruder_asks_for_fails(folder):
    (folder / "intruder.c").write_text("#define _GNU_SOURCE\n" + INTRUDER)
    library = folder / "intruder.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "intruder.c"], check=True, timeout=PATIENCE)
    done = run("--pcap", MANY, "--seccomp", "on", "--export", "json:/dev/null", prefix=["env", f"LD_PRELOAD={library}"])
    assert done.status == 0, done.err.decode()
    said = dict(line.split(": ") for line in done.err.decode().splitlines() if not line.startswith("martlet: "))
    assert said == {
        "execve": "EPERM", "ptrace": "EPERM", "packet socket": "EPERM", "mmap": "EPERM", "mprotect": "EPERM",
        "setuid": "EPERM", "chown": "EPERM", "read": "done"}


@pytest.mark.parametrize("options,words", [
    (["--user", "nobody-of-this-name"], "there is no such user"), (["--user", "root"], "name another user"),
    (["--user", "nobody:no-such-group"], "there is no such group"), (["--user", "nobody:root"], "name another one"),
    (["--user", ":adm"], "NAME[:GROUP]"),
    (["--seccomp", "perhaps"], "--seccomp"),
    (["--user", "nobody", "--plugins", "osquery"], "--seccomp off"),
    (["--seccomp", "on", "--plugins", "osquery"], "--seccomp off"),
])
def test_what_cannot_be_is_said_before_anything_is_opened(tmp_path, options, words):
    out = tmp_path / "flows.json"
    result = run("--pcap", MANY, "--export", f"json:{out}", *options)
    assert result.status == 64 and words in result.messages[0] and len(result.messages) == 1, result.err.decode()
    assert not out.exists()


def test_only_root_becomes_somebody_else():
    result = run("--pcap", MANY, "--user", "daemon", prefix=["setpriv", "--reuid", "nobody", "--clear-groups"])
    assert result.status == 64 and "start it as root" in result.messages[0]
