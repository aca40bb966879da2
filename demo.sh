#!/usr/bin/env bash
# Shows Martlet's main job on this machine, from nothing: installs what is missing, builds the release binary and runs it.
#
#   ./demo.sh         a bundled capture: a table of its flows, and an IPFIX file read back by libfixbuf's ipfixDump
#   ./demo.sh --live  two RX queues on virtual devices, IPFIX over UDP into nfcapd, and nfdump's view of it (root)
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=packaging/setup.sh
source packaging/setup.sh

build() {
  build_release "$out/build.log"
  martlet=$(swift build -c release --show-bin-path)/martlet
}

offline() {
  local capture=Tests/Captures/demo.pcap
  say "martlet --pcap $capture --plugins pstats --export text:- --export ipfix:flows.ipfix --export json:flows.json"
  "$martlet" --pcap "$capture" --plugins pstats --export "ipfix:$out/flows.ipfix" --export "json:$out/flows.json"
  # Files between the commands rather than pipes: a `head` that ends early ends those before it by SIGPIPE.
  "$martlet" "$capture" >"$out/flows.txt"
  head -n 1 "$out/flows.txt"
  tail -n +2 "$out/flows.txt" | sort >"$out/sorted.txt"
  head -n 40 "$out/sorted.txt"
  local flows
  flows=$(wc -l <"$out/flows.json")
  say "$flows flows; the first as JSON, with its packet sequence (pstats)"
  head -n 1 "$out/flows.json"
  say "the IPFIX file ($(stat -c %s "$out/flows.ipfix") bytes), read by libfixbuf's ipfixDump"
  ipfixDump --in "$out/flows.ipfix" 2>/dev/null >"$out/dump.txt"
  awk '/--- data record 1 ---/ { left = 25 } left > 0 { print; left-- }' "$out/dump.txt"
}

live() {
  local port=14739
  mkdir "$out/flows"
  say "nfcapd on 127.0.0.1:$port; martlet with two RX queues, one worker lcore for both"
  nfcapd -b 127.0.0.1 -p "$port" -l "$out/flows" -t 3600 >"$out/nfcapd.log" 2>&1 &
  collector=$!
  sleep 1
  # Two CPUs are enough: control and export share one, the worker polls both queues on its own.
  "$martlet" --lcores '0@0,1@0,2@1' --no-pci --no-huge -m 256 --file-prefix "martlet-demo-$$" \
    --vdev=net_pcap0,rx_pcap=Tests/Captures/demo.pcap,rx_pcap=Tests/Captures/many-flows.pcap \
    -- --config '(0,0,2),(0,1,2)' --export "udp://127.0.0.1:$port" --stats 1 --duration 3
  sleep 1
  kill "$collector"
  wait "$collector" 2>/dev/null || true
  collector=
  say "nfdump's view: the ten flows with most bytes"
  nfdump -R "$out/flows" -O bytes -n 10 -o line
}

out=$(mktemp -d)
collector=
trap '[ -z "$collector" ] || kill "$collector" 2>/dev/null; rm -rf "$out"' EXIT

case "${1:-}" in
  "" | --live) ;;
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "usage: ./demo.sh [--live]" >&2; exit 64 ;;
esac

# Swift needs a C library to link against; the rest is DPDK and what it is configured with.
case "${1:-}" in
  "")
    install_packages build demo
    build
    offline
    ;;
  --live)
    install_packages build live
    build
    live
    ;;
esac
