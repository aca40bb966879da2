#!/usr/bin/env bash
# Compiles CDPDK, and the functions of DPDK that Swift calls by their own names, against the public headers of each DPDK
# version that Martlet is for. Nothing is built and nothing of DPDK is kept: its headers come from a clone of its sources,
# and what its build would configure is that of the DPDK which is installed here.
#
#     packaging/check-dpdk-versions.sh [CLONE]      CLONE: a git repository with the tags v22.11, v23.11, v24.11
#                                                   (default: $DPDK_SOURCES); without one nothing is checked
set -euo pipefail
cd "$(dirname "$0")/.."

versions=(22.11 23.11 24.11)

case "${1:-}" in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) sed -n '6,7s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
clone=${1:-${DPDK_SOURCES:-}}
[ -n "$clone" ] || { echo "check-dpdk-versions.sh: no clone of DPDK's sources is named: nothing was checked"; exit 0; }

command -v clang >/dev/null || PATH=$PATH:/opt/swift/usr/bin
installed=$(pkg-config --cflags-only-I libdpdk | grep -o '/[^ ]*x86_64[^ ]*/dpdk')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A table of what Swift calls and of what DPDKVersions.h makes: a name that a version lacks does not compile. What is made
# like a function call is a structure in one case, and of no interest here.
{
  echo '#include "CDPDK.h"'
  echo '#include <rte_telemetry.h>'
  echo 'typedef void (*any_function)(void);'
  echo 'const any_function martlet_names[] = {'
  {
    grep -rh --include='*.swift' '^[^/]*\brte_[a-z0-9_]*(' Sources/ExporterApp | grep -o '\brte_[a-z0-9_]*(' | tr -d '('
    sed -n 's/^#define \(rte_[a-z0-9_]*\) .*/\1/p' Sources/CDPDK/include/DPDKVersions.h
  } | sort -u | grep -v '^rte_eth_stats$' | sed 's/.*/  (any_function)&,/'
  echo '};'
} >"$work/names.c"

# tree VERSION: the headers of a version, with the configuration of the installed one under that version's number.
tree() {
  local year=${1%.*} month=${1#*.} headers="$work/$1"
  mkdir "$headers"
  git -C "$clone" archive "v$1" config lib | tar -x -C "$headers"
  sed -e "s/\(RTE_VER_YEAR\) .*/\1 $year/" -e "s/\(RTE_VER_MONTH\) .*/\1 $month/" -e 's/\(RTE_VER_MINOR\) .*/\1 0/' \
    "$installed/rte_build_config.h" >"$headers/config/rte_build_config.h"
  # What later versions have there, and the installed one in a header of its own.
  grep -q RTE_PKTMBUF_HEADROOM "$headers/config/rte_config.h" ||
    echo '#define RTE_PKTMBUF_HEADROOM 128' >>"$headers/config/rte_build_config.h"
}

failed=0
for version in "${versions[@]}"; do
  tree "$version"
  includes=(-I "$work/$version/config")
  for directory in "$work/$version/lib/eal/"{include,x86/include,linux/include} "$work/$version/lib/"*/; do
    includes+=(-I "$directory")
  done
  flags=(-std=gnu11 -fsyntax-only -Wall -Werror -march=corei7 -include rte_config.h -I Sources/CDPDK/include)
  # DPDK's own inline functions are not ours to mend, so its headers are a system's.
  if clang "${flags[@]}" "${includes[@]/#-I/-isystem}" Sources/CDPDK/*.c "$work/names.c"; then
    echo "DPDK $version: CDPDK compiles, and all of $(grep -c '(any_function)' "$work/names.c") names are there"
  else
    echo "check-dpdk-versions.sh: DPDK $version lacks what CDPDK or Swift uses (above): guard it in Sources/CDPDK" >&2
    failed=1
  fi
done
exit "$failed"
