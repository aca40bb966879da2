#!/bin/bash
# Sets up what the tests need and runs all of them: format, build, unit tests, end-to-end tests.
#
#     ./test.sh [--no-install] [--long] [STAGE…]        stages: format build unit fuzz offline end-to-end (default: all)
#     --long: a minute for each fuzz target, in place of ten seconds, a run of 30 minutes with outages (MARTLET_SOAK
#     seconds, if that is set), and the Debian package in a fresh Debian
#
# For a Debian 12 with git and a Swift 6.3 toolchain. Every stage runs even when an earlier one failed; each prints
# its runner's closing line, and what failed. The closing lines are repeated at the end, and the exit status is 0
# only if every stage passed. Arguments for pytest go into PYTEST_ADDOPTS.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

STAGES=(format build unit fuzz offline end-to-end)
# End-to-end tests that start few lcores and watch no clock: as many at a time as there are CPUs (stage offline). All others have
# the machine for themselves (stage end-to-end), and what fails there is run once more: lcores, collectors and the test share two
# CPUs with whatever else the host does. Both runs are told, and counted in the closing line.
OFFLINE=(anonymise architecture certificates dataset elements filter fingerprints flow_table instruction_budget libmartlet models
    notebook offline packaging packet_path python quic readme schema statistics traps tshark uniflow)
FUZZ_SECONDS=10
INSTALL=yes
CHOSEN=()
for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --no-install) INSTALL=no ;;
        --long) FUZZ_SECONDS=60; export MARTLET_SOAK=${MARTLET_SOAK:-1800} ;;
        format | build | unit | fuzz | offline | end-to-end) CHOSEN+=("$argument") ;;
        *) echo "test.sh: unknown argument $argument; stages are: ${STAGES[*]}" >&2; exit 64 ;;
    esac
done
[ ${#CHOSEN[@]} -gt 0 ] || CHOSEN=("${STAGES[@]}")

# shellcheck source=packaging/setup.sh
source packaging/setup.sh

make_venv() {
    local python=/usr/bin/python3 wanted=(Tests/requirements.txt docs/examples/requirements.txt)
    if cat "${wanted[@]}" | cmp -s - .build-venv/made-of; then
        echo "the Python environment is there: .build-venv"
        return
    fi
    echo "making the Python environment .build-venv with pytest, ruff, numpy, pandas, pyarrow and scikit-learn"
    "$python" -m venv .build-venv && .build-venv/bin/pip install -q --disable-pip-version-check -r Tests/requirements.txt || return
    # Without matplotlib: only the picture needs it.
    grep -v matplotlib docs/examples/requirements.txt |
        .build-venv/bin/pip install -q --disable-pip-version-check --only-binary :all: -r /dev/stdin ||
        echo "no numpy, pandas or scikit-learn: the tests of data frames will be skipped"
    cat "${wanted[@]}" >.build-venv/made-of
}

if [ "$INSTALL" = yes ]; then
    say "Setting up"
    install_packages build live test lint || echo "test.sh: some packages are missing (see above); going on"
    reserve_hugepages 128 256 || echo "no hugepages: tests that need them are skipped, the others use --no-huge"
    case " ${CHOSEN[*]} " in *" end-to-end "* | *" offline "* | *" format "*) make_venv || echo "test.sh: no Python environment" ;; esac
fi

command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin
command -v swift >/dev/null || { echo "test.sh: no swift on PATH: install Swift 6.3 from swift.org" >&2; exit 1; }
[ -d "${MARTLET_CORPUS:-../shared/corpus}" ] ||
    echo "no ../shared/corpus (or MARTLET_CORPUS): tests on it are skipped, those on Tests/Captures run"

LOG=$(mktemp -d /tmp/martlet-test.XXXXXX)
CLOSING=()
FAILED=0
# What failed can be read in full afterwards.
trap '[ "$FAILED" != 0 ] || rm -rf "$LOG"' EXIT

# Cuts long lines in the middle: a parametrised test's name has all of its arguments in it, up to a megabyte of them, and
# what failed is said behind it.
cut_lines() { awk 'length > 500 { $0 = substr($0, 1, 160) " … " substr($0, length - 320) } { print }'; }

# failing FILE: the part of a runner's output that says what failed.
failing() {
    grep -n -E -A 12 '✘|error:|warning:|Fatal error|FAILED|ERROR|^E  |Traceback|^(_{3,}|={3,} FAIL)|Segmentation|signal' "$1" |
        cut_lines | awk 'NR <= 400 { print } NR == 401 { print "…" }'
    echo "--- the last lines of $1"
    tail -n 20 "$1" | cut_lines
}

# stage NAME PATTERN COMMAND…: runs it quietly, prints the last line that matches PATTERN, its closing line, as the runner
# wrote it, and before it what failed.
stage() {
    local name=$1 pattern=$2 start=$SECONDS status closing
    shift 2
    say "$name: $*"
    "$@" >"$LOG/$name" 2>&1
    status=$?
    [ "$status" = 0 ] || { FAILED=1; failing "$LOG/$name"; }
    closing=$(grep -E "$pattern" "$LOG/$name" | tail -n 1 | cut_lines)
    # What was skipped, and why, or needed a second run is for people to see.
    grep -E '^(SKIPPED|RERUN)' "$LOG/$name" | cut_lines
    [ -z "$closing" ] || printf '%s\n' "$closing"
    while [[ $closing == [^[:alnum:]=]* ]]; do closing=${closing:1}; done
    [ -n "$closing" ] || { [ "$status" = 0 ] && closing="nothing to complain about"; }
    CLOSING+=("$(printf '%-10s  status %s  %4d s  %s' "$name" "$status" $((SECONDS - start)) "$closing")")
}

for name in "${CHOSEN[@]}"; do
    case $name in
        format) stage format 'error:|warning:' Tests/lint.sh ;;
        build)
            stage build 'error:|Compiling|complete' swift build -c release
            stage library 'error:|^build-libmartlet|libmartlet.so' packaging/build-libmartlet.sh
            ;;
        unit) stage unit 'Test run with|error:' swift test ;;
        fuzz) stage fuzz '^fuzz: [0-9]+ targets|error:' Tests/Fuzz/fuzz.sh --seconds "$FUZZ_SECONDS" ;;
        offline | end-to-end)
            files=("${OFFLINE[@]/#/Tests/EndToEnd/test_}")
            files=("${files[@]/%/.py}")
            if [ "$name" = offline ]; then how=(-n auto --dist loadfile "${files[@]}"); else how=(--reruns 1 Tests/EndToEnd "${files[@]/#/--ignore=}"); fi
            if [ -x .build-venv/bin/pytest ]; then
                stage "$name" 'passed|failed|error|no tests' \
                    .build-venv/bin/python -m pytest -q -ra --durations=10 -p no:cacheprovider "${how[@]}"
            else
                FAILED=1
                CLOSING+=("$name  not run: no .build-venv/bin/pytest")
            fi
            ;;
    esac
done

say "Closing lines"
printf '%s\n' "${CLOSING[@]}"
[ "$FAILED" = 0 ] && echo "test.sh: all stages passed" || echo "test.sh: FAILED (the runners' whole output: $LOG)"
exit "$FAILED"
