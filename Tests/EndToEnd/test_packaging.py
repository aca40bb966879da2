"""What operators install: the binary without Swift's libraries, manual, completions, the Debian package, other DPDK versions."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import CAPTURES, MARTLET, ROOT, have, is_root

PACKAGING = ROOT / "packaging"
#: The mirror that the machine's own apt uses, or this one.
MIRROR = os.environ.get("MARTLET_DEBIAN_MIRROR", "http://deb.debian.org/debian")
#: A fresh Debian takes minutes (./test.sh --long).
IS_LONG = "MARTLET_SOAK" in os.environ


def output(*command, timeout=120, **more):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_binary_needs_no_library_of_swifts():
    needed = re.findall(r"Shared library: \[(\S+)\]", output("readelf", "-d", MARTLET))
    assert needed and not [name for name in needed if re.search("swift|Foundation|dispatch|Blocks", name)]
    # Of DPDK only what it uses; drivers are EAL's business.
    assert {"librte_eal.so.23", "librte_ethdev.so.23"} <= set(needed)
    assert len([name for name in needed if "rte_" in name]) < 15, needed
    assert "RUNPATH" not in output("readelf", "-d", MARTLET) or "/swift/" not in output("readelf", "-d", MARTLET)


# The manual.

@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    page = tmp_path_factory.mktemp("man") / "martlet.1"
    page.write_text(output(PACKAGING / "make-man.py", MARTLET))
    return page


def test_the_manual_has_every_option_and_nothing_wrong(manual):
    text = manual.read_text().replace("\\-", "-")
    # The names at the left of the help text.
    options = re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", output(MARTLET, "--help"))
    assert len(options) > 30
    for option in options:
        assert re.search(rf"(?m)^(\\fB-\w\\fR(?: \\fI\S+\\fR)?, )?\\fB{option}\\fR", text), option
    assert "martlet [EAL options] -- [options]" in text and "SIGHUP" in text and ".SH EXIT STATUS" in text
    if have("mandoc"):
        assert output("mandoc", "-T", "lint", "-W", "warning", manual) == ""


@pytest.mark.skipif(not have("man"), reason="needs man")
def test_man_shows_it_without_a_warning(manual):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", manual], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == ""


# Completions.

def completions(shell, line, tmp_path):
    """The words that a shell offers at the end of a line."""
    script = tmp_path / f"martlet.{shell}"
    script.write_text(output(MARTLET, "--generate-completion-script", shell))
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    if shell == "bash":
        code = (f"source {script}; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({shlex.join(words)});"
                f"COMP_CWORD={len(words) - 1}; _martlet martlet {shlex.quote(words[-1])} {shlex.quote(words[-2])};"
                'printf "%s\\n" "${COMPREPLY[@]}"')
        return output("bash", "-c", code).split()
    if shell == "fish":
        code = f"source {script}; complete -C {shlex.quote(line)}"
        shown = output("fish", "-c", code, env={**os.environ, "HOME": str(tmp_path)})
        return [row.split("\t")[0] for row in shown.splitlines()]
    # zsh completes on a terminal only: its function's own view is looked at.
    code = (f"words=({shlex.join(words)}); CURRENT={len(words)}; compdef() {{ }}; "
            f"_arguments() {{ print -rl -- \"${{words[@]}}\" $CURRENT; return 0; }}; source {script}; _martlet")
    return output("zsh", "-fc", code).split("\n")


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_options_and_values_are_completed_before_and_behind_the_separator(shell, tmp_path):
    if not have(shell):
        pytest.skip(f"needs {shell}")
    for start in ("martlet ", "martlet -l 0-3 -a 0000:03:00.0 -- ", "martlet -- --stats 1 "):
        assert set(completions(shell, start + "--list-p", tmp_path)) == {"--list-plugins"}, start
        assert set(completions(shell, start + "--export-mode ", tmp_path)) == {"mirror", "failover", "distribute"}, start
        assert "pstats" in completions(shell, start + "--plugins ps", tmp_path)
    assert "help" not in completions(shell, "martlet ", tmp_path)


@pytest.mark.skipif(not have("zsh"), reason="needs zsh")
def test_zsh_sees_the_words_behind_the_separator(tmp_path):
    assert completions("zsh", "martlet --stats 1 --li", tmp_path)[:5] == ["martlet", "--stats", "1", "--li", "4"]
    assert completions("zsh", "martlet -l 0-3 -- --stats 1 --li", tmp_path)[:5] == ["martlet", "--stats", "1", "--li", "4"]


# The Debian package.

@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not have("dpkg-shlibdeps"):
        pytest.skip("needs dpkg-dev")
    folder = tmp_path_factory.mktemp("deb")
    return Path(output(PACKAGING / "build-deb.sh", "--binary", MARTLET, folder, timeout=300).splitlines()[-1])


def test_the_package_has_what_it_should(package):
    listing = output("dpkg-deb", "--contents", package)
    for place in (
            "./usr/bin/martlet", "./lib/systemd/system/martlet@.service", "./usr/lib/sysusers.d/martlet.conf",
            "./usr/lib/tmpfiles.d/martlet.conf", "./lib/udev/rules.d/60-martlet.rules", "./etc/martlet/example.conf",
            "./usr/share/man/man1/martlet.1.gz", "./usr/share/bash-completion/completions/martlet",
            "./usr/share/zsh/vendor-completions/_martlet", "./usr/share/fish/vendor_completions.d/martlet.fish",
            "./usr/share/doc/martlet/copyright", "./usr/share/doc/martlet/operations.md"):
        assert re.search(rf"(?m)^-r[w-]+xr-xr-x? root/root .* {re.escape(place)}$|^-rw-r--r-- root/root .* {re.escape(place)}$",
                         listing), place
    fields = output("dpkg-deb", "--field", package)
    depends = re.search(r"(?m)^Depends: (.*)$", fields)[1]
    for name in ("libc6", "librte-eal23", "librte-mempool-ring23", "librte-bus-vdev23", "librdkafka1", "libseccomp2"):
        assert re.search(rf"\b{name}\b", depends), depends
    assert "swift" not in depends and "librte-meta-net" in fields
    assert output("dpkg-deb", "--info", package, "conffiles") == "/etc/martlet/example.conf\n"


@pytest.mark.skipif(not IS_LONG, reason="takes a minute: ./test.sh --long")
def test_the_package_can_be_made_twice_and_is_the_same(package, tmp_path):
    other = Path(output(PACKAGING / "build-deb.sh", "--binary", MARTLET, tmp_path, timeout=300).splitlines()[-1])
    assert other.read_bytes() == package.read_bytes()


@pytest.mark.skipif(not have("lintian"), reason="needs lintian")
def test_lintian_finds_no_error(package):
    suppressed = "bogus-mail-host,bogus-mail-host-in-debian-changelog"
    done = subprocess.run(["lintian", "--fail-on", "error", "--suppress-tags", suppressed, package], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not IS_LONG, reason="takes minutes: ./test.sh --long")
@pytest.mark.skipif(not is_root() or not have("debootstrap"), reason="needs root and debootstrap")
def test_it_runs_in_a_fresh_debian(package, tmp_path):
    """Installed by apt with nothing but its dependencies, started there, and removed without a trace."""
    tree = tmp_path / "debian"
    output("debootstrap", "--variant=minbase", "bookworm", tree, MIRROR, timeout=900)

    def inside(*command, timeout=900):
        return output("chroot", tree, "env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command,
                      timeout=timeout)
    try:
        shutil.copy(package, tree / "tmp/martlet.deb")
        shutil.copy(CAPTURES / "demo.pcap", tree / "tmp/demo.pcap")
        for name in ("/etc/apt/apt.conf.d", "/etc/apt/sources.list.d"):
            shutil.copytree(name, tree / name[1:], dirs_exist_ok=True)
        for mount in ("proc", "sys", "dev"):
            output("mount", "--bind", f"/{mount}", tree / mount)
        inside("apt-get", "update")
        inside("apt-get", "install", "-y", "--no-install-recommends", "/tmp/martlet.deb")
        assert not list((tree / "usr").rglob("libswift*"))
        assert inside("martlet", "--version") == output(MARTLET, "--version")
        assert inside("martlet", "--pcap", "/tmp/demo.pcap") == output(MARTLET, "--pcap", CAPTURES / "demo.pcap")
        # The one driver for which nothing is recommended only.
        said = inside(
            "sh", "-c", "exec martlet --no-huge --no-shconf --no-telemetry --no-pci -m 256 --lcores 0@0,1@0,2@1 "
            "--vdev=net_af_packet0,iface=lo -- --user martlet --duration 2 --export json:/dev/null 2>&1")
        assert "martlet: goes on as martlet" in said and "packets in flows" in said, said
        assert "martlet:" in inside("getent", "passwd", "martlet")
        inside("apt-get", "purge", "-y", "martlet")
        for folder in ("etc", "lib", "run", "usr", "var/cache", "var/lib/martlet", "var/lib/systemd"):
            assert list((tree / folder).rglob("*martlet*")) == [], folder
    finally:
        for mount in ("dev", "sys", "proc"):
            subprocess.run(["umount", tree / mount], capture_output=True, timeout=60)


# The RPM.

#: What systemd's macros stand for on Fedora; Debian has none of them.
FEDORA = {"_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d", "_tmpfilesdir": "/usr/lib/tmpfiles.d",
          "_udevrulesdir": "/usr/lib/udev/rules.d", "systemd_post()": ":", "systemd_preun()": ":",
          "systemd_postun_with_restart()": ":"}


@pytest.mark.skipif(not have("rpmbuild"), reason="needs rpmbuild")
def test_the_rpm_has_what_the_debian_package_has(package, tmp_path):
    defined = {"source": ROOT, "_topdir": tmp_path, **FEDORA}
    # With the distribution's own packages, which rpm knows nothing of here.
    output("rpmbuild", "-bb", "--nodeps", PACKAGING / "martlet.spec",
           *(word for name, value in defined.items() for word in ("--define", f"{name} {value}")))
    rpm, = tmp_path.glob("RPMS/x86_64/martlet-*.rpm")
    listed = set(output("rpm", "-qpl", rpm).splitlines())
    debian = {line.split()[5][1:] for line in output("dpkg-deb", "-c", package).splitlines() if not line.endswith("/")}
    # Debian's own: /lib, zsh's folder of the distribution; packed pages, a changelog and a copyright for each package.
    same = {"/usr" + path if path.startswith("/lib/") else path for path in debian}
    same = {path.replace("vendor-completions", "site-functions") for path in same}
    assert {path for path in same if not path.startswith(("/usr/share/doc", "/usr/share/man", "/usr/share/lintian"))} <= listed
    needed = output("rpm", "-qp", "--requires", rpm)
    assert "librte_eal.so" in needed and "swift" not in needed
    output("rpm2archive", rpm)
    output("tar", "-xzf", f"{rpm}.tgz", "-C", tmp_path)
    assert output(tmp_path / "usr/bin/martlet", "--version") == output(MARTLET, "--version")


# DPDK's other versions.

def test_other_versions_of_dpdk_are_checked_where_their_headers_are():
    shown = output(PACKAGING / "check-dpdk-versions.sh", env={**os.environ, "DPDK_SOURCES": ""})
    assert "nothing was checked" in shown
    clone = os.environ.get("DPDK_SOURCES")
    if not clone:
        pytest.skip("no DPDK_SOURCES: a clone of DPDK's sources")
    shown = output(PACKAGING / "check-dpdk-versions.sh", clone, timeout=600)
    assert [line.split()[1] for line in shown.splitlines()] == ["22.11:", "23.11:", "24.11:"]


def test_options_of_the_scripts_are_told():
    for script in ("build-deb.sh", "check-dpdk-versions.sh"):
        assert script in output(PACKAGING / script, "--help")
        assert subprocess.run([PACKAGING / script, "--nonsense"], capture_output=True, timeout=60).returncode == 64


def test_the_help_is_one_json_document():
    assert json.loads(output(MARTLET, "--experimental-dump-help"))["command"]["commandName"] == "martlet"
