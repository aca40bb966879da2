#!/usr/bin/env bash
# Measures Martlet on this machine, from nothing: installs what is missing, builds the release, runs every benchmark,
# prints their tables and leaves the figures as JSON, with machine and date, in Benchmarks/results/.
#
#   ./bench.sh                     all: engine export live queues plugins memif
#   ./bench.sh live queues         only these
#
# Wants root for hugepages (live, queues, plugins and memif), two CPUs and nobody else at work; about a quarter of an hour.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

need() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(engine export live queues plugins memif)
for stage in "${stages[@]}"; do
  case $stage in
    engine | export | live | queues | plugins | memif) ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
done

need dpdk dpdk-dev libnuma-dev libbsd-dev libssl-dev libpcap-dev pkg-config python3 \
  valgrind binutils
say "swift build -c release"
log=$(mktemp)
swift build -c release >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
tail -n 1 "$log"
rm -f "$log"
bin=$(swift build -c release --show-bin-path)
results=Benchmarks/results/$(date -u +%Y-%m-%dT%H%M%SZ)
mkdir -p "$results"

processor=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
cat >"$results/machine.json" <<END
{"date": "$(date -u +%FT%TZ)", "processor": "$processor", "cpus": $(nproc), "memory_kB": $(awk '/MemTotal/ {print $2}' /proc/meminfo),
 "kernel": "$(uname -r)", "swift": "$(swift --version 2>/dev/null | grep -o 'Swift version [0-9.]*')",
 "dpdk": "$(pkg-config --modversion libdpdk)", "commit": "$(git rev-parse --short HEAD)", "load": "$(cut -d' ' -f1-3 /proc/loadavg)"}
END
cat "$results/machine.json"

pages=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
if [ "$pages" -lt 400 ]; then
  say "reserving 512 hugepages"
  as_root ./hugepages-setup.sh --pages 512 || true
fi

failed=()
measure() {
  local name=$1
  shift
  say "$*"
  timeout 1200 "$@" --json "$results/$name.json" || failed+=("$name")
}

for stage in "${stages[@]}"; do
  case $stage in
    engine)
      measure engine Benchmarks/engine.py --binary "$bin/engine-bench"
      ;;
    export)
      mapfile -t captures < <(ls ../shared/corpus/*/*.pcap 2>/dev/null | grep -v -e frag -e fuzz)
      [ ${#captures[@]} -gt 0 ] || captures=(Tests/Captures/*.pcap)
      mix=$(mktemp --suffix .pcap)
      python3 Benchmarks/make-mix.py "$mix" "${captures[@]}" && measure export "$bin/export-bench" --capture "$mix"
      rm -f "$mix"
      ;;
    live) measure live Benchmarks/live.py --martlet "$bin/martlet" ;;
    queues) measure queues Benchmarks/queues.py --martlet "$bin/martlet" ;;
    plugins) measure plugins Benchmarks/plugins.py --martlet "$bin/martlet" --instructions ;;
    memif) measure memif Benchmarks/memif.py --martlet "$bin/martlet" ;;
  esac
done

say "figures in $results"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
