#!/bin/bash
# Builds the fuzzer with coverage and AddressSanitizer, makes seeds of the captures, and runs each target, as many at a time
# as there are CPUs.
#
#     Tests/Fuzz/fuzz.sh [--seconds N] [--build-only] [TARGET…]        10 seconds each, all targets
#
# A finding is written to .build-fuzz/findings/TARGET/; the exit status is then 1. Inputs that reach new code are kept in
# .build-fuzz/corpus/TARGET. MARTLET_FUZZ_SEEDS names other captures than Tests/Captures and ../shared/corpus.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

SECONDS_EACH=10
TARGETS=()
BUILD_ONLY=no
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --seconds) SECONDS_EACH=${2:-10}; shift ;;
        --build-only) BUILD_ONLY=yes ;;
        *) TARGETS+=("$1") ;;
    esac
    shift
done
[ ${#TARGETS[@]} -gt 0 ] || TARGETS=(dissector frames segments payload quic ssh parsers encoder decoder capture)

command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin
SWIFT=$(readlink -f "$(command -v swift)")
RUNTIMES=("$(dirname "$SWIFT")"/../lib/clang/*/lib/linux/libclang_rt.fuzzer_no_main-x86_64.a)
RUNTIME=${RUNTIMES[0]}
[ -f "$RUNTIME" ] || { echo "fuzz: this Swift toolchain has no libFuzzer runtime" >&2; exit 1; }
OUT=.build-fuzz
mkdir -p $OUT

start=$SECONDS
# Inline counters and comparisons are what this libFuzzer reads; Swift's own -sanitize=fuzzer brings another main().
[ "${MARTLET_FUZZ_NO_BUILD:-}" ] || MARTLET_FUZZ=$RUNTIME swift build -c release --scratch-path $OUT --product martlet-fuzz --sanitize address \
    -Xswiftc -sanitize-coverage=edge,trace-cmp -Xswiftc -Xllvm -Xswiftc -sanitizer-coverage-inline-8bit-counters=1 \
    -Xswiftc -Xllvm -Xswiftc -sanitizer-coverage-pc-table=1 >$OUT/build.log 2>&1 ||
    { grep -E 'error' $OUT/build.log || tail -n 20 $OUT/build.log; echo "fuzz: error: the build failed"; exit 1; }
echo "fuzz: built in $((SECONDS - start)) s"
[ $BUILD_ONLY = yes ] && exit 0
FUZZER=$OUT/release/martlet-fuzz

export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 SWIFT_BACKTRACE=enable=no
rm -rf $OUT/seeds
SEEDS=(Tests/Captures "${MARTLET_CORPUS:-../shared/corpus}")
[ -z "${MARTLET_FUZZ_SEEDS:-}" ] || read -ra SEEDS <<<"$MARTLET_FUZZ_SEEDS"
find "${SEEDS[@]}" -name '*.pcap*' -size -2000k -print0 2>/dev/null |
    xargs -0 timeout -s KILL 900 $FUZZER seeds $OUT/seeds || { echo "fuzz: error: no seeds"; exit 1; }

# fuzz TARGET: runs it, says what came of it and keeps its status.
fuzz() {
    local target=$1 log=$OUT/$1.log status runs coverage regressions=(Tests/Fuzz/regressions/"$1")
    mkdir -p $OUT/corpus/"$target" $OUT/findings/"$target" $OUT/seeds/"$target"
    [ -d "${regressions[0]}" ] || regressions=()
    # Times of the wall: on a busy machine seeds are read slowly, and an input that takes milliseconds may wait for a CPU.
    timeout -s KILL $((SECONDS_EACH + 1800)) $FUZZER "$target" -max_total_time="$SECONDS_EACH" -timeout=60 -rss_limit_mb=2048 \
        -max_len=8192 -dict=Tests/Fuzz/tls.dict -print_final_stats=1 -artifact_prefix=$OUT/findings/"$target"/ \
        $OUT/corpus/"$target" $OUT/seeds/"$target" "${regressions[@]}" >"$log" 2>&1 </dev/null
    status=$?
    echo $status >$OUT/"$target".status
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
    printf 'fuzz: %-10s status %s  %s executions, %s\n' "$target" "$status" "${runs:-?}" "${coverage:-cov: ?}"
    [ $status = 0 ] || grep -E '^FUZZ|ERROR|Fatal error|Test unit written' "$log" | head -n 5
}

rm -f $OUT/*.status
for target in "${TARGETS[@]}"; do
    [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
    fuzz "$target" &
done
wait

FAILED=()
for target in "${TARGETS[@]}"; do
    [ "$(cat $OUT/"$target".status 2>/dev/null)" = 0 ] || FAILED+=("$target")
done
[ ${#FAILED[@]} = 0 ] && echo "fuzz: ${#TARGETS[@]} targets, nothing found" || echo "fuzz: error: found something in ${FAILED[*]}"
exit $((${#FAILED[@]} > 0))
