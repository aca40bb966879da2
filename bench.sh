#!/usr/bin/env bash
# Measures Martlet on this machine, from nothing: installs what is missing, builds the release, runs every benchmark,
# prints their tables and leaves the figures as JSON, with machine and date, in Benchmarks/results/.
#
#   ./bench.sh                     all: engine export exporters enrichment live filters queues plugins memif
#   ./bench.sh live queues         only these
#
# Wants root for hugepages (live, filters, queues, plugins and memif), two CPUs and nobody else at work; about half an hour.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

# shellcheck source=packaging/setup.sh
source packaging/setup.sh

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(engine export exporters enrichment live filters queues plugins memif)
for stage in "${stages[@]}"; do
  case $stage in
    engine | export | exporters | enrichment | live | filters | queues | plugins | memif) ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
done

install_packages build bench || exit 1
log=$(mktemp)
build_release "$log" || { rm -f "$log"; exit 1; }
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

reserve_hugepages 400 512 || echo "bench.sh: too few hugepages; going on"

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
      mix=$(mktemp --suffix .pcap)
      Benchmarks/make-mix.py "$mix" && measure export "$bin/export-bench" --capture "$mix"
      rm -f "$mix"
      ;;
    exporters) measure exporters Benchmarks/exporters.py --binary "$bin/export-bench" ;;
    enrichment) measure enrichment Benchmarks/enrichment.py --martlet "$bin/martlet" ;;
    filters) measure filters Benchmarks/filters.py --martlet "$bin/martlet" ;;
    live) measure live Benchmarks/live.py --martlet "$bin/martlet" ;;
    queues) measure queues Benchmarks/queues.py --martlet "$bin/martlet" ;;
    plugins) measure plugins Benchmarks/plugins.py --martlet "$bin/martlet" --instructions ;;
    memif) measure memif Benchmarks/memif.py --martlet "$bin/martlet" ;;
  esac
done

say "figures in $results"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
