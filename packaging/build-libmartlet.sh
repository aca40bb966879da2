#!/bin/bash
# Builds libmartlet.so, the engine for captures behind the C interface of martlet.h, with everything in it but the C library: Swift's
# runtime, libpcap, libcrypto and libstdc++. It runs where only glibc is.
#
#     packaging/build-libmartlet.sh [--output FOLDER] [--sanitize]
#
# The output folder (.build-lib/out) gets libmartlet.so and martlet.h. --sanitize builds it with AddressSanitizer, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

SCRATCH=.build-lib
OUT=
FLAGS=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --output) OUT=${2:?a folder}; shift ;;
        --sanitize) SCRATCH=.build-lib-asan; FLAGS+=(--sanitize address) ;;
        *) echo "build-libmartlet: unknown argument $1" >&2; exit 64 ;;
    esac
    shift
done
OUT=${OUT:-$SCRATCH/out}
command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin

# A folder with the archives alone, in which the linker looks first, so that it takes these and not the shared libraries.
ARCHIVES=$PWD/$SCRATCH/archives
mkdir -p "$ARCHIVES" "$OUT"
for name in pcap crypto stdc++; do
    archive=$(gcc -print-file-name=lib$name.a)
    [ -f "$archive" ] || { echo "build-libmartlet: lib$name.a is not installed" >&2; exit 1; }
    ln -sf "$archive" "$ARCHIVES/"
done
# Debian's libpcap.a is for programs: it takes C's streams for variables of its own. CNoDevices has such variables.
archive=$(readlink -f "$ARCHIVES/libpcap.a")
rm "$ARCHIVES/libpcap.a"
objcopy --redefine-sym stdin=martlet_pcap_stdin --redefine-sym stdout=martlet_pcap_stdout \
    --redefine-sym stderr=martlet_pcap_stderr "$archive" "$ARCHIVES/libpcap.a"
for name in pcap crypto; do
    printf 'Name: lib%s\nDescription: the archive\nVersion: 1\nLibs: -L%s -l%s\n' $name "$ARCHIVES" $name >"$ARCHIVES/lib$name.pc"
done

swift build -c release --scratch-path "$SCRATCH" --product martlet-c "${FLAGS[@]}" --pkg-config-path "$ARCHIVES" \
    -Xswiftc "-L$ARCHIVES" -Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xlinker -soname=libmartlet.so
if [ "$SCRATCH" = .build-lib ]; then
    strip --strip-unneeded -o "$OUT/libmartlet.so" "$SCRATCH/release/libmartlet-c.so"
else
    cp "$SCRATCH/release/libmartlet-c.so" "$OUT/libmartlet.so"  # with the names that a finding is to be said in
fi
cp Sources/MartletC/include/martlet.h "$OUT/"
echo "$OUT/libmartlet.so"
