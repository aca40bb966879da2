"""martlet -i NAME: live without knowing DPDK."""
import json
import re
import signal
import subprocess

import pytest
from harness import Live, is_root, run, stats_lines, unaccounted
from test_live import EARLY, load, namespace, send, sums, udp_records

pytestmark = pytest.mark.skipif(not is_root(), reason="EAL needs root")


class Watch(Live):
    """martlet -i, in a network namespace."""

    def __init__(self, place, interfaces, options):
        super().__init__([], [], lcores=[], mem=[], prefix=["true"])
        self.process.wait()
        names = [word for name in interfaces for word in ("-i", name)]
        from harness import MARTLET
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", place, MARTLET, *names, *map(str, options)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.output)


def pair(ip, a, b, number=0):
    """A veth pair between two namespaces with addresses; the names of its ends."""
    first, second = f"va{number}", f"vb{number}"
    ip("link", "add", first, "netns", a, "type", "veth", "peer", "name", second, "netns", b)
    for name, device, last in ((a, first, 1), (b, second, 2)):
        ip("-n", name, "addr", "add", f"10.{99 + number}.0.{last}/24", "dev", device)
        ip("-n", name, "link", "set", device, "up")
    ip("-n", b, "link", "set", "lo", "up")
    return first, second


def test_an_interface_is_watched(tmp_path):
    out = tmp_path / "out.json"
    with namespace() as ((a, b), ip):
        _, device = pair(ip, a, b)
        subprocess.run(["ip", "netns", "exec", b, "ethtool", "-K", device, "gro", "on"], check=False, capture_output=True)
        with Watch(b, [device], ["--export", f"json:{out}", "--stats", "0.1", *EARLY]) as live:
            live.wait_for(lambda: stats_lines(live.text()))
            send(a, "4", "10.99.0.2", 50)
            live.wait_for(lambda: sum(packets for _, packets, _ in sums(udp_records(out))) >= 50 and live.latest["in_table"] == 0)
            assert live.stop() == 0, live.text()
            text, counters = live.text(), live.counters
    assert unaccounted(counters) == 0
    assert sums(udp_records(out)) == [(4, 50, 50 * 128)]
    # The EAL line that does the same, and whose frames are no frames.
    (line,) = re.findall(r"the same with EAL's options: martlet (.*) -- …", text)
    assert f"--vdev=net_af_packet0,iface={device}," in line and "--no-pci" in line and re.search(r"(-l |--lcores )", line)
    assert re.search(rf"warning: {device} has (GRO|TSO).*ethtool -K {device} .*off", text), text
    # The host's clock, or the device's where it has one.
    assert re.search(r"port 0.*(clock|time)", text), text


def test_several_interfaces_and_all_of_them(tmp_path):
    with namespace() as ((a, b), ip):
        pair(ip, a, b, 0)
        pair(ip, a, b, 1)
        ip("-n", b, "link", "add", "down0", "type", "veth", "peer", "name", "down1")
        for words in (["vb0", "vb1"], ["any"], ["any", "vb0"]):
            out = tmp_path / f"{len(words)}{words[0]}.json"
            with Watch(b, words, ["--export", f"json:{out}", "--stats", "0.1", *EARLY]) as live:
                live.wait_for(lambda: stats_lines(live.text()))
                send(a, "4", "10.99.0.2", 20)
                send(a, "4", "10.100.0.2", 30)
                live.wait_for(lambda at=out: sum(packets for _, packets, _ in sums(udp_records(at))) >= 50)
                assert live.stop() == 0, live.text()
                text = live.text()
            assert "iface=vb0," in text and "iface=vb1," in text and "iface=lo" not in text and "iface=down0" not in text
            # Each interface has its number.
            assert len({record["iana:ingressInterface"] for record in udp_records(out)}) == 2


def test_a_name_that_eal_takes_apart_is_refused_and_left_out(tmp_path):
    """A comma ends an argument of EAL's devices, and there are no quotes."""
    with namespace() as ((a, b), ip):
        pair(ip, a, b)
        ip("-n", b, "link", "add", "x,qpairs=2", "type", "veth", "peer", "name", "y")
        for device in ("x,qpairs=2", "y"):
            ip("-n", b, "link", "set", device, "up")
        refused = run("-i", "x,qpairs=2", prefix=["ip", "netns", "exec", b])
        assert refused.status == 64 and len(refused.messages) == 1, refused.err
        assert refused.messages[0].startswith("martlet: -i x,qpairs=2: EAL")
        options = ["--stats", "0.1", "--log-format", "json", "--export", f"json:{tmp_path}/out.json"]
        with Watch(b, ["any"], options) as live:
            live.wait_for('"received=')
            assert live.stop() == 0, live.text()
            said = [json.loads(line) for line in live.text().splitlines()]
    left, = (entry for entry in said if "is left out" in entry["message"])
    assert left["level"] == "warning" and left["message"].startswith("-i any: 'x,qpairs=2' is left out: ")
    # Whatever is a warning is said as one, in each form.
    offloads = [entry for entry in said if "packets are joined" in entry["message"]]
    assert offloads and all(entry["level"] == "warning" and re.match(r"(vb0|y) has ", entry["message"]) for entry in offloads)


def test_packets_taken_from_the_kernel(tmp_path):
    """AF_XDP on veth, in generic mode: the same records."""
    out = tmp_path / "out.json"
    with namespace() as ((a, b), ip):
        _, device = pair(ip, a, b)
        # Whoever takes the packets answers no ARP.
        mac = json.loads(ip("-n", b, "-j", "link", "show", "dev", device).stdout)[0]["address"]
        ip("-n", a, "neigh", "replace", "10.99.0.2", "lladdr", mac, "dev", "va0")
        with Watch(b, [f"af_xdp:{device}"], ["--export", f"json:{out}", "--stats", "0.1", *EARLY]) as live:
            try:
                live.wait_for(lambda: stats_lines(live.text()))
            except AssertionError:
                if "XDP" in live.text() or "did not start" in live.text():
                    pytest.skip(f"no AF_XDP here: {live.text()[-300:]}")
                raise
            send(a, "4", "10.99.0.2", 25)
            live.wait_for(lambda: sum(packets for _, packets, _ in sums(udp_records(out))) >= 25)
            assert live.stop() == 0, live.text()
    assert sums(udp_records(out)) == [(4, 25, 25 * 128)]


def test_an_interface_that_is_not_there():
    result = run("-i", "eth99", timeout=20)
    assert result.status == 64 and len(result.messages) == 1
    assert "'eth99'" in result.messages[0] and "lo" in result.messages[0]


def test_words_of_others_are_no_interface():
    for word in ("raw;ifc=eth0", "dump.pcap"):
        result = run("-i", word, timeout=20)
        assert result.status == 64 and len(result.messages) == 1 and "--pcap" in result.messages[0], result.err


def test_ctrl_c_ends_it(tmp_path):
    with namespace() as ((a, b), ip):
        _, device = pair(ip, a, b)
        with Watch(b, [device], ["--stats", "0.1"]) as live:
            live.wait_for(lambda: stats_lines(live.text()))
            assert live.stop(signal.SIGINT) == 0
    assert load is not None
